"""What a caller says about the cache: the headers ``x-coreto-cache`` and ``x-coreto-cache-tags``. Pure."""

import re
from typing import NamedTuple

from coreto.cache.store import MAX_TTL
from coreto.errors import InvalidRequestError

HEADER = "x-coreto-cache"
TAGS_HEADER = "x-coreto-cache-tags"

_SECONDS = re.compile(r"[0-9]{1,9}(\.[0-9]{1,3})?")
_TAG = re.compile(r"[\w.:/@+-]{1,128}")
_MOST_TAGS = 16


class Directive(NamedTuple):
    """``off``: neither look up nor keep; ``refresh``: ask anew and keep that; ``ttl``: seconds, instead of
    the role's."""

    off: bool = False
    refresh: bool = False
    ttl: float | None = None

    def ttl_for(self, role_ttl: float) -> float:
        """Seconds to keep the answer, given the role's; 0: the call does not touch the cache."""
        if self.off:
            return 0.0
        return min(role_ttl if self.ttl is None else self.ttl, MAX_TTL)


def parse_directive(text: str | None) -> Directive:
    """Read ``x-coreto-cache``: ``no``, ``refresh``, seconds (``0`` is ``no``), or ``refresh, SECONDS``;
    nothing: as the role says.

    Raises :class:`~coreto.errors.InvalidRequestError`.
    """
    words = [word.strip().lower() for word in (text or "").split(",") if word.strip()]
    off = refresh = False
    ttl: float | None = None
    for word in words:
        if word == "no":
            off = True
        elif word == "refresh":
            refresh = True
        elif _SECONDS.fullmatch(word) and ttl is None:
            ttl = float(word)
        else:
            raise _refusal(text)
    if off and len(words) > 1:
        raise _refusal(text)
    return Directive(off or ttl == 0, refresh, ttl)


def _refusal(text: str | None) -> InvalidRequestError:
    return InvalidRequestError(
        f"{HEADER}: {(text or '')[:40]!r} is none of `no`, `refresh`, a number of seconds", HEADER
    )


def parse_tags(text: str | None) -> tuple[str, ...]:
    """Read ``x-coreto-cache-tags``: up to 16 names with commas between them, such as ``prompt:greeting``.

    Raises :class:`~coreto.errors.InvalidRequestError`.
    """
    tags = tuple(dict.fromkeys(tag.strip() for tag in (text or "").split(",") if tag.strip()))
    wrong = next((tag for tag in tags if not _TAG.fullmatch(tag)), None)
    if wrong is not None:
        raise InvalidRequestError(
            f"{TAGS_HEADER}: {wrong[:40]!r} is not a tag: letters, digits and . : / @ + - _, 128 at most",
            TAGS_HEADER,
        )
    if len(tags) > _MOST_TAGS:
        raise InvalidRequestError(f"{TAGS_HEADER}: {len(tags)} tags; {_MOST_TAGS} at most", TAGS_HEADER)
    return tags
