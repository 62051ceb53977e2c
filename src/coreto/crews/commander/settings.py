"""What a commander may use, and how it speaks."""

from dataclasses import dataclass

from coreto.errors import InvalidRequestError
from coreto.languages import Language
from coreto.messages import Failover
from coreto.tools.sandbox import SandboxLimits


@dataclass(frozen=True, slots=True)
class CommanderSettings:
    """``language``: of the answer, where the request does not show its own. ``most_steps`` of a plan;
    ``most_rounds``: how many versions of a step's code are run. ``limits``: of one run in the sandbox.

    ``plan_tokens``, ``code_tokens``: longest answers; very small models do not end by themselves. ``temperature``: of
    plans and code; ``None``: as the role says. ``context_chars``: what earlier steps may take up in a
    prompt; ``output_chars`` and ``trace_chars``: of a run's output in the answer, and of its error in a prompt.
    ``carried_bytes``: files of a step that later ones get where nobody keeps files. ``stream_failover``: what
    happens when a streamed answer dies midway; ``None``: as its role says.
    """

    language: Language = "pt-BR"
    most_steps: int = 8
    most_rounds: int = 3
    limits: SandboxLimits = SandboxLimits()
    plan_tokens: int = 1_500
    code_tokens: int = 1_536
    temperature: float | None = 0.2
    context_chars: int = 4_000
    output_chars: int = 4_000
    trace_chars: int = 2_000
    carried_bytes: int = 1 << 20
    stream_failover: Failover | None = "continue"

    def __post_init__(self) -> None:
        """Raises :class:`InvalidRequestError` for a number that allows nothing."""
        for name in ("most_steps", "most_rounds", "plan_tokens", "code_tokens", "output_chars"):
            if getattr(self, name) < 1:
                raise InvalidRequestError(f"`{name}` must be at least 1", name)
