"""Answers that must be JSON or a label: whole before a word of them is sent, repaired once, else the next."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from chaos_house import CLOUD_MODELS, PROVIDER, WIRES, Heard, Sims, ask, config, hear, house

from coreto.resilience.output import Expectation
from coreto.resilience.plan import Plan

OBJECT = {"response_format": {"type": "json_object"}}
SCHEMA = {
    "response_format": {
        "type": "json_schema",
        "json_schema": {
            "name": "age",
            "schema": {"type": "object", "properties": {"age": {"type": "integer"}}, "required": ["age"]},
        },
    }
}
LABELS = ("script", "visual", "FINISH")
#: form → prompt, options, labels, the right answer, a wrong one
FORMS: dict[str, tuple[str, dict[str, Any], tuple[str, ...], str, str]] = {
    "object": ("JSON please", OBJECT, (), '{"age": 7}', "I am seven years old."),
    "schema": ("JSON please", SCHEMA, (), '{"age": 7}', '{"age": "seven"}'),
    "label": ("label please", {}, LABELS, "script", "It could be script or visual."),
}
BEHIND = {"openai": "ollama/b", "openrouter": "lab/b", "ollama": "openrouter/b", "cloud": "lab/b"}


def ask_form(form: str, wire: str, sims: Sims, folder: Path, **call: Any) -> Heard:
    """An answer of ``form`` from ``wire``, another server behind it; a stream unless ``call`` says otherwise."""
    prompt, options, labels, _, _ = FORMS[form]
    call = {"stream": True, "prompt": prompt, "options": options, **call}

    async def main() -> Heard:
        async with house(config(sims), folder) as home:
            names = (f"{PROVIDER[wire]}/{model_of(wire)}", BEHIND[wire])
            candidates = tuple(home.candidate(name) for name in names)
            plan = Plan("r", "r", candidates, expected=Expectation(labels=labels), retries=0)
            return await hear(home.gateway(r=plan), ask(**call))

    return asyncio.run(main())


def model_of(wire: str) -> str:
    return CLOUD_MODELS[0] if wire == "cloud" else "a"


def chats(sims: Sims, wire: str) -> list[dict[str, Any]]:
    path = "/api/chat" if wire in ("ollama", "cloud") else "*/chat/completions"
    return [request["body"] for request in sims.by_wire[wire].requests(path)]


@pytest.mark.parametrize("failover", [None, "continue", "restart"])
@pytest.mark.parametrize("kind", ["cut", "eof_without_finish", "error_mid_stream", "broken_line"])
@pytest.mark.parametrize("form", FORMS)
def test_structured_is_held(form: str, kind: str, failover: str, sims: Sims, tmp_path: Path) -> None:
    """Whatever the policy, nothing is sent before it is whole: a stream that dies midway costs time only."""
    sims.by_wire["openai"].add_faults({"kind": kind, "chunks": 1})
    heard = ask_form(form, "openai", sims, tmp_path, failover=failover)
    assert heard.text == FORMS[form][3]
    assert heard.lost == []
    assert heard.trace.deployment == "ollama/b"


@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.parametrize("form", FORMS)
def test_structured_is_repaired_once(form: str, wire: str, sims: Sims, tmp_path: Path) -> None:
    """A wrong answer is shown to its model with what is wrong; the corrected one is what the client gets."""
    bad = FORMS[form][4]
    sims.by_wire[wire].add_faults({"kind": "bad_content", "content": bad, "times": 1})
    heard = ask_form(form, wire, sims, tmp_path)
    assert heard.text == FORMS[form][3]
    name = f"{PROVIDER[wire]}/{model_of(wire)}"
    assert heard.outcomes == [(name, "invalid_output"), (name, "ok")]
    _, second = chats(sims, wire)
    answer, complaint = second["messages"][-2:]
    assert (answer["role"], answer["content"]) == ("assistant", bad)
    assert "cannot be used" in complaint["content"]


@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.parametrize("form", FORMS)
def test_structured_falls_through(form: str, wire: str, sims: Sims, tmp_path: Path) -> None:
    """A model that gets it wrong twice is left for the next one."""
    sims.by_wire[wire].add_faults({"kind": "bad_content", "content": FORMS[form][4], "model": model_of(wire)})
    heard = ask_form(form, wire, sims, tmp_path)
    assert heard.text == FORMS[form][3]
    name = f"{PROVIDER[wire]}/{model_of(wire)}"
    assert heard.outcomes == [(name, "invalid_output")] * 2 + [(BEHIND[wire], "ok")]


@pytest.mark.parametrize("wire", WIRES)
def test_structured_nobody_gets_it_right(wire: str, sims: Sims, tmp_path: Path) -> None:
    """With nobody who can, the client gets one explicit error and not a word of the wrong answers."""
    for sim in sims.by_wire.values():
        sim.add_faults({"kind": "bad_content", "content": '{"age": "seven"}'})
    heard = ask_form("schema", wire, sims, tmp_path)
    assert heard.error is not None
    assert heard.items == 0
    assert [outcome for _, outcome in heard.outcomes] == ["invalid_output"] * 4


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("wire", WIRES)
def test_structured_cut_at_the_token_limit(wire: str, stream: bool, sims: Sims, tmp_path: Path) -> None:
    """JSON that was cut at the token limit is no answer, though what there is may parse; the next is asked."""
    heard = ask_form("object", wire, sims, tmp_path, prompt="half of the JSON please", stream=stream)
    assert heard.outcomes == [(f"{PROVIDER[wire]}/{model_of(wire)}", "invalid_output"), (BEHIND[wire], "ok")]
    assert heard.text == FORMS["object"][3]


@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.parametrize("kind", ["empty_answer", "empty_choices", "error_first_event", "malformed_json"])
def test_structured_nothing_said_nothing_sent(kind: str, wire: str, sims: Sims, tmp_path: Path) -> None:
    """Chunks that say nothing (a role, an empty text, usage) commit nobody: the switch is invisible."""
    sims.by_wire[wire].add_faults({"kind": kind})

    async def main() -> Heard:
        async with house(config(sims), tmp_path) as home:
            names = (f"{PROVIDER[wire]}/{model_of(wire)}", BEHIND[wire])
            plan = Plan("r", "r", tuple(home.candidate(name) for name in names), retries=0)
            return await hear(home.gateway(r=plan), ask(stream=True))

    heard = asyncio.run(main())
    assert heard.error is None
    assert heard.trace.deployment == BEHIND[wire]
    assert heard.finishes == ["stop"]
