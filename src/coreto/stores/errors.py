"""How the database fails::

CoretoError
└── StoreError             the database could not do it
    ├── StoreDownError     it cannot be reached, is full, locked or damaged: the same may work later
    └── RefusedError       it will never take these values
"""

import contextlib
from collections.abc import Generator

from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, SQLAlchemyError

from coreto.errors import CoretoError

_LONGEST = 300


class StoreError(CoretoError):
    """The database could not do it."""

    code = "store"


class StoreDownError(StoreError):
    """The database cannot be used just now."""

    code = "store_down"
    http_status = 503


class RefusedError(StoreError):
    """The database does not take these values."""

    code = "store_refused"


def one_line(error: BaseException, secret: str | None = None) -> str:
    """What the database itself said, on one line and without ``secret``."""
    cause: object = error.orig if isinstance(error, DBAPIError) and error.orig else error
    text = " ".join(str(cause).split()) or type(cause).__name__
    if secret:
        text = text.replace(secret, "***")
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"


@contextlib.contextmanager
def translated(where: str, secret: str | None = None) -> Generator[None, None, None]:
    """Turn whatever SQLAlchemy and the drivers raise into a :class:`StoreError` about ``where``."""
    try:
        yield
    except (DataError, IntegrityError, OverflowError, UnicodeError) as error:
        raise RefusedError(f"{where}: {one_line(error, secret)}") from None
    except (SQLAlchemyError, OSError) as error:
        raise StoreDownError(f"{where}: {one_line(error, secret)}") from None
