"""Random chains, labels, wishes and faults over fakes: whatever happens, private words do not leave."""

import asyncio
import json
import re
from contextlib import suppress
from dataclasses import dataclass, replace

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from coreto import errors
from coreto.cache.cached import Cached
from coreto.cache.memory import MemoryStore
from coreto.errors import CallError, CoretoError, PrivacyError
from coreto.events import CallFinished, EventBus, HealthChanged
from coreto.gateway.gateway import Gateway
from coreto.labels import Label
from coreto.ledger.prices import PriceBook
from coreto.ledger.records import record_of
from coreto.messages import PREFERENCES, Call, Chunk, EmbedCall, Restart, Trace, Whole, message_of
from coreto.providers.catalog import Deployment
from coreto.resilience.health import HealthBook
from coreto.resilience.plan import Candidate, Plan
from coreto.routing.directory import Directory
from coreto.routing.router import Router, Sources
from coreto.settings.model import Settings
from coreto.testing.clock import VirtualClock
from coreto.testing.provider import FakeProvider, Say

MARKED = re.compile("«([^»]*)»")
KINDS = ("local", "cloud", "tiny")
#: What a fake does instead of answering; ``quote``: an error that repeats the request, as servers like to do.
FAULTS = (
    *("server", "quote", "rate", "auth", "quota", "retired", "missing", "memory", "busy", "down", "garbled"),
    *("context", "filtered", "rejected", "empty", "broken", "cut", "cut-late", "cut-quote", "cut-within"),
)
PLACES = (
    *("user", "system", "tool", "earlier", "part", "split", "arguments", "escaped", "name", "metadata"),
    *("schema", "answer-so-far", "stranger"),
)
#: Where a mask can hide a value; elsewhere the call stays at home.
MASKABLE = frozenset({"user", "system", "tool", "earlier", "part", "arguments", "escaped"})


#: Characters of a value that tell something of it already, as where an answer broke off in its middle.
BEGINNING = 8


@dataclass(frozen=True)
class Secret:
    """Something private, what may not be seen of it anywhere, and whether a placeholder can stand for it."""

    text: str
    values: tuple[str, ...]
    maskable: bool = True


NOTHING = Secret("nada de especial hoje", ())
SECRETS = (
    Secret("Meu cartão é 4539 1488 0343 6467", ("4539 1488 0343 6467", "4539148803436467")),
    Secret("Escreva para joana.prado@correio.com.br", ("joana.prado@correio.com.br",)),
    Secret("api_key = sk-proj-Zk3vQ9xT7bLm2NpR8sYw4HdJ", ("sk-proj-Zk3vQ9xT7bLm2NpR8sYw4HdJ",)),
    Secret("Moro na Rua das Acácias, 412, apto 31", ("Rua das Acácias, 412",)),
    Secret("Meu telefone é +55 11 98765-4321", ("98765-4321", "987654321")),
    Secret("Minha mãe foi diagnosticada com HIV e toma antirretrovirais", ("diagnosticada",), maskable=False),
)


def cpf_of(nine: int, *, dotted: bool) -> Secret:
    """A CPF with right check digits."""
    digits = [int(c) for c in f"{nine:09d}"]
    for _ in range(2):
        size = len(digits) + 1
        rest = sum(d * (size - i) for i, d in enumerate(digits)) * 10 % 11
        digits.append(rest % 10)
    plain = "".join(map(str, digits))
    shown = f"{plain[:3]}.{plain[3:6]}.{plain[6:9]}-{plain[9:]}" if dotted else plain
    return Secret(f"Meu CPF é {shown}", (shown, plain))


cpfs = st.builds(cpf_of, st.integers(10_000_000, 998_000_000), dotted=st.booleans())
secrets_ = st.one_of(st.just(NOTHING), cpfs, cpfs, st.sampled_from(SECRETS))


@dataclass(frozen=True)
class Member:
    """One deployment of a chain. ``faults``: of its first calls; then it answers."""

    kind: str
    faults: tuple[str, ...] = ()
    context: int | None = None
    successor: str | None = None


