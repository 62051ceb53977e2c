"""One more try with the same model: it is shown its answer and what is wrong with it."""

from coreto.errors import InvalidOutputError
from coreto.messages import Call
from coreto.resilience.history import turn, with_turns

#: A longer bad answer is not worth its tokens: the next candidate is asked instead.
ANSWER_MOST = 8_000


def repaired(call: Call, error: InvalidOutputError) -> Call | None:
    """``call`` with the bad answer and its fault; ``None`` where there is nothing to repair."""
    if not error.answer.strip() or len(error.answer) > ANSWER_MOST:
        return None
    complaint = (
        f"That answer cannot be used: {error.message}. Answer again with only what was asked for, corrected."
    )
    return with_turns(call, turn("assistant", error.answer), turn("user", complaint))
