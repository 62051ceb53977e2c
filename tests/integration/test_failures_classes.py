"""Every way a call can fail, over real HTTP: the right class, the right scope, the next one answers."""

from dataclasses import dataclass, field
from typing import Any

import pytest

from coreto.errors import ExhaustedError, RejectedError
from coreto.resilience.health import THRESHOLD

SCHEMA = {
    "type": "json_schema",
    "json_schema": {
        "name": "age",
        "schema": {"type": "object", "properties": {"age": {"type": "integer"}}, "required": ["age"]},
    },
}
OBJECT = {"type": "json_object"}


@dataclass(frozen=True)
class Failure:
    """A fault of the first server; ``outcome`` and ``scope`` are the attempt's; ``cools`` what is out of
    service afterwards (``None``: nothing, the breaker counts or the request was to blame)."""

    name: str
    fault: dict[str, Any]
    outcome: str
    scope: str
    cools: str | None = None
    options: dict[str, Any] = field(default_factory=dict)


def status(code: int, **more: Any) -> dict[str, Any]:
    return {"kind": "status", "status": code, **more}


def named(name: str, **more: Any) -> dict[str, Any]:
    return {"kind": "status", "error": name, **more}


MODEL, ENDPOINT, ACCOUNT = "model:one/a", "endpoint:one", "account:one"
FAILURES = (
    Failure("timeout", {"kind": "hang"}, "timeout", "endpoint"),
    Failure("timeout-after-headers", {"kind": "silence"}, "timeout", "endpoint"),
    Failure("timeout-in-the-body", {"kind": "stall"}, "timeout", "endpoint"),
    Failure("reset", {"kind": "refuse"}, "cut", "endpoint"),
    Failure("500", status(500), "server_error", "endpoint"),
    Failure("502", status(502), "server_error", "endpoint"),
    Failure("503", status(503), "overloaded", "model"),
    Failure("503-retry-after", status(503, headers={"Retry-After": "20"}), "overloaded", "model", MODEL),
    Failure("504", status(504), "timeout", "endpoint"),
    Failure("429", status(429), "rate", "model", MODEL),
    Failure("429-retry-after", named("openai.rate_limit"), "rate", "model", MODEL),
    Failure("429-quota", named("openai.insufficient_quota"), "quota", "account", ACCOUNT),
    Failure("402-quota", named("openrouter.payment_required"), "billing", "account", ACCOUNT),
    Failure("403", named("openai.permission_denied"), "entitlement", "model", MODEL),
    Failure(
        "403-quota",
        status(403, body={"error": {"message": "You exceeded your current quota"}}),
        "quota",
        "account",
        ACCOUNT,
    ),
    Failure("401", named("openai.invalid_api_key"), "auth", "account", ACCOUNT),
    Failure("model-missing", named("openai.model_not_found"), "model_missing", "model", MODEL),
    Failure("model-missing-400", named("llamacpp.model_not_found"), "model_missing", "model", MODEL),
    Failure("model-not-loaded", named("llamacpp.model_not_loaded"), "model_missing", "model", MODEL),
    Failure("model-id-invalid", named("openrouter.invalid_model"), "model_missing", "model", MODEL),
    Failure("out-of-memory", named("llamacpp.load_failed"), "out_of_memory", "model", MODEL),
    Failure("context", named("openai.context_length_exceeded"), "context", "request"),
    Failure("context-llamacpp", named("llamacpp.context_length_exceeded"), "context", "request"),
    Failure("content-filter", named("openai.content_filter"), "filtered", "request"),
    Failure(
        "error-object", {"kind": "error_object", "error": "openai.server_error"}, "server_error", "endpoint"
    ),
    Failure(
        "error-object-rate",
        {"kind": "error_object", "error": "openrouter.rate_limit_exceeded"},
        "rate",
        "model",
        MODEL,
    ),
    Failure("empty-answer", {"kind": "empty_answer"}, "invalid_output", "role"),
    Failure("empty-choices", {"kind": "empty_choices"}, "invalid_output", "role"),
    Failure("empty-body", {"kind": "empty_body"}, "garbled", "endpoint"),
    Failure("malformed-body", {"kind": "malformed_json"}, "garbled", "endpoint"),
    Failure("stray-line", {"kind": "broken_line"}, "garbled", "endpoint"),
    Failure("html", {"kind": "html"}, "garbled", "endpoint"),
    Failure("html-502", status(502, body="<html>Bad Gateway</html>"), "server_error", "endpoint"),
    Failure("redirect", status(302, headers={"Location": "/elsewhere"}, body=""), "garbled", "endpoint"),
    Failure("cut", {"kind": "cut"}, "cut", "endpoint"),
    Failure(
        "malformed-json", {"kind": "bad_content"}, "invalid_output", "role", None, {"response_format": OBJECT}
    ),
    Failure(
        "not-an-object",
        {"kind": "bad_content", "content": "[1, 2]"},
        "invalid_output",
        "role",
        None,
        {"response_format": OBJECT},
    ),
    Failure(
        "schema",
        {"kind": "bad_content", "content": '{"age": "old"}'},
        "invalid_output",
        "role",
        None,
        {"response_format": SCHEMA},
    ),
    Failure("refused", {}, "unreachable", "endpoint"),
    Failure("unknown-host", {}, "unreachable", "endpoint"),
)


