"""The server's pure parts: what is refused, what is written."""

import base64
import contextlib
import struct

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from coreto.errors import CoretoError, ExhaustedError, InvalidRequestError, QuotaError, RateError
from coreto.labels import Label
from coreto.messages import NANO, Attempt, Chunk, Trace, Whole
from coreto.server.access import Access
from coreto.server.answers import embeddings_reply, event, last_events, trace_headers, with_trace
from coreto.server.calls import chat_call
from coreto.server.exchange import Exchange
from coreto.server.failures import failed
from coreto.server.keys import Caller, KeyRing
from coreto.server.validate import MAX_DEPTH, check_chat, check_embeddings, parse_body

TRACE = Trace("c1", "lab/x", "chat", Label.INTERNAL, (Attempt("lab/x", "ok"),))
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


def exchange(**headers: str) -> Exchange:
    listed = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    scope = {"type": "http", "method": "POST", "path": "/", "headers": listed}
    return Exchange(scope, None, None)  # type: ignore[arg-type]  # nothing is received or sent


class TestValidation:
    """Whatever comes, it is a call or a named refusal."""

    @given(st.binary(max_size=200))
    def test_any_bytes(self, raw) -> None:
        """Bytes are an object or refused."""
        with contextlib.suppress(InvalidRequestError):
            assert isinstance(parse_body(raw), dict)

    @given(
        st.dictionaries(
            st.sampled_from(
                ["model", "messages", "stream", "tools", "stop", "n", "user", "private", "seed", "x", "input"]
            ),
            JSON | st.lists(st.fixed_dictionaries({"role": JSON, "content": JSON}), max_size=3),
        )
    )
    def test_any_object(self, body) -> None:
        """Any object becomes a call or is refused; what becomes a call keeps its fields but ``private``."""
        try:
            call = chat_call(body, exchange())
        except InvalidRequestError as error:
            named = (error.field or "").partition("[")[0]
        else:
            named = "messages"
            assert call.body == {k: v for k, v in body.items() if k != "private"}
            assert call.stream is bool(body.get("stream"))
            assert call.label is (Label.PRIVATE if body.get("private") else Label.INTERNAL)
        assert named in (*body, "messages")

    @pytest.mark.parametrize(
        "field", ["model", "stream", "temperature", "tools", "stop", "user", "n", "response_format"]
    )
    def test_null_is_absent(self, field) -> None:
        """Null stands for nothing, as in OpenAI's SDK."""
        check_chat({"messages": [{"role": "user", "content": None}], field: None})

    @pytest.mark.parametrize(("depth", "fine"), [(MAX_DEPTH, True), (MAX_DEPTH + 1, False)])
    def test_depth(self, depth, fine) -> None:
        """Nesting is bounded by levels, not by how many brackets there are."""
        wide = orjson.dumps({"a": [[]] * 1000})
        assert parse_body(wide)
        inner = depth - 1
        raw = b'{"a":' + b"[" * inner + b"]" * inner + b"}"
        if fine:
            assert orjson.dumps(parse_body(raw)) == raw
        else:
            with pytest.raises(InvalidRequestError, match="deep"):
                parse_body(raw)

    @pytest.mark.parametrize("good", ["a", ["a", "b"], [1, 2], [[1], [2, 3]]])
    def test_inputs(self, good) -> None:
        """Texts and tokens, one or many."""
        check_embeddings({"input": good})

    @pytest.mark.parametrize("bad", [None, "", [], [""], [[]], [[1], []], [1, "a"], ["a", 1], [True], {}, 3])
    def test_not_inputs(self, bad) -> None:
        """Nothing empty, nothing mixed."""
        with pytest.raises(InvalidRequestError):
            check_embeddings({"input": bad})

    def test_the_header_goes_before_the_field(self) -> None:
        """User and run come from headers, the user else from the body."""
        body = {"messages": [{"role": "user", "content": "x"}], "user": "ana"}
        call = chat_call(body, exchange(x_coreto_user="bia", x_coreto_run="r"))
        assert (call.user, call.run) == ("bia", "r")
        assert chat_call(body, exchange()).user == "ana"


class TestSplicing:
    """The trace goes into the upstream's own bytes."""

    @given(st.dictionaries(st.text(), JSON, min_size=1), st.sampled_from([b"", b"\n", b" \r\n\t"]))
    def test_the_same_as_writing_it_anew(self, body, tail) -> None:
        """Spliced or dumped, the JSON is the same; spliced, the upstream's bytes are kept."""
        body.pop("coreto", None)
        if not body:
            return
        raw = orjson.dumps(body)
        spliced = with_trace(body, raw + tail, TRACE)
        assert orjson.loads(spliced) == orjson.loads(with_trace(body, None, TRACE))
        assert spliced.startswith(raw[:-1])

    @pytest.mark.parametrize("body", [{}, {"coreto": 1}, {"coreto": 1, "a": 2}])
    def test_what_cannot_be_spliced(self, body) -> None:
        """No empty object with a comma, no second ``coreto``."""
        out = with_trace(body, orjson.dumps(body), TRACE)
        assert out.count(b'"coreto"') == 1
        assert orjson.loads(out)["coreto"]["id"] == "c1"


