"""`coreto models`, `coreto status` and `coreto costs` against simulated servers."""

import re
import signal

import pytest

from coreto.testing.simulator import start_simulator

ROLES = """
[roles.chat]
chain = ["ollama/phi3:mini", "ollama/none:1b", "cloud/gpt-4o-mini"]
[roles.paid]
chain = ["cloud/gpt-4o-mini"]
[roles.odd]
chain = ["cloud/nobody-knows-it"]
[models."cloud/gpt-4o-mini"]
input_price = 1.0
output_price = 2.0
[models."ollama/phi3:mini"]
context = 2048
"""


@pytest.fixture(scope="module")
def lab_process():
    """One simulated cloud server for the module."""
    with start_simulator("openai", "--any-model") as simulator:
        yield simulator


@pytest.fixture
def having(cli, ollama, lab_process):
    """The command line with a local Ollama and a cloud server."""
    lab_process.reset()
    cli.write(
        ROLES, ollama=f'host = "{ollama.url}"', cloud=f'base_url = "{lab_process.url}/v1"\nlocal = false'
    )
    return cli


def test_list_tells_what_is_known_of_every_deployment(having) -> None:
    """Place, context, memory, price and state of deployments; chains and dropped reasons of roles."""
    shown = having.run("models", "list", "--json").json
    by_id = {d["id"]: d for d in shown["deployments"]}
    phi = by_id["ollama/phi3:mini"]
    assert (phi["local"], phi["context"], phi["memory"], phi["state"]) == (True, 2048, 2_000_000_000, "ready")
    assert "chat" in phi["roles"]
    assert by_id["ollama/none:1b"]["state"] == "not pulled"
    assert by_id["ollama/none:1b"]["detail"] == "coreto models pull ollama/none:1b"
    assert by_id["cloud/gpt-4o-mini"]["price"]["input_usd_per_million"] == 1.0
    assert by_id["cloud/nobody-knows-it"]["price"] is None
    assert shown["roles"]["chat"]["chain"][0] == "ollama/phi3:mini"
    dropped = {d["deployment"]: d["reason"] for d in shown["roles"]["supervisor"]["dropped"]}
    assert "OPENROUTER_API_KEY" in dropped["openrouter/qwen/qwen-2.5-7b-instruct"]
    table = having.run("models").out
    assert "unknown" in table
    assert "ollama/llama3.2:1b" in table


def test_show_tells_where_each_fact_is_from(having) -> None:
    """`models show` names value and source; unknown names get the nearest."""
    facts = having.run("models", "show", "ollama/phi3:mini", "--json").json["facts"]
    assert facts["context"]["value"] == 2048
    assert facts["context"]["source"].startswith("configuration")
    assert facts["memory"]["source"] == "ollama itself"
    assert "free" in having.run("models", "show", "ollama/phi3:mini").out
    assert having.run("models", "show", "chat", "--json").json["chain"][0] == "ollama/phi3:mini"
    assert "'ollama/phi3:mini'" in having.run("models", "show", "phi3:mini", code=1).err


def test_pull_through_ollama(having, ollama) -> None:
    """`models pull ollama/NAME` fetches through the daemon; a name it does not know fails in one line."""
    ran = having.run("models", "pull", "ollama/tiny:1b")
    assert ran.out == ""
    assert "ollama/tiny:1b is ready" in ran.err
    assert having.run("ask", "hi", "--model", "ollama/tiny:1b", "--json").json["text"]
    missing = having.run("models", "pull", "ollama/nowhere:1b", code=1)
    assert missing.err.splitlines()[-1].startswith("error: ")
    nonsense = having.run("models", "pull", "cloud/gpt-4o-mini", code=1).err
    assert "smollm2, ollama/MODEL" in nonsense
    assert "offline" in having.run("--offline", "models", "pull", "smollm2", code=1).err


def test_ctrl_c_ends_a_pull(cli) -> None:
    """Ctrl-C during a pull exits with 130 and without a traceback."""
    with start_simulator("ollama", "--pullable", "huge:1b=900GB", "--time-scale", "1") as slow:
        cli.write(ollama=f'host = "{slow.url}"')
        process = cli.start("models", "pull", "ollama/huge:1b")
        try:
            assert process.stderr.readline()
            process.send_signal(signal.SIGINT)
            _, err = process.communicate(timeout=10)
        finally:
            process.kill()
    assert process.returncode == 130
    assert b"Traceback" not in err


def test_status_has_the_keys_that_others_rely_on(having) -> None:
    """`status --json` has the keys of the API; the human view names providers and roles."""
    shown = having.run("status", "--json").json
    assert shown["local_available"] is True
    assert shown["cloud_available"] is True
    assert shown["fallback_enabled"] is True
    assert {"current_model", "current_role", "vram_used_gb", "brain_loaded", "deployments"} <= shown.keys()
    text = having.run("status").out
    assert "server: not running" in text
    assert "ollama/phi3:mini" in text


def test_status_asks_the_live_server(having) -> None:
    """While `coreto serve` runs, `status` shows its view and `ask` goes through it."""
    server = having.start("serve", "--port", "0")
    try:
        url = _address(server)
        having.run("ask", "hi", "--role", "chat")
        shown = having.run("status", "--json").json
        text = having.run("status").out
    finally:
        server.terminate()
        server.communicate(timeout=20)
    assert f"server: {url} (process {server.pid})" in text, text
    assert shown["current_model"] == "ollama/phi3:mini"
    assert {d["id"]: d["calls"] for d in shown["deployments"]}["ollama/phi3:mini"] == 1


def _address(server) -> str:
    """The URL that a server prints when it is ready."""
    line = server.stdout.readline().decode()
    found = re.search(r"http://[\d.]+:\d+", line)
    assert found, line
    return found[0]


def test_costs_tell_totals_unknown_prices_and_the_saving(having) -> None:
    """Sums by role and deployment, calls without a price apart, the saving against the cloud of the chain."""
    assert "no calls recorded yet" in having.run("costs").out
    for role in ("chat", "paid", "odd"):
        having.run("ask", "hi", "--role", role)
    shown = having.run("costs", "--json").json
    groups = {g["key"]: g for g in shown["groups"]}
    assert groups["chat"]["cost_usd"] == 0
    assert groups["chat"]["saving_usd"] > 0
    assert groups["paid"]["cost_usd"] > 0
    assert groups["odd"]["cost_usd"] is None
    assert groups["odd"]["unknown_calls"] == 1
    assert shown["baseline"] == ["cloud/gpt-4o-mini"]
    assert shown["month_projection_usd"] >= shown["month_usd"] > 0
    text = having.run("costs").out
    assert "unknown price: 1 call" in text
    assert re.search(r"saved \$0\.\d+ \(\d+ %\) against cloud/gpt-4o-mini", text)
    for title in ("By role", "By deployment", "By day"):
        assert title in text


def test_costs_by_and_since(having) -> None:
    """`--by` and `--since` choose; what they do not know is refused with the choices."""
    having.run("ask", "hi", "--role", "chat")
    shown = having.run("costs", "--by", "deployment", "--since", "1h", "--json").json
    assert [g["key"] for g in shown["groups"]] == ["ollama/phi3:mini"]
    assert "since 2100-01-01" in having.run("costs", "--since", "2100-01-01").out
    assert "role, deployment, day" in having.run("costs", "--by", "colour", code=2).err
    assert "7d" in having.run("costs", "--since", "yesterday", code=2).err
