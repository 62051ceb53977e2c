"""When to ask the same deployment again, and how long to wait before it. Pure."""

import random

from coreto.errors import CallError

BASE = 0.25
CAP = 8.0
#: A server that asks for more patience than this is left for the next candidate.
PATIENCE = 30.0


def wait_before(error: CallError, retry: int, left: float, rng: random.Random) -> float | None:
    """Seconds to wait before retry number ``retry`` (from 1); ``None``: do not ask again.

    Exponential backoff with full jitter; a server's ``Retry-After`` is a floor. ``left``: seconds until
    the call's deadline, which a wait may not reach.
    """
    if not error.transient:
        return None
    ceiling = min(CAP, BASE * 2.0 ** (retry - 1))
    wait = ceiling * (0.5 + rng.random() / 2)
    if error.retry_after is not None:
        if error.retry_after > PATIENCE:
            return None
        wait = error.retry_after + wait * 0.1
    return wait if wait < left else None
