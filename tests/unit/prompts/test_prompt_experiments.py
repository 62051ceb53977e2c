"""Experiments: sticky, weighted, measured."""

import math
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coreto.prompts.errors import PromptError, UnknownPromptError
from coreto.prompts.experiments import Audience, Experiment, Variant, assign, parse_experiments
from coreto.prompts.library import Library
from coreto.prompts.parsing import parse
from coreto.prompts.statistics import stats_of, wilson
from coreto.stores.prompts import VariantCount

TONE = """
[tone]
prompt = "brief"
outcome = "clicked"

[tone.variants]
plain = 1
warm = { version = 2, weight = 3 }
"""

NAMES = st.from_regex(r"[a-z][a-z0-9-]{0,10}", fullmatch=True)
VARIANTS = st.lists(
    st.tuples(NAMES, st.integers(0, 1_000)), min_size=2, max_size=5, unique_by=lambda one: one[0]
)


def experiment(*weights: int, name: str = "tone") -> Experiment:
    return Experiment(name, "brief", tuple(Variant(f"v{n}", n + 1, w) for n, w in enumerate(weights)))


def subjects(count: int) -> list[str]:
    return [Audience(user=f"user-{number}").subject for number in range(count)]


@settings(max_examples=200, deadline=None)
@given(NAMES, VARIANTS, st.text(max_size=50))
def test_assignment_is_sticky(name, variants, user) -> None:
    """The same subject always draws the same variant, in whatever order they stand, and never one without weight."""
    made = Experiment(name, "p", tuple(Variant(one, 1, weight) for one, weight in variants))
    turned = Experiment(name, "p", made.variants[::-1])
    subject = Audience(user=user).subject
    drawn = assign(made, subject)
    assert drawn == assign(made, subject) == assign(turned, subject)
    assert (drawn is None) == all(weight == 0 for _, weight in variants)
    assert drawn is None or drawn.weight > 0


@settings(max_examples=12, deadline=None)
@given(NAMES, st.lists(st.integers(0, 20), min_size=2, max_size=4).filter(any))
def test_shares_are_the_weights(name, weights) -> None:
    """Of 4000 subjects each variant gets its share, within five standard deviations."""
    made = experiment(*weights, name=name)
    drawn = Counter(assign(made, subject).name for subject in subjects(4_000))
    for variant in made.variants:
        share = variant.weight / sum(weights)
        assert abs(drawn[variant.name] - 4_000 * share) <= 5 * math.sqrt(4_000 * share * (1 - share))


def test_a_changed_weight_moves_only_whom_it_must() -> None:
    """More weight takes from the others and moves nobody between them; a removed variant frees its own only."""
    before, after = experiment(1, 1, 1), experiment(1, 1, 2)
    without = Experiment("tone", "brief", before.variants[:2])
    for subject in subjects(1_000):
        was, now, left = (assign(one, subject).name for one in (before, after, without))
        assert now in (was, "v2")
        assert was in (left, "v2")


def test_experiments_draw_apart() -> None:
    """Who is in one variant here is not for that reason in the same one there."""
    both = Counter(
        (assign(experiment(1, 1, name="a"), one).name, assign(experiment(1, 1, name="b"), one).name)
        for one in subjects(2_000)
    )
    assert min(both.values()) > 400


def test_a_subject_is_a_digest() -> None:
    """Users come before sessions, are told apart from them, and leave no name."""
    assert Audience().subject is None
    assert Audience(user="ana", session="1").subject == Audience(user="ana", session="2").subject
    assert Audience(user="ana").subject != Audience(session="ana").subject
    assert "ana" not in Audience(user="ana").subject
    assert len(Audience(user="\ud800").subject) == 64


def test_an_experiment_is_read() -> None:
    """A version alone weighs 1."""
    (read,) = parse_experiments(TONE, file="experiments.toml")
    assert read == Experiment(
        "tone",
        "brief",
        (Variant("plain", 1, 1), Variant("warm", 2, 3)),
        "clicked",
        "failure",
        "experiments.toml",
        2,
    )


@pytest.mark.parametrize(
    ("old", "new", "line", "words"),
    [
        ("[tone]", "top = 1\n[tone]", 2, "expected a table"),
        ('prompt = "brief"', "", 2, "prompt is missing"),
        ('"brief"', '"A B"', 2, "cannot be a name"),
        ("outcome =", "outcme =", 4, "unknown key 'outcme'"),
        ("plain = 1", "", 6, "two variants or more"),
        ("plain = 1", "plain = {}", 7, "version is missing"),
        ("weight = 3", "weight = -1", 8, "weight: expected 0 to"),
        ("plain = 1", "plain = true", 7, "version: expected a whole number"),
        ('"clicked"', '"clicked"\nunmeasured = "maybe"', 5, "unmeasured"),
        ("plain = 1", "plain = ", 7, "Invalid value"),
    ],
)
def test_mistakes_name_their_line(old, new, line, words) -> None:
    """Each mistake is told with its line."""
    assert old in TONE
    with pytest.raises(PromptError, match=words) as caught:
        parse_experiments(TONE.replace(old, new), file="experiments.toml")
    assert (caught.value.file, caught.value.line) == ("experiments.toml", line)


