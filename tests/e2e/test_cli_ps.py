"""`coreto ps`, the memory in `coreto models show`, and their metrics, against a simulated Ollama and a live server."""

import os
import re
import signal
import time
import urllib.request
from contextlib import contextmanager

import pytest

from coreto.testing.simulator import start_simulator

GIB = 2**30
ROLES = '[roles.brain]\nchain = ["ollama/big:7b"]\n[roles.writer]\nchain = ["ollama/small:1b"]\n'


@pytest.fixture(scope="module")
def card_process():
    """One simulated Ollama for the module, with two models."""
    models = ("--model", "big:7b=3GB", "--model", "small:1b=2GB")
    with start_simulator("ollama", *models, "--time-scale", "0") as simulator:
        yield simulator


@pytest.fixture
def card(card_process):
    """A simulated Ollama that has forgotten earlier tests."""
    card_process.reset()
    return card_process


def setup(cli, card, table='memory_budget = "4 GB"', head="", more=""):
    cli.write(f"{head}{ROLES}{more}", ollama=f'host = "{card.url}"\n{table}')


@contextmanager
def serving(cli):
    """A live server; its URL."""
    server = cli.start("serve", "--port", "0")
    try:
        found = re.search(r"http://[\d.]+:\d+", server.stdout.readline().decode())
        assert found
        yield found[0]
    finally:
        server.terminate()
        server.communicate(timeout=20)


def until(condition, within=20.0):
    """Wait until ``condition`` gives something, and give that."""
    give_up = time.monotonic() + within
    while not (value := condition()):
        assert time.monotonic() < give_up
        time.sleep(0.02)
    return value


def test_without_a_server_the_engine_tells(cli, card) -> None:
    """What is in memory, against the budget; who uses it is not known, and nothing is unloaded by looking."""
    setup(cli, card)
    cli.run("ask", "hi", "--role", "writer")
    card.clear_requests()
    shown = cli.run("ps", "--json").json
    assert shown["server"] is None
    (host,) = shown["hosts"]
    assert (host["budget_gb"], host["home_model"], host["queue"]) == (4.0, "big:7b", None)
    (model,) = host["models"]
    assert (model["model"], model["context"], model["running"]) == ("small:1b", 4096, None)
    assert host["used_gb"] == pytest.approx(model["gb"])
    assert "0 MB" not in cli.run("ps").out
    assert {r["path"] for r in card.requests()} == {"/api/ps"}


def test_a_live_server_tells_it_all(cli, card) -> None:
    """Current model and role, sizes, windows, switches with their cause; the metrics say the same."""
    setup(cli, card)
    with serving(cli) as url:
        cli.run("ask", "hi", "--role", "brain")
        cli.run("ask", "hi", "--role", "writer")
        (host,) = cli.run("ps", "--json").json["hosts"]
        text = cli.run("ps").out
        status = cli.run("status").out
        with urllib.request.urlopen(f"{url}/metrics", timeout=10) as response:
            metrics = response.read().decode()
    assert (host["current_model"], host["current_role"]) == ("small:1b", "writer")
    assert (host["loads"], host["switches"], host["queue"]) == (2, 1, 0)
    by_name = {model["model"]: model for model in host["models"]}
    assert by_name["small:1b"]["state"] == "ready"
    assert by_name["small:1b"]["context"] == 4096
    assert by_name["big:7b"]["state"] == "absent"
    assert f"server: {url}" in text
    assert "current: small:1b (writer) · home: big:7b" in text
    assert re.search(r"\d\d:\d\d:\d\d +leaves +big:7b +for 'small:1b'", text)
    assert "memory of models: 2." in status
    samples = dict(line.rsplit(" ", 1) for line in metrics.splitlines() if line.startswith("coreto_m"))
    assert int(samples['coreto_memory_used_bytes{provider="ollama"}']) == pytest.approx(
        host["used_gb"] * GIB, rel=0.01
    )
    assert samples['coreto_memory_budget_bytes{provider="ollama"}'] == str(4 * GIB)
    assert samples['coreto_memory_queue{provider="ollama"}'] == "0"
    assert samples['coreto_model_loads_total{provider="ollama"}'] == "2"
    assert samples['coreto_model_switches_total{provider="ollama"}'] == "1"
    assert samples['coreto_model_moves_total{provider="ollama",what="loaded"}'] == "2"


def test_who_runs_and_who_waits(cli, card) -> None:
    """While one model answers slowly, those who want the other one are seen waiting."""
    setup(cli, card)
    card.add_faults({"kind": "slow", "model": "big:7b", "seconds": 60, "after": 1})
    asked = []
    with serving(cli):
        try:
            asked.append(cli.start("ask", "hi", "--role", "brain"))
            until(lambda: len(card.requests(path="/api/chat")) >= 2)
            asked.append(cli.start("ask", "hi", "--role", "writer"))
            host = until(lambda: next((h for h in cli.run("ps", "--json").json["hosts"] if h["queue"]), None))
            text = cli.run("ps").out
        finally:
            for process in asked:
                process.kill()
                process.communicate()
    by_name = {model["model"]: model for model in host["models"]}
    assert (by_name["big:7b"]["running"], by_name["small:1b"]["waiting"]) == (1, 1)
    assert "queue: 1" in text


