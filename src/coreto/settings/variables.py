"""The environment variables: what each one sets, and how its text is read."""

import math
from collections.abc import Callable
from dataclasses import dataclass

from coreto.settings.defaults import (
    DEFAULT_MODEL,
    EXECUTOR_MODEL,
    EXECUTOR_UI_MODEL,
    OLLAMA_CLOUD_MODEL,
    ROLE_VARIABLES,
    SLM_TIMEOUT,
)
from coreto.settings.draft import Key, nearest, shown

_TRUE = frozenset({"true", "1", "yes", "on"})
_FALSE = frozenset({"false", "0", "no", "off"})
_LEVELS = {
    "debug": "debug",
    "info": "info",
    "warning": "warning",
    "warn": "warning",
    "error": "error",
    "critical": "error",
    "fatal": "error",
}


def boolean(text: str) -> bool:
    """true/false, 1/0, yes/no, on/off in any case. Raises ``ValueError`` saying what was expected."""
    word = text.strip().lower()
    if word not in _TRUE | _FALSE:
        raise ValueError(f"expected true or false, not {shown(text)}")
    return word in _TRUE


def seconds(text: str) -> float:
    """A positive number of seconds."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value) or value <= 0:
        raise ValueError(f"expected a number of seconds above 0, not {shown(text)}")
    return value


def count(text: str) -> int:
    """A whole number of at least 1."""
    if not (text.isascii() and text.isdigit() and len(text) < 10 and int(text) >= 1):
        raise ValueError(f"expected a whole number of at least 1, not {shown(text)}")
    return int(text)


def log_level(text: str) -> str:
    """A level's name in any case."""
    level = _LEVELS.get(text.strip().lower())
    if level is None:
        raise ValueError(
            f"expected debug, info, warning or error, not {shown(text)}{nearest(text.strip(), _LEVELS)}"
        )
    return level


@dataclass(frozen=True, slots=True)
class Variable:
    """A variable that sets one key. ``default`` is shown in `.env.example`."""

    name: str
    key: Key
    parse: Callable[[str], object]
    meaning: str
    default: str = ""
    alias: str | None = None


def _provider(name: str, setting: str) -> Key:
    return ("providers", name, setting)


