"""What is counted: calls, attempts, tokens, money and time, from the events of the bus.

Labels hold names from the configuration and codes of our own only, never what a client sent: the number of
series stays small, and nothing private gets in.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from coreto.events import CallFinished, EventBus, HealthChanged, ModelMoved, RequestServed
from coreto.messages import NANO, Attempt
from coreto.telemetry.exposition import OTHER, Counter, CounterOf, Gauge, Histogram, Metric, exposition

# seconds; a cached answer takes one millisecond, a model on a CPU five minutes
_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300)
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
#: Events that wait to be counted.
_AT_ONCE = 256
BREAKER_STATES = ("closed", "half-open", "open")


@dataclass(frozen=True, slots=True)
class HostFigures:
    """One engine whose models take turns: bytes ``used`` and of its ``budget``, requests that wait in ``queue``, loads
    and switches since the start."""

    provider: str
    used: int
    budget: int
    queue: int
    loads: int
    switches: int


@dataclass(frozen=True, slots=True)
class Sources:
    """What is asked when somebody looks. ``knows_deployment`` and ``knows_role`` tell names of the directory
    from others; ``breakers``: deployments and the state of their breakers; ``hosts``: the engines whose models take
    turns in memory; ``extra``: metrics of parts that need not be there, such as the cache."""

    knows_deployment: Callable[[str], bool]
    knows_role: Callable[[str], bool]
    breakers: Callable[[], Iterable[tuple[str, str]]]
    in_flight: Callable[[], int]
    queued: Callable[[], int]
    ledger_dropped: Callable[[], int]
    ledger_waiting: Callable[[], int]
    hosts: Callable[[], Iterable[HostFigures]] = tuple
    extra: tuple[Metric, ...] = ()


class Metrics:
    """Counts what happens from :meth:`attach` on; :meth:`text` is what ``/metrics`` shows."""

    def __init__(self, sources: Sources) -> None:
        self._sources = sources
        self._waiting: list[CallFinished | RequestServed] = []
        self._requests = Counter(
            "coreto_http_requests_total", "HTTP requests dealt with.", ("method", "route", "status")
        )
        self._calls = Counter(
            "coreto_calls_total",
            "Calls by role, the deployment that answered, and outcome.",
            ("role", "deployment", "outcome"),
        )
        self._attempts = Counter(
            "coreto_attempts_total", "Attempts at deployments by outcome.", ("deployment", "outcome")
        )
        self._tokens = Counter("coreto_tokens_total", "Tokens of all attempts.", ("deployment", "kind"))
        self._cost = Counter(
            "coreto_cost_usd_total", "US dollars of attempts with a known price.", ("deployment",)
        )
        self._unpriced = Counter(
            "coreto_unpriced_attempts_total", "Attempts without a known price.", ("deployment",)
        )
        self._cached = Counter("coreto_cached_calls_total", "Calls answered from the cache.", ("role",))
        self._health = Counter(
            "coreto_health_changes_total", "Changes of deployments, endpoints and accounts.", ("state",)
        )
        self._moves = Counter(
            "coreto_model_moves_total",
            "What happened to models in memory: loaded, unloaded, failed and so on.",
            ("provider", "what"),
        )
        self._call_seconds = Histogram(
            "coreto_call_seconds", "Seconds a call took, all attempts together.", ("role",), _SECONDS
        )
        self._attempt_seconds = Histogram(
            "coreto_attempt_seconds", "Seconds of successful attempts.", ("deployment",), _SECONDS
        )
        self._first_token_seconds = Histogram(
            "coreto_first_token_seconds", "Seconds to an attempt's first token.", ("deployment",), _SECONDS
        )

    def attach(self, bus: EventBus) -> None:
        """Count the events of ``bus``."""
        bus.subscribe(CallFinished, self._take)
        bus.subscribe(HealthChanged, self._changed)
        bus.subscribe(ModelMoved, self._moved)
        bus.subscribe(RequestServed, self._take)

    def _take(self, event: CallFinished | RequestServed) -> None:
        """Every request passes here: what can wait is counted later, many at once (a third of the CPU)."""
        self._waiting.append(event)
        if len(self._waiting) >= _AT_ONCE:
            self._count()

    def _count(self) -> None:
        events, self._waiting = self._waiting, []
        for event in events:
            if isinstance(event, CallFinished):
                self._call(event)
            else:
                self._served(event)

    def text(self) -> str:
        """Everything, in Prometheus' format."""
        self._count()
        return exposition((*self._counted(), *self._asked(), *self._sources.extra))

    def _counted(self) -> tuple[Metric, ...]:
        return (
            self._requests,
            self._calls,
            self._attempts,
            self._tokens,
            self._cost,
            self._unpriced,
            self._cached,
            self._health,
            self._moves,
            self._call_seconds,
            self._attempt_seconds,
            self._first_token_seconds,
        )

    def _asked(self) -> tuple[Metric, ...]:
        s = self._sources
        return (
            Gauge("coreto_calls_in_flight", "Calls being answered.", (), lambda: [((), s.in_flight())]),
            Gauge("coreto_calls_queued", "Calls that wait for their turn.", (), lambda: [((), s.queued())]),
            Gauge(
                "coreto_breaker_state", "1 for the state it is in.", ("deployment", "state"), self._breakers
            ),
            CounterOf(
                "coreto_ledger_dropped_total",
                "Calls that the ledger will never record.",
                (),
                lambda: [((), s.ledger_dropped())],
            ),
            Gauge(
                "coreto_ledger_waiting",
                "Calls not yet written to the ledger.",
                (),
                lambda: [((), s.ledger_waiting())],
            ),
            *self._memory(),
        )

    def _memory(self) -> tuple[Metric, ...]:
        def each(figure: Callable[[HostFigures], int]) -> Callable[[], Iterable[tuple[tuple[str], float]]]:
            return lambda: [((host.provider,), figure(host)) for host in self._sources.hosts()]

        by = ("provider",)
        return (
            Gauge(
                "coreto_memory_used_bytes",
                "Bytes that models hold where they take turns.",
                by,
                each(lambda h: h.used),
            ),
            Gauge(
                "coreto_memory_budget_bytes",
                "Bytes that they may hold together.",
                by,
                each(lambda h: h.budget),
            ),
            Gauge("coreto_memory_queue", "Calls that wait for their model.", by, each(lambda h: h.queue)),
            CounterOf("coreto_model_loads_total", "Loads that were begun.", by, each(lambda h: h.loads)),
            CounterOf(
                "coreto_model_switches_total",
                "Times that models had to leave for another one.",
                by,
                each(lambda h: h.switches),
            ),
        )

    def _breakers(self) -> Iterable[tuple[tuple[str, str], float]]:
        for deployment, state in self._sources.breakers():
            for one in BREAKER_STATES:
                yield (deployment, one), float(one == state)

    def _call(self, event: CallFinished) -> None:
        trace = event.trace
        role = self._role(trace.role)
        answered = self._deployment(trace.deployment) if trace.deployment else ""
        self._calls.add((role, answered, event.outcome))
        self._call_seconds.observe((role,), event.ms / 1000)
        if trace.cached:
            self._cached.add((role,))
        for attempt in trace.attempts:
            self._attempt(attempt)

    def _attempt(self, attempt: Attempt) -> None:
        name = self._deployment(attempt.deployment)
        self._attempts.add((name, attempt.outcome))
        if attempt.outcome == "ok":
            self._attempt_seconds.observe((name,), attempt.ms / 1000)
        if attempt.ttft_ms is not None:
            self._first_token_seconds.observe((name,), attempt.ttft_ms / 1000)
        usage = attempt.usage
        if usage.prompt or usage.completion:
            self._tokens.add((name, "prompt"), usage.prompt)
            self._tokens.add((name, "completion"), usage.completion)
        if attempt.cost_nusd is None:
            self._unpriced.add((name,))
        elif attempt.cost_nusd:
            self._cost.add((name,), attempt.cost_nusd / NANO)

    def _changed(self, event: HealthChanged) -> None:
        self._health.add((event.state,))

    def _moved(self, event: ModelMoved) -> None:
        self._moves.add((event.provider, event.what))

    def _served(self, event: RequestServed) -> None:
        method = event.method if event.method in _METHODS else OTHER
        self._requests.add((method, event.route, str(event.status)))

    def _deployment(self, name: str) -> str:
        return name if self._sources.knows_deployment(name) else OTHER

    def _role(self, name: str | None) -> str:
        if name is None:
            return ""
        return name if self._sources.knows_role(name) else OTHER
