"""``/metrics``: what was counted, in Prometheus' own format."""

import re

HELLO = [{"role": "user", "content": "a very private question about Zanzibar"}]
SAMPLE = re.compile(r'([a-z_]+)(?:\{((?:[a-z_]+="(?:[^"\\\n]|\\.)*",?)+)\})? (-?[0-9.e+-]+|NaN|[+-]Inf)')


def read(server, headers=None) -> dict[str, float]:
    """The samples by name and labels; every line is checked."""
    got = server.get("/metrics", headers)
    assert got.status == 200
    assert got.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    samples, announced = {}, set()
    text = got.body.decode()
    assert text.endswith("\n")
    for line in text.splitlines():
        if line.startswith("# TYPE "):
            _, _, name, kind = line.split()
            assert kind in {"counter", "gauge", "histogram"}
            assert name not in announced, "a metric is announced once"
            announced.add(name)
        elif not line.startswith("# HELP "):
            match = SAMPLE.fullmatch(line)
            assert match, line
            assert re.sub(r"_(bucket|sum|count)$", "", match[1]) in announced or match[1] in announced
            key = line.rpartition(" ")[0]
            assert key not in samples, "a series is there once"
            samples[key] = float(match[3])
    return samples


def test_what_is_counted(own, upstream) -> None:
    """Calls, attempts, tokens and times add up to what was done; a failed first attempt is seen."""
    upstream.add_faults({"kind": "status", "status": 500, "model": "first", "times": 1})
    for _ in range(3):
        assert own.chat("chat", messages=HELLO).status == 200
    assert own.chat("pair", messages=HELLO, stream=True).status == 200
    assert own.chat("nobody", messages=HELLO).status == 404
    seen = read(own)
    assert seen['coreto_calls_total{role="chat",deployment="lab/primary",outcome="ok"}'] == 3
    assert seen['coreto_calls_total{role="pair",deployment="spare/second",outcome="ok"}'] == 1
    assert seen['coreto_attempts_total{deployment="lab/first",outcome="server_error"}'] == 1
    assert seen['coreto_attempts_total{deployment="spare/second",outcome="ok"}'] == 1
    assert seen['coreto_call_seconds_count{role="chat"}'] == 3
    assert seen['coreto_attempt_seconds_count{deployment="lab/primary"}'] == 3
    assert seen['coreto_first_token_seconds_count{deployment="spare/second"}'] == 1
    assert seen['coreto_tokens_total{deployment="lab/primary",kind="prompt"}'] > 0
    assert seen['coreto_tokens_total{deployment="lab/primary",kind="completion"}'] > 0
    route = 'method="POST",route="/v1/chat/completions"'
    assert seen[f'coreto_http_requests_total{{{route},status="200"}}'] == 4
    assert seen[f'coreto_http_requests_total{{{route},status="404"}}'] == 1
    assert seen['coreto_breaker_state{deployment="lab/first",state="closed"}'] == 1
    assert seen["coreto_ledger_dropped_total"] == 0
    assert seen["coreto_calls_in_flight"] == seen["coreto_calls_queued"] == 0


def test_a_histogram_adds_up(own) -> None:
    """Buckets only grow, and the last one is the count."""
    own.chat()
    own.chat()
    seen = read(own)
    buckets = [
        value for key, value in seen.items() if key.startswith('coreto_call_seconds_bucket{role="chat"')
    ]
    assert buckets == sorted(buckets)
    assert buckets[-1] == seen['coreto_call_seconds_count{role="chat"}'] == 2
    assert 0 < seen['coreto_call_seconds_sum{role="chat"}'] < 20


def test_clients_make_no_series(own) -> None:
    """Names that clients invent, in paths, methods or models, do not become labels, nor do their words."""
    own.chat("chat", messages=HELLO, user="carla-the-user")
    before = len(read(own))
    for number in range(20):
        own.get(f"/invented/{number}")
        own.get(f"/v1/models/invented-{number}")
        own.call("BREW" + "X" * number, "/", None)
        own.chat(f"lab/invented-{number}", messages=HELLO)
        own.chat(f"invented-{number}", messages=HELLO)
    after = read(own)
    assert len(after) < before + 60
    text = own.get("/metrics").body.decode()
    assert "invented" not in text.replace("/v1/models/", "")
    assert 'deployment="other"' in text
    for word in ("Zanzibar", "carla", "BREW"):
        assert word not in text


def test_a_broken_deployment_is_seen(own, upstream) -> None:
    """An open breaker shows as such."""
    upstream.add_faults({"kind": "status", "status": 500, "model": "primary"})
    for _ in range(4):
        own.chat()
    seen = read(own)
    assert seen['coreto_breaker_state{deployment="lab/primary",state="open"}'] == 1
    assert seen['coreto_breaker_state{deployment="lab/primary",state="closed"}'] == 0
    assert seen['coreto_health_changes_total{state="open"}'] >= 1


def test_a_key_is_needed_where_there_are_keys(keyed) -> None:
    """With keys, /metrics is as closed as the rest."""
    assert keyed.get("/metrics").status == 401
    assert read(keyed, {"Authorization": "Bearer one-key"})