# What users of the earlier designs have in their environment (SPEC E).
ESTABLISHED: tuple[Variable, ...] = (
    Variable(
        "OLLAMA_HOST",
        _provider("ollama", "host"),
        str,
        "where Ollama is; scheme and port may be left out, 0.0.0.0 means this machine",
        "http://localhost:11434",
        alias="OLLAMA_BASE_URL",
    ),
    Variable(
        "OLLAMA_CLOUD_ENABLED", _provider("ollama-cloud", "enabled"), boolean, "use Ollama Cloud", "true"
    ),
    Variable(
        "OLLAMA_CLOUD_API_KEY",
        _provider("ollama-cloud", "api_key"),
        str,
        "key of ollama.com; without one, cloud models go through the signed-in local Ollama",
        alias="OLLAMA_API_KEY",
    ),
    Variable(
        "OLLAMA_CLOUD_BASE_URL",
        _provider("ollama-cloud", "host"),
        str,
        "where Ollama Cloud is (the old https://api.ollama.cloud/v1 is understood)",
        "https://ollama.com",
    ),
    Variable(
        "OLLAMA_CLOUD_TIMEOUT",
        _provider("ollama-cloud", "timeout"),
        seconds,
        "seconds per attempt at Ollama Cloud",
        "60",
    ),
    Variable(
        "OLLAMA_LOCAL_TIMEOUT",
        _provider("ollama", "timeout"),
        seconds,
        "seconds per attempt at Ollama",
        "120",
    ),
    Variable("OPENROUTER_API_KEY", _provider("openrouter", "api_key"), str, "key of openrouter.ai"),
    Variable("OPENAI_API_KEY", _provider("openai", "api_key"), str, "key of OpenAI"),
    Variable(
        "OPENAI_BASE_URL",
        _provider("openai", "base_url"),
        str,
        "another server for the provider `openai`",
        "https://api.openai.com/v1",
    ),
    Variable(
        "FALLBACK_ENABLED", ("fallback_enabled",), boolean, "try the next deployment when one fails", "true"
    ),
    Variable(
        "REQUEST_TIMEOUT",
        ("request_timeout",),
        seconds,
        "seconds a whole call may take, all attempts together",
        "300",
    ),
    Variable(
        "MAX_CONCURRENT_AGENTS",
        ("crews", "max_concurrent_agents"),
        count,
        "agents of a crew that work at the same time",
        "2",
    ),
    Variable(
        "ENABLE_SUPERVISOR_CACHE",
        ("crews", "supervisor_cache"),
        boolean,
        "remember the supervisor's decisions",
        "true",
    ),
    Variable(
        "CACHE_TTL_SECONDS",
        ("crews", "supervisor_cache_ttl"),
        seconds,
        "seconds a supervisor's decision is remembered",
        "3600",
    ),
    Variable("PEXELS_API_KEY", ("media", "pexels_api_key"), str, "key of pexels.com"),
    Variable("PIXABAY_API_KEY", ("media", "pixabay_api_key"), str, "key of pixabay.com"),
    Variable(
        "USE_LOCAL_TTS", ("media", "local_tts"), boolean, "speak with the voices on this machine", "true"
    ),
    Variable("LOG_LEVEL", ("log_level",), log_level, "debug, info, warning or error", "info"),
    Variable("TRACK_COSTS", ("track_costs",), boolean, "record tokens and cost of every attempt", "true"),
    Variable("TRACK_LATENCY", ("track_latency",), boolean, "record the latency of every attempt", "true"),
)

OWN: tuple[Variable, ...] = (
    Variable("CORETO_DATA_DIR", ("data_dir",), str, "where Coreto keeps its data"),
    Variable("CORETO_MODELS_DIR", ("models_dir",), str, "where weights are kept"),
    Variable("CORETO_OFFLINE", ("offline",), boolean, "never contact anything off this machine", "false"),
    Variable("CORETO_DATABASE_URL", ("database", "url"), str, '"sqlite" or postgresql://…', "sqlite"),
)


@dataclass(frozen=True, slots=True)
class RoleVariable:
    """A variable that changes one entry of a role's chain (or the small roles' timeout)."""

    name: str
    target: str
    meaning: str
    default: str


ROLE_MODELS: tuple[RoleVariable, ...] = (
    RoleVariable(
        "OLLAMA_CLOUD_MODEL", "roles.brain.chain", "the brain's model in Ollama Cloud", OLLAMA_CLOUD_MODEL
    ),
    RoleVariable("DEFAULT_MODEL", "roles.brain.chain", "the brain's local model", DEFAULT_MODEL),
    RoleVariable("EXECUTOR_MODEL", "roles.executor.chain", "the executor's local model", EXECUTOR_MODEL),
    RoleVariable("EXECUTOR_UI_MODEL", "roles.ui.chain", "the ui role's local model", EXECUTOR_UI_MODEL),
    *(
        variable
        for role, (model, local) in ROLE_VARIABLES.items()
        for variable in (
            RoleVariable(
                f"{role.upper()}_MODEL", f"roles.{role}.chain", f"first model of the role {role}", model
            ),
            RoleVariable(
                f"{role.upper()}_USE_LOCAL",
                f"roles.{role}.chain",
                f"true: ollama/{role.upper()}_MODEL, false: openrouter/{role.upper()}_MODEL",
                str(local).lower(),
            ),
        )
    ),
    RoleVariable(
        "SLM_TIMEOUT",
        "roles.*.timeout",
        "seconds per attempt of supervisor, script, visual, audio and editor where their first model is local",
        f"{SLM_TIMEOUT:g}",
    ),
)
