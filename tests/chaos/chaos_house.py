"""A gateway over four simulated servers, and the client that judges what comes out of it."""

import asyncio
import secrets
import socket
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from coreto.clock import SystemClock
from coreto.errors import CoretoError
from coreto.events import CallFinished, EventBus
from coreto.gateway.gateway import Gateway
from coreto.ledger.prices import PriceBook
from coreto.messages import Call, Chunk, Limits, Restart, Trace, Whole, finish_of, text_of
from coreto.providers.factory import Site, build_sites
from coreto.providers.rules import Rules
from coreto.resilience.health import HealthBook
from coreto.resilience.plan import Candidate, Plan
from coreto.routing.directory import Directory, DirectoryBuilder
from coreto.settings.load import load
from coreto.testing.simulator import Simulator, start_simulator

WIRES = ("openai", "openrouter", "ollama", "cloud")
PROVIDER = {"openai": "lab", "openrouter": "openrouter", "ollama": "ollama", "cloud": "ollama-cloud"}
#: The cloud has a fixed list of models.
CLOUD_MODELS = ("gpt-oss:20b", "gpt-oss:120b", "glm-4.7", "minimax-m2")

TEXT = (
    "Zanzibar drums begin before sunrise, and eleven trumpets answer from the harbour wall; "
    "then the clarinets climb, one by one, until every window of the square stands open and "
    "nobody in town remembers having been asleep. The last waltz ends on a soft high C."
)
PIECES = [word if i == 0 else f" {word}" for i, word in enumerate(TEXT.split(" "))]
OPENING = "Zanzibar drums"
#: Begins like TEXT and goes elsewhere: another answer.
OTHER = " ".join(TEXT.split(" ")[:2]) + " begin without warning; this is quite another story, about rain."
SECOND = "Quite another band: two cellos and a tuba rehearse a slow tango in the old cinema."
PROMPT = "tell me about the band"

#: Seconds. Short ones for upstreams that never answer; the others must not fire on a busy machine.
SHORT = Limits(connect=0.3, attempt=0.3, stall=0.25)
LONG = Limits(connect=20.0, attempt=20.0, stall=20.0)
#: What a busy machine may add to a call.
SLACK = 4.0


def goon(after: int) -> str:
    """The model that goes on exactly after ``after`` pieces of TEXT."""
    return f"goon{after}"


@dataclass
class Sims:
    """One simulator for each wire, and a port where nobody listens."""

    by_wire: dict[str, Simulator]
    dead_port: int

    def clear(self) -> None:
        """No faults, nothing received; the scripts stay."""
        for sim in self.by_wire.values():
            sim.clear_faults()
            sim.clear_requests()

    def idle(self, within: float = 5.0) -> dict[str, int]:
        """Requests still open at each simulator, those with none left out, after a moment's patience."""
        until = time.monotonic() + within
        while True:
            active = {wire: int(sim.state()["active"]) for wire, sim in self.by_wire.items()}
            active = {wire: count for wire, count in active.items() if count}
            if not active or time.monotonic() > until:
                return active


@contextmanager
def simulators(models: Sequence[str] = ()) -> Iterator[Sims]:
    """All four, scripted. ``models``: names that Ollama shall have besides."""
    variants = [goon(n) for n in range(1, 10)]
    names = ["a", "b", "restate", "other", "third", *variants, *models]
    local = [flag for name in names for flag in ("--model", f"{name}=1 MB:32768")]
    room = ("--memory", "900 GB", "--max-loaded", "100000", "--num-parallel", "1000", "--max-queue", "100000")
    with ExitStack() as stack, socket.socket() as held:
        held.bind(("127.0.0.1", 0))  # taken, and not listening: a connection is refused
        start = stack.enter_context
        sims = {
            "openai": start(start_simulator("openai", "--any-model")),
            "openrouter": start(start_simulator("openai", "--flavour", "openrouter", "--any-model")),
            "ollama": start(start_simulator("ollama", "--time-scale", "0", *room, *local)),
            "cloud": start(start_simulator("ollama", "--cloud", "--api-key", "k", "--time-scale", "0")),
        }
        for sim in sims.values():
            sim.script(*_script(variants))
        yield Sims(sims, held.getsockname()[1])