def config(one: str, two: str, role: str = "", top: str = "") -> str:
    return f"""
{top}
[providers.one]
base_url = "{one}/v1"
local = true
timeout = 0.3
[providers.two]
base_url = "{two}/v1"
[roles.chat]
chain = ["one/a", "two/b"]
{role}
"""


def outcomes(trace: Any) -> list[tuple[str, str]]:
    return [(attempt.deployment, attempt.outcome) for attempt in trace.attempts]


def steps(trace: Any) -> list[tuple[str, str]]:
    """The outcomes, with the repair of an unusable answer (R6) counted to the try before it."""
    out: list[tuple[str, str]] = []
    for step in outcomes(trace):
        if step[1] != "invalid_output" or step not in out:
            out.append(step)
    return out


@pytest.mark.parametrize("failure", FAILURES, ids=lambda failure: failure.name)
def test_failures_next_candidate_answers(failure, ask, first, second, free_port):
    """Whatever befalls the first server, the second one answers and the trace says what happened."""
    url = first.url
    if failure.name == "refused":
        url = f"http://127.0.0.1:{free_port}"
    elif failure.name == "unknown-host":
        url = "http://nowhere.invalid"
    else:
        first.add_faults(failure.fault)

    async def work(c):
        answer = await c.chat("how old is the band?", role="chat", **failure.options)
        return answer, await c.status(), set(c.backend.health.cooling())

    answer, state, cooling = ask(config(url, second.url), work)
    assert answer.text
    assert answer.deployment == "two/b"
    assert steps(answer.trace) == [("one/a", failure.outcome), ("two/b", "ok")]
    assert answer.trace.attempts[0].scope == failure.scope
    assert answer.trace.attempts[0].detail
    assert cooling == ({failure.cools} if failure.cools else set())
    seen = {entry["id"]: entry for entry in state["deployments"]}
    assert seen["one/a"]["last_error_code"] == failure.outcome
    assert seen["one/a"]["available"] is (failure.cools is None)
    assert seen["two/b"]["available"]
    assert [entry["key"] for entry in state["cooling"]] == ([failure.cools] if failure.cools else [])
    assert len(second.requests("/v1/chat/completions")) == 1


def test_failures_label_set(ask, first, second):
    """An answer that is none of the role's labels counts as a failure; one that names one is cut to it."""
    first.add_faults({"kind": "bad_content", "content": "I would rather not say"})
    second.script({"content": "The answer is: **Script**."})

    async def work(c):
        return await c.chat("who is next?", role="chat")

    answer = ask(config(first.url, second.url, 'labels = ["script", "visual", "FINISH"]'), work)
    assert steps(answer.trace) == [("one/a", "invalid_output"), ("two/b", "ok")]
    assert answer.text == "script"


def test_failures_role_schema(ask, first, second, tmp_path):
    """A role's schema file is sent to the server and holds for its answer."""
    (tmp_path / "age.json").write_text('{"type": "object", "required": ["age"]}')
    first.add_faults({"kind": "bad_content", "content": '{"year": 1}'})
    second.script({"content": 'Sure:\n```json\n{"age": 7}\n```'})

    async def work(c):
        return await c.chat("how old?", role="chat")

    answer = ask(config(first.url, second.url, f'response_schema = "{tmp_path / "age.json"}"'), work)
    assert steps(answer.trace) == [("one/a", "invalid_output"), ("two/b", "ok")]
    assert answer.text == '{"age": 7}'
    sent = first.requests("/v1/chat/completions")[0]["body"]["response_format"]
    assert sent["json_schema"]["schema"] == {"type": "object", "required": ["age"]}


