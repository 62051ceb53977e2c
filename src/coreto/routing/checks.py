"""Cheap checks of an answer that need no model: is there a fault that a better model would not have made?

Each check would rather miss a fault than find one that is none: an alarm costs a call to the cloud. What any model
would do as well (no access to live data, refusing what is harmful) is no fault.
"""

from collections.abc import Callable

from coreto.routing.escalation.claims import find_wrong_sum
from coreto.routing.escalation.code import find_bad_code
from coreto.routing.escalation.exchange import Exchange, exchange
from coreto.routing.escalation.shape import find_missing_items, find_repetition, find_unfinished
from coreto.routing.escalation.wording import find_echo, find_hedge, find_other_language, find_refusal

__all__ = ["CHECKS", "Check", "find_flaw"]

Check = Callable[[Exchange], str | None]

CHECKS: tuple[tuple[str, Check], ...] = (
    ("echo", find_echo),
    ("refusal", find_refusal),
    ("hedge", find_hedge),
    ("language", find_other_language),
    ("repetition", find_repetition),
    ("unfinished", find_unfinished),
    ("count", find_missing_items),
    ("arithmetic", find_wrong_sum),
    ("code", find_bad_code),
)
"""The checks by name, in the order in which they are asked: what says most about the answer comes first."""


def find_flaw(question: str, answer: str) -> str | None:
    """The first fault of ``answer`` in a few words; ``None`` when no check finds one.

    Pure; raises nothing; looks at 16,000 characters of an answer. An empty answer is none of its business
    (:mod:`coreto.resilience.output`).
    """
    if not answer.strip():
        return None
    seen = exchange(question, answer)
    return next((flaw for _, check in CHECKS if (flaw := check(seen))), None)
