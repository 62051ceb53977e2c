"""What a request costs by our own client for servers without TLS, and by aiohttp: CPU a request, and memory to import.

The server is a bare asyncio one in a process of its own, so that only the client is measured. Run:
``python benchmarks/http_clients.py [--requests N]``.
"""

import argparse
import asyncio
import json
import multiprocessing
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable

import uvloop

from coreto.providers.plain_http import PlainPool
from coreto.providers.web_http import Web, WebPool
from support import free_port, median

ROUNDS = 5
ASKED = json.dumps({"model": "m", "messages": [{"role": "user", "content": "hello " * 3}]}).encode()
ANSWERED = json.dumps(
    {"choices": [{"index": 0, "message": {"role": "assistant", "content": "hello"}}]}
).encode()
RESPONSE = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s" % (
    len(ANSWERED),
    ANSWERED,
)
HEAD = b"host: bench\r\ncontent-type: application/json\r\nauthorization: Bearer k\r\naccept: */*\r\n"
HEADERS = {"Content-Type": "application/json", "Authorization": "Bearer k"}
IMPORT = """
import asyncio, orjson, pydantic, resource
def rss(): return int(open('/proc/self/statm').read().split()[1]) * resource.getpagesize() / 2**20
before = rss()
import aiohttp
print(rss() - before)
"""


class Echo(asyncio.Protocol):
    """Answers each request, which comes in one piece, with the same response."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        del data
        self._transport.write(RESPONSE)


def serve(port: int) -> None:
    async def main() -> None:
        server = await asyncio.get_running_loop().create_server(Echo, "127.0.0.1", port)
        await server.serve_forever()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main())


async def cost(requests: int, ask: Callable[[], Awaitable[object]]) -> float:
    """Microseconds of CPU a request."""
    for _ in range(200):
        await ask()
    before = time.process_time()
    for _ in range(requests):
        await ask()
    return (time.process_time() - before) / requests * 1e6


async def measured(port: int, requests: int) -> dict[str, list[float]]:
    plain = PlainPool("127.0.0.1", port, HEAD, limit=10, keepalive=4.0)
    web = WebPool(Web(f"http://127.0.0.1:{port}", HEADERS, 10, 4.0))

    async def by_plain() -> None:
        response = await plain.request("POST", "/v1/chat/completions", None, ASKED, 5.0)
        await response.read()
        response.close()

    async def by_web() -> None:
        response = await web.request("POST", "/v1/chat/completions", None, ASKED, 5.0)
        await response.read()
        response.close()

    found: dict[str, list[float]] = {"plain_http": [], "web_http (aiohttp)": []}
    for _ in range(ROUNDS):
        found["plain_http"].append(await cost(requests, by_plain))
        found["web_http (aiohttp)"].append(await cost(requests, by_web))
    plain.close()
    await web.close()
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=2000)
    arguments = parser.parse_args()
    port = free_port()
    server = multiprocessing.Process(target=serve, args=(port,), daemon=True)
    server.start()
    time.sleep(0.5)
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:  # as the server's
            found = runner.run(measured(port, arguments.requests))
    finally:
        server.terminate()
        server.join()
    print("| client | CPU us a request |\n|---|---|")
    for name, costs in found.items():
        print(f"| {name} | {median(costs):.0f} |")
    grown = subprocess.run([sys.executable, "-c", IMPORT], check=True, capture_output=True, text=True)
    print(f"\nimporting aiohttp: {float(grown.stdout):.0f} MB")


if __name__ == "__main__":
    main()
