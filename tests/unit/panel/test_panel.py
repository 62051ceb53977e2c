"""Panels on a virtual clock: nobody blocks the others, and nothing is left behind."""

import asyncio
from contextlib import aclosing

import pytest
from panel_house import HANGS, NAMES, Act, House, held, outcomes, passing, settle

from coreto.durable import InlineDurable
from coreto.errors import (
    CallError,
    ConfigError,
    ExhaustedError,
    InvalidOutputError,
    PrivacyError,
    RejectedError,
)
from coreto.labels import Label
from coreto.messages import Attempt, Trace
from coreto.panel.model import Answer, Part, Specialist
from coreto.panel.panel import Panel
from coreto.panel.policy import Rules


def one(found):
    """The only result, and when it was there."""
    [(at, result)] = found
    assert result.final
    return at, result


# --- when it is consolidated


@pytest.mark.parametrize("mode", ["all", "first", "update", "overlap"])
def test_a_panel_takes_as_long_as_its_slowest_member(house: House, mode) -> None:
    """Five specialists of 7 s each: the answer of all five after 7 s and the consolidation's 2."""
    house.consolidating = 2.0
    at, result = one(asyncio.run(held(house.panel(Rules(mode=mode)), house.clock)))
    assert at == 9.0
    assert result.content == "+".join(NAMES)
    assert (result.quality, result.cap, result.degraded, result.included) == ("excellent", 95, False, NAMES)
    assert house.asked == list(NAMES)
    assert house.most_open == 5


def test_one_hangs_and_one_fails(house: House) -> None:
    """Quorum 3 of five, one hung and one failing: the three are consolidated when the third has answered, and told."""
    house.acting(cpu=HANGS, memory=CallError("no"), storage=4.0, network=5.0, limits=6.0)
    early, last = asyncio.run(held(house.panel(Rules(quorum=3, linger=0.0), timeout=30.0), house.clock))
    assert early[0] == 6.0
    assert not early[1].final
    assert early[1].content == "storage+network+limits"
    assert (early[1].quality, early[1].cap) == ("good", 88)
    assert last[0] == 30.0  # the hung one's timeout
    assert last[1].content == "storage+network+limits"
    assert len(house.drafts) == 1
    assert outcomes(last[1]) == {
        "cpu": "timeout",
        "memory": "error",
        "storage": "ok",
        "network": "ok",
        "limits": "ok",
    }


def test_who_is_late_is_folded_in_once(house: House) -> None:
    """At the quorum the first are consolidated; both late answers together are folded in by one update."""
    house.acting(cpu=9.0, memory=1.0, storage=2.0, network=12.0, limits=3.0).consolidating = 1.0
    early, last = asyncio.run(held(house.panel(Rules(mode="update", linger=0.0)), house.clock))
    assert (early[0], early[1].content) == (4.0, "memory+storage+limits")
    assert (last[0], last[1].content) == (13.0, "+".join(NAMES))
    assert last[1].final
    first, update = house.drafts
    assert (first.late, first.before, first.missing) == ((), None, ("cpu", "network"))
    assert (update.late, update.before, update.missing) == (
        ("cpu", "network"),
        "memory+storage+limits",
        (),
    )
    assert last[1].quality == "excellent"


def test_first_cancels_the_others(house: House) -> None:
    """In `first` mode the others are stopped at the quorum, and have ended before the panel is over."""
    house.acting(cpu=9.0, memory=1.0, storage=2.0, network=Act(12.0, linger=5.0), limits=3.0)
    found = asyncio.run(held(house.panel(Rules(mode="first", linger=0.0)), house.clock))
    at, result = found[-1]
    assert found[0][0] == 3.0  # told although one takes its time to end
    assert at == 8.0
    assert result.content == "memory+storage+limits"
    assert outcomes(result) | {"cpu": "cancelled", "network": "cancelled"} == outcomes(result)
    assert len(house.drafts) == 1


def test_the_first_ones_are_consolidated_while_the_last_one_runs(house: House) -> None:
    """In `overlap` mode the last one's answer waits for no consolidation of the others: only for its own update."""
    house.acting(cpu=10.0, memory=1.0, storage=2.0, network=3.0, limits=4.0).consolidating = 5.0
    early, last = asyncio.run(held(house.panel(Rules(mode="overlap", linger=0.0)), house.clock))
    assert (early[0], early[1].content) == (9.0, "memory+storage+network+limits")
    assert (last[0], last[1].content) == (15.0, "+".join(NAMES))
    assert [draft.late for draft in house.drafts] == [(), ("cpu",)]


