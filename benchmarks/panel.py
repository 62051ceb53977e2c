"""Five specialists and a consolidation: one after the other, as a panel, and from memory.

The specialists are models of a simulated server that takes as long as drawn (lognormal, of ``--median`` seconds, seeded)
before it answers; they are asked over HTTP by a real gateway in this process. Each round has latencies of its own, the same
for every way:

- ``single``: one specialist alone, then the consolidation;
- ``sequential``: the five one after the other, then the consolidation;
- ``all``, ``overlap``, ``update``, ``first``: a panel in that mode, with a quorum of three; ``update`` and ``overlap`` have two
  lines, for the first result and for the last;
- ``first, hung``: the same with one specialist that never answers, ``first, one engine``: with room for one at a time;
- ``cached``: the last round's question once more; ``100 at once``: a hundred callers of one question, the slowest of them.

``of slowest``: seconds without those of the consolidation, as a multiple of what the slowest member that is waited for takes
(in ``first`` and ``update``, the third; elsewhere, the fifth). The aim is 1.05 at most.
Run: ``python benchmarks/panel.py [--rounds N] [--median S] [--json] [--plot FILE.png]`` (the plot needs matplotlib).
"""

import argparse
import asyncio
import json
import os
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import asdict, dataclass
from pathlib import Path

from coreto.client import Coreto
from coreto.clock import SystemClock
from coreto.durable import InlineDurable
from coreto.messages import Json
from coreto.panel import models
from coreto.panel.model import Draft
from coreto.panel.panel import Panel
from coreto.panel.policy import Rules
from coreto.panel.shared import Question, SharedPanel, in_place
from coreto.testing.simulator import Simulator, start_simulator

NAMES = ("cpu", "memory", "storage", "network", "limits")
QUORUM = 3
AIM = 1.05
SPREAD = 0.35


@dataclass(frozen=True)
class Row:
    """Medians over the rounds, except ``slowest_ratio``, the largest. Seconds; ``calls``: upstream requests a round."""

    way: str
    seconds: float
    ratio: float | None
    slowest_ratio: float | None
    answers: float
    calls: float


@dataclass(frozen=True)
class Sample:
    """One round of one way. ``waited_for``: what the slowest member that is waited for takes."""

    seconds: float
    consolidation: float
    waited_for: float | None
    answers: int
    calls: int

    @property
    def ratio(self) -> float | None:
        return (self.seconds - self.consolidation) / self.waited_for if self.waited_for else None


class Bench:
    """A gateway, a simulated server, and what was measured by way."""

    def __init__(self, client: Coreto, simulator: Simulator, median: float) -> None:
        self._client = client
        self._simulator = simulator
        self._median = median
        self.samples: dict[str, list[Sample]] = {}

    def panel(self, mode: str, names: Sequence[str] = NAMES, limit: int | None = None) -> Panel:
        patience = 60 * self._median + 10
        members = [
            models.specialist(name, self._client.backend, f"lab/{name}", _body, timeout=patience)
            for name in names
        ]
        boss = models.consolidator(self._client.backend, "lab/boss", _draft_body)
        rules = Rules(mode, QUORUM, deadline=2 * patience, reserve=patience / 2, linger=0.0)  # type: ignore[arg-type]
        return Panel("panel", members, boss, rules=rules, limit=limit)

    def latencies(self, drawn: dict[str, float], hung: str | None = None) -> None:
        self._simulator.clear_faults()
        rules: list[Json] = [{"kind": "hang", "model": hung}] if hung else []
        rules += [{"kind": "slow", "model": name, "seconds": seconds} for name, seconds in drawn.items()]
        self._simulator.add_faults(rules)

    async def panels(self, way: str, panel: Panel, request: Json, waited_for: float | None) -> None:
        """Hold it; a result that comes early is a line of its own."""
        self._simulator.clear_requests()
        begun = time.perf_counter()
        async with aclosing(panel.results(InlineDurable(), request)) as results:
            found = [(time.perf_counter() - begun, result) async for result in results]
        calls = self._calls()
        kept = found if panel.rules.mode in {"update", "overlap"} else found[:1]
        for at, (seconds, result) in enumerate(kept):
            name = way if len(kept) == 1 else f"{way}, {('first', 'last')[at]} result"
            spent = sum(part.seconds for part in result.consolidations)
            expected = (
                waited_for if at == 0 else None
            )  # an update waits for late ones and the consolidation before
            self._add(name, Sample(seconds, spent, expected, len(result.included), calls))

    async def sequential(self, request: Json, drawn: dict[str, float]) -> None:
        panel = self.panel("all", limit=1)
        await self.panels("sequential", panel, request, sum(drawn[name] for name in NAMES))

    async def shared(self, request: Json) -> None:
        panels = SharedPanel(in_place(self.panel("all")), SystemClock())
        self._simulator.clear_requests()
        begun = time.perf_counter()
        served = await asyncio.gather(*(panels.ask(Question(request)) for _ in range(100)))
        seconds = time.perf_counter() - begun
        answers = len(served[0].result.included)
        self._add("100 at once", Sample(seconds, 0.0, None, answers, self._calls()))
        self._simulator.clear_requests()
        begun = time.perf_counter()
        again = await panels.ask(Question(request))
        assert again.cached
        seconds = time.perf_counter() - begun
        self._add("cached", Sample(seconds, 0.0, None, answers, self._calls()))
        await panels.close()

    def _calls(self) -> int:
        return len(self._simulator.requests("*/chat/completions"))

    def _add(self, way: str, sample: Sample) -> None:
        self.samples.setdefault(way, []).append(sample)

    def rows(self) -> list[Row]:
        rows: list[Row] = []
        for way, samples in self.samples.items():
            ratios = [sample.ratio for sample in samples if sample.ratio is not None]
            rows.append(
                Row(
                    way,
                    statistics.median(sample.seconds for sample in samples),
                    statistics.median(ratios) if ratios else None,
                    max(ratios) if ratios else None,
                    statistics.median(sample.answers for sample in samples),
                    statistics.median(sample.calls for sample in samples),
                )
            )
        return rows


