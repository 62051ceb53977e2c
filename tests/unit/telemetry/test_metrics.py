"""What is counted of models that take turns in memory."""

from dataclasses import replace

from coreto.events import EventBus, ModelMoved
from coreto.residency.effects import Happening
from coreto.telemetry.metrics import HostFigures, Metrics, Sources

CARD = HostFigures("ollama", used=5 * 2**30, budget=8 * 2**30, queue=3, loads=4, switches=2)


def metrics(hosts) -> Metrics:
    return Metrics(
        Sources(
            knows_deployment=lambda _: True,
            knows_role=lambda _: True,
            breakers=tuple,
            in_flight=lambda: 0,
            queued=lambda: 0,
            ledger_dropped=lambda: 0,
            ledger_waiting=lambda: 0,
            hosts=lambda: hosts,
        )
    )


def samples(shown: str) -> dict[str, float]:
    lines = [line for line in shown.splitlines() if not line.startswith("#")]
    return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines)}


def test_memory_is_shown_as_it_is() -> None:
    """Gauges and totals of each host are read when somebody looks."""
    hosts = [CARD, replace(CARD, provider="lab", queue=0)]
    seen = metrics(hosts)
    shown = samples(seen.text())
    assert shown['coreto_memory_used_bytes{provider="ollama"}'] == 5 * 2**30
    assert shown['coreto_memory_budget_bytes{provider="ollama"}'] == 8 * 2**30
    assert shown['coreto_memory_queue{provider="ollama"}'] == 3
    assert shown['coreto_memory_queue{provider="lab"}'] == 0
    assert shown['coreto_model_loads_total{provider="ollama"}'] == 4
    assert shown['coreto_model_switches_total{provider="ollama"}'] == 2
    hosts[:] = [replace(CARD, used=0)]
    assert samples(seen.text())['coreto_memory_used_bytes{provider="ollama"}'] == 0


def test_moves_are_counted_by_what_they_were() -> None:
    """Every happening counts under its own name; models, which an engine may name as it likes, are no labels."""
    seen, bus = metrics([]), EventBus()
    seen.attach(bus)
    for happening in Happening:
        bus.emit(ModelMoved("ollama", "a model", happening.value, "in words"))
    bus.emit(ModelMoved("ollama", "another", "loaded"))
    text = seen.text()
    shown = samples(text)
    assert shown['coreto_model_moves_total{provider="ollama",what="loaded"}'] == 2
    assert shown['coreto_model_moves_total{provider="ollama",what="failed"}'] == 1
    assert "a model" not in text
    assert "in words" not in text


def test_without_hosts_nothing_is_claimed() -> None:
    """Where no engine has a budget there are no samples, not zeros."""
    text = metrics([]).text()
    assert "# TYPE coreto_memory_used_bytes gauge" in text
    assert not [name for name in samples(text) if name.startswith(("coreto_memory", "coreto_model"))]