@settings(max_examples=200, deadline=None)
@given(
    st.one_of(
        st.text(), st.lists(st.sampled_from([*TONE.split(), "\n", "{", "}", "1e9", "[["])).map(" ".join)
    )
)
def test_garbage_is_told_as_a_prompts_mistake(text) -> None:
    """Whatever the file is, nothing but PromptError comes out."""
    try:
        parse_experiments(text, file="experiments.toml")
    except PromptError as error:
        told = error.line
    else:
        told = 1
    assert told >= 1


def prompt(version: int, language: str = "en", name: str = "brief"):
    text = f'+++\nname = "{name}"\nversion = {version}\nlanguage = "{language}"\n+++\n{name} {version}'
    return parse(text, file=f"{name}.{language}.v{version}.prompt")


def test_experiments_must_be_about_what_is_there() -> None:
    """Versions must exist, and a prompt can be in one experiment only."""
    tone = parse_experiments(TONE, file="e.toml")
    Library([prompt(1), prompt(2)], tone)
    with pytest.raises(PromptError, match="no version 2 of prompt 'brief'; there is: 1") as caught:
        Library([prompt(1)], tone)
    assert caught.value.line == 2
    second = parse_experiments(TONE.replace("[tone", "[other"), file="e.toml")
    with pytest.raises(PromptError, match="two experiments: 'tone' and 'other'"):
        Library([prompt(1), prompt(2)], [*tone, *second])


def test_which_version_is_meant() -> None:
    """Numbers, labels, production, latest; the latest is one in the language asked for."""
    library = Library([prompt(1, "pt-BR"), prompt(2, "pt-BR"), prompt(2), prompt(3), prompt(1, "en", "only")])
    assert library.names() == ["brief", "only"]
    assert library.versions("brief") == [1, 2, 3]
    assert library.version_of("brief", None, {}, "pt-BR") == 2
    assert library.version_of("brief", None, {}, "en") == 3
    assert library.version_of("brief", None, {"production": 1}, "en") == 1
    assert library.version_of("brief", "latest", {"production": 1}, "en") == 3
    assert library.version_of("brief", "canary", {"canary": 2}, "en") == 2
    assert library.version_of("only", None, {}, "pt-BR") == 1
    with pytest.raises(UnknownPromptError, match=r"no label 'canary'.*there is: production, latest"):
        library.version_of("brief", "canary", {"production": 1}, "en")


@pytest.mark.parametrize(
    ("version", "asked", "got"),
    [(1, "en", "pt-BR"), (3, "pt-BR", "en"), (2, "en", "en"), (2, "pt-BR", "pt-BR")],
)
def test_languages_fall_back_to_each_other(version, asked, got) -> None:
    """A version that is not there in one language is given in the other."""
    library = Library([prompt(1, "pt-BR"), prompt(2, "pt-BR"), prompt(2), prompt(3)])
    assert library.find("brief", version, asked).language == got


def test_what_is_not_there_is_told_with_what_is() -> None:
    """Unknown prompts, versions and experiments name the known ones; a version is there once."""
    library = Library([prompt(1)])
    with pytest.raises(UnknownPromptError, match="no prompt 'x'; there is: brief"):
        library.find("x", 1, "en")
    with pytest.raises(UnknownPromptError, match="no version 4 of prompt 'brief'; there is: 1"):
        library.find("brief", 4, "en")
    with pytest.raises(UnknownPromptError, match="no experiment 'x'; there is: none"):
        library.experiment("x")
    with pytest.raises(PromptError, match=r"is in brief.en.v1.prompt already"):
        Library([prompt(1), prompt(1)])


@pytest.mark.parametrize(
    ("successes", "trials", "low", "high"),
    [
        (0, 10, 0.0, 0.2775),
        (10, 10, 0.7225, 1.0),
        (5, 10, 0.2366, 0.7634),
        (1, 100, 0.0018, 0.0545),
        (0, 0, 0, 1),
    ],
)
def test_wilsons_interval(successes, trials, low, high) -> None:
    """Values from tables of the interval at 95 %."""
    assert wilson(successes, trials) == pytest.approx((low, high), abs=5e-5)


@given(st.integers(0, 10_000), st.integers(1, 10_000))
def test_the_interval_holds_the_rate(successes, trials) -> None:
    """The rate lies within, the bounds within 0 and 1; more of the same makes it narrower."""
    successes = min(successes, trials)
    low, high = wilson(successes, trials)
    assert 0 <= low <= successes / trials <= high <= 1
    wide = wilson(successes * 4, trials * 4)
    assert wide[1] - wide[0] < high - low


def test_what_is_not_measured_counts_as_the_experiment_says() -> None:
    """A rate of all exposures, or of the measured ones; variants that are gone come last."""
    counts = [VariantCount("gone", 4, 4, 1), VariantCount("v1", 10, 5, 4)]
    clicks = experiment(1, 1)
    votes = Experiment("tone", "brief", clicks.variants, unmeasured="unknown")
    told = stats_of(clicks, counts)
    assert [(one.variant, one.exposures, one.trials, one.rate) for one in told] == [
        ("v0", 0, 0, None), ("v1", 10, 10, 0.4), ("gone", 4, 4, 0.25),
    ]  # fmt: skip
    assert (told[0].low, told[0].high) == (0.0, 1.0)
    assert [(one.trials, one.rate) for one in stats_of(votes, counts)][1] == (5, 0.8)