@dataclass(frozen=True)
class Scene:
    """One call, and the world that it is made in."""

    secret: Secret
    place: str
    chain: tuple[Member, ...]
    label: Label
    mode: str
    model: str = "chat"
    role_mode: str | None = None
    local_only: bool = False
    role_prefer: str | None = None
    prefer: str | None = None
    failover: str | None = None
    restartable: bool = False
    retries: int | None = None
    fallback: bool = True
    stream: bool = False
    form: str | None = None
    piece: int = 7
    broke: bool = False
    cached: bool = False

    @property
    def said_mode(self) -> str:
        return self.role_mode or self.mode if self.model != "lone" else self.mode

    @property
    def is_declared(self) -> bool:
        return self.label is Label.PRIVATE or (self.local_only and self.model != "lone")

    @property
    def is_private(self) -> bool:
        return self.is_declared or (self.said_mode != "off" and bool(self.secret.values))

    @property
    def may_be_masked(self) -> bool:
        hidden = self.secret.maskable and self.place in MASKABLE
        return not self.is_declared and self.said_mode == "mask" and hidden


faults = st.one_of(
    st.just(()),
    st.sampled_from([("cut",), ("cut-within",), ("broken",), ("retired",)]),
    st.lists(st.sampled_from(FAULTS), max_size=3).map(tuple),
)
members = st.builds(
    Member,
    kind=st.sampled_from(KINDS),
    faults=faults,
    context=st.sampled_from([None, None, None, None, 8, 100_000]),
    successor=st.sampled_from([None, None, "heir-cloud", "heir-local"]),
)
breaking = st.sampled_from([("cut",), ("cut-late",), ("cut-within",), ("cut-quote",), ("broken",)])
seams = st.tuples(
    st.builds(Member, st.sampled_from(["local", "cloud"]), breaking),
    st.builds(Member, st.sampled_from(["local", "cloud", "cloud"]), st.one_of(st.just(()), breaking)),
    st.builds(Member, st.sampled_from(["local", "cloud"])),
)
ANY = {
    "secret": secrets_,
    "place": st.sampled_from(PLACES),
    "chain": st.lists(members, min_size=1, max_size=4).map(tuple),
    "label": st.sampled_from([Label.INTERNAL, Label.INTERNAL, Label.PUBLIC, Label.PRIVATE]),
    "mode": st.sampled_from(["local", "mask", "mask", "off"]),
    "model": st.sampled_from(["chat", "chat", "auto", "lone"]),
    "role_mode": st.sampled_from([None, None, "local", "mask", "off"]),
    "local_only": st.sampled_from([False, False, False, True]),
    "role_prefer": st.sampled_from([None, *PREFERENCES]),
    "prefer": st.sampled_from([None, *PREFERENCES]),
    "failover": st.sampled_from([None, "hold", "continue", "restart"]),
    "restartable": st.booleans(),
    "retries": st.sampled_from([None, 0, 1]),
    "fallback": st.sampled_from([True, True, True, False]),
    "stream": st.booleans(),
    "form": st.sampled_from([None, None, "json", "call"]),
    "piece": st.integers(1, 30),
    "broke": st.sampled_from([False, False, False, True]),
    "cached": st.booleans(),
}
scenes = st.builds(Scene, **ANY)
#: Where a mask is what stands between a value and a server off the machine, at every seam between two models.
MASKED = {
    "secret": st.one_of(cpfs, st.sampled_from([one for one in SECRETS if one.maskable])),
    "place": st.sampled_from(sorted(MASKABLE)),
    "chain": st.one_of(st.lists(members, min_size=2, max_size=4).map(tuple), seams, seams),
    "label": st.sampled_from([Label.INTERNAL, Label.INTERNAL, Label.INTERNAL, Label.PRIVATE]),
    "mode": st.just("mask"),
    "model": st.sampled_from(["chat", "chat", "chat", "auto"]),
    "role_mode": st.none(),
    "role_prefer": st.none(),
    "prefer": st.sampled_from([None, None, "cloud", "local"]),
    "failover": st.sampled_from(["continue", "continue", "restart", "hold"]),
    "restartable": st.just(True),
    "retries": st.sampled_from([0, 1]),
    "fallback": st.just(True),
    "broke": st.just(False),
    "stream": st.sampled_from([True, True, False]),
    "form": st.sampled_from([None, None, None, "json", "call"]),
}
masked_scenes = st.builds(Scene, **ANY | MASKED)


def heard_in(body: dict) -> str:
    """The text between « and » in a request, wherever it stands and however it is written there."""
    said = marked(body)
    if said is None:  # in two parts
        content = body["messages"][1]["content"]
        said = marked("".join(part["text"] for part in content))
    return said or ""


