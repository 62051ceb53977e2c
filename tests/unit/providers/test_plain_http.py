"""HTTP without TLS, against servers that send exactly the bytes they are told to."""

import asyncio
import itertools
from contextlib import asynccontextmanager

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coreto.errors import CutError, GarbledError, TimedOutError, UnreachableError
from coreto.providers.plain_http import MOST_AHEAD, MOST_HEADER_BYTES, PlainPool

WHOLE = b"HTTP/1.1 200 OK\r\nContent-Type: a/b\r\nContent-Length: 5\r\n\r\nhello"
CHUNKED = (
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nX-Twice: 1\r\nx-twice: 2\r\n\r\n"
    b"3\r\nhel\r\n2;ext=1\r\nlo\r\n0\r\nTrailer: x\r\n\r\n"
)
CONTINUED = b"HTTP/1.1 100 Continue\r\nX-Early: 1\r\n\r\n" + WHOLE
UNTIL_END = b"HTTP/1.0 200 OK\r\nContent-Type: a/b\r\n\r\nhello"


class Server:
    """Answers every request with the next of ``answers`` (the last one for ever), a piece at a time; ``None`` ends the
    connection. ``heads``: what was asked; ``open``: connections that stand."""

    def __init__(self, *answers):
        self.answers = list(answers)
        self.heads = []
        self.bodies = []
        self.accepted = 0
        self.open = 0
        self.all_closed = asyncio.Event()
        self.hold = None

    async def serve(self, reader, writer):
        self.accepted += 1
        self.open += 1
        self.all_closed.clear()
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                self.heads.append(head)
                length = next(
                    (int(line[16:]) for line in head.split(b"\r\n") if line.startswith(b"content-length")), 0
                )
                self.bodies.append(await reader.readexactly(length))
                answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
                for piece in answer:
                    if piece is None:
                        writer.close()
                        return
                    if piece == "hold":
                        await self.hold.wait()
                        continue
                    writer.write(piece)
                    await writer.drain()
                    await asyncio.sleep(0)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()
            self.open -= 1
            if not self.open:
                self.all_closed.set()


