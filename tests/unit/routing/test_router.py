"""From a call to its route: label, task, order, explanation."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coreto.clock import SystemClock
from coreto.labels import Label
from coreto.ledger.prices import PriceBook
from coreto.messages import Call, EmbedCall, Limits
from coreto.providers.catalog import Deployment
from coreto.resilience.health import HealthBook
from coreto.resilience.plan import Candidate, Plan
from coreto.routing.directory import Directory
from coreto.routing.router import Router, Sources, asked_text
from coreto.routing.sensitivity import Sensitivities
from coreto.settings.model import Settings
from coreto.testing.provider import FakeProvider

CPF = "529.982.247-25"


def deployment(name, *, local=False, **more):
    provider, _, model = name.partition("/")
    return Deployment(name, provider, model, local=local, account=provider, endpoint=provider, **more)


CLOUD = deployment("cloud/big")
HOME = deployment("home/good", local=True)
TINY = deployment("embedded/smollm2", local=True, small=True)


def plan(name, *chain, **more):
    candidates = tuple(Candidate(one, FakeProvider(), Limits()) for one in chain)
    return Plan(name, name, candidates, **more)


DIRECTORY = Directory(
    {
        "brain": plan("brain", CLOUD, HOME, TINY),
        "executor": plan("executor", HOME, CLOUD),
        "ui": plan("ui", HOME, TINY),
        "chat": plan("chat", CLOUD, HOME),
        "home": plan("home", HOME, local_only=True),
        "open": plan("open", CLOUD, privacy="off"),
        "saving": plan("saving", CLOUD, HOME, prefer="cheap"),
    },
    {},
)


def router(**settings):
    health = HealthBook(SystemClock(), lambda _: None)
    return Router(Settings.model_validate(settings), Sources(health, PriceBook(lambda _: None)))


def call(text, model="auto", *, label=Label.INTERNAL, **more):
    body = {"messages": [{"role": "user", "content": text}], **more.pop("body", {})}
    return Call("c", body, model, label=label, **more)


def names(route):
    return [candidate.deployment.id for candidate in route.plan.candidates]


def test_a_role_is_asked_as_written():
    """For a role nothing is detected or ranked: its plan is the directory's own."""
    route = router().route(call("Planeje uma viagem.", "chat"), DIRECTORY)
    assert route.plan is DIRECTORY.plans["chat"]
    assert (route.label, route.task, route.why, route.mask) == (Label.INTERNAL, None, (), None)


@pytest.mark.parametrize(
    ("text", "task", "role"),
    [
        ("Planeje um fluxo completo de edição de vídeo no After Effects", "planning", "brain"),
        ("Execute um código Python que soma números", "execution", "executor"),
        ("Crie um script Python que soma números", "code", "executor"),
        ("Make a login form in React with a nice layout and rounded buttons", "ui", "ui"),
        ("Oi, tudo bem?", "conversation", "brain"),
    ],
)
def test_auto_finds_the_role(text, task, role):
    """The kind of work names the role; the plan is called `auto`, and says why."""
    route = router().route(call(text), DIRECTORY)
    assert (route.task, route.plan.role, route.plan.name) == (task, role, "auto")
    assert route.why[0].startswith(f"task {task} (")


def test_auto_asks_for_simple_things_here():
    """A simple talk goes to the good model on this machine first, planning as the role's chain says; the tiny
    model comes last in any case."""
    one = router()
    assert names(one.route(call("Oi, tudo bem?"), DIRECTORY)) == [
        "home/good",
        "cloud/big",
        "embedded/smollm2",
    ]
    planning = one.route(call("Planeje a migração do banco para outra região em três fases."), DIRECTORY)
    assert names(planning) == ["cloud/big", "home/good", "embedded/smollm2"]


def test_the_wish_of_the_call_goes_before_that_of_the_role():
    """`prefer`: of the call, else of the role, else what the task needs."""
    one = router()
    assert names(one.route(call("hi", "saving"), DIRECTORY)) == ["home/good", "cloud/big"]
    assert names(one.route(call("hi", "saving", prefer="cloud"), DIRECTORY)) == ["cloud/big", "home/good"]
    assert names(one.route(call("Oi!", prefer="cloud"), DIRECTORY))[0] == "cloud/big"


def test_tasks_go_to_the_roles_of_the_configuration():
    """A task's role can be another, and one's own examples bend what is detected."""
    own = router(routing={"tasks": {"conversation": "chat"}, "examples": {"ui": ["zig zag do painel"]}})
    assert own.route(call("Oi, tudo bem?"), DIRECTORY).plan.role == "chat"
    assert own.route(call("zig zag do painel"), DIRECTORY).task == "ui"


@pytest.mark.parametrize("model", ["auto", "brain", "chat"])
def test_private_data_stays(model):
    """What the words give away makes the call private: nobody off this machine is left."""
    route = router().route(call(f"Meu CPF é {CPF}, cadastre.", model), DIRECTORY)
    assert route.label is Label.PRIVATE
    assert "private: cpf" in route.why
    assert all(c.deployment.local for c in route.plan.candidates)
    assert ("cloud/big", "private data stays on this machine") in route.plan.dropped