def test_who_comes_during_the_consolidation_is_folded_in_after_it(house: House) -> None:
    """One consolidation at a time: an update waits for the first one."""
    house.acting(cpu=4.0, memory=1.0, storage=2.0, network=4.0, limits=3.0).consolidating = 5.0
    early, last = asyncio.run(held(house.panel(Rules(mode="update", linger=0.0)), house.clock))
    assert early[0] == 8.0
    assert (last[0], last[1].content) == (13.0, "+".join(NAMES))


def test_all_waits_for_everybody(house: House) -> None:
    """In `all` mode there is one consolidation, when the slowest has answered."""
    house.acting(cpu=20.0)
    at, result = one(asyncio.run(held(house.panel(Rules(mode="all")), house.clock)))
    assert at == 20.0
    assert len(house.drafts) == 1
    assert result.quality == "excellent"


def test_grace_bounds_the_wait_for_late_answers(house: House) -> None:
    """Late answers are waited for as long as `grace` says after the quorum; then their members are stopped."""
    house.acting(cpu=HANGS, memory=5.0)
    early, last = asyncio.run(held(house.panel(Rules(grace=3.0, linger=0.0), timeout=50.0), house.clock))
    assert (early[0], last[0]) == (7.0, 10.0)
    assert outcomes(last[1])["cpu"] == "cancelled"
    assert last[1].part_of("cpu").seconds == 10.0


# --- who is required


def test_the_required_are_waited_for(house: House) -> None:
    """The quorum is there after 2 s, but a required member answers after 15: the first consolidation has it."""
    house.acting(cpu=15.0, memory=1.0, storage=2.0, network=2.0, limits=20.0)
    panel = house.panel(Rules(mode="first", linger=0.0), required=("cpu",))
    at, result = one(asyncio.run(held(panel, house.clock)))
    assert at == 15.0
    assert result.content == "cpu+memory+storage+network"


def test_a_required_one_that_fails_degrades_the_panel(house: House) -> None:
    """Nobody waits for who has failed; the result says who is missing, and is worth one level less."""
    house.acting(cpu=CallError("no"))
    panel = house.panel(Rules(), required=("memory",))
    _, result = one(asyncio.run(held(panel, house.clock, required=("cpu",))))
    assert result.degraded
    assert result.missing_required == ("cpu",)
    assert (result.quality, result.cap) == ("basic", 80)
    assert result.as_json()["missing_required"] == ["cpu"]


def test_only_some_are_asked(house: House) -> None:
    """A quorum is no more than those who are asked; with nobody to ask nothing is called."""
    _, result = one(asyncio.run(held(house.panel(), house.clock, only=("storage", "cpu"))))
    assert (result.content, result.quality, result.asked) == ("cpu+storage", "basic", ("cpu", "storage"))
    house.asked.clear()
    at, result = one(asyncio.run(held(house.panel(), house.clock, only=())))
    assert (result.content, result.quality, result.error) == (None, "fallback", "no_answers")
    assert house.asked == []
    assert at == house.clock.monotonic()


# --- what goes wrong


def test_all_fail(house: House) -> None:
    """Without answers nothing is consolidated: a fallback that says so."""
    house.acting(**dict.fromkeys(NAMES, CallError("no")))
    at, result = one(asyncio.run(held(house.panel(), house.clock)))
    assert at == 1.0
    assert (result.content, result.error, result.quality, result.degraded) == (
        None,
        "no_answers",
        "fallback",
        True,
    )
    assert house.drafts == []


@pytest.mark.parametrize("mode", ["all", "first", "update", "overlap"])
def test_the_deadline_holds(house: House, mode) -> None:
    """With everybody but two hung, and a consolidation that hangs, the panel is over at its deadline."""
    house.acting(**dict.fromkeys(NAMES[2:], HANGS)).consolidating = HANGS
    panel = house.panel(Rules(mode=mode, deadline=20.0, reserve=5.0), timeout=100.0)
    at, result = one(asyncio.run(held(panel, house.clock)))
    assert at == 20.0
    assert (result.content, result.error, result.answered) == (None, "timeout", NAMES[:2])
    assert [part.error for part in result.parts] == [None, None, "deadline", "deadline", "deadline"]


def test_an_update_that_fails_leaves_the_first(house: House) -> None:
    """What was consolidated before is still there, of those who were in it."""
    house.acting(cpu=10.0)
    panel = house.panel()

    async def main():
        async with aclosing(panel.results(InlineDurable(), {})) as results:
            early = await anext(results)
            house.consolidation_error = CallError("no")
            last = await anext(results)
        assert (early.final, last.final) == (False, True)
        return last

    result = asyncio.run(passing(house.clock, main()))
    assert result.content == "memory+storage+network+limits"
    assert (result.included, result.error) == (NAMES[1:], "failed")
    assert (result.quality, result.answered) == ("good", NAMES)