def _script(variants: Sequence[str]) -> list[dict[str, Any]]:
    always: dict[str, Any] = {"times": None}
    entries: list[dict[str, Any]] = [
        {**always, "model": name, "match": OPENING, "content": "".join(PIECES[i:])}
        for i, name in enumerate(variants, 1)
    ]
    entries.append({**always, "model": "other", "match": OPENING, "content": OTHER})
    for name in ("a", *CLOUD_MODELS):
        half = {"content": '[{"age": 7}, {"ag', "finish_reason": "length"}
        entries.append({**always, "model": name, "match": "half of the JSON please", **half})
    entries.append({**always, "match": "JSON please", "content": '{"age": 7}'})
    entries.append({**always, "match": "label please", "content": "script"})
    entries.append({**always, "model": "b", "content": SECOND})
    entries.append({**always, "match": PROMPT, "content": TEXT})
    return entries


def config(sims: Sims) -> str:
    """TOML with a provider for each simulator, and ``dead-*`` ones where nobody listens."""
    url = {wire: sim.url for wire, sim in sims.by_wire.items()}
    dead = f"http://127.0.0.1:{sims.dead_port}"
    return f"""
[providers.lab]
base_url = "{url["openai"]}/v1"
[providers.openrouter]
base_url = "{url["openrouter"]}/api/v1"
api_key = "k"
[providers.ollama]
host = "{url["ollama"]}"
[providers.ollama-cloud]
base_url = "{url["cloud"]}"
api_key = "k"
[providers.dead-openai]
base_url = "{dead}/v1"
[providers.dead-openrouter]
kind = "openrouter"
base_url = "{dead}/api/v1"
api_key = "k"
[providers.dead-ollama]
kind = "ollama"
host = "{dead}"
[providers.dead-cloud]
kind = "ollama-cloud"
base_url = "{dead}"
api_key = "k"
"""


@dataclass
class Heard:
    """What a client got of one call. ``text``: since the last restart; ``lost``: what was before it."""

    text: str = ""
    lost: list[str] = field(default_factory=list[str])
    finishes: list[str] = field(default_factory=list[str])
    tool_calls: list[Any] = field(default_factory=list[Any])
    trace: Trace | None = None
    error: CoretoError | None = None
    seconds: float = 0.0
    items: int = 0

    @property
    def outcomes(self) -> list[tuple[str, str]]:
        """Deployment and outcome of each attempt, the error's included."""
        trace = self.trace or getattr(self.error, "trace", None)
        return [(a.deployment, a.outcome) for a in trace.attempts] if trace else []

    @property
    def complete(self) -> bool:
        """Whether the client was told that it has the whole answer."""
        return self.error is None and self.trace is not None and len(self.finishes) == 1


@dataclass
class House:
    """The call path without server, ledger and files: providers as configured, plans as a test likes."""

    sites: dict[str, Site]
    directory: Directory
    clock: SystemClock
    bus: EventBus
    finished: list[CallFinished] = field(default_factory=list[CallFinished])

    def candidate(self, name: str, limits: Limits = LONG) -> Candidate:
        """The deployment ``name``, given the times ``limits``."""
        found = self.directory.make(name)
        assert found is not None, name
        return replace(found, limits=limits)

    def gateway(self, health: HealthBook | None = None, *, deadline: float = 60.0, **plans: Plan) -> Gateway:
        """A gateway that knows ``plans``; with no record of anyone unless ``health`` is given."""
        book = health or HealthBook(self.clock, self.bus.emit)
        directory = Directory(plans, {}, (), self.directory.make)
        prices = PriceBook(lambda _: None)
        return Gateway(directory, book, prices, self.bus, self.clock, request_timeout=deadline)

    def connections(self) -> int:
        """Upstream connections in use now."""
        wires = [getattr(site.provider, "_http", None) for site in self.sites.values()]
        return sum(wire.in_use for wire in wires if wire is not None)