def marked(value: object) -> str | None:
    """The text between « and » in one value."""
    if isinstance(value, str):
        found = MARKED.search(value)
        if found is None or not value.startswith("{"):
            return found.group(1) if found else None
        return marked(json.loads(value))
    inner = [*value.values(), *value] if isinstance(value, dict) else value if isinstance(value, list) else ()
    return next((text for one in inner if (text := marked(one)) is not None), None)


def answer_to(heard: str, form: str | None) -> Say:
    """What every fake says to ``heard``: the same, so that one can go on where another broke off."""
    text = f"Recebi o seguinte recado: «{heard}». Anotei tudo e volto a falar com você amanhã cedo."
    if form == "json":
        return Say(json.dumps({"recado": text}, ensure_ascii=False))
    if form == "call":
        function = {"name": "note", "arguments": json.dumps({"recado": text}, ensure_ascii=False)}
        return Say("", tool_calls=({"id": "c1", "type": "function", "function": function},))
    return Say(text)


class Echo(FakeProvider):
    """Repeats what it was told between « and »; first it has its faults."""

    def __init__(self, member: Member, clock: VirtualClock, form: str | None, piece: int) -> None:
        super().__init__(local=member.kind != "cloud", clock=clock)
        self._faults = list(member.faults)
        self._form, self._piece = form, piece

    async def _play(self, call):
        heard = heard_in(call.body)
        said = answer_to(heard, self._form)
        if self._form != "call":
            cut = [said.text[i : i + self._piece] for i in range(0, len(said.text), self._piece)]
            said = replace(said, pieces=tuple(cut))
        fault = self._faults.pop(0) if self._faults else None
        if fault == "broken" and self._form != "json":
            fault = None  # without a form to keep, any text is an answer
        self.script = [said if fault is None else _struck(said, fault, heard)]
        async for item in super()._play(call):
            yield item

    async def embed(self, call):
        self.calls.append(call)
        return await super().embed(call)


def _struck(said: Say, fault: str, heard: str) -> Say | CoretoError:
    quote = f"cannot parse {heard!r}"
    match fault:
        case "cut":
            return replace(said, error=errors.CutError("cut"), after=4)
        case "cut-late" | "cut-quote":
            late = 2 * len(said.pieces or ()) // 3
            return replace(said, error=errors.CutError(quote if "quote" in fault else "cut"), after=late)
        case "cut-within":  # in the middle of what was told
            end = said.text.find(heard) + len(heard) - 4
            return replace(said, pieces=(said.text[:end],), error=errors.CutError("cut"), after=2)
        case "empty":
            return Say("", pieces=())
        case "broken":
            return Say(f"Not JSON, but about {heard}, and cut short: {{")
        case "retired":
            error = errors.RetiredError("gone")
            error.successors = ("heir-cloud", "heir-local")
            return error
        case "rate":
            return errors.RateError("slow down", retry_after=1.0)
        case _:
            kinds = {
                "server": errors.ServerFaultError,
                "quote": errors.ServerFaultError,
                "auth": errors.AuthError,
                "quota": errors.QuotaError,
                "missing": errors.MissingModelError,
                "memory": errors.OutOfMemoryError,
                "busy": errors.OverloadedError,
                "down": errors.UnreachableError,
                "garbled": errors.GarbledError,
                "context": errors.ContextError,
                "filtered": errors.FilteredError,
                "rejected": errors.RejectedError,
            }
            return kinds[fault](quote)


