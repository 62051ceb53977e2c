"""What the gateway costs: CPU and latency a request against a direct call and a bare pass-through.

All three are measured in alternation in one run, so that a noisy machine is noisy for all; compare the
ratios. Upstream is the OpenAI simulator. Run: ``python benchmarks/gateway.py [--requests N] [--json]``.
"""

import argparse
import asyncio
import json
import sys
import tempfile
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from itertools import repeat
from pathlib import Path

from support import Process, Window, free_port, listening, load, median, started

PATH = "/v1/chat/completions"
HERE = Path(__file__).parent
CONFIG = """
discovery = false
data_dir = "data"

[providers.lab]
base_url = "{up}/v1"

[providers.dead]
base_url = "{dead}/v1"

[models."lab/m"]
input_price = 0.15
output_price = 0.6

[roles.chat]
chain = ["lab/m"]

[roles.kept]
chain = ["lab/m"]
cache_ttl = 3600

"""
# A breaker opens after three failures in a row, and then nothing is left to measure: each of these roles,
# with a first deployment of its own, is asked twice only.
FAILING = """
[roles.failing{i}]
chain = ["dead/m{i}", "lab/m"]
"""
FAILING_ROLES = 2000
LITELLM = """
model_list:
  - model_name: m
    litellm_params: {{model: openai/m, api_base: "{up}/v1", api_key: none}}
"""
MESSAGES = [{"role": "user", "content": "Explain briefly why the sky is blue. " * 8}]


def body(model: str, *, stream: bool) -> bytes:
    return json.dumps({"model": model, "messages": MESSAGES, "stream": stream}).encode()


@dataclass(frozen=True)
class Subject:
    """A server under load: what it is called in the table, and the bodies sent to it in turn."""

    name: str
    process: Process
    bodies: Callable[[], Iterator[bytes]]
    share: float = 1.0


def measure(
    subjects: list[Subject], *, requests: int, concurrency: int, rounds: int
) -> dict[str, list[Window]]:
    """Windows of load on each of ``subjects``, in alternation, the first one thrown away."""
    windows: dict[str, list[Window]] = {subject.name: [] for subject in subjects}
    for turn in range(rounds + 1):
        for subject in subjects:
            count = int(requests * subject.share)
            window = asyncio.run(
                load(subject.process, PATH, subject.bodies(), requests=count, concurrency=concurrency)
            )
            if turn:
                windows[subject.name].append(window)
    return windows


def row(name: str, windows: list[Window], floor: list[Window], direct: list[Window]) -> dict[str, object]:
    cpu = median([w.cpu_ms for w in windows])
    p50 = median([w.p(0.5) for w in windows])
    return {
        "server": name,
        "cpu_ms": round(cpu, 3),
        "cpu_ratio": round(cpu / median([w.cpu_ms for w in floor]), 2),
        "p50_ms": round(p50, 2),
        "p99_ms": round(median([w.p(0.99) for w in windows]), 2),
        "added_p50_ms": round(p50 - median([w.p(0.5) for w in direct]), 2),
        "first_p50_ms": round(median([sorted(w.first)[len(w.first) // 2] for w in windows]), 2),
        "bad": sum(w.bad for w in windows),
    }


def serving(folder: Path, config: str) -> AbstractContextManager[Process]:
    """A Coreto with ``config``."""
    folder.mkdir()
    file = folder / "coreto.toml"
    file.write_text(config, encoding="utf-8")
    return started(
        "coreto", [sys.executable, "-m", "coreto", "--config", str(file), "serve", "--port", "0"], cwd=folder
    )


def litellm(command: Path, folder: Path, upstream: str) -> AbstractContextManager[Process]:
    """LiteLLM's proxy before the same upstream, with nothing but the model configured."""
    port = free_port()
    config = folder / "litellm.yaml"
    config.write_text(LITELLM.format(up=upstream), encoding="utf-8")
    argv = [str(command), "--config", str(config), "--port", str(port), "--host", "127.0.0.1"]
    env = {"LITELLM_DANGEROUSLY_PERMIT_WEAK_OR_UNSET_MASTER_KEY": "true"}  # on loopback, as we are
    return listening("LiteLLM proxy", argv, port, env=env)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=600, help="requests a window")
    parser.add_argument("--rounds", type=int, default=3, help="windows of each server")
    parser.add_argument(
        "--litellm", type=Path, help="the `litellm` command of an environment that has litellm[proxy]"
    )
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    python = sys.executable
    simulator = [python, "-m", "coreto.simulators", "openai", "--model", "m", "--chunks", "50", "--quiet"]
    results: list[dict[str, object]] = []
    with (
        ExitStack() as peers,
        tempfile.TemporaryDirectory() as folder,
        started("direct", simulator) as up,
        started("dead", simulator) as dead,
        started("pass-through", [python, str(HERE / "passthrough.py"), up.url]) as floor,
    ):
        _always_500(dead)
        text = CONFIG.format(up=up.url, dead=dead.url)
        failing = iter([i for i in range(FAILING_ROLES) for _ in range(2)])
        roles = "".join(FAILING.format(i=i) for i in range(FAILING_ROLES))
        with (
            serving(Path(folder) / "plain", text) as coreto,
            serving(Path(folder) / "failing", text + roles) as other,
        ):
            idle = coreto.rss_mb()
            peer = (
                peers.enter_context(litellm(options.litellm, Path(folder), up.url))
                if options.litellm
                else None
            )
            for stream in (False, True):
                subjects = [
                    Subject("direct", up, lambda s=stream: repeat(body("m", stream=s))),
                    Subject("pass-through", floor, lambda s=stream: repeat(body("m", stream=s))),
                    Subject("coreto", coreto, lambda s=stream: repeat(body("chat", stream=s))),
                    Subject("coreto, cache hit", coreto, lambda s=stream: repeat(body("kept", stream=s))),
                    Subject(
                        "coreto, fail-over",
                        other,
                        lambda s=stream: (body(f"failing{i}", stream=s) for i in failing),
                        share=0.4,
                    ),
                ]
                if peer:
                    subjects.append(
                        Subject(
                            "LiteLLM proxy", peer, lambda s=stream: repeat(body("m", stream=s)), share=0.1
                        )
                    )
                for concurrency in (1, 8):
                    count = options.requests // (3 if stream else 1)
                    windows = measure(
                        subjects, requests=count, concurrency=concurrency, rounds=options.rounds
                    )
                    for name, series in windows.items():
                        figures = row(name, series, windows["pass-through"], windows["direct"])
                        results.append({"stream": stream, "c": concurrency, **figures})
            footprint = {
                "ready_s": round(coreto.ready_s, 2),
                "rss_idle_mb": round(idle, 1),
                "rss_peak_mb": round(coreto.rss_mb(), 1),
            }
    if options.json:
        print(json.dumps({"results": results, "coreto": footprint}, indent=1))
        return
    columns = [
        "stream",
        "c",
        "server",
        "cpu_ms",
        "cpu_ratio",
        "p50_ms",
        "p99_ms",
        "added_p50_ms",
        "first_p50_ms",
        "bad",
    ]
    print("| " + " | ".join(columns) + " |\n|" + "---|" * len(columns))
    for result in results:
        print("| " + " | ".join(str(result[c]) for c in columns) + " |")
    print(f"\ncoreto: {footprint}")


def _always_500(process: Process) -> None:
    rules = json.dumps([{"kind": "status", "status": 500}]).encode()
    request = urllib.request.Request(
        process.url + "/_sim/faults", rules, {"Content-Type": "application/json"}
    )
    urllib.request.urlopen(request).close()


if __name__ == "__main__":
    main()
