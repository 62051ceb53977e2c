"""Hosts from the settings: budgets, windows, the home model, and what is refused at the start."""

import pytest

from coreto.clock import SystemClock
from coreto.errors import ConfigError
from coreto.hardware.base import GPU_SHARE, SYSTEM_SHARE
from coreto.providers.base import ModelInfo
from coreto.providers.factory import build_sites
from coreto.residency.build import build_hosts, require_room
from coreto.residency.model import Rules
from coreto.settings.load import load
from coreto.testing.hardware import FakeHardware

GIB = 2**30


@pytest.fixture
def build(tmp_path, monkeypatch):
    """The hosts of a TOML text on a machine with some memory."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))

    def run(toml, hardware=None):
        (tmp_path / "coreto.toml").write_text(toml)
        settings = load(env={}, cwd=tmp_path).settings
        sites = build_sites(settings, tmp_path, SystemClock())
        return build_hosts(settings, sites, hardware or FakeHardware(gpu=0), SystemClock(), lambda *_: None)

    return run


def test_no_budget_no_host(build):
    """Without a budget the engine sees to its memory itself."""
    assert build('[providers.ollama]\nhost = "http://127.0.0.1:1"\n') == {}


def test_a_host_for_each_engine_with_a_budget(build):
    """Each engine has its own budget, in the units that people use; a disabled one has none."""
    hosts = build("""
[providers.ollama]
memory_budget = "16 GB"
[providers.second]
kind = "ollama"
host = "http://127.0.0.1:2"
memory_budget = 1000000
[providers.third]
kind = "ollama"
host = "http://127.0.0.1:3"
memory_budget = "1 GB"
enabled = false
[providers.embedded]
memory_budget = "512 MiB"
[residency]
max_wait = 7
return_after = 8
""")
    assert {name: host.terms.budget for name, host in hosts.items()} == {
        "ollama": 16 * GIB,
        "second": 1_000_000,
        "embedded": 2**29,
    }
    assert hosts["ollama"].terms.rules == Rules(max_wait=7, return_after=8)
    assert hosts["ollama"].terms.full_name("phi3") == "phi3:latest"
    assert hosts["embedded"].terms.full_name("smollm2") == "smollm2"


@pytest.mark.parametrize(
    ("hardware", "budget"),
    [
        (FakeHardware(gpu=24 * GIB, system=64 * GIB), 24 * GIB * GPU_SHARE),
        (FakeHardware(gpu=0, system=64 * GIB), 64 * GIB * SYSTEM_SHARE),
        (FakeHardware(system=64 * GIB), 64 * GIB * SYSTEM_SHARE),
    ],
)
def test_auto_is_most_of_the_machines_memory(build, hardware, budget):
    """ "auto": most of the card, else a part of what is free."""
    hosts = build('[providers.ollama]\nmemory_budget = "auto"\n', hardware)
    assert hosts["ollama"].terms.budget == int(budget)


def test_auto_needs_a_machine_that_tells_its_memory(build):
    """Where nobody knows the memory, the error says what to write instead."""
    with pytest.raises(ConfigError, match=r"providers\.ollama\.memory_budget.*write a size"):
        build('[providers.ollama]\nmemory_budget = "auto"\n', FakeHardware())


@pytest.mark.parametrize(
    "toml",
    [
        '[providers.lab]\nkind = "openai"\nbase_url = "http://127.0.0.1:1/v1"\nmemory_budget = "1 GB"\n',
        '[providers.openrouter]\napi_key = "k"\nmemory_budget = "1 GB"\n',
        '[providers.ollama-cloud]\napi_key = "k"\nmemory_budget = "1 GB"\n',
        '[providers.ollama]\nhost = "http://198.51.100.7:11434"\nmemory_budget = "1 GB"\n',
    ],
)
def test_a_budget_needs_an_engine_of_this_machine(build, toml):
    """Clouds, servers that load nothing on demand and engines elsewhere have no memory to share here."""
    with pytest.raises(ConfigError, match=r"^providers\.[a-z-]+\.memory_budget: only .*leave it out"):
        build(toml)


@pytest.mark.parametrize("budget", ['"0"', "0", '"0 GB"', '"a lot"', "true", "-1", "1.5"])
def test_a_budget_is_a_size(build, budget):
    """Nothing, and what is no size, is refused with the key and the form."""
    with pytest.raises(ConfigError, match=r"providers\.ollama\.memory_budget.*16 GB"):
        build(f"[providers.ollama]\nmemory_budget = {budget}\n")


def test_windows_and_sizes_of_the_models(build):
    """Of several windows for one model the longest counts, by its short name or its full one; other providers'
    models have no part in it."""
    hosts = build("""
[providers.ollama]
memory_budget = "16 GB"
parallel = 3
[roles.one]
chain = ["ollama/phi3", "openrouter/x/y"]
context = 4096
[roles.two]
chain = ["ollama/phi3:latest", "ollama/big:70b"]
context = 8192
[roles.three]
chain = ["ollama/phi3", "ollama/other:1b"]
[models."ollama/big:70b"]
memory = "40 GB"
context = 2048
[models."ollama/small:1b"]
memory = "1 GB"
context = 1024
[models."openrouter/x/y"]
context = 999
""")
    wanted = hosts["ollama"].terms.wanted
    assert wanted.context == {"phi3:latest": 8192, "big:70b": 8192, "small:1b": 1024}
    assert wanted.memory == {"big:70b": 40 * GIB, "small:1b": GIB}
    assert wanted.slots == 3


def test_the_home_model_is_the_brains_own_here(build):
    """The first of the brain's chain on that engine; a stub of the cloud takes no memory and is no home."""
    hosts = build("""
[providers.ollama]
memory_budget = "16 GB"
[providers.embedded]
memory_budget = "1 GB"
[roles.brain]
chain = ["ollama-cloud/gpt-oss:120b", "ollama/qwen3.5:397b-cloud", "ollama/mine", "ollama/other"]
""")
    assert hosts["ollama"].terms.home == "mine:latest"
    assert hosts["embedded"].terms.home is None


@pytest.mark.parametrize(
    ("models", "fits"),
    [
        ([], True),  # nothing pulled yet
        ([ModelInfo("a:1", 20 * GIB), ModelInfo("b:1", 2 * GIB)], True),
        ([ModelInfo("a:1", 20 * GIB), ModelInfo("b:1")], True),  # nobody knows
        ([ModelInfo("a:1", 20 * GIB), ModelInfo("c:cloud", 1, local=False)], False),
        ([ModelInfo("a:1", 20 * GIB), ModelInfo("b:1", 17 * GIB)], False),
        ([ModelInfo("tiny:1", 1)], False),  # declared larger
    ],
)
def test_a_budget_that_holds_no_model(build, models, fits):
    """It is refused with the key, both figures and the smallest model; where one fits it is not."""
    (host,) = build("""
[providers.ollama]
memory_budget = "16 GB"
[models."ollama/tiny:1"]
memory = "30 GB"
""").values()
    if fits:
        require_room(host, models)
        return
    with pytest.raises(ConfigError, match=r"providers\.ollama\.memory_budget: 16\.0 GB .* takes \d\d\.0 GB"):
        require_room(host, models)
