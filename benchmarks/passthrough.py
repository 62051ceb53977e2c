"""The floor: uvicorn and aiohttp that pass bytes on, with nothing in between."""

import asyncio
import sys

import aiohttp
import uvicorn


def passthrough(upstream: str):
    session: list[aiohttp.ClientSession] = []

    async def app(scope, receive, send):
        if scope["type"] != "http":
            return
        if not session:
            session.append(aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=None)))
        body = b""
        while True:
            message = await receive()
            body += message.get("body", b"")
            if not message.get("more_body"):
                break
        headers = {"Content-Type": "application/json"}
        async with session[0].request(
            scope["method"], upstream + scope["path"], data=body, headers=headers
        ) as reply:
            kind = reply.headers.get("Content-Type", "application/json").encode()
            if b"event-stream" not in kind:
                whole = await reply.read()
                length = str(len(whole)).encode()
                await send(
                    {
                        "type": "http.response.start",
                        "status": reply.status,
                        "headers": [(b"content-type", kind), (b"content-length", length)],
                    }
                )
                await send({"type": "http.response.body", "body": whole})
                return
            await send(
                {"type": "http.response.start", "status": reply.status, "headers": [(b"content-type", kind)]}
            )
            async for data in reply.content.iter_any():
                await send({"type": "http.response.body", "body": data, "more_body": True})
            await send({"type": "http.response.body", "body": b""})

    return app


async def main(upstream: str) -> None:
    config = uvicorn.Config(
        passthrough(upstream), port=0, access_log=False, lifespan="off", log_level="error"
    )
    server = uvicorn.Server(config)
    task = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    print(f"listening on http://127.0.0.1:{port}", flush=True)
    await task


if __name__ == "__main__":
    uvicorn.Config(None, loop="auto").get_loop_factory()
    with asyncio.Runner(loop_factory=uvicorn.Config(None, loop="auto").get_loop_factory()) as runner:
        runner.run(main(sys.argv[1]))
