"""Fault rules as data: parsing, matching, counting, seeded chance."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coreto.simulators.bodies import ERRORS, ErrorBody
from coreto.simulators.faults import Call, FaultBook, FaultError, FaultKind, FaultRule, parse_rules

CHAT = Call("/api/chat", "phi3:mini", stream=True)


def strikes(book: FaultBook, call: Call, count: int) -> list[bool]:
    return [book.decide(call) is not None for _ in range(count)]


def test_every_kind_is_documented() -> None:
    """The table in the module names each kind that exists."""
    documented = __import__("coreto.simulators.faults", fromlist=["_"]).__doc__
    assert [kind for kind in FaultKind if f"\n{kind.value} " not in documented] == []


def test_rule_reads_all_its_fields() -> None:
    """A rule from JSON carries what was written, nested match or flat."""
    (rule,) = parse_rules(
        {"kind": "status", "match": {"path": "/v1/*", "stream": False}, "status": 503, "times": 2}
    )
    assert rule == FaultRule(kind=FaultKind.STATUS, path="/v1/*", stream=False, status=503, times=2)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ([{"kind": "statsu"}], "did you mean 'status'"),
        ([{"kind": "cut", "chunk": 2}], "did you mean 'chunks'"),
        ([{"kind": "status", "error": "ollama.session_limits"}], "did you mean 'ollama.session_limit'"),
        ([{"kind": "cut", "chunks": "two"}], "'chunks' cannot be 'two'"),
        ([{"kind": "cut", "chunks": True}], "'chunks' cannot be True"),
        ([{"kind": "cut", "probability": 2}], "from 0 to 1"),
        ([{}], "unknown kind"),
        (["cut"], "fault rule 0: expected an object"),
        (3, "expected a list"),
    ],
)
def test_bad_rules_are_named(data: object, said: str) -> None:
    """A rule that cannot be understood is refused with the key and the nearest name."""
    with pytest.raises(FaultError) as caught:
        parse_rules(data)
    assert said in str(caught.value)


def test_a_rule_without_a_path_spares_what_does_not_generate() -> None:
    """Discovery calls do not use up a fault meant for a model call."""
    book = FaultBook([FaultRule(kind=FaultKind.CUT)])
    assert book.decide(Call("/api/tags", generates=False)) is None
    assert book.decide(CHAT) is not None


@pytest.mark.parametrize(
    ("rule", "call", "meets"),
    [
        (FaultRule(kind=FaultKind.CUT, path="/api/*"), CHAT, True),
        (FaultRule(kind=FaultKind.CUT, path="/v1/*"), CHAT, False),
        (FaultRule(kind=FaultKind.CUT, path="/api/tags"), Call("/api/tags", generates=False), True),
        (FaultRule(kind=FaultKind.CUT, model="phi3*"), CHAT, True),
        (FaultRule(kind=FaultKind.CUT, model="mistral*"), CHAT, False),
        (FaultRule(kind=FaultKind.CUT, stream=True), CHAT, True),
        (FaultRule(kind=FaultKind.CUT, stream=False), CHAT, False),
    ],
)
def test_matching(rule: FaultRule, call: Call, *, meets: bool) -> None:
    """Path and model are globs, stream an exact wish."""
    assert rule.meets(call) is meets


def test_after_times_and_nth_count() -> None:
    """After skips, times ends, nth picks one."""
    assert strikes(FaultBook([FaultRule(kind=FaultKind.CUT, after=2, times=1)]), CHAT, 5) == [0, 0, 1, 0, 0]
    assert strikes(FaultBook([FaultRule(kind=FaultKind.CUT, nth=2)]), CHAT, 4) == [0, 1, 0, 0]


def test_first_rule_that_strikes_decides() -> None:
    """A used-up rule gives way to the next."""
    book = FaultBook([FaultRule(kind=FaultKind.CUT, times=1), FaultRule(kind=FaultKind.STALL)])
    kinds = [rule.kind for rule in (book.decide(CHAT), book.decide(CHAT)) if rule is not None]
    assert kinds == [FaultKind.CUT, FaultKind.STALL]
    assert [(item["met"], item["struck"]) for item in book.as_json()] == [(2, 1), (1, 1)]


@given(st.integers(), st.floats(0, 1), st.integers(1, 60))
def test_chance_repeats_with_its_seed(seed: int, probability: float, count: int) -> None:
    """The same seed strikes the same calls."""
    rules = [FaultRule(kind=FaultKind.CUT, probability=probability)]
    assert strikes(FaultBook(rules, seed), CHAT, count) == strikes(FaultBook(rules, seed), CHAT, count)


@given(st.integers(0, 1000))
def test_chance_is_near_its_share(seed: int) -> None:
    """A rule of 20 % strikes about a fifth of 1,000 calls."""
    struck = sum(strikes(FaultBook([FaultRule(kind=FaultKind.CUT, probability=0.2)], seed), CHAT, 1000))
    assert 120 < struck < 280


def test_named_errors_have_a_status_and_a_server() -> None:
    """Each named body is an error of one of the five servers, and a placeholder is filled."""
    servers = {name.partition(".")[0] for name in ERRORS}
    assert servers == {"ollama", "openai", "openrouter", "llamacpp", "vllm"}
    assert all(400 <= error.status < 600 for error in ERRORS.values())
    assert ERRORS["ollama.model_missing_404"].filled(model="x") == ErrorBody(
        404, {"error": "model 'x' not found"}
    )
