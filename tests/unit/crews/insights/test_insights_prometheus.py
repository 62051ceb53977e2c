"""A Prometheus server as a source, against one that misbehaves; the real one is in the integration tests."""

import asyncio
import contextlib
import json

import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st

from coreto.crews.insights.metrics.catalogue import CATALOGUE
from coreto.crews.insights.metrics.prometheus import PrometheusMetrics, points_of
from coreto.crews.insights.metrics.promql import QUERIES, query
from coreto.errors import CallError, GarbledError, InvalidRequestError
from coreto.providers.http import Endpoint, Http
from coreto.testing.clock import VirtualClock

NOW = 1_800_000_000.0


class Server:
    """Answers instant queries: by the first of ``answers`` whose key the query holds, else with nothing.

    An answer is a list of (labels, value), or a pair of status and body.
    """

    def __init__(self, answers) -> None:
        self.answers = answers
        self.asked: list[tuple[str, str]] = []

    async def answer(self, request: web.Request) -> web.Response:
        text = request.query["query"]
        self.asked.append((text, request.query.get("time", "")))
        for part, answer in self.answers.items():
            if part in text:
                if isinstance(answer, tuple):
                    return web.Response(status=answer[0], text=answer[1])
                return self.vector(answer)
        return self.vector([])

    @staticmethod
    def vector(points) -> web.Response:
        result = [{"metric": labels, "value": [NOW, value]} for labels, value in points]
        return web.json_response({"status": "success", "data": {"resultType": "vector", "result": result}})


AGE = {"timestamp(node_time_seconds": [({"instance": "box:9100"}, "4")]}


def look(answers, machine="", **options):
    """A snapshot by a server with ``answers``, and what it was asked."""

    async def run():
        server = Server(answers)
        app = web.Application()
        app.router.add_get("/api/v1/query", server.answer)
        runner = web.AppRunner(app)
        await runner.setup()
        await (site := web.TCPSite(runner, "127.0.0.1", 0)).start()
        port = site._server.sockets[0].getsockname()[1]
        http = Http(Endpoint("prometheus", f"http://127.0.0.1:{port}", local=True))
        try:
            source = PrometheusMetrics(http, machine, clock=VirtualClock(NOW), **options)
            return await source.snapshot(), server.asked
        finally:
            await http.close()
            await runner.cleanup()

    return asyncio.run(run())


def test_what_it_tells_and_what_not():
    """Values, NaN, nothing, and queries that fail: each metric for itself."""
    metrics, asked = look(AGE | {
        "node_uname_info": [({"nodename": "box\x1b[31m"}, "1")],
        'node_memory_MemAvailable_bytes{instance="box:9100"} /': [({}, "93.25")],
        "node_load1": (400, '{"status":"error","errorType":"bad_data","error":"parse error"}'),
        "node_disk_io_time_seconds_total": [({"device": "sda"}, "12.5"), ({"device": "sdb"}, "NaN")],
        "node_nf_conntrack": [({}, "NaN")],
        "node_filefd": (502, "<html>bad gateway</html>"),
        "node_procs_blocked": [({}, "+Inf")],
    })  # fmt: skip
    assert metrics.host == "box[31m"
    assert metrics.taken_at == NOW - 4
    assert metrics.value("memory.used") == 93.25
    assert metrics.value("disk.busy[sda]") == 12.5
    assert metrics.readings["disk.busy[sdb]"].missing == "nan"
    assert metrics.readings["net.conntrack"].missing == "nan"
    assert metrics.readings["io.blocked"].missing == "nan"
    load = metrics.readings["cpu.load_per_cpu"]
    assert (load.missing, load.reason) == ("absent", "bad_data: parse error")
    assert "502" in metrics.readings["limits.files"].reason
    assert metrics.readings["fs.used"].missing == "absent"
    assert metrics.n_cpu is None
    assert {instant for _, instant in asked[1:]} == {f"{NOW:.3f}"}
    assert len({text for text, _ in asked}) == len(asked)


def test_figures_that_are_old():
    """A machine that is no longer scraped has no values, however sure the server is of them."""
    metrics, _ = look(
        {"timestamp(node_time_seconds": [({"instance": "box:9100"}, "290")], "node_load1": [({}, "1")]}
    )
    assert metrics.readings["cpu.load_per_cpu"].missing == "stale"
    assert all(reading.value is None for reading in metrics.readings.values())


def test_the_machine_must_be_clear():
    """With several machines one must be named, with none that is said; a name is data and ends no quotes."""
    both = [({"instance": "a:9100"}, "1"), ({"instance": "b:9100"}, "1")]
    with pytest.raises(InvalidRequestError, match="a:9100"):
        look({"timestamp(node_time_seconds": both})
    with pytest.raises(InvalidRequestError, match="no figures"):
        look({}, 'x"} or vector(1) #')
    assert query("up{$S}", 'x"}\\', 5) == 'up{instance="x\\"}\\\\"}'


def test_a_server_that_is_not_there():
    """Without any answer there is no snapshot, and the error says so."""

    async def run():
        http = Http(Endpoint("prometheus", "http://127.0.0.1:1", local=True))
        try:
            await PrometheusMetrics(http, within=2.0).snapshot()
        finally:
            await http.close()

    with pytest.raises(CallError):
        asyncio.run(run())


def test_queries_are_of_the_catalogue():
    """Each query is of a metric there is, names its machine, and is whole once its places are filled."""
    assert set(QUERIES) <= set(CATALOGUE)
    for name, template in QUERIES.items():
        text = query(template, "box", 60)
        assert 'instance="box"' in text, name
        assert "$" not in text, name
        assert text.count("(") == text.count(")"), name
        assert text.count("{") == text.count("}"), name


JSON = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(
        st.sampled_from(["status", "data", "result", "resultType", "metric", "value", "error"]) | st.text(max_size=5), inner, max_size=5
    ),
    max_leaves=20,
)  # fmt: skip


@given(st.one_of(st.binary(max_size=60), JSON.map(lambda value: json.dumps(value).encode())))
def test_any_body(body):
    """Whatever a server sends is points or a reason."""
    with contextlib.suppress(GarbledError):
        assert all(isinstance(point.value, float) for point in points_of(200, body))


@given(st.lists(JSON, max_size=3))
def test_any_result(result):
    """A success with nonsense in it has no points from the nonsense."""
    body = json.dumps({"status": "success", "data": {"resultType": "vector", "result": result}}).encode()
    assert list(points_of(200, body)) == []
