"""Whether a text holds data that must stay on the machine (SPEC R7).

Plain talk costs a few microseconds: each finder first asks for what it cannot do without (a digit, an
``@``, one of its words), and only candidates meet check digits and libphonenumber.
"""

from coreto.routing.sensitive.contacts import find_addresses, find_emails
from coreto.routing.sensitive.documents import find_documents
from coreto.routing.sensitive.folding import fold
from coreto.routing.sensitive.keys import find_keys
from coreto.routing.sensitive.numbers import find_ibans, find_numbers
from coreto.routing.sensitive.passwords import find_passwords
from coreto.routing.sensitive.phones import find_phones
from coreto.routing.sensitive.places import find_places
from coreto.routing.sensitive.prose import find_prose
from coreto.routing.sensitive.spans import Sensitivity, Span, settle
from coreto.routing.sensitive.spelled import find_spelled

__all__ = ["Sensitivity", "Span", "detect_sensitive"]

#: In the order of trust: of two spans of one length the earlier finder's is kept.
_FINDERS = (
    find_keys,
    find_passwords,
    find_documents,  # before the numbers: a CNH has eleven digits too, and its name beside it
    find_numbers,
    find_ibans,
    find_spelled,
    find_emails,
    find_phones,
    find_addresses,
    find_places,
    find_prose,
)
_NOTHING = Sensitivity()


def detect_sensitive(text: str) -> Sensitivity:
    """The sensitive data in ``text``, with offsets into it as it came. Pure; raises nothing."""
    if len(text) < 4:
        return _NOTHING
    seen = fold(text)
    found = settle(span for finder in _FINDERS for span in finder(seen) if span.end > span.start)
    if not found:
        return _NOTHING
    return Sensitivity(tuple(Span(*seen.place(span.start, span.end), span.kind) for span in found))
