"""A model provider and an MCP server on loopback whose answers never end: for what is in flight when a run is killed.

Both note when a call came in and when its connection was closed.
"""

import json
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import anyio
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

PIECE_SECONDS = 1.0
"""How often an answer says something: clients must be told of the kill although the upstream is silent."""
TOOL: dict[str, Any] = {"name": "wait", "description": "Waits.", "inputSchema": {"type": "object"}}


@dataclass
class Upstream:
    """What tests see of both."""

    models: list[float] = field(default_factory=list[float])
    """When each model call came in, by `time.monotonic`, which is one clock for all of this machine's processes."""
    tools: list[float] = field(default_factory=list[float])
    """When each tool call came in."""
    closed: list[float] = field(default_factory=list[float])
    """When a call's connection was closed."""
    cancelled: int = 0
    """How many tool calls were called off in words (`notifications/cancelled`)."""

    @property
    def open(self) -> int:
        """Calls that are in flight here."""
        return len(self.models) + len(self.tools) - len(self.closed)


def application(upstream: Upstream) -> Starlette:
    """`/v1/chat/completions` and `/mcp`."""

    async def chat(request: Request) -> Response:
        upstream.models.append(moment())
        await request.body()
        choice = {"index": 0, "delta": {"content": "word "}, "finish_reason": None}
        piece = {"id": "c", "created": 1, "model": "slow", "object": "chat.completion.chunk", "choices": [choice]}
        return StreamingResponse(endless(b"data: " + json.dumps(piece).encode()), media_type="text/event-stream")

    async def mcp(request: Request) -> Response:
        message = await request.json()
        match message.get("method"):
            case "tools/call":
                upstream.tools.append(moment())
                return StreamingResponse(endless(b": still here"), media_type="text/event-stream")
            case "initialize":
                result: dict[str, Any] = {
                    "protocolVersion": "2025-11-25", "capabilities": {"tools": {}},
                    "serverInfo": {"name": "slow", "version": "1"},
                }  # fmt: skip
            case "tools/list":
                result = {"tools": [TOOL]}
            case "notifications/cancelled":
                upstream.cancelled += 1
                return Response(status_code=202)
            case _:
                return Response(status_code=202)
        return JSONResponse({"jsonrpc": "2.0", "id": message["id"], "result": result})

    async def endless(piece: bytes) -> AsyncIterator[bytes]:
        try:
            while True:
                yield piece + b"\n\n"
                await anyio.sleep(PIECE_SECONDS)
        finally:
            upstream.closed.append(moment())

    async def nothing(_: Request) -> Response:
        return Response(status_code=405)

    return Starlette(
        routes=[
            Route("/v1/chat/completions", chat, methods=["POST"]),
            Route("/mcp", mcp, methods=["POST"]),
            Route("/mcp", nothing, methods=["GET", "DELETE"]),
        ]
    )


def moment() -> float:
    """Now, in seconds of this machine's monotonic clock."""
    return time.monotonic()  # noqa: TID251 - how long a kill takes is what is measured
