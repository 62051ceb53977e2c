"""Models that should take turns in memory: what keeps them from it, and what makes it slow. All pure."""

from collections.abc import Iterator, Mapping
from itertools import combinations

from coreto.cli import figures
from coreto.cli.doctor.facts import EngineFact, NeedFact, StuckFact, SwapFact
from coreto.cli.doctor.finding import Finding, Make, Severity
from coreto.cli.texts import Texts
from coreto.messages import Json
from coreto.residency.policy import gigabytes

GIB = 2**30
#: Bytes a second below which a load is slow, of models from this size on: small ones are all overhead.
SLOW_LOAD = 200 * 10**6
LARGE = 10**9
#: Seconds from which a swap is slow, however large the model is.
SLOW_SWAP = 60.0
#: Half of what the last figure stands for: a size to raise a budget to must not be rounded down.
_ROUNDING = GIB // 20


def about_memory(engine: EngineFact, texts: Texts, make: Make) -> Iterator[Finding]:
    """What is wrong with the memory of one engine and with the turns of its models."""
    for stuck in engine.stuck:
        yield _stuck(engine, stuck, texts, make)
    if engine.budget is None:
        yield from _no_turns(engine, texts, make)
    else:
        yield from _too_large(engine, texts, make)
        yield from _one_at_a_time(engine, texts, make)
        if engine.memory is not None and engine.budget > engine.memory:
            yield make(
                "budget_large",
                Severity.WARNING,
                engine.provider,
                name=engine.provider,
                budget=_size(engine.budget, texts),
                memory=_size(engine.memory, texts),
            )
    slowest = max(filter(is_slow, engine.swaps), key=lambda swap: swap.seconds, default=None)
    if slowest is not None:
        yield _slow(engine, slowest, texts, make)


def is_slow(swap: SwapFact) -> bool:
    """Whether a model took too long to come."""
    return swap.seconds > SLOW_SWAP or (
        swap.size >= LARGE and swap.load_seconds > 0 and swap.size / swap.load_seconds < SLOW_LOAD
    )


def _stuck(engine: EngineFact, stuck: StuckFact, texts: Texts, make: Make) -> Finding:
    values = {"name": engine.provider, "model": stuck.model, "detail": stuck.detail}
    if engine.kind != "ollama":
        values["mend"] = texts("doctor.stuck.mend_other", **values)
    return make("stuck", Severity.ERROR, f"{engine.provider}/{stuck.model}", **values)


def _no_turns(engine: EngineFact, texts: Texts, make: Make) -> Iterator[Finding]:
    """Two models that would each fit alone, but not together."""
    if engine.memory is None:
        return
    memory = engine.memory
    pairs = [
        (left, right)
        for left, right in combinations(engine.needs, 2)
        if max(left.least, right.least) <= memory < left.need + right.need
    ]
    if not pairs:
        return
    left, right = max(pairs, key=lambda pair: pair[0].wanted + pair[1].wanted)
    yield make(
        "no_swap",
        Severity.WARNING if left.wanted or right.wanted else Severity.HINT,
        engine.provider,
        name=engine.provider,
        first=left.deployment,
        second=right.deployment,
        needed=_size(left.need + right.need, texts),
        memory=_size(memory, texts),
    )


def _too_large(engine: EngineFact, texts: Texts, make: Make) -> Iterator[Finding]:
    for need in too_large(engine):
        yield make(
            "too_large",
            Severity.ERROR if need.wanted else Severity.HINT,
            need.deployment,
            name=engine.provider,
            deployment=need.deployment,
            needed=_size(need.least + _ROUNDING, texts),
            budget=_size(engine.budget or 0, texts),
        )


def _one_at_a_time(engine: EngineFact, texts: Texts, make: Make) -> Iterator[Finding]:
    """The turns that a panel's calls take are ours: nobody can see from outside that they wait."""
    for need in engine.needs:
        if need.panel and need.slots == 1:
            values: dict[str, object] = {"name": engine.provider, "deployment": need.deployment}
            if engine.kind == "ollama":
                values["mend"] = texts("doctor.queues_here.mend_ollama", **values)
            yield make("queues_here", Severity.WARNING, need.deployment, **values)


def too_large(engine: EngineFact) -> tuple[NeedFact, ...]:
    """The models that never get a turn."""
    budget = engine.budget
    return () if budget is None else tuple(need for need in engine.needs if need.least > budget)


def _slow(engine: EngineFact, swap: SwapFact, texts: Texts, make: Make) -> Finding:
    speed = swap.size / swap.load_seconds / 10**6 if swap.load_seconds > 0 else 0.0
    values: dict[str, object] = {
        "name": engine.provider,
        "deployment": f"{engine.provider}/{swap.model}",
        "size": _size(swap.size, texts),
        "time": figures.duration(swap.seconds * 1000, texts.decimal),
        "speed": f"{speed:.0f}",
    }
    return make("slow_swap", Severity.WARNING, f"{engine.provider}/{swap.model}", **values)


def swaps_of(host: Json, known: Mapping[str, int]) -> tuple[SwapFact, ...]:
    """How long models took to come in the place of others, by a host's status. A load starts when the last of those
    that had to go is gone. ``known``: bytes of models that may have left again."""
    sizes = {**known, **{model["model"]: int(model["gb"] * GIB) for model in host["models"] if model["gb"]}}
    found: list[SwapFact] = []
    asked_at = free_at = None
    for seen in host["recent"]:
        at: float = seen["at"]
        match seen["what"]:
            case "switch":
                if asked_at is None:
                    asked_at, free_at = at, None
            case "unloaded":
                free_at = at
            case "shrunk" | "cleared":
                free_at = at  # the load begins anew
            case "loaded":
                if asked_at is not None and free_at is not None:
                    size = sizes.get(seen["model"], 0)
                    found.append(SwapFact(seen["model"], size, at - free_at, at - asked_at))
                asked_at = free_at = None
            case "failed":
                asked_at = free_at = None
            case _:
                pass
    return tuple(found)


def stuck_in(host: Json) -> tuple[StuckFact, ...]:
    """The models that the engine did not let go when it was last told to, by a host's status: they failed, and are in
    memory all the same."""
    last: dict[str, Json] = {}
    for seen in host["recent"]:
        names = seen["detail"].split(", ") if seen["what"] == "resynchronised" else ()
        last.update(dict.fromkeys((seen["model"], *names), seen))
    there = {model["model"] for model in host["models"] if model["state"] in ("ready", "leaving")}
    return tuple(
        StuckFact(model, seen["detail"])
        for model, seen in last.items()
        if seen["what"] == "failed" and model in there
    )


def _size(count: int, texts: Texts) -> str:
    return gigabytes(count).replace(".", texts.decimal)
