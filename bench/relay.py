"""The bare relay: what starlette and aiohttp cost when nothing is governed. It reads a body and streams the answer."""

import sys
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

KEPT = ("content-type", "accept", "mcp-session-id", "mcp-protocol-version", "mcp-method", "mcp-name")


def build(upstream: int) -> Starlette:
    """A relay before a loopback port."""
    clients: list[aiohttp.ClientSession] = []

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncGenerator[None]:
        connector = aiohttp.TCPConnector(limit=0)
        async with aiohttp.ClientSession(connector=connector, auto_decompress=False) as client:
            clients.append(client)
            yield

    async def relay(request: Request) -> Response:
        headers = {name: value for name in KEPT if (value := request.headers.get(name))}
        url = f"http://127.0.0.1:{upstream}{request.url.path}"
        answer = await clients[0].request(request.method, url, data=await request.body(), headers=headers)
        passed = {name: value for name in KEPT if (value := answer.headers.get(name))}
        if not answer.headers.get("content-type", "").startswith("text/event-stream"):
            async with answer:
                return Response(await answer.read(), answer.status, passed)

        async def stream() -> AsyncIterator[bytes]:
            async with answer:
                async for chunk in answer.content.iter_any():
                    yield chunk

        return StreamingResponse(stream(), answer.status, passed)

    return Starlette(routes=[Route("/{path:path}", relay, methods=["GET", "POST", "DELETE"])], lifespan=lifespan)


def main() -> None:
    """`python -m bench.relay PORT UPSTREAM_PORT`."""
    port, upstream = int(sys.argv[1]), int(sys.argv[2])
    uvicorn.run(
        build(upstream),
        host="127.0.0.1",
        port=port,
        loop="uvloop",
        http="httptools",
        access_log=False,
        log_level="error",
    )


if __name__ == "__main__":
    main()