def _body(request: Json) -> Json:
    return {"messages": [{"role": "user", "content": f"Look at {request}"}], "max_tokens": 30}


def _draft_body(draft: Draft) -> Json:
    said = "\n".join(f"{part.name}: {part.content}" for part in draft.answers)
    return {"messages": [{"role": "user", "content": f"Sum up:\n{said}"}], "max_tokens": 60}


async def one_round(bench: Bench, number: int, median: float) -> None:
    """Every way once, with the same latencies."""
    rng = random.Random(f"panel {number}")
    drawn = {name: median * rng.lognormvariate(0.0, SPREAD) for name in (*NAMES, "boss")}
    members = sorted(drawn[name] for name in NAMES)
    third, last = members[QUORUM - 1], members[-1]
    request: Json = {"round": number}
    bench.latencies(drawn)
    await bench.panels("single", bench.panel("all", NAMES[:1]), request, drawn[NAMES[0]])
    await bench.sequential(request, drawn)
    await bench.panels("panel, all", bench.panel("all"), request, last)
    fourth = members[-2]  # the others are consolidated while the last one runs
    await bench.panels("panel, overlap", bench.panel("overlap"), request, fourth)
    await bench.panels("panel, update", bench.panel("update"), request, third)
    await bench.panels("panel, first", bench.panel("first"), request, third)
    in_order = sum(drawn[name] for name in NAMES[:QUORUM])
    await bench.panels("panel, first, one engine", bench.panel("first", limit=1), request, in_order)
    await bench.shared(request)
    bench.latencies(drawn, hung=NAMES[0])
    others = sorted(drawn[name] for name in NAMES[1:])
    await bench.panels("panel, first, one hung", bench.panel("first"), request, others[QUORUM - 1])


async def measure(rounds: int, median: float) -> list[Row]:
    """All rounds, on a server and a gateway of their own."""
    with tempfile.TemporaryDirectory() as folder, start_simulator("openai", "--any-model") as simulator:
        config = Path(folder) / "coreto.toml"
        config.write_text(
            f'discovery = false\ndata_dir = "{folder}/data"\nmodels_dir = "{folder}/models"\n'
            f'[providers.lab]\nbase_url = "{simulator.url}/v1"\n'
        )
        environ = {"HOME": folder, "PATH": os.environ.get("PATH", "")}
        async with Coreto(config=config, environ=environ) as client:
            await client.chat("hello", model="lab/boss")  # connections and imports
            bench = Bench(client, simulator, median)
            for number in range(rounds):
                await one_round(bench, number, median)
            return bench.rows()


def table(rows: Sequence[Row]) -> str:
    """The rows as markdown."""
    lines = [
        "| way | seconds | of slowest | at most | answers | upstream calls |",
        "|---|--:|--:|--:|--:|--:|",
    ]
    lines += [
        f"| {r.way} | {r.seconds:.4g} | {f'{r.ratio:.3f}' if r.ratio else ''} "
        f"| {f'{r.slowest_ratio:.3f}' if r.slowest_ratio else ''} | {r.answers:g} | {r.calls:g} |"
        for r in rows
    ]
    return "\n".join(lines)


def plot(rows: Sequence[Row], file: Path) -> None:
    """Seconds by way, as bars."""
    try:
        from matplotlib import pyplot as plt  # noqa: PLC0415 - only here, and not a dependency
    except ImportError:
        sys.exit("plots need matplotlib: pip install matplotlib")
    figure, axes = plt.subplots(figsize=(9, 5))
    ways = [row.way for row in rows]
    bars = axes.barh(ways, [row.seconds for row in rows])
    axes.bar_label(bars, labels=[f" {row.seconds:.3g} s" for row in rows])
    axes.invert_yaxis()
    axes.set_xlabel("seconds, median")
    axes.set_title("Five specialists and a consolidation")
    axes.margins(x=0.12)
    figure.tight_layout()
    figure.savefig(file, dpi=110)


def main() -> None:
    """The table, and whether the aim was met."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--median", type=float, default=1.0, help="of a specialist, in seconds")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--plot", type=Path, metavar="FILE.png")
    arguments = parser.parse_args()
    rows = asyncio.run(measure(arguments.rounds, arguments.median))
    print(json.dumps([asdict(row) for row in rows]) if arguments.json else table(rows))
    if arguments.plot:
        plot(rows, arguments.plot)
    worst = max(row.ratio for row in rows if row.ratio is not None and row.way != "sequential")
    if worst > AIM:
        sys.exit(f"the aim of {AIM} was missed: {worst:.3f}")


if __name__ == "__main__":
    main()