def body_of(scene: Scene) -> dict:
    """A request with the secret at its place."""
    secret = f"«{scene.secret.text}»"
    user = {"role": "user", "content": "e agora, o que fazemos com isso?"}
    place = scene.place
    if place in ("arguments", "escaped", "tool"):
        body = {"messages": _with_tool(secret, place, user)}
    elif place in ("user", "system"):
        body = {"messages": [{"role": place, "content": secret}, user]}
    elif place == "earlier":
        body = {"messages": [{**user, "content": secret}, {"role": "assistant", "content": "ok"}, user]}
    elif place == "part":
        image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}}
        body = {"messages": [{"role": "user", "content": [image, {"type": "text", "text": secret}]}]}
    elif place == "split":  # a value that no part holds in full
        value = next((v for v in scene.secret.values if v in secret), scene.secret.text)
        at = secret.rindex(value) + len(value) - min(5, len(value) // 2)
        parts = [{"type": "text", "text": text} for text in (secret[:at], secret[at:])]
        body = {"messages": [user, {"role": "user", "content": parts}]}
    else:
        body = _elsewhere(secret, place, user)
    if scene.form == "json":
        body["response_format"] = {"type": "json_object"}
    return {"model": scene.model, **body}


def _with_tool(secret: str, place: str, user: dict) -> list:
    arguments, result = "{}", secret
    if place != "tool":
        arguments, result = json.dumps({"nota": {"dados": [secret]}}, ensure_ascii=False), "ok"
    if place == "escaped":
        arguments = re.sub(r"[\d@]", lambda m: f"\\u{ord(m.group()):04x}", arguments)
    call = {"id": "t1", "type": "function", "function": {"name": "f", "arguments": arguments}}
    asked = {"role": "assistant", "content": None, "tool_calls": [call]}
    return [user, asked, {"role": "tool", "tool_call_id": "t1", "content": result}]


def _elsewhere(secret: str, place: str, user: dict) -> dict:
    """A request with the secret where nobody would look for it."""
    match place:
        case "name":
            return {"messages": [{**user, "participant": secret}]}
        case "answer-so-far":
            return {"messages": [user, {"role": "assistant", "content": "ok", "prior": {"said": secret}}]}
        case "metadata":
            return {"messages": [user], "metadata": {"note": secret}}
        case "schema":
            properties = {secret: {"type": "string"}}
            return {
                "messages": [user],
                "functions": [{"name": "g", "parameters": {"properties": properties}}],
            }
        case _:
            return {"messages": [user], "x_stranger": [[{"deep": secret}]]}


class World:
    """A gateway over a scene's fakes."""

    def __init__(self, scene: Scene) -> None:
        self.clock = VirtualClock(skipping=True)
        self.bus = EventBus()
        self.finished: list[CallFinished] = []
        self.changes: list[HealthChanged] = []
        self.bus.subscribe(CallFinished, self.finished.append)
        self.health = HealthBook(self.clock, self.changes.append)
        self.fakes: dict[str, Echo] = {}
        chain = [self.candidate(f"p{i}/{m.kind}", m, scene) for i, m in enumerate(scene.chain)]
        heirs = {
            f"{p.deployment.provider}/heir-{k}": Member("cloud" if k == "cloud" else "local")
            for p in chain
            for k in ("cloud", "local")
        }
        made = {name: self.candidate(name, member, scene) for name, member in heirs.items()}
        made["lone"] = chain[0]
        plan = Plan(
            "chat",
            "chat",
            tuple(chain),
            fallback=scene.fallback,
            retries=scene.retries,
            local_only=scene.local_only,
            prefer=scene.role_prefer,
            privacy=scene.role_mode,
            failover=scene.failover,
            cache_ttl=60.0 if scene.cached else 0.0,
        )
        plans = {"chat": plan, "brain": plan}
        prices = PriceBook(lambda _: None)
        reached = "the monthly limit is reached" if scene.broke else None
        router = Router(
            Settings.model_validate({"privacy": scene.mode, "routing": {"embedder": False}}),
            Sources(self.health, prices, unaffordable=lambda _call, _role: reached),
        )
        self.gateway = Gateway(
            Directory(plans, {}, (), made.get),
            self.health,
            prices,
            self.bus,
            self.clock,
            router=router,
            cached=Cached(MemoryStore(self.clock), self.clock),
        )

    def candidate(self, name: str, member: Member, scene: Scene) -> Candidate:
        provider, _, model = name.partition("/")
        fake = self.fakes[name] = Echo(member, self.clock, scene.form, scene.piece)
        where = Deployment(
            id=name,
            provider=provider,
            model=model,
            local=member.kind != "cloud",
            account=name,
            endpoint=name,
            context=member.context,
            small=member.kind == "tiny",
            successor=member.successor,
        )
        return Candidate(where, fake, embedder=fake, prefill=member.kind == "local")

    @property
    def outside(self) -> list[Call | EmbedCall]:
        """What reached a fake that is off the machine."""
        return [call for fake in self.fakes.values() if not fake._local for call in fake.calls]


@dataclass
class Heard:
    """What the caller got."""

    text: str = ""
    arguments: str = ""
    trace: Trace | None = None
    error: CoretoError | None = None


async def hear(gateway: Gateway, call: Call) -> Heard:
    out = Heard()
    try:
        async with gateway.open(call) as items:
            async for item in items:
                match item:
                    case Whole():
                        message = message_of(item.body)
                        out.text = message.get("content") or ""
                        calls = message.get("tool_calls") or []
                        out.arguments = "".join(c["function"]["arguments"] for c in calls)
                    case Chunk():
                        for choice in item.body["choices"]:
                            out.text += choice["delta"].get("content") or ""
                            for one in choice["delta"].get("tool_calls") or []:
                                out.arguments += one["function"]["arguments"]
                    case Restart():
                        out.text = out.arguments = ""
                    case Trace():
                        out.trace = item
    except CoretoError as error:
        out.error = error
    return out


def call_of(scene: Scene, **more) -> Call:
    return Call(
        "c1",
        body_of(scene),
        scene.model,
        stream=scene.stream,
        label=scene.label,
        failover=scene.failover,
        restartable=scene.restartable,
        prefer=scene.prefer,
        user="ana",
        **more,
    )


def judge(scene: Scene, world: World, heard: Heard) -> None:
    """The oracle: see the module's first line."""
    outside = [json.dumps(call.body, ensure_ascii=False) for call in world.outside]
    if scene.is_private:
        assert scene.may_be_masked or not outside, f"it left: {outside}"
        for text in outside:
            digits = re.sub(r"[^\w]", "", text)
            for value in scene.secret.values:
                assert value[:BEGINNING] not in text, f"{value} left: {text}"
                assert re.sub(r"[^\w]", "", value) not in digits, f"{value} left in another form: {text}"
        seen = repr((world.health.records, world.changes, [record_of(e) for e in world.finished]))
        for value in scene.secret.values:
            assert value not in seen, "what a server quoted is shown to others"
    assert not isinstance(heard.error, PrivacyError), "only the last look before the wire kept it"
    trace = heard.trace or getattr(heard.error, "trace", None)
    assert trace is not None
    assert trace.label >= scene.label
    assert (trace.label is Label.PRIVATE) == scene.is_private
    if heard.error is None:
        said = answer_to(scene.secret.text, scene.form)
        if scene.form == "call":
            assert json.loads(heard.arguments) == json.loads(said.tool_calls[0]["function"]["arguments"])
        elif scene.form == "json":
            assert json.loads(heard.text) == json.loads(said.text)
        else:
            assert heard.text == said.text


def run(scene: Scene) -> None:
    world = World(scene)

    async def main() -> None:
        heard = await hear(world.gateway, call_of(scene))
        judge(scene, world, heard)
        if scene.cached:
            judge(scene, world, await hear(world.gateway, call_of(scene)))
        if scene.form is None:
            await embedded(scene)

    asyncio.run(main())


async def embedded(scene: Scene) -> None:
    """The same secret in what is to be embedded: no mask helps there."""
    for given_input in (scene.secret.text, ["nada", scene.secret.text]):
        world = World(scene)
        call = EmbedCall("e1", {"input": given_input}, scene.model, scene.label)
        with suppress(CallError):  # nobody is left that may be asked
            _, trace = await world.gateway.embed(call)
            assert (trace.label is Label.PRIVATE) == scene.is_private
        assert not (scene.is_private and world.outside)


_FEW = settings(
    max_examples=500,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
_MANY = settings(_FEW, max_examples=4000, derandomize=False)


@_FEW
@given(scenes)
def test_private_words_do_not_leave(scene: Scene) -> None:
    """Whatever is asked of whom, and whatever fails: what is private stays, and the answer, if there is one, is
    whole and right."""
    run(scene)


#: A local answer that breaks off in the middle of a value, with a server off the machine next in the chain.
WITHIN = Scene(
    secret=cpf_of(529982247, dotted=True),
    place="user",
    chain=(Member("local", ("cut-within",)), Member("cloud"), Member("local")),
    label=Label.INTERNAL,
    mode="mask",
    failover="continue",
    stream=True,
)


@_FEW
@example(WITHIN)
@example(replace(WITHIN, secret=cpf_of(529982247, dotted=False), place="tool"))
@example(replace(WITHIN, secret=SECRETS[0], place="earlier"))
@example(replace(WITHIN, secret=SECRETS[4], place="system"))
@given(masked_scenes)
def test_masked_values_do_not_leave(scene: Scene) -> None:
    """Behind a mask no value leaves, not even its beginning, at no seam between two models; the caller gets
    the values all the same."""
    run(scene)


@pytest.mark.soak
@pytest.mark.timeout(1800)
@_MANY
@given(scenes)
def test_private_words_do_not_leave_at_length(scene: Scene) -> None:
    """The same as above, thousands of times."""
    run(scene)


@pytest.mark.soak
@pytest.mark.timeout(1800)
@_MANY
@given(masked_scenes)
def test_masked_values_do_not_leave_at_length(scene: Scene) -> None:
    """The same as above, thousands of times."""
    run(scene)