@asynccontextmanager
async def serving(*answers, limit=10, keepalive=4.0):
    served = Server(*answers)
    served.hold = asyncio.Event()
    server = await asyncio.start_server(served.serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    pool = PlainPool("127.0.0.1", port, b"host: x\r\n", limit=limit, keepalive=keepalive)
    try:
        yield served, pool
    finally:
        pool.close()
        served.hold.set()
        server.close()
        await server.wait_closed()


async def ask(pool, body=b"hi", headers=None):
    response = await pool.request("POST", "/p?q=1", headers, body, 5.0)
    try:
        return response, await response.read()
    finally:
        response.close()


def run(work):
    return asyncio.run(work())


@pytest.mark.parametrize("answer", [WHOLE, CHUNKED, CONTINUED])
def test_plain_whole_answers_share_a_connection(answer):
    async def work():
        async with serving([answer]) as (served, pool):
            for _ in range(3):
                response, body = await ask(pool, headers={"traceparent": "00-1"})
                assert (response.status, body) == (200, b"hello")
                assert "X-Early" not in response.headers
            assert (served.accepted, pool.in_use, pool.idle) == (1, 0, 1)
            assert (
                served.heads[0]
                == b"POST /p?q=1 HTTP/1.1\r\nhost: x\r\ntraceparent: 00-1\r\ncontent-length: 2\r\n\r\n"
            )
            assert served.bodies == [b"hi"] * 3

    run(work)


def test_plain_headers_in_any_case():
    async def work():
        async with serving([CHUNKED]) as (_, pool):
            response, _body = await ask(pool)
            assert response.headers["X-TWICE"] == response.headers.get("x-twice") == "2"
            assert response.headers.get("nothing") is None
            assert sorted(response.headers) == ["transfer-encoding", "x-twice"]

    run(work)


def test_plain_a_body_until_the_end():
    """Without a length the end of the connection is the end of the body, and the connection serves no other."""

    async def work():
        async with serving([UNTIL_END, None]) as (served, pool):
            for _ in range(2):
                assert (await ask(pool))[1] == b"hello"
            assert (served.accepted, pool.in_use, pool.idle) == (2, 0, 0)

    run(work)


@settings(max_examples=40, deadline=None)
@given(
    st.sampled_from([WHOLE, CHUNKED, CONTINUED]),
    st.lists(st.integers(1, 150), max_size=8),
)
def test_plain_however_it_is_cut_into_pieces(answer, cuts):
    places = sorted({min(cut, len(answer)) for cut in cuts} | {0, len(answer)})
    pieces = [answer[a:b] for a, b in itertools.pairwise(places)]

    async def work():
        async with serving(pieces) as (_, pool):
            response, body = await ask(pool)
            assert (response.status, body, pool.idle) == (200, b"hello", 1)

    run(work)


@pytest.mark.parametrize(
    ("pieces", "error"),
    [
        ([None], CutError),
        ([WHOLE[:20], None], CutError),
        ([WHOLE[:-2], None], CutError),
        ([CHUNKED[:-20], None], CutError),
        ([b"<html>no http</html>"], GarbledError),
        ([b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n"], GarbledError),
        ([b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"], GarbledError),
        (
            [b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n", None],
            (CutError, GarbledError),
        ),
        ([b"HTTP/1.1 200 OK\r\nX: " + b"a" * 2 * MOST_HEADER_BYTES], GarbledError),
    ],
)
def test_plain_broken_answers(pieces, error):
    """Each is an error of ours, and its connection is gone."""

    async def work():
        async with serving(pieces, [WHOLE]) as (served, pool):
            with pytest.raises(error):
                await ask(pool)
            assert (pool.in_use, pool.idle) == (0, 0)
            assert (await ask(pool))[1] == b"hello"
            assert served.accepted == 2

    run(work)


def test_plain_two_answers_to_one_request():
    """What comes unasked is nobody's: its connection is not used again."""

    async def work():
        async with serving([WHOLE + WHOLE], [WHOLE]) as (served, pool):
            assert (await ask(pool))[1] == b"hello"
            assert (await ask(pool))[1] == b"hello"
            assert served.accepted == 2

    run(work)


@pytest.mark.parametrize("pieces", [["hold"], [WHOLE[:-2], "hold"]])
def test_plain_cancelled_calls_end_their_connection(pieces):
    """Waiting for the headers or for the body: the server sees it at once."""

    async def work():
        async with serving(pieces) as (served, pool):
            task = asyncio.create_task(ask(pool))
            while not served.bodies:
                await asyncio.sleep(0)
            await asyncio.sleep(0.01)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert (pool.in_use, pool.idle) == (0, 0)
            served.hold.set()
            async with asyncio.timeout(1):
                await served.all_closed.wait()

    run(work)


def test_plain_a_response_left_early_ends_its_connection():
    async def work():
        async with serving([CHUNKED[:-20], "hold"]) as (served, pool):
            response = await pool.request("POST", "/", None, b"", 5.0)
            assert b"hello".startswith(await response.readany())
            assert not response.at_eof()
            response.close()
            response.close()
            assert (pool.in_use, pool.idle) == (0, 0)
            served.hold.set()
            async with asyncio.timeout(1):
                await served.all_closed.wait()

    run(work)


def test_plain_a_slow_reader_stops_the_server():
    """No more than a bounded part of a body is kept for somebody who does not read."""
    size = 40 * MOST_AHEAD
    head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size

    async def work():
        async with serving([head, b"a" * size]) as (_, pool):
            response = await pool.request("POST", "/", None, b"", 5.0)
            await asyncio.sleep(0.05)
            assert response._size < 8 * MOST_AHEAD
            read = 0
            while data := await response.readany():
                read += len(data)
            assert read == size
            assert response.at_eof()
            response.close()
            assert pool.idle == 1

    run(work)


def test_plain_idle_connections_end():
    """By the server's wish, or after their time."""

    async def work():
        async with serving([WHOLE, None], [WHOLE]) as (served, pool):
            await ask(pool)
            async with asyncio.timeout(1):
                await served.all_closed.wait()
                while pool.idle:
                    await asyncio.sleep(0)
            await ask(pool)
            assert (served.accepted, pool.idle) == (2, 1)
        async with serving([WHOLE], keepalive=0.0) as (served, pool):
            await ask(pool)
            await ask(pool)
            assert served.accepted == 2

    run(work)


def test_plain_an_idle_connection_that_ends_in_the_wrong_moment():
    """What changes nothing is asked again on a new connection; what may, is not; and a new one's end is final."""

    async def work():
        for method, accepted in (("GET", 2), ("POST", 1)):
            async with serving([WHOLE], [None], [WHOLE]) as (served, pool):
                for _ in range(2):
                    try:
                        response = await pool.request(method, "/", None, None, 5.0)
                    except CutError:
                        assert method == "POST"
                    else:
                        assert await response.read() == b"hello"
                        response.close()
                assert (served.accepted, pool.in_use) == (accepted, 0)
        async with serving([None]) as (served, pool):
            with pytest.raises(CutError):
                await pool.request("GET", "/", None, None, 5.0)
            assert served.accepted == 1

    run(work)


def test_plain_no_more_connections_than_allowed():
    """Who finds them taken waits his turn; who gives up leaves nothing behind."""

    async def work():
        async with serving(["hold", WHOLE], limit=2) as (served, pool):
            tasks = [asyncio.create_task(ask(pool)) for _ in range(6)]
            while len(served.bodies) < 2:
                await asyncio.sleep(0)
            tasks[3].cancel()
            await asyncio.sleep(0.01)
            assert (served.accepted, pool.in_use) == (2, 2)
            served.hold.set()
            done = await asyncio.gather(*tasks, return_exceptions=True)
            assert [isinstance(d, tuple) for d in done] == [True, True, True, False, True, True]
            assert (served.accepted, pool.in_use, pool.idle, pool._places.taken) == (2, 0, 2, 0)

    run(work)


def test_plain_nobody_there():
    async def work():
        async with serving([WHOLE]) as (_, pool):
            port = pool._port
        refused = PlainPool("127.0.0.1", port, b"", limit=1, keepalive=1)
        with pytest.raises(UnreachableError, match=f"nothing listens at 127.0.0.1:{port}"):
            await ask(refused)
        nowhere = PlainPool("no-such-host.invalid", 80, b"", limit=1, keepalive=1)
        with pytest.raises(UnreachableError, match="cannot be resolved"):
            await ask(nowhere)
        assert refused._places.taken == nowhere._places.taken == 0

    run(work)


def test_plain_connecting_takes_too_long(monkeypatch):
    async def work():
        async def never(*_, **__):
            await asyncio.Event().wait()

        monkeypatch.setattr(asyncio.get_running_loop(), "create_connection", never)
        pool = PlainPool("127.0.0.1", 9, b"", limit=1, keepalive=1)
        with pytest.raises(TimedOutError):
            await pool.request("GET", "/", None, None, 0.01)
        assert pool._places.taken == 0

    run(work)


@pytest.mark.parametrize("headers", [{"x": "a\r\nb: c"}, {"x\n": "a"}, {"x": "\0"}])
def test_plain_headers_cannot_break_out(headers):
    async def work():
        async with serving([WHOLE]) as (served, pool):
            with pytest.raises(UnreachableError, match="line break"):
                await ask(pool, headers=headers)
            assert served.heads == []

    run(work)


def test_plain_close_ends_what_runs():
    async def work():
        async with serving(["hold"]) as (served, pool):
            task = asyncio.create_task(ask(pool))
            while not served.bodies:
                await asyncio.sleep(0)
            pool.close()
            with pytest.raises(CutError):
                await task
            assert (pool.in_use, pool.idle) == (0, 0)

    run(work)
