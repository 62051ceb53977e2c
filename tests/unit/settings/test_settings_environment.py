"""Every environment variable, from the environment and from `.env`."""

from typing import Any

import pytest
from pydantic import SecretStr

from coreto.errors import ConfigError
from coreto.settings.dotenv import Entry
from coreto.settings.environment import Variables
from coreto.settings.load import Loaded
from coreto.settings.variables import ESTABLISHED, OWN, ROLE_MODELS, boolean, log_level

HOST = "providers.ollama.host"
CLOUD = "providers.ollama-cloud"

# Variable, its text, the key it sets, the value there.
PLAIN: list[tuple[str, str, str, Any]] = [
    ("OLLAMA_HOST", "gpu-box", HOST, "http://gpu-box:11434"),
    ("OLLAMA_HOST", "0.0.0.0:5000", HOST, "http://127.0.0.1:5000"),
    ("OLLAMA_HOST", "http://localhost:11434", HOST, "http://localhost:11434"),
    ("OLLAMA_BASE_URL", "http://localhost:9999/v1", HOST, "http://localhost:9999"),
    ("OLLAMA_CLOUD_ENABLED", "false", f"{CLOUD}.enabled", False),
    ("OLLAMA_CLOUD_API_KEY", "k-cloud", f"{CLOUD}.api_key", "k-cloud"),
    ("OLLAMA_API_KEY", "k-ollama", f"{CLOUD}.api_key", "k-ollama"),
    ("OLLAMA_CLOUD_BASE_URL", "http://127.0.0.1:7000", f"{CLOUD}.host", "http://127.0.0.1:7000"),
    ("OLLAMA_CLOUD_BASE_URL", "https://api.ollama.cloud/v1", f"{CLOUD}.host", "https://ollama.com"),
    ("OLLAMA_CLOUD_TIMEOUT", "61", f"{CLOUD}.timeout", 61.0),
    ("OLLAMA_LOCAL_TIMEOUT", "121.5", "providers.ollama.timeout", 121.5),
    ("FALLBACK_ENABLED", "off", "fallback_enabled", False),
    ("OPENROUTER_API_KEY", "k-or", "providers.openrouter.api_key", "k-or"),
    ("OPENAI_API_KEY", "k-oa", "providers.openai.api_key", "k-oa"),
    ("OPENAI_BASE_URL", "http://127.0.0.1:8000/v1/", "providers.openai.base_url", "http://127.0.0.1:8000/v1"),
    ("PEXELS_API_KEY", "k-pe", "media.pexels_api_key", "k-pe"),
    ("PIXABAY_API_KEY", "k-pi", "media.pixabay_api_key", "k-pi"),
    ("USE_LOCAL_TTS", "0", "media.local_tts", False),
    ("ENABLE_SUPERVISOR_CACHE", "No", "crews.supervisor_cache", False),
    ("CACHE_TTL_SECONDS", "60", "crews.supervisor_cache_ttl", 60.0),
    ("MAX_CONCURRENT_AGENTS", "4", "crews.max_concurrent_agents", 4),
    ("REQUEST_TIMEOUT", "30", "request_timeout", 30.0),
    ("SLM_TIMEOUT", "7", "roles.supervisor.timeout", 7.0),
    ("SLM_TIMEOUT", "7", "roles.audio.timeout", 7.0),
    ("SLM_TIMEOUT", "7", "roles.editor.timeout", 7.0),
    ("LOG_LEVEL", "WARN", "log_level", "warning"),
    ("LOG_LEVEL", "Debug", "log_level", "debug"),
    ("TRACK_COSTS", "false", "track_costs", False),
    ("TRACK_LATENCY", "false", "track_latency", False),
    ("CORETO_OFFLINE", "1", "offline", True),
    ("CORETO_DATABASE_URL", "postgresql://h/db", "database.url", "postgresql://h/db"),
]
# Variables, the role, what its chain then begins with.
CHAINS: list[tuple[dict[str, str], str, list[str]]] = [
    ({"OLLAMA_CLOUD_MODEL": "gpt-oss:120b-cloud"}, "brain", ["ollama-cloud/gpt-oss:120b", "ollama-cloud/deepseek-v3.1:671b"]),
    ({"OLLAMA_CLOUD_MODEL": "kimi-k2:cloud"}, "brain", ["ollama-cloud/kimi-k2", "ollama-cloud/deepseek-v3.1:671b"]),
    (
        {"DEFAULT_MODEL": "llama3.1:8b"},
        "brain",
        ["ollama-cloud/qwen3-coder:480b", "ollama-cloud/deepseek-v3.1:671b", "ollama/llama3.1:8b", "embedded/smollm2"],
    ),
    ({"EXECUTOR_MODEL": "net/deep-gguf"}, "executor", ["ollama/net/deep-gguf", "ollama-cloud/qwen3-coder:480b"]),
    ({"EXECUTOR_MODEL": "openrouter/x/y"}, "executor", ["openrouter/x/y", "ollama-cloud/qwen3-coder:480b"]),
    ({"EXECUTOR_UI_MODEL": "ui:1"}, "ui", ["ollama/ui:1", "ollama/qwen2.5-coder:14b"]),
    ({"SUPERVISOR_MODEL": "m"}, "supervisor", ["ollama/m", "openrouter/qwen/qwen-2.5-7b-instruct", "rules"]),
    ({"SUPERVISOR_MODEL": "x/m", "SUPERVISOR_USE_LOCAL": "false"}, "supervisor", ["openrouter/x/m", "openrouter/qwen/qwen-2.5-7b-instruct"]),
    ({"SUPERVISOR_USE_LOCAL": "true"}, "supervisor", ["ollama/phi3:mini", "openrouter/qwen/qwen-2.5-7b-instruct"]),
    ({"SUPERVISOR_USE_LOCAL": "false"}, "supervisor", ["openrouter/phi3:mini"]),
    ({"SCRIPT_MODEL": "openai/gpt-5"}, "script", ["openrouter/openai/gpt-5", "openrouter/anthropic/claude-3-haiku"]),
    ({"SCRIPT_MODEL": "llama3", "SCRIPT_USE_LOCAL": "yes"}, "script", ["ollama/llama3", "openrouter/anthropic/claude-3-haiku"]),
    ({"SCRIPT_USE_LOCAL": "false"}, "script", ["openrouter/openai/gpt-4o-mini-2024-07-18"]),
    ({"VISUAL_MODEL": "g/h"}, "visual", ["openrouter/g/h", "ollama-cloud/qwen3-coder:480b"]),
    ({"VISUAL_MODEL": "h", "VISUAL_USE_LOCAL": "on"}, "visual", ["ollama/h", "ollama-cloud/qwen3-coder:480b"]),
    ({"AUDIO_MODEL": "h"}, "audio", ["ollama/h", "ollama-cloud/qwen3-coder:480b"]),
    ({"AUDIO_MODEL": "g/h", "AUDIO_USE_LOCAL": "false"}, "audio", ["openrouter/g/h"]),
    ({"EDITOR_MODEL": "h"}, "editor", ["ollama/h", "ollama-cloud/qwen3-coder:480b"]),
    ({"EDITOR_MODEL": "openrouter/g/h", "EDITOR_USE_LOCAL": "0"}, "editor", ["openrouter/g/h"]),
]  # fmt: skip


