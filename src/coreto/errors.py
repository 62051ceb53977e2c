"""Every failure Coreto knows, with what it means for the next step.

::

    CoretoError
    ├── ConfigError            a setting is wrong: names the key, the file and the mend
    ├── MissingExtraError      an optional part is not installed: names the extra
    ├── UnknownModelError      no such model, role or deployment: names the nearest        (404)
    ├── InvalidRequestError    the caller's request cannot be used: names the field        (400)
    ├── PrivacyError           private data was about to leave the machine                 (403)
    └── CallError              one attempt at a deployment failed
        │                      ── the way there (scope: endpoint)
        ├── UnreachableError   refused, unknown host, no route
        ├── TimedOutError      no connection, no first token, or no answer in time
        ├── StalledError       the stream stopped sending
        ├── CutError           the connection ended before the answer did
        ├── GarbledError       what came is not the protocol: HTML, broken JSON, empty body
        ├── ServerFaultError   a 5xx that says nothing more
        ├── QueueFullError     the engine's queue is full
        │                      ── who pays (scope: account)
        ├── AuthError          key missing or wrong
        ├── QuotaError         the allowance is used up, until a known or guessed time
        ├── BillingError       no balance (account), or this model costs extra (model)
        │                      ── the model (scope: model)
        ├── RateError          too many requests now; ``retry_after``
        ├── EntitlementError   this account may not use this model
        ├── RetiredError       the provider ended the model; ``successors``
        ├── MissingModelError  not there: not pulled, or a wrong name
        ├── OverloadedError    the provider has no capacity for it now
        ├── OutOfMemoryError   it does not fit in memory
        ├── UnsupportedError   it cannot do what was asked (tools, images, embeddings)
        │                      ── the answer (scope: role and model)
        ├── InvalidOutputError empty, not JSON, not the schema, not one of the labels
        ├── DoubtfulError      looks wrong; kept, in case that nobody else can answer
        │                      ── the request (scope: request)
        ├── ContextError       too long: rejected by the server, or silently truncated
        ├── FilteredError      refused by a content filter
        ├── RejectedError      the caller's own mistake (400): relayed, never tried elsewhere
        ├── BudgetError        a spending limit of ours leaves no room for it           (402)
        │                      ── the whole
        └── ExhaustedError     every candidate failed; carries all attempts                (502…)

A class's ``scope`` says what else is known to be broken: one exhausted account is not tried through
its five models, and one retired model does not cool down a provider. ``transient`` says whether the
same deployment may well answer if asked again shortly.
"""

from collections.abc import Sequence
from enum import StrEnum
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from coreto.messages import Trace


class Scope(StrEnum):
    """What a failure says about more than the one call."""

    REQUEST = "request"
    ROLE = "role"
    MODEL = "model"
    ENDPOINT = "endpoint"
    ACCOUNT = "account"


class CoretoError(Exception):
    """Something Coreto refused or could not do."""

    code: ClassVar[str] = "error"
    http_status: int = 500

    def __init__(self, message: str = "") -> None:
        super().__init__(message or (self.__doc__ or "").splitlines()[0])

    @property
    def message(self) -> str:
        return str(self.args[0])


class ConfigError(CoretoError):
    """The configuration cannot be used."""

    code = "config"


class MissingExtraError(CoretoError):
    """An optional part is not installed."""

    code = "missing_extra"
    http_status = 501

    def __init__(self, extra: str, purpose: str) -> None:
        super().__init__(f'{purpose} needs the extra `{extra}`: pip install "coreto[{extra}]"')
        self.extra = extra


class UnknownModelError(CoretoError):
    """There is no model, role or deployment of that name."""

    code = "model_not_found"
    http_status = 404

    def __init__(self, name: str, nearest: Sequence[str] = ()) -> None:
        hint = f"; did you mean {', '.join(repr(n) for n in nearest)}?" if nearest else ""
        super().__init__(f"unknown model or role {name!r}{hint} (`coreto models` lists them all)")
        self.name = name
        self.nearest = tuple(nearest)

    @classmethod
    def relayed(cls, message: str) -> "UnknownModelError":
        """The error as another Coreto has already put it into words."""
        error = cls("")
        error.args = (message,)
        return error


class InvalidRequestError(CoretoError):
    """The request cannot be used."""

    code = "invalid_request"
    http_status = 400

    def __init__(self, message: str, field: str | None = None) -> None:
        super().__init__(message)
        self.field = field


class PrivacyError(CoretoError):
    """Private data was about to leave the machine; nothing was sent."""

    code = "privacy"
    http_status = 403