class TestEvents:
    """Server-sent events."""

    @pytest.mark.parametrize("raw", [None, b'{"a":\n1}', b'{"a":\r1}', b'{ "a": 1 }'])
    def test_one_line(self, raw) -> None:
        """A chunk is one line, whatever the bytes that came."""
        out = event(Chunk({"a": 1}, raw))
        assert out.endswith(b"\n\n")
        assert b"\r" not in out
        assert out.count(b"\n") == 2
        assert orjson.loads(out.removeprefix(b"data: ")) == {"a": 1}

    def test_the_last(self) -> None:
        """The last chunk continues the stream's identity, or has one of its own."""
        for last, name in (({"id": "i", "model": "m", "created": 3}, "i"), ({}, "chatcmpl-c1")):
            first, done, rest = last_events(last, TRACE).split(b"\n\n")
            chunk = orjson.loads(first.removeprefix(b"data: "))
            assert (chunk["id"], chunk["choices"], done, rest) == (name, [], b"data: [DONE]", b"")


class TestHeaders:
    """The trace in short."""

    @given(st.integers(0, 10**15))
    def test_costs(self, nusd) -> None:
        """Dollars are exact and without an exponent."""
        trace = Trace("c", None, None, Label.PUBLIC, (Attempt("d", "ok", cost_nusd=nusd, local=False),))
        shown = dict(trace_headers(trace))[b"x-coreto-cost-usd"].decode()
        assert set(shown) <= set("0123456789.")
        whole, _, rest = shown.partition(".")
        assert int(whole) * NANO + int(rest.ljust(9, "0")) == nusd

    def test_no_known_cost(self) -> None:
        """An unknown price is no header, not 0."""
        trace = Trace("c", None, None, Label.PUBLIC, (Attempt("d", "ok", cost_nusd=None, local=False),))
        assert b"x-coreto-cost-usd" not in dict(trace_headers(trace))

    @given(st.text(min_size=1))
    def test_any_name(self, name) -> None:
        """No name can break out of its header."""
        try:
            name.encode()
        except UnicodeEncodeError:
            return
        trace = Trace("c", name, name, Label.PUBLIC)
        for _, value in trace_headers(trace):
            assert value.decode("ascii").isprintable()


class TestFailures:
    """From error to response."""

    def test_every_error_has_an_envelope(self) -> None:
        """Each class of the taxonomy becomes an OpenAI error of its own status and code."""
        for kind in _all(CoretoError):
            error = kind.__new__(kind)
            CoretoError.__init__(error)
            if hasattr(kind, "scope"):
                error.trace, error.retry_after, error.causes = None, None, ()
            if kind is InvalidRequestError or issubclass(kind, InvalidRequestError):
                error.field = None
            reply = failed(error)
            shown = orjson.loads(reply.body)["error"]
            assert set(shown) == {"message", "type", "param", "code"}
            assert (reply.status, shown["code"]) == (error.http_status, kind.code)
            assert (shown["type"] == "server_error") == (reply.status >= 500)

    def test_when_to_come_back(self) -> None:
        """The soonest that any cause named, in whole seconds, at least one."""
        causes = [RateError(retry_after=30), RateError(retry_after=0.2), QuotaError()]
        assert dict(failed(ExhaustedError("x", causes=causes)).headers)[b"retry-after"] == b"1"
        assert b"retry-after" not in dict(failed(ExhaustedError("x")).headers)


def _all(kind):
    for child in kind.__subclasses__():
        yield child
        yield from _all(child)


class TestEmbeddings:
    """Packing."""

    @given(st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), min_size=1, max_size=20))
    def test_packed(self, numbers) -> None:
        """Numbers survive as 32-bit floats, little-endian."""
        reply = embeddings_reply({"data": [{"embedding": numbers}]}, TRACE, "base64")
        packed = orjson.loads(reply.body)["data"][0]["embedding"]
        assert list(struct.unpack(f"<{len(numbers)}f", base64.b64decode(packed))) == numbers


class TestAccess:
    """Keys, or names of this machine."""

    @pytest.mark.parametrize(
        ("host", "mine"),
        [
            ("127.0.0.1:8080", True),
            ("127.9.9.9", True),
            ("localhost", True),
            ("[::1]:8080", True),
            ("host.docker.internal:8080", True),
            ("my.localhost", True),
            ("evil.example", False),
            ("evillocalhost", False),
            ("127.0.0.1.evil.example", False),
            ("localhost.evil.example:80", False),
            ("10.0.0.1:8080", False),
            ("[::2", False),
            ("user@evil.example", False),
        ],
    )
    def test_hosts(self, host, mine) -> None:
        """Only names that cannot be given to another machine by DNS pass without keys."""
        assert isinstance(Access(KeyRing()).admit({b"host": host.encode()}), Caller) is mine

    @pytest.mark.parametrize(
        ("origin", "mine"),
        [
            ("http://localhost:3000", True),
            ("https://127.0.0.1", True),
            ("null", False),
            ("https://a.example", False),
        ],
    )
    def test_origins(self, origin, mine) -> None:
        """Pages of this machine may, others not."""
        headers = {b"host": b"localhost", b"origin": origin.encode()}
        assert isinstance(Access(KeyRing()).admit(headers), Caller) is mine

    @given(st.text(min_size=1), st.text(min_size=1))
    def test_keys(self, key, given_key) -> None:
        """A key opens, and nothing else."""
        try:
            headers = {b"authorization": f"bearer {given_key}".encode()}
            access = Access(KeyRing(("other", key)))
        except UnicodeEncodeError:
            return
        refused = isinstance(access.admit(headers), str)
        assert refused == (given_key.encode().strip() not in (b"other", key.encode()))


def test_whole_without_raw() -> None:
    """An answer that has no bytes of its own is written."""
    whole = Whole({"choices": []})
    assert orjson.loads(with_trace(whole.body, whole.raw, TRACE))["choices"] == []
