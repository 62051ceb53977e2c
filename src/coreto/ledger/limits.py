"""Which spending limits apply to a call, in which window, and what the call can cost at most. Pure.

The worst case of a call is ``prompt tokens × input price + answer tokens × output price``:

- the prompt's tokens are estimated from its bytes at two bytes a token, twice what text in English or
  Portuguese comes to, so that code, digits and other scripts fit in; a picture counts 1,600;
- the answer's tokens are the request's ``max_completion_tokens`` or ``max_tokens`` (which the role may have
  set), else 4,096, times ``n``.

A provider that charges more all the same exceeds the limit by that difference, once, and it is counted.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from decimal import Decimal
from typing import Any, Literal

import orjson

from coreto.ledger.pricing import Price, cost_nusd
from coreto.messages import NANO, Usage, as_objects
from coreto.settings.model import BudgetSettings, SpendingLimits
from coreto.settings.units import zone
from coreto.stores.budget_records import Account, Who

Window = Literal["day", "month", "run"]

EACH = "*"
"""The name under which a limit for everyone who has none of their own is written."""

LONGEST_NAME = 200
"""Longer names share an account with those that begin alike; the ledger cuts them too."""

BYTES_PER_TOKEN = 2
TOKENS_PER_MESSAGE = 16
TOKENS_PER_PICTURE = 1600
DEFAULT_ANSWER = 4096
MOST_TOKENS = 10**9

# parts of a request, beside its messages, that become prompt tokens
_ALSO_PROMPT = ("tools", "functions", "response_format", "input")


KeyLimits = Callable[[str], tuple[int | None, int | None]]
"""What the server's key of a name may spend a day and a month, in nano-dollars."""


@dataclass(frozen=True, slots=True)
class Limit:
    """So much (nano-dollars) may be spent by ``who`` in a window. The ``name`` is empty for everybody's."""

    who: Who
    name: str
    window: Window
    nusd: int

    @property
    def title(self) -> str:
        """``daily limit``, ``monthly limit of user 'ana'``, ``limit of run 'r1'``."""
        kind = {"day": "daily limit", "month": "monthly limit", "run": "limit"}[self.window]
        whose = f"{self.who} {self.name!r}" if self.name else f"calls without a {self.who}"
        return kind if self.who == "all" else f"{kind} of {whose}"


@dataclass(frozen=True, slots=True)
class Period:
    """A day or a month: its name and its ends in epoch seconds, half open."""

    name: str
    start: float
    end: float


def period(window: Literal["day", "month"], now: float, tz: tzinfo) -> Period:
    """The calendar day or month of ``tz`` that ``now`` (epoch seconds) is in."""
    today = datetime.fromtimestamp(now, tz).date()
    if window == "day":
        first, after, name = today, today + timedelta(days=1), today.isoformat()
    else:
        first = today.replace(day=1)
        after, name = (first + timedelta(days=31)).replace(day=1), today.isoformat()[:7]
    # midnights, which summer time may move
    start, end = (datetime(d.year, d.month, d.day, tzinfo=tz).timestamp() for d in (first, after))
    return Period(name, start, end)