def test_a_first_consolidation_that_fails_may_be_mended_by_the_update(house: House) -> None:
    """The update gets all answers, not only the late ones."""
    house.acting(cpu=10.0).consolidation_error = CallError("no")

    async def mend() -> None:
        await house.clock.sleep(8.0)
        house.consolidation_error = None

    async def main():
        mending = asyncio.ensure_future(mend())
        found = await held(house.panel(), house.clock)
        await mending
        return found

    _, result = one(asyncio.run(main()))
    assert result.content == "+".join(NAMES)
    assert [part.ok for part in result.consolidations] == [False, True]
    assert result.error is None


@pytest.mark.parametrize(
    ("said", "error"),
    [
        (None, "invalid_output"),
        ([1], "invalid_output"),
        ({"x": object()}, "invalid_output"),
        (Answer(7), "invalid_output"),
        (ValueError("private words"), "fault"),
        (PrivacyError(), "privacy"),
        (asyncio.CancelledError(), "cancelled"),
        (SystemError("x"), "fault"),
    ],
)
def test_what_is_no_answer_is_an_error(house: House, said, error) -> None:
    """Whatever a specialist does, it is told in its part; what a fault says is not."""

    async def ask(seat, request):
        if isinstance(said, BaseException):
            raise said
        return said

    panel = Panel(
        "p", [Specialist("odd", ask), house.specialist("cpu")], house.consolidate, clock=house.clock
    )
    _, result = one(asyncio.run(held(panel, house.clock)))
    assert outcomes(result) == {"odd": "error", "cpu": "ok"}
    assert result.parts[0].error == error
    assert "private words" not in str(result)


def test_half_a_surrogate_pair_is_no_failure(house: House) -> None:
    """Models cut texts anywhere: what cannot be stored is replaced."""

    async def ask(seat, request):
        return "ol\u00e1 \ud83d"

    panel = Panel("p", [Specialist("cut", ask)], house.consolidate, clock=house.clock)
    _, result = one(asyncio.run(held(panel, house.clock)))
    assert (result.parts[0].content, result.parts[0].bytes) == ("olá ?", 6)


# --- the engine


def test_one_engine_serves_one_after_the_other(house: House) -> None:
    """With room for one, the required one goes first, waiting costs no timeout, and the quorum comes early."""
    house.acting(**dict.fromkeys(NAMES, 4.0))
    panel = house.panel(Rules(mode="first", linger=0.0), required=("network",), timeout=5.0, limit=1)
    at, result = asyncio.run(held(panel, house.clock))[-1]
    assert at == 12.0
    assert house.asked[:3] == ["network", "cpu", "memory"]
    assert house.most_open == 1
    assert result.content == "cpu+memory+network"  # in the order of the members
    assert [(p.name, p.waited, p.seconds) for p in result.parts if p.ok] == [
        ("cpu", 4.0, 4.0),
        ("memory", 8.0, 4.0),
        ("network", 0.0, 4.0),
    ]


def test_runs_share_the_limit(house: House) -> None:
    """The limit is the engine's: two panels at once ask no more than it takes."""
    panel = house.panel(Rules(mode="all", deadline=200.0), limit=2)

    async def main():
        return await asyncio.gather(*(panel.ask(InlineDurable(), {"n": n}) for n in range(2)))

    both = asyncio.run(passing(house.clock, main()))
    assert [result.quality for result in both] == ["excellent"] * 2
    assert house.most_open <= 2 + 1  # and one consolidation


# --- breakers


def test_a_member_that_keeps_failing_is_passed_by(house: House) -> None:
    """After three failures it is not asked for 10 s, then tried again; a good answer puts it back."""
    house.acting(cpu=CallError("no"))
    panel = house.panel(Rules(mode="all"))

    async def ask():
        return (await passing(house.clock, panel.ask(InlineDurable(), {}))).parts[0]

    async def main():
        seen = [(await ask()).outcome for _ in range(4)]
        house.clock.move(10.0)
        seen.append((await ask()).outcome)
        seen.append((await ask()).outcome)
        house.acting(cpu=1.0)
        house.clock.move(20.0)
        return [*seen, (await ask()).outcome, (await ask()).outcome]

    expected = ["error", "error", "error", "skipped", "error", "skipped", "ok", "ok"]
    assert asyncio.run(main()) == expected
    assert panel.breakers.state("cpu") == "closed"


