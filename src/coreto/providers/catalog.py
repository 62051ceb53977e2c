"""Deployments: a model at a provider, and what is known of it without asking anyone."""

from dataclasses import dataclass, field

RETIRED: dict[tuple[str, str], str] = {
    # Ollama Cloud retired these on 2026-07-15 and named the successors.
    ("ollama-cloud", "qwen3-coder:480b"): "qwen3.5:397b",
    ("ollama-cloud", "deepseek-v3.1:671b"): "deepseek-v4-flash",
}
"""Provider kind and model → the model that replaces it."""


@dataclass(frozen=True, slots=True)
class Deployment:
    """A model at a provider.

    ``id`` is ``provider/model``. ``local``: it runs on this machine, so private data may go there.
    ``account`` names who is billed and whose allowance is used: deployments that share it share its
    exhaustion. ``endpoint`` names the server that fails when it cannot be reached. ``context`` in tokens, ``memory`` in bytes when loaded; ``None`` where unknown.
    """

    id: str
    provider: str
    model: str
    local: bool
    account: str
    endpoint: str
    context: int | None = None
    memory: int | None = None
    successor: str | None = None
    #: what it can do beyond chat (``tools``, ``images``, …); empty: not known
    capabilities: frozenset[str] = frozenset()
    #: too small to be trusted with plans, code, or languages other than English
    small: bool = False
    #: names in the health book: of itself, its server, its account (made once, for every call asks for them)
    own_key: str = field(init=False, compare=False, repr=False)
    endpoint_key: str = field(init=False, compare=False, repr=False)
    account_key: str = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "own_key", f"model:{self.id}")
        object.__setattr__(self, "endpoint_key", f"endpoint:{self.endpoint}")
        object.__setattr__(self, "account_key", f"account:{self.account}")


def split_id(deployment: str) -> tuple[str, str]:
    """Provider and model of a deployment's id; the model may itself contain slashes."""
    provider, _, model = deployment.partition("/")
    return provider, model


def replacement(kind: str, model: str) -> str | None:
    """The model to use instead of one that its provider has retired; ``None`` for a living one.

    Follows successors of successors.
    """
    seen: set[str] = set()
    current = model
    while (kind, current) in RETIRED and current not in seen:
        seen.add(current)
        current = RETIRED[kind, current]
    return None if current == model else current
