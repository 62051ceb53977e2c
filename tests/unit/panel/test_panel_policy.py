"""The policy on whatever may happen: it is told members and times, and must keep its promises."""

import math
from dataclasses import dataclass, field, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coreto.panel.policy import Member, Rules, Snapshot, decide, quality_of

LETTERS = tuple("abcdefghij")
MODES = ("all", "first", "update", "overlap")
STAGES = ("asking", "consolidating", "consolidated", "updating", "updated")
times = st.floats(0, 50).map(lambda seconds: round(seconds, 2))
rules = st.builds(
    Rules,
    mode=st.sampled_from(MODES),
    quorum=st.integers(1, 6),
    deadline=st.floats(20, 40),
    reserve=st.floats(0, 15),
    linger=st.sampled_from((0.0, 0.25, 3.0)),
    grace=st.one_of(st.just(math.inf), times),
)


@dataclass(frozen=True)
class Plan:
    """When a member would end, and how."""

    name: str
    ends_at: float
    answers: bool
    required: bool


plans = st.lists(
    st.builds(Plan, st.sampled_from(LETTERS), times, st.booleans(), st.booleans()),
    max_size=7,
    unique_by=lambda p: p.name,
)


@dataclass
class Story:
    """What came of a panel in which everybody ends when told, and consolidations take some seconds each."""

    rules: Rules
    members: dict[str, Member]
    stage: str = "asking"
    now: float = 0.0
    consolidated_at: float | None = None
    consolidations: list[tuple[float, frozenset]] = field(default_factory=list)
    stopped: set = field(default_factory=set)
    fired: list[int] = field(default_factory=list)


def play(rules: Rules, plans: list[Plan], durations: tuple[float, float], linger: float = 0.0) -> Story:
    """The whole of a panel. ``linger``: seconds that a stopped member takes to end."""
    story = Story(rules, {p.name: Member(p.name, "asked", p.required) for p in plans})
    ends = {p.name: (p.ends_at, p.answers) for p in plans}
    consolidation_ends = math.inf
    for _ in range(200):
        seen = Snapshot(tuple(story.members.values()), story.stage, story.now, story.consolidated_at)
        decision = decide(rules, seen)
        story.fired.append(decision.rule)
        for name in decision.stop:
            if name not in story.stopped:
                ends[name] = min(ends[name], (story.now + linger, False))
            story.stopped.add(name)
        if decision.consolidate:
            assert not decision.over
            first = story.stage == "asking"
            names = frozenset(decision.consolidate)
            story.consolidations.append((story.now, names))
            story.stage = "consolidating" if first else "updating"
            if first:
                story.consolidated_at = story.now
            seconds = durations[len(story.consolidations) - 1]
            consolidation_ends = max(story.now, min(story.now + seconds, rules.deadline))
        if decision.over:
            return story
        asked = [m for m in story.members.values() if m.standing == "asked"]
        following = min((*(ends[m.name][0] for m in asked), consolidation_ends, decision.wake_at))
        assert following < math.inf, "nothing would ever happen again"
        story.now = max(story.now, following)
        for member in asked:
            at, answers = ends[member.name]
            if at <= story.now:
                standing = "answered" if answers else "lost"
                story.members[member.name] = replace(member, standing=standing, at=story.now)
        if consolidation_ends <= story.now:
            consolidation_ends = math.inf
            story.stage = "consolidated" if story.stage == "consolidating" else "updated"
            for name in story.consolidations[-1][1]:
                story.members[name] = replace(story.members[name], included=True)
    raise AssertionError("it never ends")


stories = st.builds(play, rules, plans, st.tuples(times, times), st.sampled_from((0.0, 0.5)))


@given(stories)
def test_a_panel_is_over_by_its_deadline(story: Story) -> None:
    """But for what it takes a stopped member to end; and then nobody is asked any more."""
    assert story.now <= story.rules.deadline + 0.5 + 1e-6
    assert all(member.standing != "asked" for member in story.members.values())


@given(stories)
def test_at_most_one_consolidation_and_one_update(story: Story) -> None:
    """Two consolidations only where late answers are folded in, and the second one has all of the first and more."""
    assert len(story.consolidations) <= (2 if story.rules.mode in {"update", "overlap"} else 1)
    if len(story.consolidations) == 2:
        assert story.consolidations[0][1] < story.consolidations[1][1]
        assert story.consolidations[1][0] >= story.consolidations[0][0]


@given(stories)
def test_every_answer_in_time_is_used(story: Story) -> None:
    """Where late answers are folded in, all answers are in the last consolidation; without any there is none."""
    answered = {m.name for m in story.members.values() if m.standing == "answered"}
    assert bool(story.consolidations) == bool(answered)
    if answered and story.rules.mode != "first":
        assert story.consolidations[-1][1] == answered


@given(stories)
def test_it_begins_when_it_may(story: Story) -> None:
    """A consolidation while somebody is asked has its quorum, and waits for the required; `all` never has one."""
    rules = story.rules
    if not story.consolidations:
        return
    at, names = story.consolidations[0]
    asked = [
        m for m in story.members.values() if m.standing == "asked" or m.at > at or m.name in story.stopped
    ]
    early = any(m.at > at for m in story.members.values())
    assert not early or rules.mode != "all"
    if early and at < rules.deadline - rules.reserve - 1e-6:
        most = len(story.members) - (rules.mode == "overlap")
        assert len(names) >= min(rules.quorum, most)
        assert rules.mode == "overlap" or not any(m.required for m in asked if m.at > at)


