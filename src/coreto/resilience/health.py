"""What recent failures say about who may be asked: circuit breakers and cool-downs, by scope.

A *breaker* watches one deployment (or, for a server that cannot be reached, one endpoint): after
``THRESHOLD`` failures in a row it opens, later calls pass it by, and after a while one probe may try.
A *cool-down* is what an error itself tells: an account without allowance until Monday, a model that is
not there. Keys are strings such as ``model:ollama/phi3:mini`` and ``account:openrouter``.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from statistics import median

from coreto import errors
from coreto.clock import Clock
from coreto.errors import CallError, Scope
from coreto.events import HealthChanged
from coreto.labels import Label
from coreto.providers.catalog import Deployment

THRESHOLD = 3
OPEN_FIRST = 10.0
OPEN_MOST = 120.0
#: A failure that came within this many seconds is cheap to try again when nobody else is left.
QUICK = 1.0

#: Seconds out of service after an error that does not say itself until when.
COOL: dict[type[CallError], float] = {
    errors.QuotaError: 900.0,
    errors.BillingError: 900.0,
    errors.AuthError: 300.0,
    errors.EntitlementError: 900.0,
    errors.RetiredError: 3600.0,
    errors.MissingModelError: 30.0,
    errors.OutOfMemoryError: 30.0,
    errors.RateError: 2.0,
    errors.QueueFullError: 1.0,
}


@dataclass(frozen=True, slots=True)
class Block:
    """Why a deployment is passed by. ``until``: epoch seconds; ``soft``: with nobody else left, a try is
    cheap enough to be worth it."""

    key: str
    reason: str
    until: float
    code: str
    soft: bool = False
    #: of a retired model, as its provider named them
    successors: tuple[str, ...] = ()


@dataclass(slots=True)
class Breaker:
    """One deployment's or endpoint's record. ``opened_for``: seconds of the current opening; 0 closed."""

    failures: int = 0
    opened_for: float = 0.0
    opened_at: float = 0.0
    open_until: float = 0.0
    probing: bool = False
    last_code: str = ""
    quick: bool = True

    @property
    def state(self) -> str:
        if not self.opened_for:
            return "closed"
        return "half-open" if self.probing else "open"


@dataclass(frozen=True, slots=True)
class CoolDown:
    """Out of service until ``until`` (epoch seconds), because of an error of ``code``."""

    until: float
    code: str
    reason: str
    successors: tuple[str, ...] = ()


@dataclass(slots=True)
class Record:
    """What was seen of one deployment, for status and doctor."""

    calls: int = 0
    failures: int = 0
    last_error: str | None = None
    last_code: str | None = None
    last_error_at: float | None = None
    last_ok_at: float | None = None
    recent_ms: list[float] = field(default_factory=list[float])

    @property
    def usual_ms(self) -> float | None:
        """What an answer takes of late: the median of the last fifty; ``None`` before the first."""
        return median(self.recent_ms[-50:]) if self.recent_ms else None


def scope_key(deployment: Deployment, scope: Scope) -> str | None:
    """What a failure of ``scope`` at ``deployment`` takes out of service; ``None``: nothing."""
    match scope:
        case Scope.ACCOUNT:
            return deployment.account_key
        case Scope.MODEL:
            return deployment.own_key
        case Scope.ENDPOINT:
            return deployment.endpoint_key
        case Scope.REQUEST | Scope.ROLE:
            return None


class HealthBook:
    """The record of all deployments. Every method is quick and does no I/O."""

    def __init__(self, clock: Clock, emit: Callable[[HealthChanged], None]) -> None:
        self._clock = clock
        self._emit = emit
        self._breakers: dict[str, Breaker] = {}
        self._cool: dict[str, CoolDown] = {}
        self.records: dict[str, Record] = {}

    def block(self, deployment: Deployment) -> Block | None:
        """Why ``deployment`` must not be asked now; ``None`` when it may. Changes nothing."""
        if not self._cool and not self._breakers:
            return None
        now = self._clock.time()
        for scope in (Scope.ACCOUNT, Scope.ENDPOINT, Scope.MODEL):
            key = scope_key(deployment, scope)
            assert key is not None
            cool = self._cool.get(key)
            if cool is not None:
                if now < cool.until:
                    return Block(key, cool.reason, cool.until, cool.code, successors=cool.successors)
                del self._cool[key]
                self._emit(HealthChanged(key, "back", "cool-down over"))
        for key in _breaker_keys(deployment):
            breaker = self._breakers.get(key)
            if breaker is not None and breaker.opened_for and (breaker.probing or now < breaker.open_until):
                reason = f"circuit open after {breaker.failures} failures ({breaker.last_code})"
                return Block(key, reason, breaker.open_until, breaker.last_code, soft=breaker.quick)
        return None

    def starting(self, deployment: Deployment) -> None:
        """A call is about to be made; it is the probe of every breaker that is due for one."""
        if not self._breakers:
            return
        for key in _breaker_keys(deployment):
            breaker = self._breakers.get(key)
            if breaker is not None and breaker.opened_for:
                breaker.probing = True

    def abandoned(self, deployment: Deployment, seconds: float = 0.0) -> None:
        """The caller left after ``seconds``, before the call came to anything; a probe it may have been is
        free again."""
        started = self._clock.time() - seconds
        for key in _breaker_keys(deployment):
            breaker = self._breakers.get(key)
            if breaker is not None and started >= breaker.opened_at:  # begun before, it was no probe
                breaker.probing = False

    def succeeded(self, deployment: Deployment, ms: float) -> None:
        """``deployment`` answered in ``ms`` milliseconds."""
        record = self._record(deployment)
        record.calls += 1
        record.last_ok_at = self._clock.time()
        record.recent_ms.append(ms)
        if len(record.recent_ms) > 200:
            del record.recent_ms[:100]
        if not self._breakers:
            return
        for key in _breaker_keys(deployment):
            breaker = self._breakers.pop(key, None)
            if breaker is not None and breaker.opened_for:
                self._emit(HealthChanged(key, "closed", "it answers again"))

    def failed(
        self, deployment: Deployment, error: CallError, seconds: float, label: Label = Label.INTERNAL
    ) -> None:
        """``deployment`` failed with ``error`` after ``seconds``, at a call with ``label``. What it said is
        kept and shown to others, but not of private calls, since servers like to quote the request."""
        said = error.message if label < Label.PRIVATE else (type(error).__doc__ or error.code).splitlines()[0]
        record = self._record(deployment)
        record.calls += 1
        record.failures += 1
        record.last_error, record.last_code = said, error.code
        record.last_error_at = now = self._clock.time()
        self.abandoned(deployment, seconds)
        if error.trips_breaker:
            unreachable = isinstance(error, errors.UnreachableError)
            key = _breaker_keys(deployment)[0 if unreachable else 1]
            self._trip(key, error.code, said, now, seconds)
        self._cool_down(deployment, error, said, now)

    def _trip(self, key: str, code: str, said: str, now: float, seconds: float) -> None:
        breaker = self._breakers.setdefault(key, Breaker())
        if now - seconds < breaker.opened_at:
            return  # begun before it opened: one burst of failures is one reason to open, not many
        breaker.failures += 1
        breaker.last_code, breaker.quick = code, seconds < QUICK
        if breaker.failures >= THRESHOLD:
            was_open = bool(breaker.opened_for)
            breaker.opened_for = min(breaker.opened_for * 2, OPEN_MOST) if breaker.opened_for else OPEN_FIRST
            breaker.opened_at, breaker.open_until = now, now + breaker.opened_for
            if not was_open:  # a failed probe is no news
                self._emit(HealthChanged(key, "open", said, breaker.open_until))

    def _cool_down(self, deployment: Deployment, error: CallError, said: str, now: float) -> None:
        key = scope_key(deployment, error.scope)
        seconds = COOL.get(type(error)) if error.retry_after is None else error.retry_after
        if key is None or (seconds is None and error.until is None):
            return
        until = now + (seconds or 0.0) if error.until is None else error.until
        known = self._cool.get(key)
        if known is not None and known.until >= until:
            return
        successors = error.successors if isinstance(error, errors.RetiredError) else ()
        self._cool[key] = CoolDown(until, error.code, said, successors)
        self._emit(HealthChanged(key, "cooling", said, until))

    def cooling(self) -> dict[str, CoolDown]:
        """Everything that is cooling down now, by key."""
        now = self._clock.time()
        return {key: cool for key, cool in self._cool.items() if cool.until > now}

    def breaker_state(self, deployment: Deployment) -> str:
        """``closed``, ``open`` or ``half-open``: the worst of the deployment's own and its endpoint's."""
        states = [self._breakers[k].state for k in _breaker_keys(deployment) if k in self._breakers]
        return next((s for s in ("open", "half-open") if s in states), "closed")

    def _record(self, deployment: Deployment) -> Record:
        record = self.records.get(deployment.id)
        if record is None:
            record = self.records[deployment.id] = Record()
        return record


def _breaker_keys(deployment: Deployment) -> tuple[str, str]:
    return deployment.endpoint_key, deployment.own_key
