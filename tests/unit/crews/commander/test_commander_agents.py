"""Plans that are read, plans that are made without a model, prompts."""

import json

import jsonschema_rs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from coreto.crews.commander.agents import (
    TEXT_MOST,
    ask_again,
    ask_answer,
    ask_code,
    ask_mended,
    ask_plan,
    ask_words,
    fence,
    plan_form,
    read_plan,
    template_plan,
    told,
)
from coreto.crews.commander.decision import Decision
from coreto.crews.commander.settings import CommanderSettings
from coreto.crews.commander.state import KINDS, Plan, PlanStep, StepResult

DO = Decision("plan_execute", "en", work=(PlanStep("execution", "run it"),))
ONLY = Decision("plan", "pt-BR")
SETTINGS = CommanderSettings()


def read(value, decision=DO, most=3):
    return read_plan(value if isinstance(value, str) else json.dumps(value), decision, most)


def steps(*named):
    return {"title": "T", "steps": [{"kind": kind, "text": text} for kind, text in named]}


def test_a_plan_is_read():
    """Kinds, texts and title, on one line each."""
    plan = read(steps(("code", "write\n it"), ("execution", "run it")))
    assert plan == Plan("T", (PlanStep("code", "write it"), PlanStep("execution", "run it")))


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("no JSON", "reason.form"),
        ([], "reason.blank"),
        ({"steps": "x"}, "reason.blank"),
        (steps(("code", "  "), ("code", "...")), "reason.blank"),
        (steps(("dance", "x")), "reason.blank"),
        (steps(("code", "a"), ("code", "b"), ("code", "c"), ("code", "d")), "reason.long"),
        (steps(("code", "Do"), ("code", "do"), ("code", "do ")), "reason.repeated"),
        (steps(("code", "Part 1 - 8"), ("code", "Part 2 - 9"), ("code", "Part 3 - 10")), "reason.repeated"),
        (steps(*(("code", f"Item {n}: " * (4 - n)) for n in (1, 2, 3))), "reason.repeated"),
        (steps(("conversation", "talk")), "reason.talk"),
    ],
)
def test_plans_of_no_use(value, reason):
    """What cannot be carried out is said to be so."""
    assert read(value) == reason


def test_blank_and_double_steps_are_left_out():
    """The rest of such a plan is good."""
    plan = read(steps(("code", "a"), ("code", ""), ("code", "A"), ("ui", "a")))
    assert [(step.kind, step.text) for step in plan.steps] == [("code", "a"), ("ui", "a")]
    plan = read(steps(("code", "sum them"), ("conversation", "tell"), ("execution", "Sum them")))
    assert [step.kind for step in plan.steps] == ["execution", "conversation"]


def test_texts_that_loop_are_no_steps():
    """What a very small model says over and over is left out; long texts that say something stay."""
    long = "Read the numbers from the file, leave out the blank lines, add them up and write the sum to another file"
    plan = read(steps(("code", "draw a screen of copies and " * 7), ("code", long), ("code", "x " * 90)))
    assert [step.text for step in plan.steps] == [long]


def test_plans_that_are_only_read_have_details():
    """Their steps have no kind of their own."""
    plan = read({"title": "T", "steps": [{"text": "a", "details": "b"}]}, ONLY)
    assert plan.steps == (PlanStep("conversation", "a", "b"),)


JSON = st.none() | st.booleans() | st.integers() | st.text(max_size=300)
STEP = JSON | st.dictionaries(
    st.sampled_from(["kind", "text", "details"]), st.sampled_from(KINDS) | JSON, max_size=3
)
PLANS = st.dictionaries(st.sampled_from(["title", "steps"]), JSON | st.lists(STEP, max_size=5), max_size=2)


@given(JSON | st.lists(JSON, max_size=3) | PLANS)
def test_any_json_is_a_plan_or_a_reason(value):
    """Whatever a model answers, it is read: bounded, or refused."""
    plan = read(value)
    if isinstance(plan, Plan):
        assert 0 < len(plan.steps) <= 3
        assert all(len(step.text) <= TEXT_MOST for step in plan.steps)
    else:
        assert plan.startswith("reason.")


def test_the_form_holds_what_can_be_read():
    """The schema is one, and admits the plans that are asked for."""
    for outline in (False, True):
        validator = jsonschema_rs.validator_for(plan_form(2, outline))
        step = {"text": "a", "details": "b"} if outline else {"kind": "code", "text": "a"}
        assert validator.is_valid({"title": "T", "steps": [step]})
        assert not validator.is_valid({"title": "T", "steps": []})
        assert not validator.is_valid({"title": "T", "steps": [step] * 3})
        assert not validator.is_valid({"title": "T" * 201, "steps": [step]})


def test_the_template_is_of_the_request_s_own_steps():
    """Without a model there is a plan all the same, in the request's language."""
    plan = template_plan("Plan, then run it", DO, "why", 8)
    assert (plan.source, plan.reason, plan.steps) == ("template", "why", DO.work)
    nothing = template_plan("Do x", Decision("plan_execute", "en"), "why", 8)
    assert nothing.steps == (PlanStep("execution", "Do x"),)
    talk = Decision("plan_execute", "en", work=(PlanStep("conversation", "talk"),))
    assert [step.kind for step in template_plan("Do x", talk, "why", 8).steps] == [
        "conversation",
        "execution",
    ]
    outline = template_plan("Planeje", ONLY, "why", 8)
    assert len(outline.steps) == 4
    assert "resultado" in outline.steps[0].text


@pytest.mark.parametrize("language", ["en", "pt-BR"])
def test_every_prompt_is_there(language):
    """Each prompt exists in both languages, is filled, and is short."""
    decision = Decision("plan_execute", language)
    asks = [
        ask_plan("R$1 $x", decision, SETTINGS),
        ask_plan("R$1 $x", Decision("plan", language), SETTINGS),
        ask_answer("R$1 $x", Decision("plain", language, outside=True)),
        ask_answer("R$1 $x", decision),
        ask_code("R$1 $x", "before\n\n", SETTINGS, language),
        ask_again("R$1 $x", SETTINGS, language),
        ask_mended("R$1 $x", "print(1)", "it failed", SETTINGS, language),
        *(ask_words(PlanStep(kind, "R$1 $x"), "", language) for kind in KINDS),
    ]
    for ask in asks:
        assert "R$1 $x" in ask.messages[-1][1]
        assert "${" not in ask.messages[-1][1]
        assert sum(len(text) for _, text in ask.messages) < 700


def test_what_was_done_is_bounded():
    """The prompt of a later step holds code and output of the earlier ones, cut to a bound."""
    results = [StepResult("code", "a", "done", code="print(1)", output="1\n")] * 50
    assert "print(1)" in told(results[:1], ("a.txt",), 4000)
    assert "a.txt" in told(results[:1], ("a.txt",), 4000)
    assert len(told(results, (), 500)) < 520
    assert told([], (), 500) == ""


@given(st.text("`a\n", max_size=30))
def test_a_fence_is_longer_than_what_it_holds(text):
    """No output can end the block that it is shown in."""
    first, *_ = fence(text).split("\n")
    assert set(first) == {"`"}
    assert first not in text
