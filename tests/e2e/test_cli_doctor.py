"""`coreto doctor`: each symptom, injected for real, is named by the first line with its mend (SPEC R13)."""

import pytest

from coreto.testing.simulator import start_simulator

CHAT = '[roles.chat]\nchain = ["{first}", "ollama/phi3:mini"]\n'


@pytest.fixture(scope="module")
def cloud_process():
    """One simulated Ollama Cloud for the module; its key is ``right``."""
    with start_simulator(
        "ollama", "--cloud", "--api-key", "right", "--time-scale", "0", "--model", "gpt-oss:120b=60GB"
    ) as simulator:
        yield simulator


@pytest.fixture
def cloud(cloud_process):
    """A simulated Ollama Cloud that has forgotten earlier tests."""
    cloud_process.reset()
    return cloud_process


def setup(cli, ollama, first="ollama/phi3:mini", more="", **providers):
    """A role `chat` whose first deployment is ``first``, before one that works."""
    url = providers.pop("url", None) or ollama.url
    extra = providers.pop("table", "")
    cli.write(CHAT.format(first=first) + more, ollama=f'host = "{url}"\n{extra}', **providers)


def cloud_at(url: str) -> dict[str, str]:
    return {"ollama-cloud": f'host = "{url}"\napi_key = "env:KEY"'}


def test_healthy(cli, ollama) -> None:
    """With what is wanted in place the first line says so, and the exit code is 0; the rest is hints."""
    setup(cli, ollama)
    ran = cli.run("doctor")
    assert ran.first == "✓ everything that is wanted works"
    assert "✓ ollama/phi3:mini answered" in ran.out
    shown = cli.run("doctor", "--json").json
    assert shown["healthy"] is True
    assert {f["severity"] for f in shown["findings"]} <= {"hint"}


def test_ollama_down(cli, ollama) -> None:
    """A configured Ollama that does not answer."""
    setup(cli, ollama, url="http://127.0.0.1:9")
    first = cli.run("doctor", code=1).first
    assert "Ollama is down: nothing listens at 127.0.0.1:9" in first
    assert "`ollama serve`" in first


def test_ollama_down_by_variable_in_portuguese(cli, ollama) -> None:
    """OLLAMA_HOST counts as configured; the sentence is in the language that is set."""
    cli.write('language = "pt-BR"\n')
    cli.env = {"OLLAMA_HOST": "127.0.0.1:9"}
    assert "o Ollama está fora do ar" in cli.run("doctor", code=1).first


def test_server_down(cli, ollama) -> None:
    """A configured OpenAI-compatible server of this machine that does not answer."""
    setup(cli, ollama, first="lab/x", lab='base_url = "http://127.0.0.1:9/v1"')
    first = cli.run("doctor", code=1).first
    assert "the server lab is down" in first
    assert "providers.lab.base_url" in first


def test_model_missing(cli, ollama) -> None:
    """A model of a chain that the server does not have, with the command that fetches it."""
    setup(cli, ollama, first="ollama/tiny:1b")
    first = cli.run("doctor", code=1).first
    assert "ollama/tiny:1b is missing" in first
    assert "`coreto models pull ollama/tiny:1b`" in first
    cli.run("models", "pull", "ollama/tiny:1b")
    cli.run("doctor")


def test_timeout(cli, ollama) -> None:
    """A model that gives no token in the time it has."""
    ollama.add_faults({"kind": "hang", "model": "llama3.2:1b"})
    setup(cli, ollama, first="ollama/llama3.2:1b", table="timeout = 0.4")
    first = cli.run("doctor", code=1).first
    assert "timeout: ollama/llama3.2:1b" in first
    assert "OLLAMA_LOCAL_TIMEOUT" in first


def test_out_of_memory(cli, ollama) -> None:
    """A model that does not fit."""
    setup(cli, ollama, first="ollama/big:70b")
    first = cli.run("doctor", code=1).first
    assert "out of memory: ollama/big:70b" in first
    assert "`ollama stop" in first


def test_overloaded(cli, ollama, cloud) -> None:
    """A provider without capacity."""
    cloud.add_faults({"kind": "status", "status": 503, "error": "ollama.overloaded_503"})
    cli.env = {"KEY": "right"}
    setup(cli, ollama, first="ollama-cloud/gpt-oss:120b", **cloud_at(cloud.url))
    assert "ollama-cloud/gpt-oss:120b is overloaded" in cli.run("doctor", code=1).first


def test_key_wrong(cli, ollama, cloud) -> None:
    """A key that the cloud refuses, with the variable to set."""
    cli.env = {"KEY": "wrong"}
    setup(cli, ollama, first="ollama-cloud/gpt-oss:120b", **cloud_at(cloud.url))
    first = cli.run("doctor", code=1).first
    assert "the key of ollama-cloud is wrong" in first
    assert "OLLAMA_CLOUD_API_KEY" in first


