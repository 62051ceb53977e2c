"""The simulators as processes: start, one line, stop, control routes."""

import json
import os
import signal
import socket
import subprocess
import sys
import time

import pytest

from coreto.testing.simulator import SimulatorError, start_simulator

COMMAND = [sys.executable, "-m", "coreto.simulators"]


@pytest.mark.parametrize("kind", ["ollama", "openai"])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_one_ready_line_and_a_clean_exit(kind, number) -> None:
    """One line on standard output when ready, exit 0 when told to stop, in good time."""
    begun = time.monotonic()
    with subprocess.Popen([*COMMAND, kind], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        line = process.stdout.readline().decode()
        ready = time.monotonic() - begun
        process.send_signal(number)
        rest, errors = process.communicate(timeout=10)
    assert line.startswith(f"coreto sim {kind} listening on http://127.0.0.1:")
    assert (rest, process.returncode) == (b"", 0)
    assert errors.decode() == f"coreto sim {kind} stopped\n"
    assert ready < 5  # goal 1 s; wide, because test machines are busy


def test_stops_while_a_request_hangs(call, chat) -> None:
    """A hanging request does not hold up the end."""
    with start_simulator("openai") as sim:
        sim.add_faults({"kind": "hang"})
        call(sim.url + "/v1/chat/completions", chat("gpt-4o-mini"), timeout=0.1)
        assert sim.stop() == 0


def test_ends_with_its_parent() -> None:
    """When the parent is killed, the simulator stops: its standard input ends."""
    code = (
        "import sys, time; from coreto.testing.simulator import start_simulator\n"
        "with start_simulator('openai') as sim:\n"
        "    print(sim.pid, flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as parent:
        child = int(parent.stdout.readline())
        os.kill(child, 0)
        parent.kill()
    deadline = time.monotonic() + 10
    while _lives(child):
        assert time.monotonic() < deadline


def _lives(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat") as file:  # noqa: PTH123 - a zombie nobody reaps counts as gone
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["ollama", "--memory", "many"], "'many' is not a size"),
        (["ollama", "--model", "phi3"], "'phi3' is not NAME=SIZE"),
        (["openai", "--flavour", "salty"], "invalid choice: 'salty'"),
        (["openai", "--faults", "/does/not/exist.json"], "No such file"),
        (["nothing"], "invalid choice"),
    ],
)
def test_bad_arguments(arguments, said) -> None:
    """Bad arguments end with 2 and a line that says why."""
    done = subprocess.run([*COMMAND, *arguments], capture_output=True, text=True, timeout=20, check=False)
    assert done.returncode == 2
    assert said in done.stderr
    assert done.stdout == ""


def test_port_taken() -> None:
    """A port in use ends with 1 and says so."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        done = subprocess.run(
            [*COMMAND, "openai", "--port", port], capture_output=True, text=True, timeout=20, check=False
        )
    assert done.returncode == 1
    assert f"cannot listen on 127.0.0.1:{port}" in done.stderr


def test_faults_from_a_file(tmp_path, call, chat) -> None:
    """Rules from --faults are in force at the start and after a reset."""
    file = tmp_path / "faults.json"
    file.write_text(json.dumps({"rules": [{"kind": "status", "status": 503, "times": 1}]}))
    with start_simulator("openai", "--faults", str(file)) as sim:
        url = sim.url + "/v1/chat/completions"
        assert [call(url, chat("gpt-4o-mini")).status for _ in range(2)] == [503, 200]
        sim.reset()
        assert call(url, chat("gpt-4o-mini")).status == 503
        sim.clear_faults()
        assert sim.faults() == []


def test_start_failure_is_told() -> None:
    """A simulator that cannot start raises instead of hanging."""
    with pytest.raises(SimulatorError, match="did not start"), start_simulator("ollama", "--memory", "many"):
        raise AssertionError


def test_control_refuses_nonsense(openai, call) -> None:
    """Bad rules and scripts are 400 with the reason."""
    with pytest.raises(SimulatorError, match="did you mean 'stall'"):
        openai.add_faults({"kind": "stal"})
    with pytest.raises(SimulatorError, match="unknown key 'txt'"):
        openai.script({"txt": "x"})
    assert call(openai.url + "/_sim/faults", b"{").status == 400
    assert call(openai.url + "/_sim/health").json == {"ok": True, "kind": "openai", "seed": 0}


def test_requests_can_be_forgotten(openai, call, chat) -> None:
    """What was received is listed by path glob, then forgotten; control calls are never listed."""
    call(openai.url + "/v1/models")
    call(openai.url + "/v1/chat/completions", chat("gpt-4o-mini"))
    assert [item["path"] for item in openai.requests()] == ["/v1/models", "/v1/chat/completions"]
    assert len(openai.requests("*/chat/*")) == 1
    openai.clear_requests()
    assert openai.requests() == []


def test_same_seed_same_answers(call, chat) -> None:
    """Two simulators with one seed say the same, another seed something else."""
    said = []
    for seed in ("1", "1", "2"):
        with start_simulator("openai", "--seed", seed) as sim:
            said.append(
                call(sim.url + "/v1/chat/completions", chat("gpt-4o-mini")).json["choices"][0]["message"][
                    "content"
                ]
            )
    assert said[0] == said[1] != said[2]


def test_standalone() -> None:
    """The simulators import nothing of the rest of Coreto."""
    code = (
        "import sys, coreto.simulators.command\n"
        "print([m for m in sys.modules if m.startswith('coreto.') and not m.startswith('coreto.simulators')])"
    )
    before = "import sys, coreto; print([m for m in sys.modules if m.startswith('coreto.')])"
    listed = [
        set(json.loads(subprocess.check_output([sys.executable, "-c", text], text=True).replace("'", '"')))
        for text in (code, before)
    ]
    assert listed[0] - listed[1] == set()