def test_every_text_of_a_request_is_looked_at():
    """System prompts, parts, tool calls and results, earlier turns, what is to be embedded: all count."""
    user = {"role": "user", "content": "e agora?"}
    tool = {"type": "function", "function": {"name": "f", "arguments": f'{{"cpf": "{CPF}"}}'}}
    for message in (
        {"role": "system", "content": f"A cliente tem CPF {CPF}"},
        {"role": "user", "content": [{"type": "text", "text": f"CPF {CPF}"}]},
        {"role": "assistant", "content": None, "tool_calls": [tool]},
        {"role": "tool", "tool_call_id": "t", "content": f"cpf={CPF}"},
    ):
        asked = Call("c", {"messages": [message, user]}, "chat")
        assert router().route(asked, DIRECTORY).label is Label.PRIVATE
    for given_text in (f"CPF {CPF}", ["nada", f"CPF {CPF}"]):
        embedding = EmbedCall("c", {"input": given_text}, "chat")
        assert router().route(embedding, DIRECTORY).label is Label.PRIVATE


def test_labels_only_get_stricter():
    """A public header or a text that claims to be public loosens nothing; a role of this machine is private."""
    public = call(f"This is PUBLIC, label: public, not private. CPF {CPF}", "chat", label=Label.PUBLIC)
    assert router().route(public, DIRECTORY).label is Label.PRIVATE
    assert router().route(call("hi", "home", label=Label.PUBLIC), DIRECTORY).label is Label.PRIVATE
    declared = router(privacy="off").route(call("hi", "open", label=Label.PRIVATE), DIRECTORY)
    assert (declared.label, names(declared)) == (Label.PRIVATE, [])


def test_detection_can_be_switched_off():
    """`privacy = "off"`, for all or for a role: the caller alone labels."""
    assert router(privacy="off").route(call(f"CPF {CPF}", "chat"), DIRECTORY).label is Label.INTERNAL
    assert router().route(call(f"CPF {CPF}", "open"), DIRECTORY).label is Label.INTERNAL


def test_masking_lets_placeholders_leave():
    """With masking the cloud stays in the plan, behind a mask; the label stays private."""
    route = router(privacy="mask").route(call(f"Meu CPF é {CPF}.", "chat"), DIRECTORY)
    assert route.label is Label.PRIVATE
    assert route.mask is not None
    assert names(route) == ["cloud/big", "home/good"]
    assert route.plan.candidates[0].provider is not DIRECTORY.plans["chat"].candidates[0].provider
    assert route.plan.candidates[1] is DIRECTORY.plans["chat"].candidates[1]


def test_what_no_placeholder_hides_stays():
    """Health told in sentences cannot be masked, and what the caller declared private is never sent."""
    told = "Minha mãe, Joana Prado, foi diagnosticada com HIV e toma antirretrovirais."
    route = router(privacy="mask").route(call(told, "chat"), DIRECTORY)
    assert (route.mask, names(route)) == (None, ["home/good"])
    declared = call(f"CPF {CPF}", "chat", label=Label.PRIVATE)
    assert names(router(privacy="mask").route(declared, DIRECTORY)) == ["home/good"]


def test_explanations_list_everybody():
    """An explanation names each candidate with the reason it was kept or dropped, and asks nobody."""
    shown = asyncio.run(router().explain(call(f"Meu CPF é {CPF}, planeje a cobrança."), DIRECTORY))
    assert shown["label"] == "private"
    assert shown["task"]["label"] == "planning"
    assert [(c["deployment"], c["kept"]) for c in shown["candidates"]] == [
        ("home/good", True),
        ("embedded/smollm2", True),
        ("cloud/big", False),
    ]
    assert all(c["reason"] for c in shown["candidates"])


def test_the_slow_part_is_done_once():
    """What the rules cannot tell is asked of the embedder off the loop, and remembered."""
    one = router()
    unsure = next(
        text
        for text in ("o de sempre, por favor", "faz aquilo de ontem", "something for the shop", "e o painel?")
        if one.is_slow(call(text))
    )
    asyncio.run(one.prepare(call(unsure)))
    assert not one.is_slow(call(unsure))
    assert not router(routing={"embedder": False}).is_slow(call(unsure))


def test_follow_ups_are_read_with_what_they_follow():
    """ "sim" says nothing by itself."""
    turns = [
        {"role": "user", "content": "Crie um script que soma números"},
        {"role": "assistant", "content": "Em Python?"},
        {"role": "user", "content": "sim"},
    ]
    assert asked_text({"messages": turns}) == "Crie um script que soma números\nsim"
    assert asked_text({"messages": []}) == ""


def test_memory_of_messages_is_bounded_and_holds_no_text():
    """Digests and kinds are kept, for so many messages, never a message."""
    known = Sensitivities(most=3)
    for number in range(9):
        known.kinds({"messages": [{"role": "user", "content": f"CPF {CPF} {number}"}]})
    assert len(known._known) == 3
    assert CPF not in repr(known.__dict__)


@pytest.mark.parametrize("text", ["", " ", "\0\x01\xff", "a" * 1_000_000, "мир 世界 🌍 שלום", "\ud800"])
@pytest.mark.parametrize("model", ["auto", "chat"])
def test_odd_texts_are_routed(text, model):
    """Empty, binary, huge, mixed scripts, half a surrogate pair: a route, no crash."""
    asked = call(text, model)
    one = router(routing={"embedder": False})
    if one.is_slow(asked):
        asyncio.run(one.prepare(asked))
    assert one.route(asked, DIRECTORY).plan.candidates


@given(
    st.text(max_size=60), st.sampled_from(["auto", "brain", "chat", "saving"]), st.sampled_from(list(Label))
)
def test_private_calls_have_local_candidates_only(text, model, label):
    """Whatever is written around it: a valid CPF keeps the whole request on this machine."""
    route = _SHARED.route(call(f"{text}\nCPF: {CPF}", model, label=label), DIRECTORY)
    assert route.label is Label.PRIVATE
    assert all(candidate.deployment.local for candidate in route.plan.candidates)


_SHARED = router(routing={"embedder": False})
