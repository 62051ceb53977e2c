"""The label that a request's own words give it. What was found in a message is remembered by its digest."""

import hashlib
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

from coreto.routing.privacy import detect_sensitive
from coreto.routing.texts import texts_of

#: Messages remembered; a conversation sends its whole history at every turn.
MOST_KNOWN = 4096
#: Characters from which looking takes milliseconds, which others should not have to wait for.
LONG = 8_000

Kinds = tuple[str, ...]


class Sensitivities:
    """What kinds of sensitive data messages hold. Keeps digests and kinds, never a message."""

    def __init__(self, most: int = MOST_KNOWN) -> None:
        self._most = most
        self._known: OrderedDict[bytes, Kinds] = OrderedDict()

    def kinds(self, body: Mapping[str, Any]) -> Kinds:
        """The kinds in all that ``body`` says, sorted."""
        found: set[str] = set()
        for text in texts_of(body):
            found.update(self._kinds_in(text))
        return tuple(sorted(found)) if found else ()

    def kinds_at_once(self, body: Mapping[str, Any]) -> Kinds | None:
        """As :meth:`kinds`; ``None`` where that :meth:`is_slow`. (Every call passes here.)"""
        found: Kinds = ()
        for text in texts_of(body):
            known = self._known.get(digest_of(text))
            if known is None:
                if len(text) >= LONG:
                    return None
                known = self._kinds_in(text)
            if known:
                found = tuple(sorted({*found, *known}))
        return found

    def is_slow(self, body: Mapping[str, Any]) -> bool:
        """Whether :meth:`kinds` may take milliseconds: something long in ``body`` is not known yet."""
        return any(len(text) >= LONG and digest_of(text) not in self._known for text in texts_of(body))

    def _kinds_in(self, text: str) -> Kinds:
        digest = digest_of(text)
        known = self._known.get(digest)
        if known is None:
            known = self._known[digest] = detect_sensitive(text).kinds
            if len(self._known) > self._most:
                self._known.popitem(last=False)
        return known


def digest_of(text: str) -> bytes:
    """What stands for ``text`` where the text itself must not be kept."""
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest()