@asynccontextmanager
async def house(toml: str, folder: Path, models: Path | None = None) -> AsyncIterator[House]:
    """A house that must be as empty at the end as at the start: no task, no connection. ``models``: where
    weights are; an embedded engine's own tasks end with it only."""
    file = folder / "coreto.toml"
    file.write_text(f"discovery = false\n{toml}")
    settings = load(config=file, env={}, cwd=folder).settings
    clock, bus = SystemClock(), EventBus()
    sites = build_sites(settings, models or folder, clock)
    rules = Rules({})
    built = DirectoryBuilder(settings, sites, {}, rules=rules, explicit_roles=frozenset(), clock=clock)
    home = House(sites, built.build(), clock, bus)
    bus.subscribe(CallFinished, home.finished.append)
    before = asyncio.all_tasks()
    try:
        yield home
        if models is not None:
            await sites["embedded"].provider.close()
        await settled(before)
        assert asyncio.all_tasks() == before, "a task was left behind"
        assert home.connections() == 0, "a connection was left in use"
    finally:
        for site in sites.values():
            await site.provider.close()


async def settled(before: "set[asyncio.Task[Any]]") -> None:
    """Let the loop finish what needs no waiting: it closes generators and transports by itself."""
    for _ in range(50):
        await asyncio.sleep(0)
        if asyncio.all_tasks() == before:
            return


def ask(*, stream: bool, prompt: str = PROMPT, role: str = "r", **call: Any) -> Call:
    """A call; ``options`` among ``call`` go into its body."""
    options = call.pop("options", {})
    body = {"model": role, "messages": [{"role": "user", "content": prompt}], **options}
    if stream:
        body.update(stream=True, stream_options={"include_usage": True})
    return Call(secrets.token_hex(8), body, role, stream=stream, **call)


async def hear(gateway: Gateway, call: Call, *, leave: int | None = None) -> Heard:
    """Make ``call`` and judge the form of what comes, whatever it says. ``leave``: hang up after so many items."""
    heard = Heard()
    started = time.monotonic()
    try:
        async with gateway.open(call) as items:
            async for item in items:
                if heard.items == leave:
                    return heard
                heard.items += 1
                _take(heard, item)
    except CoretoError as error:
        heard.error = error
    heard.seconds = time.monotonic() - started
    if heard.error is not None:
        assert heard.trace is None, "a trace, and then an error"
        assert not heard.finishes, f"a finish, and then an error: {heard.error!r}"
        assert getattr(heard.error, "trace", None) is not None, "an error without its trace"
    else:
        assert heard.trace is not None, "no trace at the end"
        assert len(heard.finishes) == 1, f"{len(heard.finishes)} finishes"
        assert heard.trace.deployment, "nobody answered"
        assert heard.trace.attempts[-1].outcome == "ok"
    return heard


def _take(heard: Heard, item: object) -> None:
    assert heard.trace is None, "something after the trace"
    match item:
        case Whole():
            assert not heard.text
            heard.text = text_of(item.body)
            heard.finishes.append(str(finish_of(item.body)))
        case Chunk():
            for choice in item.body["choices"]:
                text = (choice.get("delta") or {}).get("content") or ""
                assert not (text and heard.finishes), "text after the finish"
                heard.text += text
                heard.tool_calls += (choice.get("delta") or {}).get("tool_calls") or []
                if choice.get("finish_reason"):
                    heard.finishes.append(choice["finish_reason"])
        case Restart():
            assert not heard.finishes, "a restart after the finish"
            heard.lost.append(heard.text)
            heard.text = ""
        case Trace():
            heard.trace = item
        case _:
            raise AssertionError(f"an unknown item: {item!r}")
