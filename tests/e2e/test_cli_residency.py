"""Bad budgets on the command line: one line that names the key, the figures and the mend."""

import http.client
import json
import time
from contextlib import contextmanager

import pytest

pytestmark = pytest.mark.slow


def refused(cli, *command):
    """The one line of a command that must not start."""
    ran = cli.run(*command, code=2)
    assert ran.out == ""
    (line,) = [line for line in ran.err.splitlines() if line]
    assert line.startswith("error: ")
    return line


COMMANDS = [("ask", "hi"), ("serve", "--port", "0")]


@pytest.mark.parametrize("command", COMMANDS, ids=["ask", "serve"])
def test_a_budget_that_holds_no_model(cli, ollama, command) -> None:
    """Neither `ask` nor `serve` begins with a budget below the smallest model: key, both figures, the mend."""
    cli.write(ollama=f'host = "{ollama.url}"\nmemory_budget = "500 MB"\n')
    line = refused(cli, *command)
    assert "providers.ollama.memory_budget" in line
    assert "500 MB" in line
    assert "'llama3.2:1b', takes 954 MB" in line
    assert "Raise the budget" in line


@pytest.mark.parametrize("command", COMMANDS, ids=["ask", "serve"])
@pytest.mark.parametrize("budget", ['"0"', '"0 GB"', '"lots"', "true"])
def test_a_budget_that_is_no_size(cli, ollama, command, budget) -> None:
    """Nothing, and what is no size, names key, file and form."""
    cli.write(ollama=f'host = "{ollama.url}"\nmemory_budget = {budget}\n')
    line = refused(cli, *command)
    assert "coreto.toml" in line
    assert "providers.ollama.memory_budget" in line
    assert "16 GB" in line


@pytest.mark.parametrize("command", COMMANDS, ids=["ask", "serve"])
def test_a_budget_of_what_is_no_engine(cli, ollama, command) -> None:
    """A server that loads nothing on demand has no budget; the line says who has."""
    cli.write(lab=f'kind = "openai"\nbase_url = "{ollama.url}/v1"\nmemory_budget = "16 GB"\n')
    line = refused(cli, *command)
    assert "providers.lab.memory_budget" in line
    assert "leave it out" in line


def test_a_model_declared_larger_than_the_budget(cli, ollama) -> None:
    """It is refused with needed and allowed sizes when it is asked for; the others answer."""
    cli.write(
        '[models."ollama/phi3:mini"]\nmemory = "40 GB"\n',
        ollama=f'host = "{ollama.url}"\nmemory_budget = "16 GB"\n',
    )
    failed = cli.run("ask", "--model", "ollama/phi3:mini", "hi", code=1)
    assert "'phi3:mini' needs 40.0 GB of 16.0 GB" in failed.err
    assert cli.run("ask", "--model", "ollama/llama3.2:1b", "hi").out.strip()


@contextmanager
def serving(cli):
    """A server of the command line's folder; its address."""
    process = cli.start("serve", "--port", "0")
    try:
        line = process.stdout.readline().decode()
        assert " listening on http://" in line, line
        yield line.split()[3].removeprefix("http://")
    finally:
        process.terminate()
        process.communicate(timeout=30)


def get(address, path):
    connection = http.client.HTTPConnection(address, timeout=30)
    try:
        connection.request("GET", path)
        return json.loads(connection.getresponse().read())
    finally:
        connection.close()


def test_a_client_that_hangs_up_gives_its_turn_back(cli, ollama) -> None:
    """In the middle of a stream, over a real connection: the model is free at once, and the next call is answered."""
    cli.write(ollama=f'host = "{ollama.url}"\nmemory_budget = "16 GB"\n')
    with serving(cli) as address:
        assert ask(address).read()  # it is loaded
        ollama.add_faults({"kind": "stall", "chunks": 4, "model": "phi3:mini"})
        response = ask(address, stream=True)
        assert response.readline().startswith(b"data:")
        assert running(address) == 1
        response.close()
        deadline = time.monotonic() + 10
        while running(address) and time.monotonic() < deadline:
            pass  # each look is a request of its own
        assert running(address) == 0
        ollama.clear_faults()
        assert ask(address).status == 200
        status = get(address, "/api/status")
        assert status["vram_total_gb"] == 16.0
        assert status["current_model"] == "ollama/phi3:mini"


def ask(address, **more):
    """The response to a chat, on a connection that ends with it."""
    connection = http.client.HTTPConnection(address, timeout=30)
    body = {"model": "ollama/phi3:mini", "messages": [{"role": "user", "content": "hi"}], **more}
    headers = {"Content-Type": "application/json", "Connection": "close"}
    connection.request("POST", "/v1/chat/completions", json.dumps(body), headers)
    return connection.getresponse()


def running(address):
    """Calls that have a turn now."""
    (host,) = get(address, "/api/status")["residency"]
    return sum(model["running"] for model in host["models"])