def test_failures_retired_model_has_an_heir(ask, first, second):
    """The successor that the provider names takes a retired model's place, now and in later calls."""
    first.add_faults(named("openrouter.model_deprecated", model="a"))

    async def work(c):
        return [await c.chat("hi", role="chat") for _ in range(2)]

    now, later = ask(config(first.url, second.url), work)
    assert outcomes(now.trace) == [("one/a", "retired"), ("one/sim/successor", "ok")]
    assert outcomes(later.trace) == [("one/a", "skipped"), ("one/sim/successor", "ok")]
    assert "takes its place" in now.trace.warnings[0]


def test_failures_truncated_prompt(ask, first, second):
    """An engine that read a small part of a long prompt has not answered it."""
    first.add_faults({"kind": "truncate_prompt", "tokens": 900})

    async def work(c):
        return await c.chat("word " * 4000, role="chat")

    answer = ask(config(first.url, second.url), work)
    assert outcomes(answer.trace) == [("one/a", "context"), ("two/b", "ok")]
    assert "cut the prompt" in answer.trace.attempts[0].detail


def test_failures_ollama_out_of_memory_and_missing(ask, ollama, second):
    """Ollama's own words for a missing model and for too little memory are understood; both cool the model."""
    toml = f"""
[providers.ollama]
host = "{ollama.url}"
[providers.two]
base_url = "{second.url}/v1"
[roles.chat]
chain = ["ollama/nobody:7b", "ollama/mistral:7b", "two/b"]
"""
    ollama.add_faults({"kind": "status", "error": "ollama.oom_500", "model": "mistral:7b"})

    async def work(c):
        return await c.chat("hi", role="chat"), set(c.backend.health.cooling())

    answer, cooling = ask(toml, work)
    assert outcomes(answer.trace) == [
        ("ollama/nobody:7b", "model_missing"),
        ("ollama/mistral:7b", "out_of_memory"),
        ("two/b", "ok"),
    ]
    assert cooling == {"model:ollama/nobody:7b", "model:ollama/mistral:7b"}


OLLAMA_FAULTS = (
    ("ollama.queue_full_503", "queue_full"),
    ("ollama.internal_500", "server_error"),
    ("ollama.overloaded_503", "overloaded"),
    ("ollama.prompt_too_long_400", "context"),
    ("ollama.no_tools_400", "unsupported"),
    ("ollama.tool_parse_500", "invalid_output"),
    ("ollama.too_large_500", "out_of_memory"),
    ("ollama.system_memory_500", "out_of_memory"),
)


@pytest.mark.parametrize(("error", "outcome"), OLLAMA_FAULTS)
def test_failures_ollama_next_candidate_answers(error, outcome, ask, ollama, second):
    """Every error of the local Ollama leads to the next candidate, under its own name."""
    ollama.add_faults({"kind": "status", "error": error})
    toml = f"""
[providers.ollama]
host = "{ollama.url}"
[providers.two]
base_url = "{second.url}/v1"
[roles.chat]
chain = ["ollama/mistral:7b", "two/b"]
"""

    async def work(c):
        return await c.chat("hi", role="chat")

    assert outcomes(ask(toml, work).trace) == [("ollama/mistral:7b", outcome), ("two/b", "ok")]


OLLAMA_SHAPES = (
    ({"kind": "error_object", "error": "ollama.internal_500"}, "server_error"),
    ({"kind": "error_object", "error": "ollama.session_limit"}, "quota"),
    ({"kind": "empty_choices"}, "garbled"),
    ({"kind": "empty_answer"}, "invalid_output"),
    ({"kind": "malformed_json"}, "garbled"),
    ({"kind": "html"}, "garbled"),
    ({"kind": "empty_body"}, "garbled"),
    ({"kind": "eof_without_finish"}, "garbled"),
    ({"kind": "cut"}, "cut"),
    ({"kind": "refuse"}, "cut"),
)


@pytest.mark.parametrize(("fault", "outcome"), OLLAMA_SHAPES, ids=str)
def test_failures_ollama_shapes(fault, outcome, ask, ollama, second):
    """A 200 from Ollama that is no answer is a failure with a name, and the next one answers."""
    ollama.add_faults(fault)
    toml = f"""
[providers.ollama]
host = "{ollama.url}"
[providers.two]
base_url = "{second.url}/v1"
[roles.chat]
chain = ["ollama/mistral:7b", "two/b"]
"""

    async def work(c):
        return await c.chat("hi", role="chat")

    assert outcomes(ask(toml, work).trace) == [("ollama/mistral:7b", outcome), ("two/b", "ok")]


