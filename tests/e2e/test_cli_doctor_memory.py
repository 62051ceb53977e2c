"""`coreto doctor` on models that should take turns: each symptom, injected for real, is the first line (SPEC R13)."""

import json
import re
import time
import urllib.request

import pytest

from coreto.hardware.machine import Machine
from coreto.testing.simulator import start_simulator

ROLES = '[roles.chat]\nchain = ["ollama/{first}"]\n[roles.writer]\nchain = ["ollama/{second}"]\n'


def setup(cli, simulator, *, table="", first="big:7b", second="phi3:mini", more=""):
    cli.write(ROLES.format(first=first, second=second) + more, ollama=f'host = "{simulator.url}"\n{table}')


@pytest.fixture(scope="module")
def card_process():
    """One simulated Ollama for the module, with two models that load at once."""
    models = ("--model", "big:7b=3GB", "--model", "phi3:mini=2GB")
    with start_simulator("ollama", *models, "--time-scale", "0", "--num-parallel", "4") as simulator:
        yield simulator


@pytest.fixture
def card(card_process):
    """A simulated Ollama that has forgotten earlier tests."""
    card_process.reset()
    return card_process


def test_models_that_take_turns_are_well(cli, card) -> None:
    """With a budget that holds one at a time, nothing is wrong, and the budget is among the checks."""
    setup(cli, card, table='memory_budget = "4 GB"\nparallel = 4')
    ran = cli.run("doctor")
    assert ran.first == "✓ everything that is wanted works"
    assert "✓ ollama: models take turns in 4.0 GB" in ran.out


def test_models_that_do_not_swap(cli) -> None:
    """Two that do not fit into this machine together, and no budget."""
    memory = Machine().system()
    assert memory is not None
    cards = sum(card.memory.total for card in Machine().gpus() or ())
    each = int((cards or memory.total) * 0.7)
    options = ("--memory", str(each * 3), "--time-scale", "0")
    with start_simulator(
        "ollama", "--model", f"big:7b={each}", "--model", f"phi3:mini={each}", *options
    ) as simulator:
        setup(cli, simulator, first="big:7b", second="phi3:mini")
        first = cli.run("doctor", code=1).first
        assert "models do not swap: ollama/phi3:mini and ollama/big:7b take" in first
        assert 'memory_budget = "auto"' in first
        assert "[providers.ollama]" in first


def test_a_model_larger_than_the_budget(cli, card) -> None:
    """It would never be loaded; the first line says so, and what to raise."""
    setup(cli, card, table='memory_budget = "2.5 GB"')
    ran = cli.run("doctor", code=1)
    assert "models do not swap: ollama/big:7b takes 3." in ran.first
    assert "raise providers.ollama.memory_budget to 3." in ran.first
    assert "ollama stop" not in ran.out


def test_a_budget_that_holds_no_model(cli, card) -> None:
    """Smaller than the smallest: refused at the start, with both figures."""
    setup(cli, card, table='memory_budget = "1 GB"')
    first = cli.run("doctor", code=1).first
    assert "providers.ollama.memory_budget: 1.0 GB hold none of its models" in first
    assert "'phi3:mini'" in first
    assert "Raise the budget" in first


def test_a_budget_larger_than_the_machine(cli, card) -> None:
    """What seems to fit would not."""
    setup(cli, card, table='memory_budget = "900 TB"\nparallel = 4')
    first = cli.run("doctor", code=1).first
    assert "providers.ollama.memory_budget is 9" in first
    assert "but this machine has" in first
    assert 'memory_budget = "auto"' in first


def test_our_own_turns_that_queue(cli) -> None:
    """With a budget it is our setting that lets a panel's calls in one by one; Ollama's alone would mend nothing."""
    models = ("--model", "big:7b=3GB", "--model", "phi3:mini=2GB")
    with start_simulator("ollama", *models, "--load-gbps", "100", "--num-parallel", "4") as simulator:
        panel = '[roles.specialist]\nchain = ["ollama/phi3:mini"]\n'
        setup(cli, simulator, table='memory_budget = "8 GB"', more=panel)
        first = cli.run("doctor", code=1).first
        assert "ollama/phi3:mini queues" in first
        assert "parallel = 4 in [providers.ollama]" in first


def test_an_engine_that_does_not_let_go(cli, card) -> None:
    """The live server has seen an unload fail: the model, what the engine said, and how to get it out."""
    setup(cli, card, table='memory_budget = "4 GB"')
    server = cli.start("serve", "--port", "0")
    waiting = None
    try:
        found = re.search(r"http://[\d.]+:\d+", server.stdout.readline().decode())
        assert found
        cli.run("ask", "hi", "--role", "chat")
        card.add_faults(
            {"kind": "status", "status": 500, "body": {"error": "it is stuck"}, "model": "big:7b"}
        )
        waiting = cli.start("ask", "hi", "--role", "writer")
        _until_failed(found[0])
        first = cli.run("doctor", "--no-probe", code=1).first
    finally:
        for process in (waiting, server):
            if process is not None:
                process.kill()
                process.communicate()
    assert "models do not swap: ollama does not let big:7b go" in first
    assert "it is stuck" in first
    assert "`ollama stop big:7b`" in first


def _until_failed(url) -> None:
    """Wait until the server has seen something fail."""
    give_up = time.monotonic() + 20
    while True:
        with urllib.request.urlopen(f"{url}/api/status", timeout=10) as response:
            (host,) = json.loads(response.read())["residency"]
        if any(seen["what"] == "failed" for seen in host["recent"]):
            return
        assert time.monotonic() < give_up
        time.sleep(0.02)


@pytest.mark.slow
def test_a_slow_swap(cli) -> None:
    """A model that is read at 150 MB/s: the figures, and what would make it faster."""
    models = ("--model", "big:7b=1.1GB", "--model", "phi3:mini=300MB")
    with start_simulator("ollama", *models, "--load-gbps", "0.15", "--num-parallel", "4") as simulator:
        table = 'memory_budget = "1.4 GB"\nparallel = 4'
        setup(cli, simulator, table=table, first="phi3:mini", second="big:7b")
        first = cli.run("doctor", code=1).first
    assert re.search(r"slow swap: ollama/big:7b \(1\.\d GB\) took [5-9]\.\d s .* at 1[2-6]\d MB/s", first)
    assert "faster disk" in first
