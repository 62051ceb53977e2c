"""Kept answers, through the real server."""

from concurrent.futures import ThreadPoolExecutor

ASK = {"x-coreto-cache": "60"}


def say(server, model, text, **more):
    return server.chat(model, messages=[{"role": "user", "content": text}], **more)


def calls(upstream):
    return len(upstream.requests("/v1/chat/completions"))


def test_a_call_may_ask_for_the_cache(server, upstream):
    """The second of two equal calls is answered without an upstream call, and says so."""
    first = say(server, "chat", "keep this 1", headers=ASK)
    again = say(server, "chat", "keep this 1", headers=ASK)
    assert calls(upstream) == 1
    assert again.json["choices"] == first.json["choices"]
    assert (first.json["coreto"]["cached"], again.json["coreto"]["cached"]) == (False, True)
    assert again.json["coreto"]["cost_usd"] == 0
    assert again.headers["x-coreto-cached"] == "true"


def test_without_being_asked_nothing_is_kept(server, upstream):
    """The cache is off unless the role or the call asks for it."""
    for _ in range(2):
        assert say(server, "chat", "do not keep this").json["coreto"]["cached"] is False
    assert calls(upstream) == 2


def test_a_whole_answer_is_replayed_as_a_stream(server, upstream):
    """A stream is answered from what a whole call left, with one finish, the trace and [DONE]."""
    whole = say(server, "chat", "keep this 2", headers=ASK).json
    events = say(server, "chat", "keep this 2", headers=ASK, stream=True).events
    assert calls(upstream) == 1
    chunks = [event for event in events if event != "[DONE]"]
    text = "".join(c["choices"][0]["delta"].get("content") or "" for c in chunks if c["choices"])
    assert text == whole["choices"][0]["message"]["content"]
    assert [c["choices"][0]["finish_reason"] for c in chunks if c["choices"]].count("stop") == 1
    assert chunks[-1]["coreto"]["cached"] is True
    assert events[-1] == "[DONE]"


def test_a_hundred_equal_calls_are_one(server, upstream):
    """Identical calls at the same time share one upstream call."""
    with ThreadPoolExecutor(100) as pool:
        answers = list(pool.map(lambda _: say(server, "chat", "keep this 3", headers=ASK).json, range(100)))
    assert calls(upstream) == 1
    assert len({answer["choices"][0]["message"]["content"] for answer in answers}) == 1


def test_private_answers_are_not_shared_between_users(server, upstream):
    """Two users' equal private calls are two calls; one user's are one."""
    for user in ("ana", "bia", "ana"):
        say(server, "chat", "my secret", headers={**ASK, "x-coreto-label": "private", "x-coreto-user": user})
    assert calls(upstream) == 2


def test_answers_can_be_forgotten(server, upstream):
    """A tag, or a pattern over tags, takes answers out of the cache; the count is told."""
    tagged = {**ASK, "x-coreto-cache-tags": "prompt:greeting"}
    say(server, "chat", "keep this 4", headers=tagged)
    gone = server.call("POST", "/api/cache/invalidate", {"tag": "prompt:greeting"})
    assert gone.json == {"invalidated": 1}
    say(server, "chat", "keep this 4", headers=tagged)
    assert calls(upstream) == 2
    assert server.call("POST", "/api/cache/invalidate", {"pattern": "prompt:*"}).json == {"invalidated": 1}


def test_bad_directives_are_refused(server):
    """A directive or an invalidation that is none is a 400 that names it."""
    assert say(server, "chat", "x", headers={"x-coreto-cache": "maybe"}).error["param"] == "x-coreto-cache"
    for body in ({}, {"tag": "a", "pattern": "b"}, {"tag": 5}, {"other": "x"}):
        assert server.call("POST", "/api/cache/invalidate", body).status == 400


def test_a_role_may_be_cached(started, upstream):
    """`cache_ttl` keeps a role's answers without the call asking; `no` passes by; status counts."""
    head = '[roles.kept]\nchain = ["lab/primary"]\ncache_ttl = 60\n'
    with started(head) as own:
        say(own, "kept", "hi")
        assert say(own, "kept", "hi").json["coreto"]["cached"] is True
        assert say(own, "kept", "hi", headers={"x-coreto-cache": "no"}).json["coreto"]["cached"] is False
        assert calls(upstream) == 2
        assert own.get("/api/status").json["cache"]["hits"] == 1
