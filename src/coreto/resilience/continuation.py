"""A stream that died midway, gone on with by another model.

What the caller has already seen cannot be taken back, so the next model is given it as the beginning of
its own answer. Models like to start over; :class:`Stitcher` drops what they repeat and refuses what would
be two answers glued together.
"""

from coreto.errors import CutError
from coreto.messages import Call
from coreto.resilience.history import turn, with_turns

#: An answer that begins with this many characters of the old one, and then differs, is a new answer.
STARTED_OVER = 16
#: Repetitions at the seam are looked for up to this length, and dropped from this length.
SEAM_MOST = 200
SEAM_LEAST = 8

GO_ON = (
    "Your last message was cut off. Go on exactly where it stops, in the middle of the word if need be: "
    "repeat nothing of it, do not start over, add no comment."
)


def continued(call: Call, partial: str, *, prefill: bool) -> Call:
    """``call`` for a model that shall go on after ``partial``. ``prefill``: its server takes the beginning
    of an answer as the last message; others are told in words."""
    beginning = turn("assistant", partial)
    return with_turns(call, beginning) if prefill else with_turns(call, beginning, turn("user", GO_ON))


class Stitcher:
    """Joins a continuation to ``partial``, piece by piece."""

    def __init__(self, partial: str) -> None:
        self._partial = partial
        self._held = ""
        self._joined = not partial

    def feed(self, piece: str) -> str:
        """What of ``piece`` is new, as far as it can be told yet.

        Raises :class:`CutError` when the model has started another answer.
        """
        if self._joined:
            return piece
        self._held += piece
        if self._partial.startswith(self._held):
            return ""  # it repeats from the top: wait until it is past what is known
        if self._held.startswith(self._partial):
            return self._join(len(self._partial))
        if _common(self._partial, self._held) >= STARTED_OVER:
            raise CutError("the next model started another answer instead of going on")
        if self._at_seam():
            return ""
        return self._join(self._overlap())

    def finish(self) -> str:
        """What was still held back when the continuation ended.

        Raises :class:`CutError` when it ended before it had reached the point of the cut.
        """
        if self._joined or self._held == self._partial:
            return ""
        if self._held and self._partial.startswith(self._held) and len(self._held) >= STARTED_OVER:
            raise CutError("the next model's answer ended before the point of the cut")
        return self._join(self._overlap())

    def _join(self, skip: int) -> str:
        self._joined = True
        rest, self._held = self._held[skip:], ""
        return rest

    def _at_seam(self) -> bool:
        """Whether all that is held may still turn out to be a repetition of the end."""
        if len(self._held) > SEAM_MOST:
            return False
        at_the_end = len(self._held) >= SEAM_LEAST and self._partial.endswith(self._held)
        return self._held in self._partial[-SEAM_MOST:] and not at_the_end

    def _overlap(self) -> int:
        longest = min(len(self._held), SEAM_MOST)
        sizes = range(longest, SEAM_LEAST - 1, -1)
        return next((n for n in sizes if self._partial.endswith(self._held[:n])), 0)


def _common(left: str, right: str) -> int:
    pairs = enumerate(zip(left, right, strict=False))
    return next((i for i, (a, b) in pairs if a != b), min(len(left), len(right)))
