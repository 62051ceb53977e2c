"""The wire's edges, against a small server of the test's own."""

import asyncio
import os

import pytest
from aiohttp import web

from coreto.errors import CallError, GarbledError, PrivacyError, TimedOutError, UnreachableError
from coreto.labels import Label
from coreto.providers import http as wire
from coreto.providers.http import Endpoint, Http
from coreto.providers.ollama import Ollama
from coreto.providers.openai_compatible import OpenAICompatible


def serving(handler, work):
    """Run ``work(url)`` while ``handler`` answers every request."""

    async def main():
        app = web.Application()
        app.router.add_route("*", "/{tail:.*}", handler)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.05)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        try:
            host, port = runner.addresses[0][:2]
            return await work(f"http://{host}:{port}")
        finally:
            await runner.cleanup()

    return asyncio.run(main())


def answering(body, content_type="application/json"):
    async def handler(_):
        return web.Response(text=body, content_type=content_type)

    return handler


LISTS = (
    '{"data": [5, null, {"id": "x"}]}',
    '{"data": [{"id": 5}]}',
    '{"data": [{}]}',
    '{"data": {}}',
    "[]",
    "null",
)
TAGS = (
    '{"models": [5, {"name": "x"}]}',
    '{"models": [{"name": 5, "details": 3, "size": "y", "capabilities": 9}]}',
    '{"models": [{"name": "x", "capabilities": ["a", 1]}]}',
    '{"models": 5}',
    "[]",
)


@pytest.mark.parametrize(
    ("kind", "body"), [(OpenAICompatible, b) for b in LISTS] + [(Ollama, b) for b in TAGS]
)
def test_http_odd_model_lists(kind, body):
    """Whatever a server lists, models are listed or refused with a ``CallError``, and health says something."""

    async def work(url):
        provider = kind(Endpoint("x", url, local=True))
        try:
            try:
                models = await provider.models()
            except CallError:
                models = ()
            assert all(isinstance(model.name, str) for model in models)
            assert (await provider.health()).detail
        finally:
            await provider.close()

    serving(answering(body), work)


def test_http_endless_bodies_are_refused(monkeypatch):
    """A body beyond the limit is refused, whether its length was told or not."""
    monkeypatch.setattr(wire, "MAX_BODY", 10_000)

    async def handler(request):
        if request.path == "/told":
            return web.Response(body=b"x" * 20_000)
        response = web.StreamResponse()
        await response.prepare(request)
        for _ in range(100):
            await response.write(b"x" * 1000)
        return response

    async def work(url):
        http = Http(Endpoint("x", url, local=True))
        try:
            for path in ("/told", "/untold"):
                reply = await http.send("GET", path, label=Label.PUBLIC)
                with pytest.raises(GarbledError):
                    await reply.read()
                reply.close()
        finally:
            await http.close()

    serving(handler, work)


def test_http_loopback_needs_no_proxy(monkeypatch):
    """A proxy of the environment is for the world outside, not for a server on this machine."""
    for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    assert "http_proxy" in os.environ

    async def work(url):
        http = Http(Endpoint("daemon", url, local=False))
        try:
            return await http.fetch("GET", "/x")
        finally:
            await http.close()

    assert serving(answering("{}"), work)[0] == 200
    far = Http(Endpoint("far", "http://models.invalid", local=False))
    assert far._proxy == "http://127.0.0.1:9"


def test_http_private_data_needs_a_local_server():
    """The last look before the wire: private data is not even connected for."""
    seen = []

    async def handler(request):
        seen.append(request.path)
        return web.Response(text="{}")

    async def work(url):
        for local, told in ((False, None), (True, False)):
            http = Http(Endpoint("x", url, local=local))
            with pytest.raises(PrivacyError):
                await http.send("POST", "/x", label=Label.PRIVATE, body=b"{}", local=told)
            assert http._plain.idle == http._plain.in_use == 0
            await http.close()

    serving(handler, work)
    assert seen == []


def test_http_fetch_is_in_time():
    """A server that accepts and does not answer is a timeout; one that is not there is unreachable."""

    async def handler(_):
        await asyncio.sleep(30)

    async def work(url):
        http = Http(Endpoint("x", url, local=True))
        try:
            with pytest.raises(TimedOutError):
                await http.fetch("GET", "/x", within=0.03)
        finally:
            await http.close()
        gone = Http(Endpoint("x", "http://nowhere.invalid", local=True))
        try:
            with pytest.raises(UnreachableError):
                await gone.fetch("GET", "/x")
        finally:
            await gone.close()

    serving(handler, work)


def test_http_key_is_sent_and_not_shown():
    """The key goes into the header and into no representation."""
    seen = []

    async def handler(request):
        seen.append(request.headers.get("Authorization"))
        return web.Response(status=401, text='{"error": "bad key sk-1234567890abcdef"}')

    async def work(url):
        endpoint = Endpoint("x", url, local=True, api_key="sk-1234567890abcdef")
        assert "1234567890" not in repr(endpoint)
        provider = OpenAICompatible(endpoint)
        try:
            with pytest.raises(CallError) as caught:
                await provider.models()
        finally:
            await provider.close()
        return caught.value

    error = serving(handler, work)
    assert seen == ["Bearer sk-1234567890abcdef"]
    assert "1234567890" not in error.message
