"""What is kept of a step: its result or its failure, as JSON, the same at first and whenever it is asked again."""

import asyncio
import hashlib
import json
from collections.abc import Awaitable, Callable, Iterator
from typing import Any, Final

from coreto.errors import CallError, CoretoError
from coreto.messages import Json
from coreto.runs.errors import StepError

#: In a kept outcome: the value, the failure, and that the value holds failures.
OK: Final = "ok"
ERROR: Final = "error"
PARTLY: Final = "partly"


def portable(value: Any) -> Any:
    """``value`` as it will come back from storage: tuples are lists, keys are texts, half a surrogate pair is a
    question mark. Raises :class:`StepError` for what JSON cannot hold."""
    try:
        shown = json.dumps(value, ensure_ascii=False, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise StepError(f"not a JSON value: {error}") from None
    return json.loads(shown if shown.isascii() else shown.encode("utf-8", "replace"))


async def settled(work: Callable[[], Awaitable[Any]]) -> Json:
    """The outcome of ``work``, never an exception but for cancellation and its like."""
    # gather, and not `except Exception`: what is meant is every failure, and what must not be caught is still raised
    [found] = await asyncio.gather(_called(work), return_exceptions=True)
    if not isinstance(found, BaseException):
        try:
            return {OK: portable(found)}
        except StepError as error:
            return failed(error)
    if isinstance(found, Exception):
        return failed(found)
    raise found


async def _called(work: Callable[[], Awaitable[Any]]) -> Any:
    return await work()


def failed(error: Exception) -> Json:
    """The outcome that says that ``error`` was raised."""
    code = error.code if isinstance(error, CoretoError) else StepError.code
    message = str(error) if isinstance(error, CoretoError) else f"{type(error).__name__}: {error}"
    return {ERROR: portable({"type": type(error).__name__, "code": code, "message": message})}


def value_of(outcome: Json) -> Any:
    """The value of a kept outcome, or raises its error: of its class and with its message, if it is one of ours,
    else a :class:`StepError`."""
    failure = outcome.get(ERROR)
    if failure is not None:
        raise error_of(failure)
    return outcome[OK]


def error_of(failure: Json) -> CoretoError:
    """The error that :func:`failed` kept, as far as it was kept."""
    name, message = str(failure.get("type")), str(failure.get("message"))
    found = next((kind for kind in _kinds(CoretoError) if kind.__name__ == name), None)
    if found is None:
        return StepError(message)
    if issubclass(found, CallError) or found.__init__ is CoretoError.__init__:
        return found(message)
    error = found.__new__(found, message)  # its constructor makes a message of other things
    error.args = (message,)
    return error


def has_failed(outcome: object) -> bool:
    """Whether a kept outcome is a failure, or holds one."""
    return isinstance(outcome, dict) and (ERROR in outcome or PARTLY in outcome)


def step_key(run_id: str, step: str, arguments: Any) -> str:
    """The idempotency key of a side effect, for the service that is asked for it: the same whenever the step is done
    again, and another one for other arguments. 64 hexadecimal digits."""
    return digest_of([run_id, step, arguments])


def digest_of(value: Any) -> str:
    """SHA-256 of a JSON value, hexadecimal; the order of keys does not matter."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def _kinds(root: type[CoretoError]) -> Iterator[type[CoretoError]]:
    yield root
    for kind in root.__subclasses__():
        yield from _kinds(kind)