def exhausted(*outcomes: str) -> ExhaustedError:
    """What a gateway raises after attempts with ``outcomes``."""
    error = ExhaustedError("no model could answer")
    attempts = tuple(Attempt("lab/m", outcome) for outcome in outcomes)
    error.trace = Trace("id", None, "r", Label.INTERNAL, attempts)
    return error


@pytest.mark.parametrize(
    ("act", "state"),
    [
        (RejectedError("bad request"), "closed"),  # the request's fault
        (PrivacyError(), "closed"),
        (exhausted("skipped", "context"), "closed"),
        (exhausted(), "closed"),  # nobody was there to be asked
        (exhausted("skipped", "timeout"), "open"),
        (ExhaustedError("by an owner that does not say why"), "open"),
        (InvalidOutputError("what?"), "open"),
        (RuntimeError("a fault"), "open"),
        (HANGS, "open"),
    ],
)
def test_what_trips_a_breaker(house: House, act, state) -> None:
    """Failures and silence of the member do, faults of the request do not."""
    house.acting(cpu=act)
    panel = house.panel(Rules(mode="all", deadline=30.0), timeout=1000.0)

    async def main():
        for _ in range(3):
            await passing(house.clock, panel.ask(InlineDurable(), {}))

    asyncio.run(main())
    assert panel.breakers.state("cpu") == state


def test_stragglers_do_not_trip_breakers(house: House) -> None:
    """Who is stopped because others were enough, or never got its turn, has not failed."""
    house.acting(cpu=8.0)
    panel = house.panel(Rules(mode="first", linger=0.0))
    queued = house.panel(Rules(mode="all", deadline=40.0), limit=1)

    async def main():
        for each in (panel, queued):
            for _ in range(4):
                await passing(house.clock, each.ask(InlineDurable(), {}))

    asyncio.run(main())
    assert {panel.breakers.state(name) for name in NAMES} == {"closed"}
    assert {queued.breakers.state(name) for name in NAMES} == {"closed"}


# --- metrics, labels, settings


def test_metrics_of_everybody(house: House) -> None:
    """Name, duration, size, tokens, cost, success, error: of each member, and of the consolidation."""
    house.acting(cpu=CallError("no"), memory=3.0)
    _, result = one(asyncio.run(held(house.panel(Rules(mode="all")), house.clock, request={})))
    shown = result.as_json()
    assert shown["agents"][0] == {
        "name": "cpu",
        "seconds": 1.0,
        "waited": 0.0,
        "bytes": 0,
        "tokens": 0,
        "cost_usd": 0.0,
        "success": False,
        "outcome": "error",
        "error": "failed",
    }
    memory = shown["agents"][1]
    assert (memory["seconds"], memory["tokens"], memory["cost_usd"]) == (3.0, 10, 1e-6)
    assert memory["bytes"] == len('{"from":"memory","of":{"q":1}}')
    assert shown["cost_usd"] == 4e-6
    assert [part.name for part in house.observed] == ["cpu", "memory", *NAMES[2:], "consolidate"]
    assert [Part.from_json(part.as_json()) for part in result.parts] == list(result.parts)


def test_an_unknown_price_makes_the_sum_unknown(house: House) -> None:
    """A sum with an unknown part is unknown, not less."""

    async def ask(seat, request):
        return Answer("x", cost_nusd=None)

    panel = Panel(
        "p", [Specialist("free", ask), house.specialist("cpu")], house.consolidate, clock=house.clock
    )
    _, result = one(asyncio.run(held(panel, house.clock)))
    assert (result.cost_nusd, result.as_json()["cost_usd"]) == (None, None)


def test_labels_go_along(house: House) -> None:
    """The consolidation and the result are as private as the request, or the most private answer."""

    async def ask(seat, request):
        return Answer("secret", label=Label.PRIVATE)

    panel = Panel("p", [Specialist("x", ask), house.specialist("cpu")], house.consolidate, clock=house.clock)
    _, found = one(asyncio.run(held(panel, house.clock)))
    _, given = one(asyncio.run(held(house.panel(), house.clock, label=Label.PRIVATE)))
    _, usual = one(asyncio.run(held(house.panel(), house.clock)))
    assert [r.label for r in (found, given, usual)] == [Label.PRIVATE, Label.PRIVATE, Label.INTERNAL]
    assert house.labels == [Label.PRIVATE, Label.PRIVATE, Label.INTERNAL]
    assert {part.label for part in given.parts} == {Label.PRIVATE}