def value_at(loaded: Loaded, key: str) -> Any:
    node: Any = loaded.settings
    for part in key.split("."):
        node = node[part] if isinstance(node, dict) else getattr(node, part)
    return node.get_secret_value() if isinstance(node, SecretStr) else node


@pytest.mark.parametrize(("name", "text", "key", "expected"), PLAIN)
def test_from_the_environment(load_text, name: str, text: str, key: str, expected: Any) -> None:
    """A variable of the environment sets its key, and the origin says so."""
    loaded = load_text(env={name: text})
    assert value_at(loaded, key) == expected
    assert loaded.origins[key] == f"environment {name}"


@pytest.mark.parametrize(("name", "text", "key", "expected"), PLAIN)
def test_from_dotenv(load_text, cwd, name: str, text: str, key: str, expected: Any) -> None:
    """The same variable in `.env`, with an inline comment, does the same."""
    loaded = load_text(dotenv=f"# mine\n{name}={text}  # why\n")
    assert value_at(loaded, key) == expected
    assert loaded.origins[key] == str(cwd / ".env")


@pytest.mark.parametrize("folder", ["CORETO_DATA_DIR", "CORETO_MODELS_DIR"])
def test_folders(load_text, cwd, user_folder, folder: str) -> None:
    """A folder counts from the working directory and may begin with the home folder's sign."""
    key = folder.removeprefix("CORETO_").lower()
    assert getattr(load_text(env={folder: "here"}).settings, key) == cwd / "here"
    assert getattr(load_text(env={folder: "~/there"}).settings, key) == user_folder / "there"
    assert getattr(load_text(dotenv=f"{folder}=/abs # x").settings, key).as_posix() == "/abs"


