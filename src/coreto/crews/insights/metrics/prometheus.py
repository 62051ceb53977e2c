"""A Prometheus server that scrapes node_exporter, as a source of the same metrics.

All queries go out at once and are evaluated at the same instant. A query that fails makes its own metric missing, with
the server's reason; it takes nothing else along.
"""

import asyncio
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import orjson

from coreto.clock import Clock, SystemClock
from coreto.crews.insights.metrics.catalogue import CATALOGUE, Metric
from coreto.crews.insights.metrics.derive import bounded, within
from coreto.crews.insights.metrics.promql import AGE, FACTS, QUERIES, query
from coreto.crews.insights.metrics.readings import Missing, Reading, SystemMetrics, metric_id
from coreto.errors import CallError, GarbledError, InvalidRequestError
from coreto.messages import Json, as_object, as_objects
from coreto.providers.http import Http
from coreto.redaction import brief


@dataclass(frozen=True, slots=True)
class Point:
    """One value of an answer. ``at``: the server's time, in seconds since 1970."""

    labels: Mapping[str, str]
    at: float
    value: float


class PrometheusMetrics:
    """The machine ``machine`` (the label ``instance``; needed where the server watches several).

    ``window``: seconds that rates are measured over, at least four scrapes; ``stale_after``: seconds without a scrape
    after which nothing is true any more; ``within``: seconds for an answer.
    """

    def __init__(
        self,
        http: Http,
        machine: str = "",
        *,
        window: int = 60,
        stale_after: float = 120.0,
        within: float = 10.0,
        clock: Clock | None = None,
    ) -> None:
        self._http = http
        self._machine = machine
        self._window = window
        self._stale_after = stale_after
        self._within = within
        self._clock = clock or SystemClock()

    async def snapshot(self) -> SystemMetrics:
        """The machine as it was scraped last.

        Raises :class:`InvalidRequestError` where the server does not watch it, or it is not clear which is meant, and
        :class:`CallError` where the server does not answer.
        """
        machine, instant, age = await self._find()
        names = [*FACTS, *QUERIES]
        asked = [query(text, machine, self._window) for text in (*FACTS.values(), *QUERIES.values())]
        answers = await asyncio.gather(*(self._points_or_reason(text, instant) for text in asked))
        found = dict(zip(names, answers, strict=True))
        taken = self._clock.time() - age
        readings: dict[str, Reading] = {}
        for name, metric in CATALOGUE.items():
            for reading in self._readings(metric, found.get(name, "node_exporter does not tell"), taken):
                readings[reading.metric] = reading
        cpus, memory, boot = (_first(found[name]) for name in ("n_cpu", "mem_total", "boot"))
        metrics = SystemMetrics(
            host=_host(found["host"]) or machine,
            taken_at=taken,
            window_s=float(self._window),
            n_cpu=None if cpus is None else int(cpus),
            mem_total=None if memory is None else int(memory),
            readings=bounded(readings),
            boot="" if boot is None else str(int(boot)),
        )
        return metrics.aged(self._clock.time(), self._stale_after)

    async def _find(self) -> tuple[str, float, float]:
        """The machine that is meant, the server's time, and how many seconds ago it was scraped."""
        text = query(AGE, self._machine, self._window) if self._machine else AGE.replace("$G", "")
        points = await self._points(text, None)
        known = sorted({point.labels.get("instance", "") for point in points})
        if not points:
            which = repr(self._machine) if self._machine else "any machine"
            raise InvalidRequestError(
                f"{self._http.endpoint.base_url} has no figures of node_exporter for {which}", "machine"
            )
        if len(known) > 1:
            shown = ", ".join(map(repr, known[:10]))
            raise InvalidRequestError(f"name the machine: the server watches {shown}", "machine")
        freshest = min(points, key=lambda point: point.value)
        return known[0], freshest.at, max(0.0, freshest.value)

    async def _points_or_reason(self, text: str, instant: float) -> Sequence[Point] | str:
        try:
            return await self._points(text, instant)
        except CallError as error:
            return brief(error.message, 200)

    async def _points(self, text: str, instant: float | None) -> Sequence[Point]:
        when = "" if instant is None else f"&time={instant:.3f}"
        path = f"/api/v1/query?query={quote(text, safe='')}{when}"
        status, body = await self._http.fetch("GET", path, within=self._within)
        return points_of(status, body)

    def _readings(self, metric: Metric, answer: Sequence[Point] | str, at: float) -> Sequence[Reading]:
        if isinstance(answer, str) or not answer:
            reason = answer if isinstance(answer, str) else "the server has no such figure"
            return (self._missing(metric, metric.name, at, "absent", reason),)
        if not metric.many:
            return (self._reading(metric, metric.name, at, answer[0].value),)
        label = "mountpoint" if metric.name.startswith("fs.") else "device"
        ids = [(metric_id(metric.name, point.labels.get(label, "")), point) for point in answer]
        return [self._reading(metric, key, at, point.value) for key, point in ids]

    def _reading(self, metric: Metric, key: str, at: float, value: float) -> Reading:
        if not math.isfinite(value):
            return self._missing(metric, key, at, "nan", "there is nothing to measure")
        window = 0.0 if metric.state else float(metric.span_s or self._window)
        return Reading(key, within(value, metric), metric.unit, at, window, "prometheus")

    def _missing(self, metric: Metric, key: str, at: float, missing: Missing, reason: str) -> Reading:
        return Reading(
            key, None, metric.unit, at, float(self._window), "prometheus", missing=missing, reason=reason
        )


def points_of(status: int, body: bytes) -> Sequence[Point]:
    """The values in the server's answer to an instant query. Raises :class:`GarbledError` with its reason where it is
    none."""
    try:
        answer = as_object(orjson.loads(body))
    except orjson.JSONDecodeError:
        raise GarbledError(f"no answer of Prometheus (HTTP {status})") from None
    if answer.get("status") != "success":
        raise GarbledError(f"{answer.get('errorType', f'HTTP {status}')}: {answer.get('error', '')}")
    data = as_object(answer.get("data"))
    if data.get("resultType") == "scalar":
        return _point({"value": data.get("result")})
    return [point for shown in as_objects(data.get("result")) for point in _point(shown)]


def _point(shown: Json) -> Sequence[Point]:
    """The point of ``[seconds, "value"]``, as Prometheus writes it; none of anything else."""
    pair: Any = shown.get("value")
    try:
        at, value = pair
        if isinstance(at, bool) or not isinstance(value, str):
            return ()
        labels = {str(name): str(text) for name, text in as_object(shown.get("metric")).items()}
        return (Point(labels, float(at), float(value)),)
    except (TypeError, ValueError):
        return ()


def _first(answer: Sequence[Point] | str) -> float | None:
    if isinstance(answer, str) or not answer or not math.isfinite(answer[0].value):
        return None
    return answer[0].value


def _host(answer: Sequence[Point] | str) -> str:
    if isinstance(answer, str) or not answer:
        return ""
    return "".join(c for c in answer[0].labels.get("nodename", "") if c.isprintable())