def test_the_deadline_is_passed_down(house: House) -> None:
    """A member knows when the panel stops waiting, so that it asks nobody for longer."""
    seen = []

    async def ask(seat, request):
        seen.append((seat.name, seat.deadline, await seat.step("inner", _five)))
        return "x"

    house.clock.move(100.0)
    panel = Panel("p", [Specialist("x", ask)], house.consolidate, clock=house.clock)
    asyncio.run(held(panel, house.clock))
    assert seen == [("x", 160.0, 5)]


async def _five() -> int:
    return 5


def test_a_member_cannot_wait_for_signals(house: House) -> None:
    """Within a step nothing can be waited for: that is the member's error, and events still go to the run."""
    run = InlineDurable()

    async def ask(seat, request):
        await seat.emit({"type": "status"})
        return await seat.wait_signal("go")

    panel = Panel("p", [Specialist("x", ask)], house.consolidate, clock=house.clock)
    _, result = one(asyncio.run(held(panel, house.clock, run)))
    assert result.parts[0].error == "run"
    assert run.events == [{"type": "status"}]


@pytest.mark.parametrize(
    "make",
    [
        lambda h: h.panel(names=("a", "a")),
        lambda h: h.panel(names=("update",)),
        lambda h: h.panel(names=("",)),
        lambda h: h.panel(limit=0),
        lambda h: h.panel(timeout=0.0),
        lambda h: h.panel(timeout=float("nan")),
        lambda h: Rules(quorum=0),
        lambda h: Rules(deadline=10.0, reserve=10.0),
        lambda h: Rules(grace=-1.0),
        lambda h: Rules(linger=-1.0),
    ],
)
def test_settings_that_make_no_sense(house: House, make) -> None:
    """They are refused with what is wrong."""
    with pytest.raises(ConfigError):
        make(house)


# --- nothing is left


@pytest.mark.parametrize("mode", ["all", "first", "update", "overlap"])
@pytest.mark.parametrize("limit", [None, 2])
def test_nothing_is_left_wherever_it_is_cancelled(mode, limit) -> None:
    """Cancelled at every turn of the loop of a whole panel: each specialist and consolidation has ended when it returns."""

    async def main() -> int:
        for turn in range(400):
            house = House(clock=_Jumping())
            house.acting(cpu=Act(3.0, linger=1.0), memory=1.0, storage=CallError("no"), network=2.0)
            house.consolidating = 2.0
            panel = house.panel(Rules(mode=mode, quorum=2), limit=limit)
            task = asyncio.ensure_future(panel.ask(InlineDurable(), {}))
            await settle(turn)
            if task.done():
                assert turn > 20
                assert task.result().final
                return turn
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert house.open == 0
            assert len(asyncio.all_tasks()) == 1
        raise AssertionError("it never ended")

    asyncio.run(main())


class _Jumping:
    """A clock whose sleeps take as many turns of the loop as they have seconds."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now

    def time(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        for _ in range(min(round(seconds * 8), 10_000)):
            await asyncio.sleep(0)
            self.now += 0.01


def test_cancelled_twice_is_still_tidy(house: House) -> None:
    """A second cancellation while members end does not leave them behind."""
    house.acting(cpu=Act(50.0, linger=5.0))

    async def main() -> None:
        task = asyncio.ensure_future(house.panel().ask(InlineDurable(), {}))
        await settle()
        task.cancel()
        await settle()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await passing(house.clock, task)
        assert house.open == 0
        assert len(asyncio.all_tasks()) == 1

    asyncio.run(main())


def test_leaving_after_the_early_result_ends_the_rest(house: House) -> None:
    """Who needs no more than the first result leaves; the late ones are cancelled, and have ended."""
    house.acting(cpu=HANGS)

    async def main() -> str:
        async with aclosing(house.panel().results(InlineDurable(), {})) as results:
            result = await anext(results)
        assert house.open == 0
        assert len(asyncio.all_tasks()) == 2
        return result.content

    assert asyncio.run(passing(house.clock, main())) == "memory+storage+network+limits"


class _Broken(InlineDurable):
    """Its store is down when the third step is to be kept."""

    async def step(self, name, work):
        result = await super().step(name, work)
        if len(self.results) == 3:
            raise OSError("the disk is full")
        return result


def test_a_run_that_cannot_keep_steps_fails_the_panel(house: House) -> None:
    """That is no member's failure: it is raised, and everything is ended."""
    house.acting(**{name: float(n + 1) for n, name in enumerate(NAMES)})
    with pytest.raises(OSError, match="disk is full"):
        asyncio.run(held(house.panel(), house.clock, _Broken()))