class CallError(CoretoError):
    """One attempt at a deployment failed."""

    code = "failed"
    http_status = 502
    scope: Scope = Scope.ENDPOINT
    transient: ClassVar[bool] = False
    trips_breaker: ClassVar[bool] = False

    def __init__(
        self,
        message: str = "",
        *,
        status: int | None = None,
        retry_after: float | None = None,
        until: float | None = None,
        scope: Scope | None = None,
    ) -> None:
        """``status``: the upstream's; ``retry_after``: seconds it asked for; ``until``: epoch seconds
        before which asking again is pointless."""
        super().__init__(message)
        self.status = status
        self.retry_after = retry_after
        self.until = until
        #: what was tried, once the error has left the gateway
        self.trace: Trace | None = None
        if scope is not None:
            self.scope = scope


class UnreachableError(CallError):
    """The server cannot be reached."""

    code = "unreachable"
    trips_breaker = True


class TimedOutError(CallError):
    """No answer in time."""

    code = "timeout"
    http_status = 504
    trips_breaker = True


class StalledError(CallError):
    """The stream stopped sending."""

    code = "stalled"
    http_status = 504
    trips_breaker = True


class CutError(CallError):
    """The connection ended before the answer did."""

    code = "cut"
    transient = True
    trips_breaker = True


class GarbledError(CallError):
    """What came back is not an answer in the protocol."""

    code = "garbled"
    trips_breaker = True


class ServerFaultError(CallError):
    """The server failed."""

    code = "server_error"
    transient = True
    trips_breaker = True


class QueueFullError(CallError):
    """The engine's queue is full."""

    code = "queue_full"
    http_status = 503
    transient = True


class AuthError(CallError):
    """The key is missing or wrong."""

    code = "auth"
    scope = Scope.ACCOUNT


class QuotaError(CallError):
    """The account's allowance is used up."""

    code = "quota"
    http_status = 429
    scope = Scope.ACCOUNT


class BillingError(CallError):
    """The account has no balance for this."""

    code = "billing"
    http_status = 402
    scope = Scope.ACCOUNT


class RateError(CallError):
    """Too many requests just now."""

    code = "rate"
    http_status = 429
    scope = Scope.MODEL
    transient = True


class EntitlementError(CallError):
    """The account's plan does not include this model."""

    code = "entitlement"
    http_status = 403
    scope = Scope.MODEL


class RetiredError(CallError):
    """The provider has retired this model."""

    code = "retired"
    http_status = 404
    scope = Scope.MODEL
    successors: tuple[str, ...] = ()


class MissingModelError(CallError):
    """The server does not have this model."""

    code = "model_missing"
    http_status = 404
    scope = Scope.MODEL


class OverloadedError(CallError):
    """The provider has no capacity for this model just now."""

    code = "overloaded"
    http_status = 503
    scope = Scope.MODEL
    transient = True
    trips_breaker = True


class OutOfMemoryError(CallError):
    """The model does not fit in memory."""

    code = "out_of_memory"
    http_status = 503
    scope = Scope.MODEL


class UnsupportedError(CallError):
    """The model cannot do what was asked."""

    code = "unsupported"
    http_status = 400
    scope = Scope.REQUEST


class InvalidOutputError(CallError):
    """The answer is empty, or not what was asked for."""

    code = "invalid_output"
    scope = Scope.ROLE

    def __init__(self, message: str = "", *, answer: str = "") -> None:
        """``answer``: the text that cannot be used."""
        super().__init__(message)
        self.answer = answer


class DoubtfulError(CallError):
    """The answer looks wrong; another model is asked."""

    code = "doubtful"
    scope = Scope.ROLE

    def __init__(self, message: str = "", *, items: Sequence[object] = ()) -> None:
        """``items``: the answer, as its caller would have got it."""
        super().__init__(message)
        self.items = tuple(items)


class ContextError(CallError):
    """The prompt is longer than the model's context."""

    code = "context"
    http_status = 400
    scope = Scope.REQUEST

    def __init__(self, message: str = "", *, truncated: bool = False, status: int | None = None) -> None:
        """``truncated``: the server cut the prompt and answered all the same."""
        super().__init__(message, status=status)
        self.truncated = truncated


class FilteredError(CallError):
    """A content filter refused the request or its answer."""

    code = "filtered"
    http_status = 400
    scope = Scope.REQUEST


class RejectedError(CallError):
    """The server says that the request itself is wrong."""

    code = "rejected"
    http_status = 400
    scope = Scope.REQUEST


class BudgetError(CallError):
    """A spending limit leaves no room for this call."""

    code = "budget"
    http_status = 402
    scope = Scope.REQUEST


class ExhaustedError(CallError):
    """No candidate could answer."""

    code = "all_failed"
    scope = Scope.REQUEST

    def __init__(self, message: str, *, causes: Sequence[CoretoError] = ()) -> None:
        super().__init__(message)
        self.causes = tuple(causes)
        if causes:
            statuses = {cause.http_status for cause in causes}
            self.http_status = statuses.pop() if len(statuses) == 1 else 503
            self.__cause__ = causes[-1]