def test_failures_rejected_request_is_relayed(ask, first, second):
    """The caller's own mistake is told to the caller; nobody else is asked."""
    body = {"error": {"message": "max_tokens must be positive", "type": "invalid_request_error"}}
    first.add_faults(status(400, body=body))

    async def work(c):
        with pytest.raises(RejectedError, match="max_tokens must be positive") as caught:
            await c.chat("hi", role="chat")
        return caught.value

    error = ask(config(first.url, second.url), work)
    assert error.http_status == 400
    assert outcomes(error.trace) == [("one/a", "rejected")]
    assert second.requests("/v1/chat/completions") == []


@pytest.mark.parametrize(
    ("role", "top"), [("fallback = false", ""), ("", "fallback_enabled = false")], ids=["role", "everywhere"]
)
def test_failures_fallback_off(role, top, ask, first, second):
    """With fallback off for the role or for all, the second server is not asked and the error says why."""
    first.add_faults(named("openai.invalid_api_key"))

    async def work(c):
        with pytest.raises(ExhaustedError) as caught:
            await c.chat("hi", role="chat")
        return caught.value

    error = ask(config(first.url, second.url, role, top), work)
    assert outcomes(error.trace) == [("one/a", "auth")]
    assert second.requests("/v1/chat/completions") == []


def test_failures_fallback_off_by_environment(ask, first, second, monkeypatch):
    """``FALLBACK_ENABLED=false`` turns fallback off, but not for a role that asks for it."""
    monkeypatch.setenv("FALLBACK_ENABLED", "false")
    first.add_faults(named("openai.invalid_api_key"))
    toml = config(first.url, second.url) + '[roles.brave]\nchain = ["one/a", "two/b"]\nfallback = true\n'

    async def work(c):
        with pytest.raises(ExhaustedError):
            await c.chat("hi", role="chat")
        asked = len(second.requests("/v1/chat/completions"))
        return asked, await c.chat("hi", role="brave")

    asked, answer = ask(toml, work)
    assert asked == 0
    assert answer.deployment == "two/b"


def test_failures_total(ask, first, second):
    """When everybody fails, the error lists every attempt and each reason."""
    first.add_faults(named("openai.insufficient_quota"))
    second.add_faults(status(500))

    async def work(c):
        with pytest.raises(ExhaustedError) as caught:
            await c.chat("hi", role="chat")
        return caught.value

    error = ask(config(first.url, second.url, "retries = 0"), work)
    assert outcomes(error.trace) == [("one/a", "quota"), ("two/b", "server_error")]
    assert [cause.code for cause in error.causes] == ["quota", "server_error"]
    assert "one/a" in error.message
    assert "two/b" in error.message
    assert "current quota" in error.message
    assert error.http_status == 503
    assert error.trace.deployment is None


def test_failures_without_candidates(ask):
    """A chain of which nothing is left says what was dropped and the mend."""
    toml = '[roles.chat]\nchain = ["openrouter/x/y", "openai/z"]\n'

    async def work(c):
        with pytest.raises(ExhaustedError) as caught:
            await c.chat("hi", role="chat")
        return caught.value

    error = ask(toml, work)
    assert "OPENROUTER_API_KEY" in error.message
    assert "OPENAI_API_KEY" in error.message
    assert outcomes(error.trace) == []
    assert [name for name, _ in error.trace.dropped] == ["openrouter/x/y", "openai/z"]


def test_failures_rules_are_the_last_resort(ask, first):
    """With every model down, the role's rules answer, marked as such."""
    first.add_faults(status(500))
    toml = f"""
[providers.one]
base_url = "{first.url}/v1"
[roles.chat]
chain = ["one/a", "rules"]
labels = ["script", "FINISH"]
rules = [{{ contains = ["vídeo"], answer = "script" }}, {{ answer = "FINISH" }}]
"""

    async def work(c):
        return await c.chat("um VÍDEO novo", role="chat"), await c.chat("mais nada", role="chat")

    video, nothing = ask(toml, work)
    assert outcomes(video.trace) == [("one/a", "server_error"), ("rules", "ok")]
    assert (video.text, nothing.text) == ("script", "FINISH")
    assert video.deployment == "rules"
    assert video.cost_usd == 0


