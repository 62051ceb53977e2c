"""The faults of the matrix: what a server does, and what the trace must call it."""

from dataclasses import dataclass, field
from typing import Any

#: Pieces of the answer that get through before a fault midway.
AFTER = 5
MIDWAY = frozenset({"cut", "eof", "error-mid", "stall", "broken-line"})
#: Upstreams that keep the caller waiting: they are given short times.
SLOW = frozenset({"hang", "silence", "stall"})


@dataclass(frozen=True)
class Fault:
    """One fault: its rule, and the outcome that the trace must show of a whole answer and of a stream;
    ``ollama`` where Ollama's wires differ. ``cools``: what is out of service afterwards."""

    name: str
    rule: dict[str, Any]
    whole: str
    stream: str
    ollama: dict[str, str] = field(default_factory=dict[str, str])
    cools: str | None = None

    def outcome(self, wire: str, *, stream: bool) -> str:
        mode = "stream" if stream else "whole"
        if wire in ("ollama", "cloud") and mode in self.ollama:
            return self.ollama[mode]
        return self.stream if stream else self.whole

    def strikes_midway(self, *, stream: bool) -> bool:
        return stream and self.name in MIDWAY


def status(code: int, **more: Any) -> dict[str, Any]:
    return {"kind": "status", "status": code, **more}


FAULTS = (
    Fault("500", status(500), "server_error", "server_error"),
    Fault("503", status(503), "overloaded", "overloaded"),
    Fault("429", status(429), "rate", "rate", cools="model"),
    Fault("429-retry-after", status(429, headers={"Retry-After": "20"}), "rate", "rate", cools="model"),
    Fault("401", status(401), "auth", "auth", cools="account"),
    Fault("refused", {}, "unreachable", "unreachable"),
    Fault("reset", {"kind": "refuse"}, "cut", "cut"),
    Fault("hang", {"kind": "hang"}, "timeout", "timeout"),
    Fault("silence", {"kind": "silence"}, "timeout", "timeout"),
    Fault("html", {"kind": "html"}, "garbled", "garbled"),
    Fault("empty", {"kind": "empty_body"}, "garbled", "cut"),
    Fault("error-object", {"kind": "error_object"}, "server_error", "server_error"),
    Fault(
        "empty-choices",
        {"kind": "empty_choices"},
        "invalid_output",
        "cut",
        {"whole": "garbled", "stream": "invalid_output"},
    ),
    Fault("empty-answer", {"kind": "empty_answer"}, "invalid_output", "invalid_output"),
    Fault("malformed", {"kind": "malformed_json"}, "garbled", "garbled"),
    Fault("error-first", {"kind": "error_first_event"}, "server_error", "server_error"),
    Fault("cut", {"kind": "cut", "chunks": AFTER}, "cut", "cut"),
    Fault("eof", {"kind": "eof_without_finish", "chunks": AFTER}, "cut", "cut", {"whole": "garbled"}),
    Fault("error-mid", {"kind": "error_mid_stream", "chunks": AFTER}, "server_error", "server_error"),
    Fault("stall", {"kind": "stall", "chunks": AFTER}, "timeout", "stalled"),
    Fault("broken-line", {"kind": "broken_line", "chunks": AFTER}, "garbled", "garbled"),
)
BY_NAME = {fault.name: fault for fault in FAULTS}