@given(rules, plans, st.tuples(times, times), st.randoms())
def test_the_order_of_members_makes_no_difference(rules, plans, durations, random) -> None:
    """The same members in another order: the same consolidations at the same times."""
    shuffled = list(plans)
    random.shuffle(shuffled)
    one, other = play(rules, plans, durations), play(rules, shuffled, durations)
    assert one.consolidations == other.consolidations
    assert (one.now, one.stopped, one.fired) == (other.now, other.stopped, other.fired)


members = st.lists(
    st.builds(
        Member,
        st.sampled_from(LETTERS),
        st.sampled_from(("asked", "answered", "lost")),
        st.booleans(),
        st.booleans(),
        times,
    ),
    max_size=7,
    unique_by=lambda member: member.name,
)


@given(rules, members, st.sampled_from(STAGES), times, st.one_of(st.none(), times))
def test_whatever_is_seen_is_decided(rules, members, stage, elapsed, at) -> None:
    """Only who is asked is stopped, only answers are consolidated, and it is over only when nobody is asked; whoever waits
    is woken, unless something must happen by itself."""
    decision = decide(rules, Snapshot(tuple(members), stage, elapsed, at))
    asked = {m.name for m in members if m.standing == "asked"}
    assert set(decision.stop) <= asked
    assert set(decision.consolidate) <= {m.name for m in members if m.standing == "answered"}
    assert not (decision.over and (asked or decision.consolidate))
    assert not decision.consolidate or stage in {"asking", "consolidated"}
    if asked and not decision.stop:
        assert elapsed < decision.wake_at <= rules.deadline


def standing(text: str, *, required: str = "", included: str = "") -> tuple[Member, ...]:
    """Members by letters: `?` is asked, `a` has answered, `x` is lost; all ended at 1 s."""
    names = {"?": "asked", "a": "answered", "x": "lost"}
    return tuple(
        Member(str(at), names[letter], str(at) in required, str(at) in included, 1.0)
        for at, letter in enumerate(text)
    )


@pytest.mark.parametrize(
    ("rule", "rules", "seen"),
    [
        (1, Rules(), Snapshot(standing("a?"), elapsed=45.0)),
        (1, Rules(grace=5), Snapshot(standing("aaa?"), "consolidated", 10.0, consolidated_at=5.0)),
        (2, Rules(), Snapshot(standing("aaa?"), "consolidating", 10.0, consolidated_at=5.0)),
        (2, Rules(), Snapshot(standing("aaaa"), "updating", 50.0, consolidated_at=5.0)),
        (3, Rules(), Snapshot(standing("xaxa"), elapsed=1.0)),
        (3, Rules(), Snapshot(standing("xx"), elapsed=1.0)),
        (3, Rules(), Snapshot(())),
        (4, Rules(), Snapshot(standing("aaa??"), elapsed=1.25)),
        (4, Rules(mode="first"), Snapshot(standing("aaa?x", required="4"), elapsed=1.25)),
        (4, Rules(mode="overlap"), Snapshot(standing("aaa?", required="3"), elapsed=2.0)),
        (5, Rules(), Snapshot(standing("aaa??"), elapsed=1.2)),
        (5, Rules(), Snapshot(standing("aaa??", required="4"), elapsed=9.0)),
        (5, Rules(mode="overlap"), Snapshot(standing("aaa??"), elapsed=9.0)),
        (5, Rules(mode="all"), Snapshot(standing("aaaa?"), elapsed=9.0)),
        (6, Rules(), Snapshot(standing("aaaa?"), "consolidated", 9.0, consolidated_at=5.0)),
        (7, Rules(), Snapshot(standing("aaax", included="01"), "consolidated", 9.0, consolidated_at=5.0)),
        (8, Rules(), Snapshot(standing("aaax", included="012"), "consolidated", 9.0, consolidated_at=5.0)),
        (
            8,
            Rules(mode="first"),
            Snapshot(standing("aa", included="0"), "consolidated", 9.0, consolidated_at=5.0),
        ),
        (8, Rules(), Snapshot(standing("aa", included="01"), "updated", 9.0, consolidated_at=5.0)),
    ],
)
def test_each_rule(rule, rules, seen) -> None:
    """An example of each numbered rule."""
    assert decide(rules, seen).rule == rule


def test_out_of_time_or_no_longer_needed() -> None:
    """Who is stopped by the panel's time has timed out; who is stopped by the grace's end was not needed."""
    late = Snapshot(standing("aaa?"), "consolidated", 10.0, consolidated_at=5.0)
    assert not decide(Rules(grace=5), late).out_of_time
    assert decide(Rules(), replace(late, elapsed=45.0)).out_of_time


@pytest.mark.parametrize(
    ("answers", "complete", "quality"),
    [
        (6, True, "excellent"),
        (5, True, "excellent"),
        (4, True, "good"),
        (3, True, "good"),
        (2, True, "basic"),
        (1, True, "fallback"),
        (0, True, "fallback"),
        (5, False, "good"),
        (3, False, "basic"),
        (2, False, "fallback"),
        (0, False, "fallback"),
    ],
)
def test_quality(answers, complete, quality) -> None:
    """By how many took part; a required one that is missing costs a level."""
    assert quality_of(answers, complete=complete) == quality