@pytest.mark.parametrize("probe", ["--probe", "--no-probe"])
def test_quota_gone(cli, ollama, cloud, probe) -> None:
    """An allowance that is used up, with the time it comes back; seen without generating too."""
    cloud.set_usage(weekly=1.0)
    cli.env = {"KEY": "right"}
    setup(cli, ollama, first="ollama-cloud/gpt-oss:120b", **cloud_at(cloud.url))
    first = cli.run("doctor", probe, code=1).first
    assert "the quota of ollama-cloud is gone until 20" in first
    assert "FALLBACK_ENABLED=true" in first
    assert cloud.requests(path="/api/chat") == []


def test_cloud_down(cli, ollama) -> None:
    """A cloud that cannot be reached, with the switch to go on without."""
    cli.env = {"KEY": "right"}
    setup(cli, ollama, first="ollama-cloud/gpt-oss:120b", **cloud_at("http://127.0.0.1:9"))
    first = cli.run("doctor", code=1).first
    assert "the cloud is down: ollama-cloud does not answer" in first
    assert "CORETO_OFFLINE=true" in first


def test_signed_out(cli) -> None:
    """Cloud models through a daemon that is not signed in."""
    with start_simulator("ollama", "--signed-out", "--model", "phi3:mini=2GB", "--time-scale", "0") as daemon:
        setup(cli, daemon, first="ollama-cloud/gpt-oss:120b")
        first = cli.run("doctor", code=1).first
    assert "not signed in" in first
    assert "`ollama signin`" in first


@pytest.mark.parametrize(
    ("option", "value", "sentence", "mend"),
    [
        ("--api-key", "other", "the key of openrouter is wrong", "OPENROUTER_API_KEY"),
        ("--credit", "0", "openrouter has no balance", "add credit"),
    ],
)
def test_openrouter_account(cli, ollama, option, value, sentence, mend) -> None:
    """What OpenRouter's key page says about key and credit, without generating anything."""
    with start_simulator("openai", "--flavour", "openrouter", option, value) as openrouter:
        cli.env = {"OPENROUTER_API_KEY": "sk-or-mine"}
        table = f'base_url = "{openrouter.url}/api/v1"\nlocal = false'
        setup(cli, ollama, first="openrouter/openai/gpt-4o-mini", openrouter=table)
        first = cli.run("doctor", "--no-probe", code=1).first
    assert sentence in first
    assert mend in first


def test_fallback_disabled(cli, ollama) -> None:
    """FALLBACK_ENABLED=false, with where it is from."""
    setup(cli, ollama)
    cli.env = {"FALLBACK_ENABLED": "false"}
    first = cli.run("doctor", code=1).first
    assert "fallback is disabled (by environment FALLBACK_ENABLED)" in first
    assert "FALLBACK_ENABLED=true" in first


def test_engine_that_queues(cli) -> None:
    """An engine that answers two calls one after the other, where a panel needs it to answer at once."""
    panel = '[roles.specialist]\nchain = ["ollama/phi3:mini"]\n'
    with start_simulator(
        "ollama", "--model", "phi3:mini=2GB", "--num-parallel", "1", "--load-gbps", "100"
    ) as queueing:
        setup(cli, queueing, more=panel)
        first = cli.run("doctor", code=1).first
    assert "ollama/phi3:mini queues" in first
    assert "OLLAMA_NUM_PARALLEL" in first


def test_configuration_invalid(cli) -> None:
    """A wrong setting is the first line, with its file."""
    cli.write("[server]\nprot = 1\n")
    first = cli.run("doctor", code=1).first
    assert "coreto.toml" in first
    assert "`coreto config check`" in first


def test_data_folder_and_database(cli, ollama) -> None:
    """A data folder that cannot be, and a database that does not answer; the rest is looked at all the same."""
    setup(cli, ollama)
    path = cli.folder / "coreto.toml"
    path.write_text(path.read_text().replace('data_dir = "data"', 'data_dir = "coreto.toml/data"'))
    ran = cli.run("doctor", code=1)
    assert "the data folder" in ran.first
    assert "CORETO_DATA_DIR" in ran.first
    assert "✓ ollama/phi3:mini answered" in ran.out
    setup(cli, ollama)
    cli.env = {"CORETO_DATABASE_URL": "postgresql://coreto:geheim@127.0.0.1:9/coreto"}
    ran = cli.run("doctor", "--no-probe", code=1)
    assert "the database cannot be used" in ran.first
    assert "CORETO_DATABASE_URL" in ran.first
    assert "geheim" not in ran.out


def test_fresh_machine(cli) -> None:
    """With nothing at all, the quickest way to a first answer comes first."""
    cli.write()
    cli.env = {"OLLAMA_CLOUD_ENABLED": "false"}
    first = cli.run("doctor", code=1).first
    assert "no model can answer for brain" in first
    assert "`coreto models pull smollm2`" in first


def test_without_probes_nothing_is_generated(cli, ollama) -> None:
    """`--no-probe` asks no model anything; with probes each first model is asked for one token."""
    setup(cli, ollama)
    cli.run("doctor", "--no-probe")
    assert ollama.requests(path="/api/chat") == []
    cli.run("doctor")
    asked = [r["body"] for r in ollama.requests(path="/api/chat")]
    assert asked[0]["options"]["num_predict"] == 1
    assert [b["options"]["num_predict"] for b in asked if b["model"] == "phi3:mini"].count(1) == 1