def test_without_a_budget_in_portuguese(cli, card) -> None:
    """The engine's own view, who decides, and the line that changes it."""
    setup(cli, card, table="", head='language = "pt-BR"\n')
    cli.run("ask", "hi", "--role", "writer")
    shown = cli.run("ps", "--json").json
    assert shown["hosts"] == []
    by_name = {engine["provider"]: engine for engine in shown["engines"]}
    assert [m["model"] for m in by_name["ollama"]["models"]] == ["small:1b"]
    assert by_name["embedded"]["models"] == []
    text = cli.run("ps").out
    assert "sem memory_budget: o motor decide" in text
    assert 'defina `memory_budget = "16 GB"`, ou "auto", em [providers.ollama]' in text


def test_an_engine_that_is_down(cli, card) -> None:
    """It is named with what is wrong; the rest is shown."""
    for table in ("", 'memory_budget = "4 GB"'):
        cli.write(ROLES, ollama=f'host = "http://127.0.0.1:9"\n{table}')
        assert "nothing listens at 127.0.0.1:9" in cli.run("ps").out


@pytest.mark.skipif(os.name == "nt", reason="Windows has no pseudo-terminals")
@pytest.mark.slow
def test_watch_goes_on_until_ctrl_c(cli, card) -> None:
    """On a terminal the picture is drawn again as things change; Ctrl-C ends it cleanly."""
    setup(cli, card)
    ours, theirs = os.openpty()
    process = cli.start("ps", "--watch", stdout=theirs)
    os.close(theirs)
    seen = b""
    try:

        def read(what: bytes) -> None:
            nonlocal seen
            while what not in seen:
                seen += os.read(ours, 65536)

        read(b"0 MB")
        cli.run("ask", "hi", "--role", "writer")
        read(b"small:1b")
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=10)
    finally:
        process.kill()
        os.close(ours)
    assert process.returncode == 130
    assert b"Traceback" not in err


def test_watch_and_json_do_not_go_together(cli, card) -> None:
    """A stream of objects is nobody's JSON."""
    setup(cli, card)
    assert "--watch" in cli.run("ps", "--json", "--watch", code=2).err


def test_show_explains_what_a_model_takes(cli, card) -> None:
    """With and without a budget; measured once it is loaded; declared where the user says so."""
    setup(cli, card, table="")
    memory = cli.run("models", "show", "ollama/small:1b", "--json").json["memory"]
    assert memory["source"] == "roughly, by its weights"
    assert (memory["budget"], memory["fits"], memory["measured"]) == (None, None, None)
    cli.run("ask", "hi", "--role", "writer")
    setup(cli, card, table='memory_budget = "2.5 GB"', more='[models."ollama/big:7b"]\nmemory = "3 GB"\n')
    memory = cli.run("models", "show", "ollama/small:1b", "--json").json["memory"]
    assert memory["source"] == "measured"
    assert memory["bytes"] == memory["measured"]["bytes"] > 2 * 10**9
    assert memory["fits"] is True
    text = cli.run("models", "show", "ollama/big:7b").out
    assert "declared in the configuration" in text
    assert "it does not fit and is never loaded" in text


def test_show_explains_the_embedded_models_parts(cli, weights) -> None:
    """The parts of a real file's estimate, and a smaller window."""
    cli.write()
    config = cli.folder / "coreto.toml"
    config.write_text(config.read_text().replace('"models"', f"'{weights.parent}'"))
    memory = cli.run("models", "show", "embedded/smollm2", "--json").json["memory"]
    parts = dict(memory["estimate"])
    assert parts.pop("total") == sum(parts.values()) == memory["bytes"]
    assert parts["weights"] < weights.stat().st_size
    assert memory["smaller"]["bytes"] < memory["bytes"]
    assert "keys and values of a window of 2K tokens" in cli.run("models", "show", "embedded/smollm2").out


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (None, "mine.gguf does not exist"),
        (b"hello", "mine.gguf is not a GGUF file"),
        (b"GGUF\x03\x00\x00\x00", "mine.gguf is not a usable GGUF file: its header is cut short"),
    ],
)
def test_show_names_the_file_that_is_broken(cli, content, what) -> None:
    """Which file, and what is wrong with it."""
    file = cli.folder / "mine.gguf"
    if content is not None:
        file.write_bytes(content)
    cli.write(f"[models.\"embedded/mine\"]\npath = '{file}'\n")
    assert what in cli.run("models", "show", "embedded/mine").out
    assert what in cli.run("models", "show", "embedded/mine", "--json").json["memory"]["problem"]