@pytest.mark.parametrize(("variables", "role", "expected"), CHAINS)
def test_chains(load_text, variables: dict[str, str], role: str, expected: list[str]) -> None:
    """A role variable changes one entry of the chain and leaves the others, from either place."""
    from_environment = load_text(env=variables)
    assert list(from_environment.settings.roles[role].chain)[: len(expected)] == expected
    assert from_environment.origins[f"roles.{role}.chain"].startswith("environment ")
    assert role not in from_environment.explicit_roles
    from_file = load_text(dotenv="".join(f"export {name}='{text}' # c\n" for name, text in variables.items()))
    assert from_file.settings.roles == from_environment.settings.roles


def test_every_variable_is_in_a_table() -> None:
    """No variable that Coreto knows goes without a row above."""
    covered = {name for name, *_ in PLAIN} | {name for variables, *_ in CHAINS for name in variables}
    known = {variable.name for variable in (*ESTABLISHED, *ROLE_MODELS, *OWN)}
    known |= {variable.alias for variable in ESTABLISHED if variable.alias}
    assert known - covered == {"CORETO_DATA_DIR", "CORETO_MODELS_DIR"}


def test_defaults_as_the_specification_says(load_text) -> None:
    """Without any variable the defaults of SPEC E hold."""
    settings = load_text().settings
    assert settings.providers["ollama-cloud"].enabled
    assert (settings.providers["ollama-cloud"].timeout, settings.providers["ollama"].timeout) == (60.0, 120.0)
    assert settings.fallback_enabled
    assert settings.media.local_tts
    assert settings.crews.supervisor_cache
    assert (settings.crews.supervisor_cache_ttl, settings.crews.max_concurrent_agents) == (3600.0, 2)
    assert settings.track_costs
    assert settings.track_latency
    assert settings.request_timeout == 300.0
    assert settings.roles["supervisor"].timeout == 30.0
    assert settings.roles["brain"].chain[0] == "ollama-cloud/qwen3-coder:480b"


def test_small_timeout_follows_the_first_entry(load_text) -> None:
    """SLM_TIMEOUT is for roles whose first model is local; others keep the provider's timeout."""
    roles = load_text(
        env={"SCRIPT_USE_LOCAL": "true", "SCRIPT_MODEL": "m", "AUDIO_USE_LOCAL": "false"}
    ).settings.roles
    assert (roles["script"].timeout, roles["audio"].timeout, roles["visual"].timeout) == (30.0, None, None)
    roles = load_text(env={"SLM_TIMEOUT": "9", "SUPERVISOR_USE_LOCAL": "false"}).settings.roles
    assert (roles["supervisor"].timeout, roles["audio"].timeout, roles["brain"].timeout) == (30.0, 9.0, None)


def test_small_timeout_leaves_the_users_own_alone(load_text) -> None:
    """The default of SLM_TIMEOUT changes neither a timeout nor a chain of the file; the variable does."""
    toml = '[roles.supervisor]\ntimeout = 5\n[roles.script]\nchain = ["ollama/mine"]\n'
    roles = load_text(toml).settings.roles
    assert (roles["supervisor"].timeout, roles["script"].timeout) == (5.0, None)
    roles = load_text(env={"SLM_TIMEOUT": "9"}).settings.roles
    assert (roles["supervisor"].timeout, roles["script"].timeout) == (9.0, 9.0)


def test_local_or_cloud_default_that_does_not_fit_is_a_warning(load_text) -> None:
    """A switch without its model takes the other's default literally, and says what that means."""
    (warning,) = load_text(env={"SCRIPT_USE_LOCAL": "true"}).warnings
    assert "ollama/openai/gpt-4o-mini-2024-07-18" in warning
    assert "set SCRIPT_MODEL too" in warning
    (warning,) = load_text(env={"AUDIO_USE_LOCAL": "false"}).warnings
    assert "openrouter/phi3:mini" in warning
    assert load_text(env={"SCRIPT_USE_LOCAL": "false", "AUDIO_USE_LOCAL": "true"}).warnings == ()


def test_old_cloud_address_is_a_warning(load_text) -> None:
    """The address of the earlier designs is replaced, and said."""
    (warning,) = load_text(env={"OLLAMA_CLOUD_BASE_URL": "https://api.ollama.cloud/v1"}).warnings
    assert warning == (
        "environment variable OLLAMA_CLOUD_BASE_URL: https://api.ollama.cloud/v1 is the old address of"
        " Ollama Cloud; using https://ollama.com"
    )


