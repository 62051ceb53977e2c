"""What holds before anything is configured: the well-known providers and the default roles."""

from typing import Any

from coreto.settings.addresses import OLLAMA_CLOUD

EMBEDDED_MODEL = "embedded/smollm2"
OLLAMA_CLOUD_MODEL = "qwen3-coder:480b-cloud"
DEFAULT_MODEL = "qwen2.5-32b-instruct-moe-rtx"
EXECUTOR_MODEL = "qwen2.5-coder:14b"
EXECUTOR_UI_MODEL = "MHKetbi/UIGEN-T1-Qwen-14:q4_K_S"
SLM_TIMEOUT = 30.0

# X_MODEL and X_USE_LOCAL where only the other one is set.
ROLE_VARIABLES: dict[str, tuple[str, bool]] = {
    "supervisor": ("phi3:mini", True),
    "script": ("openai/gpt-4o-mini-2024-07-18", False),
    "visual": ("google/gemma-2-9b-it", False),
    "audio": ("phi3:mini", True),
    "editor": ("phi3:mini", True),
}

# Public addresses of the kinds that have one.
KIND_URLS: dict[str, str] = {
    "ollama-cloud": OLLAMA_CLOUD,
    "openrouter": "https://openrouter.ai/api/v1",
}


def cloud_name(model: str) -> str:
    """The name of an Ollama Cloud model on ollama.com: without ``:cloud`` or ``-cloud`` in its tag."""
    name, colon, tag = model.partition(":")
    if tag == "cloud":
        return name
    return name + colon + tag.removesuffix("-cloud")


def is_local_ollama(entry: str) -> bool:
    """Whether a chain's entry is an Ollama model that runs on Ollama's own machine."""
    provider, _, model = entry.partition("/")
    return provider == "ollama" and cloud_name(model) == model


def default_providers() -> dict[str, dict[str, Any]]:
    """The providers that need no table of their own."""
    return {
        "ollama": {"kind": "ollama", "host": "http://127.0.0.1:11434", "timeout": 120.0},
        "ollama-cloud": {"kind": "ollama-cloud", "host": KIND_URLS["ollama-cloud"], "timeout": 60.0},
        "openrouter": {"kind": "openrouter", "base_url": KIND_URLS["openrouter"]},
        "openai": {"kind": "openai", "base_url": "https://api.openai.com/v1"},
        "embedded": {"kind": "embedded"},
    }


def default_roles() -> dict[str, dict[str, Any]]:
    """The roles of the shipped crews, as in the table of SPEC D."""
    return {
        "supervisor": {
            "chain": ["ollama/phi3:mini", "openrouter/qwen/qwen-2.5-7b-instruct", "rules"],
            "temperature": 0.0,
            "max_tokens": 10,
            "timeout": SLM_TIMEOUT,
        },
        "script": {
            "chain": ["openrouter/openai/gpt-4o-mini", "openrouter/anthropic/claude-3-haiku", "brain"],
            "temperature": 0.8,
            "json_answer": True,
        },
        "visual": {
            "chain": ["openrouter/google/gemma-2-9b-it", "brain", "rules"],
            "temperature": 0.5,
            "max_tokens": 50,
            "json_answer": True,
        },
        "audio": {"chain": ["ollama/phi3:mini", "brain", "rules"], "temperature": 0.3, "json_answer": True},
        "editor": {"chain": ["ollama/phi3:mini", "brain", "rules"], "temperature": 0.0, "json_answer": True},
        "brain": {
            "chain": [
                f"ollama-cloud/{cloud_name(OLLAMA_CLOUD_MODEL)}",
                "ollama-cloud/deepseek-v3.1:671b",
                f"ollama/{DEFAULT_MODEL}",
                EMBEDDED_MODEL,
            ]
        },
        "executor": {"chain": [f"ollama/{EXECUTOR_MODEL}", "brain", EMBEDDED_MODEL]},
        "ui": {"chain": [f"ollama/{EXECUTOR_UI_MODEL}", "executor", "brain", EMBEDDED_MODEL]},
        "specialist": {"chain": ["ollama/mistral:7b", "brain", EMBEDDED_MODEL], "timeout": 30.0},
        "consolidator": {"chain": ["ollama-cloud/minimax-m2", "brain", EMBEDDED_MODEL, "rules"]},
    }