def test_failures_retry_of_the_only_candidate(ask, first):
    """A lone deployment is asked again after a passing fault, and every try is in the trace."""
    first.add_faults(status(503, times=2))
    toml = f'[providers.one]\nbase_url = "{first.url}/v1"\n[roles.chat]\nchain = ["one/a"]\n'

    async def work(c):
        return await c.chat("hi", role="chat")

    answer = ask(toml, work)
    assert outcomes(answer.trace) == [("one/a", "overloaded"), ("one/a", "overloaded"), ("one/a", "ok")]


def test_failures_retry_after_is_honoured(ask, first):
    """``Retry-After`` is the least time before the same deployment is asked again."""
    first.add_faults(status(429, times=1, headers={"Retry-After": "0.4"}))
    toml = f'[providers.one]\nbase_url = "{first.url}/v1"\n[roles.chat]\nchain = ["one/a"]\n'

    async def work(c):
        before = c.backend.clock.monotonic()
        answer = await c.chat("hi", role="chat")
        return answer, c.backend.clock.monotonic() - before

    answer, seconds = ask(toml, work)
    assert outcomes(answer.trace) == [("one/a", "rate"), ("one/a", "ok")]
    assert 0.4 <= seconds < 1.5


@pytest.mark.parametrize("code", [429, 503])
def test_failures_retry_after_keeps_later_calls_away(code, ask, first, second):
    """While a server wants to be left alone, later calls pass it by and say until when."""
    first.add_faults(status(code, times=1, headers={"Retry-After": "30"}))

    async def work(c):
        await c.chat("hi", role="chat")
        return await c.chat("hi again", role="chat"), c.backend.clock.time()

    answer, now = ask(config(first.url, second.url), work)
    assert outcomes(answer.trace) == [("one/a", "skipped"), ("two/b", "ok")]
    assert now < answer.trace.attempts[0].until <= now + 30
    assert len(first.requests("/v1/chat/completions")) == 1


def test_failures_not_retried_when_another_is_left(ask, first, second):
    """With another candidate at hand a passing fault costs no waiting."""
    first.add_faults(status(503, times=1))

    async def work(c):
        return await c.chat("hi", role="chat")

    assert outcomes(ask(config(first.url, second.url), work).trace) == [
        ("one/a", "overloaded"),
        ("two/b", "ok"),
    ]


def test_failures_breaker_opens_and_probes(ask, first, second):
    """After some failures in a row a deployment is passed by; the breaker closes when it answers again."""
    first.add_faults(status(500, times=THRESHOLD))

    async def work(c):
        traces = [(await c.chat(f"hi {i}", role="chat")).trace for i in range(THRESHOLD + 1)]
        state = await c.status()
        breaker = c.backend.health._breakers["model:one/a"]
        breaker.open_until = 0.0  # as if the pause were over
        traces.append((await c.chat("back?", role="chat")).trace)
        return traces, state, await c.status()

    traces, during, after = ask(config(first.url, second.url), work)
    assert [outcomes(trace)[0][1] for trace in traces] == ["server_error"] * THRESHOLD + ["skipped", "ok"]
    assert next(d for d in during["deployments"] if d["id"] == "one/a")["breaker"] == "open"
    assert next(d for d in after["deployments"] if d["id"] == "one/a")["breaker"] == "closed"


def test_failures_total_deadline(ask, first, second):
    """``request_timeout`` bounds the whole call, all attempts together."""
    first.add_faults({"kind": "hang"})
    second.add_faults({"kind": "hang"})
    toml = config(first.url, second.url, top="request_timeout = 0.5").replace("timeout = 0.3", "timeout = 30")

    async def work(c):
        before = c.backend.clock.monotonic()
        with pytest.raises(ExhaustedError) as caught:
            await c.chat("hi", role="chat")
        return caught.value, c.backend.clock.monotonic() - before

    error, seconds = ask(toml, work)
    assert outcomes(error.trace)[0] == ("one/a", "timeout")
    assert 0.4 < seconds < 1.5
    assert error.http_status == 504


def test_failures_no_second_candidate_after_the_deadline(ask, first, second):
    """Nobody is asked once the call's time is over."""
    first.add_faults({"kind": "hang"})
    toml = config(first.url, second.url, top="request_timeout = 0.4").replace("timeout = 0.3", "timeout = 30")

    async def work(c):
        with pytest.raises(ExhaustedError):
            await c.chat("hi", role="chat")

    ask(toml, work)
    assert second.requests("/v1/chat/completions") == []