def test_chains_of_the_users_file(load_text) -> None:
    """A variable finds its place in the user's own chain, or makes one, and drops nothing."""
    toml = (
        '[roles.brain]\nchain = ["openai/x", "rules"]\n[roles.supervisor]\nchain = ["openai/x", "openai/y"]\n'
    )
    env = {"OLLAMA_CLOUD_MODEL": "c:cloud", "DEFAULT_MODEL": "l", "SUPERVISOR_MODEL": "s"}
    loaded = load_text(toml, env=env)
    assert loaded.settings.roles["brain"].chain == ("ollama-cloud/c", "openai/x", "ollama/l", "rules")
    assert loaded.settings.roles["supervisor"].chain == ("ollama/s", "openai/y")
    assert loaded.explicit_roles == {"brain", "supervisor"}


def test_a_cloud_model_of_the_daemon_is_not_the_local_one(load_text) -> None:
    """DEFAULT_MODEL does not replace a cloud model that goes through the local Ollama."""
    toml = '[roles.brain]\nchain = ["ollama/q:480b-cloud", "ollama/old"]\n'
    chain = load_text(toml, env={"DEFAULT_MODEL": "new"}).settings.roles["brain"].chain
    assert chain == ("ollama/q:480b-cloud", "ollama/new")


@pytest.mark.parametrize("text", ["", "   "])
def test_empty_means_not_set(load_text, text: str) -> None:
    """An empty variable of the environment lets the one in `.env` through, an empty one there the default."""
    assert (
        load_text(
            env={"LOG_LEVEL": text}, dotenv="LOG_LEVEL=error\nREQUEST_TIMEOUT=  # none\n"
        ).settings.log_level
        == "error"
    )
    assert load_text(env={"LOG_LEVEL": text}).settings.request_timeout == 300.0


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({"FALLBACK_ENABLED": "maybe"}, "expected true or false, not 'maybe'"),
        ({"SUPERVISOR_USE_LOCAL": "2"}, "expected true or false, not '2'"),
        ({"REQUEST_TIMEOUT": "5m"}, "expected a number of seconds above 0, not '5m'"),
        ({"REQUEST_TIMEOUT": "nan"}, "expected a number of seconds above 0, not 'nan'"),
        ({"SLM_TIMEOUT": "-1"}, "expected a number of seconds above 0, not '-1'"),
        ({"MAX_CONCURRENT_AGENTS": "0"}, "expected a whole number of at least 1, not '0'"),
        ({"MAX_CONCURRENT_AGENTS": "two"}, "expected a whole number of at least 1, not 'two'"),
        ({"LOG_LEVEL": "wraning"}, "expected debug, info, warning or error, not 'wraning'; did you mean 'warning'?"),
    ],
)  # fmt: skip
def test_bad_values(load_text, cwd, variables: dict[str, str], message: str) -> None:
    """A bad value gets one line that names the variable and where it came from."""
    ((name, text),) = variables.items()
    with pytest.raises(ConfigError) as caught:
        load_text(env=variables)
    assert caught.value.message == f"environment variable {name}: {message}"
    with pytest.raises(ConfigError) as caught:
        load_text(dotenv=f"\n{name}={text} # c\n")
    assert caught.value.message == f"{cwd / '.env'}:2: {name}: {message}"


def test_bad_address(load_text) -> None:
    """An address that cannot be one names the variable and the key."""
    with pytest.raises(ConfigError) as caught:
        load_text(env={"OLLAMA_HOST": "ftp://x"})
    assert caught.value.message == (
        "environment variable OLLAMA_HOST: providers.ollama.host: expected an address such as"
        ' "http://127.0.0.1:11434"'
    )


def test_environment_goes_before_dotenv_for_aliases(cwd) -> None:
    """An alias in the environment goes before the main name in `.env`."""
    entry = Entry("file", 1)
    variables = Variables({"B": "env"}, {"A": entry}, cwd / ".env")
    found = variables.find("A", "B")
    assert found is not None
    assert found[0] == "env"


@pytest.mark.parametrize("text", ["true", "TRUE", "1", "yes", "On", " true "])
def test_true(text: str) -> None:
    """Every usual word for true is true."""
    assert boolean(text) is True


@pytest.mark.parametrize("text", ["false", "False", "0", "no", "OFF"])
def test_false(text: str) -> None:
    """Every usual word for false is false."""
    assert boolean(text) is False


def test_log_levels() -> None:
    """Levels come in any case, with the short and the loud names."""
    assert [log_level(t) for t in ("INFO", "warn", "Critical")] == ["info", "warning", "error"]
