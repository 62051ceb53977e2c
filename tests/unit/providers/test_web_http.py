"""HTTP by aiohttp: over TLS, whose certificate is looked at; imported for that only."""

import asyncio
import shutil
import ssl
import subprocess
import sys

import pytest
from aiohttp import web

from coreto.errors import CoretoError, CutError, UnreachableError
from coreto.labels import Label
from coreto.providers.http import Endpoint, Http


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    """A certificate for 127.0.0.1 that nobody knows, and its key."""
    if shutil.which("openssl") is None:
        pytest.skip("makes its certificate with openssl, which is not installed")
    folder = tmp_path_factory.mktemp("tls")
    key, cert = folder / "key.pem", folder / "cert.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
         "-keyout", str(key), "-out", str(cert), "-subj", "/CN=localhost",
         "-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost"],
        check=True, capture_output=True,
    )  # fmt: skip
    return cert, key


def over_tls(certificate, handler, work):
    """Run ``work(url)`` while ``handler`` answers every request over TLS."""

    async def main():
        app = web.Application()
        app.router.add_route("*", "/{tail:.*}", handler)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.05)
        await runner.setup()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*certificate)
        await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context).start()
        try:
            return await work(f"https://127.0.0.1:{runner.addresses[0][1]}")
        finally:
            await runner.cleanup()

    return asyncio.run(main())


async def hello(request):
    return web.Response(text=f"hello {request.headers['Authorization']}", headers={"X-A": "1"})


def test_web_tls_with_a_certificate_that_is_known(certificate, monkeypatch):
    async def work(url):
        http = Http(Endpoint("x", url, local=True, api_key="secret-key"))
        try:
            reply = await http.send("POST", "/x", label=Label.PRIVATE, body=b"{}")
            body = await reply.read()
            reply.close()
            return reply.status, reply.headers.get("x-a"), body, http._plain
        finally:
            await http.close()

    known = ssl.create_default_context(cafile=str(certificate[0]))
    monkeypatch.setattr("aiohttp.connector._SSL_CONTEXT_VERIFIED", known)
    assert over_tls(certificate, hello, work) == (200, "1", b"hello Bearer secret-key", None)


def test_web_tls_with_a_certificate_that_nobody_knows(certificate):
    async def work(url):
        http = Http(Endpoint("x", url, local=True))
        try:
            with pytest.raises(UnreachableError, match="certificate"):
                await http.send("GET", "/x", label=Label.PUBLIC)
        finally:
            await http.close()

    over_tls(certificate, hello, work)


def test_web_errors_are_ours(certificate, monkeypatch):
    """Nobody there, a name that is none, an answer that is cut."""
    known = ssl.create_default_context(cafile=str(certificate[0]))
    monkeypatch.setattr("aiohttp.connector._SSL_CONTEXT_VERIFIED", known)

    async def cut(request):
        response = web.StreamResponse(headers={"Content-Length": "100"})
        await response.prepare(request)
        await response.write(b"hello")
        request.transport.abort()
        return response

    async def work(url):
        http = Http(Endpoint("x", url, local=True))
        nobody = Http(Endpoint("x", "https://127.0.0.1:9", local=True))
        nameless = Http(Endpoint("x", "https://no-such-host.invalid", local=True))
        try:
            reply = await http.send("GET", "/x", label=Label.PUBLIC)
            with pytest.raises(CutError):
                await reply.read()
            reply.close()
            for wire, words in ((nobody, "nothing listens at 127.0.0.1:9"), (nameless, "cannot be resolved")):
                with pytest.raises(CoretoError, match=words):
                    await wire.send("GET", "/x", label=Label.PUBLIC)
        finally:
            for wire in (http, nobody, nameless):
                await wire.close()

    over_tls(certificate, cut, work)


def test_web_is_imported_when_it_is_needed():
    """A machine with local servers only does without aiohttp, which takes 13 MB."""
    code = (
        "import sys; from coreto.providers.http import Endpoint, Http; import coreto.cli.serve;"
        "Http(Endpoint('a', 'http://127.0.0.1:1', local=True)); Http(Endpoint('b', 'https://b.example', local=False));"
        "print('aiohttp' in sys.modules)"
    )
    shown = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert shown.stdout.strip() == "False"