class Limits:
    """All limits of the configuration, and those of the server's keys, whose names are their calls' users."""

    def __init__(self, settings: BudgetSettings, of_key: KeyLimits | None = None) -> None:
        self._of_key = of_key
        self.refuses = settings.when_exceeded == "refuse"
        self.allow_unknown_price = settings.allow_unknown_price
        self.zone_name = settings.timezone
        self.zone = zone(settings.timezone)
        self._all = _windows("all", "", settings)
        self._each: dict[Who, Mapping[str, SpendingLimits]] = {
            "user": {storable(name): table for name, table in settings.users.items()},
            "role": {storable(name): table for name, table in settings.roles.items()},
        }
        self._run = settings.runs.usd

    @property
    def any(self) -> bool:
        """Whether anything is, or may come to be, limited at all."""
        return self._of_key is not None or bool(
            self.named() or self._of("user", EACH) or self._of("role", EACH) or self._run is not None
        )

    def named(self) -> tuple[Limit, ...]:
        """Everybody's limits, and those of the users and roles that are named."""
        found = list(self._all)
        for who, table in self._each.items():
            for name in table:
                if name != EACH:
                    found += self._of(who, name)
        return tuple(found)

    def applying(self, user: str | None, role: str | None, run: str | None) -> tuple[Limit, ...]:
        """The limits of a call. Calls without a user or role are those of one nameless user or role, so
        that leaving it out evades nothing; calls without a run belong to none."""
        found = [*self._all, *self._of_user(storable(user or "")), *self._of("role", storable(role or ""))]
        if run and self._run is not None:
            found.append(Limit("run", storable(run), "run", nusd(self._run)))
        return tuple(found)

    def unnamed(self, who: Who, names: Iterable[str]) -> tuple[Limit, ...]:
        """The limits of those ``names`` of users, roles or runs that only :data:`EACH` provides for."""
        if who == "run":
            return () if self._run is None else tuple(Limit(who, n, "run", nusd(self._run)) for n in names)
        table = self._each.get(who, {})
        return tuple(limit for n in names if n not in table or n == EACH for limit in self._of(who, n))

    def account(self, limit: Limit, now: float) -> Account:
        """What ``limit`` counts at ``now`` (epoch seconds)."""
        if limit.window == "run":
            return Account(limit.who, limit.name, "run")
        span = period(limit.window, now, self.zone)
        return Account(limit.who, limit.name, span.name, round(span.start * 1000), round(span.end * 1000))

    def _of_user(self, name: str) -> tuple[Limit, ...]:
        """The limits of a user, or of the key of that name: the lower of the two."""
        found = {limit.window: limit for limit in self._of("user", name)}
        if self._of_key is not None:
            windows: tuple[Window, Window] = ("day", "month")
            for window, most in zip(windows, self._of_key(name), strict=True):
                if most is not None and (window not in found or most < found[window].nusd):
                    found[window] = Limit("user", name, window, most)
        return tuple(found.values())

    def _of(self, who: Who, name: str) -> tuple[Limit, ...]:
        table = self._each[who]
        each, own = table.get(EACH, SpendingLimits()), table.get(name, SpendingLimits())
        merged = SpendingLimits(
            daily_usd=each.daily_usd if own.daily_usd is None else own.daily_usd,
            monthly_usd=each.monthly_usd if own.monthly_usd is None else own.monthly_usd,
        )
        return _windows(who, name, merged)


def _windows(who: Who, name: str, limits: SpendingLimits | BudgetSettings) -> tuple[Limit, ...]:
    found: list[Limit] = []
    if limits.daily_usd is not None:
        found.append(Limit(who, name, "day", nusd(limits.daily_usd)))
    if limits.monthly_usd is not None:
        found.append(Limit(who, name, "month", nusd(limits.monthly_usd)))
    return tuple(found)


def nusd(usd: float) -> int:
    """Dollars as whole nano-dollars."""
    return int(Decimal(str(usd)) * NANO)


def storable(name: str) -> str:
    """``name`` as a database takes it: neither NUL nor half a surrogate pair, and not too long."""
    if len(name) > LONGEST_NAME:
        name = name[: LONGEST_NAME - 1] + "…"
    if not name.isascii():
        name = name.encode("utf-8", "replace").decode("utf-8")
    return name.replace("\0", "\N{REPLACEMENT CHARACTER}")


def worst_nusd(price: Price, body: Mapping[str, Any], *, answers: bool = True) -> int:
    """What the request ``body`` can cost at ``price``, in nano-dollars. ``answers``: tokens are generated
    (not so for embeddings)."""
    return cost_nusd(price, Usage(prompt_most(body), answer_most(body) if answers else 0))


def prompt_most(body: Mapping[str, Any]) -> int:
    """A number of tokens that the prompt of ``body`` will hardly exceed."""
    tokens = size = 0
    for message in as_objects(body.get("messages")):
        tokens += TOKENS_PER_MESSAGE
        content = message.get("content")
        if isinstance(content, str):
            size += _size(content)
        else:
            for part in as_objects(content):
                text = part.get("text")
                if isinstance(text, str):
                    size += _size(text)
                else:
                    tokens += TOKENS_PER_PICTURE
        if message.get("tool_calls"):
            size += len(orjson.dumps(message["tool_calls"]))
    for name in _ALSO_PROMPT:
        if body.get(name):
            size += len(orjson.dumps(body[name]))
    return tokens + -(-size // BYTES_PER_TOKEN)


def answer_most(body: Mapping[str, Any]) -> int:
    """The most tokens that a provider may generate for ``body``."""
    most = body.get("max_completion_tokens")
    if not isinstance(most, int):
        most = body.get("max_tokens")
    if not isinstance(most, int):
        most = DEFAULT_ANSWER
    times = body.get("n")
    return min(max(most, 0) * max(times if isinstance(times, int) else 1, 1), MOST_TOKENS)


def _size(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode("utf-8", "replace"))


def moment(until_ms: int | None, tz: tzinfo = UTC) -> str | None:
    """An instant in ISO 8601, in ``tz``."""
    return None if until_ms is None else datetime.fromtimestamp(until_ms / 1000, tz).isoformat()
