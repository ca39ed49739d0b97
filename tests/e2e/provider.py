"""A model provider on loopback for the end-to-end tests: answers at once, streams on request, keeps what it saw."""

import contextlib
import json
import socket
import threading
from collections.abc import AsyncIterator, Generator
from dataclasses import dataclass, field
from typing import Any

import anyio
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route


@dataclass
class Provider:
    """What tests see of the provider."""

    port: int = 0
    seen: list[bytes] = field(default_factory=list[bytes])
    keys: list[str] = field(default_factory=list[str])
    streams_left: int = 0
    """Streams whose client went away before the end."""


HEAD: dict[str, Any] = {"id": "chatcmpl-1", "created": 1, "model": "gpt-4o-mini"}
USAGE = {"prompt_tokens": 11, "completion_tokens": 7, "total_tokens": 18}


def application(provider: Provider) -> Starlette:
    """Chat completions and messages. A user text that holds `endless` is answered by a stream that never ends."""

    async def chat(request: Request) -> Response:
        raw = await request.body()
        provider.seen.append(raw)
        provider.keys.append(request.headers.get("authorization", ""))
        body = json.loads(raw)
        if body.get("stream"):
            return StreamingResponse(stream("endless" in raw.decode()), media_type="text/event-stream")
        message = {"role": "assistant", "content": "The answer is forty-two."}
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        return JSONResponse({**HEAD, "object": "chat.completion", "choices": [choice], "usage": USAGE})

    async def stream(endless: bool) -> AsyncIterator[bytes]:
        number = 0
        try:
            while endless or number < 5:
                choice = {"index": 0, "delta": {"content": f"word{number} "}, "finish_reason": None}
                yield event({**HEAD, "object": "chat.completion.chunk", "choices": [choice]})
                number += 1
                await anyio.sleep(0.02)
            choice: dict[str, Any] = {"index": 0, "delta": {}, "finish_reason": "stop"}
            yield event({**HEAD, "object": "chat.completion.chunk", "choices": [choice]})
            yield event({**HEAD, "object": "chat.completion.chunk", "choices": [], "usage": USAGE})
            yield b"data: [DONE]\n\n"
        except BaseException:
            provider.streams_left += 1
            raise

    async def messages(request: Request) -> Response:
        raw = await request.body()
        provider.seen.append(raw)
        provider.keys.append(request.headers.get("x-api-key", ""))
        answer = {
            "id": "msg_1", "type": "message", "role": "assistant", "model": "claude-sonnet-5",
            "content": [{"type": "text", "text": "Forty-two."}], "stop_reason": "end_turn", "stop_sequence": None,
            "usage": {"input_tokens": 9, "output_tokens": 4},
        }  # fmt: skip
        return JSONResponse(answer)

    routes = [
        Route("/v1/chat/completions", chat, methods=["POST"]),
        Route("/v1/messages", messages, methods=["POST"]),
    ]
    return Starlette(routes=routes)


def event(value: dict[str, Any]) -> bytes:
    """A server-sent event."""
    return b"data: " + json.dumps(value).encode() + b"\n\n"


@contextlib.contextmanager
def serve_provider() -> Generator[Provider]:
    """A provider that serves while the block is open."""
    provider = Provider()
    with serving(application(provider)) as provider.port:
        yield provider


@contextlib.contextmanager
def serving(app: Starlette) -> Generator[int]:
    """The port on loopback at which an application is served, in a thread of its own, while the block is open."""
    listener = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(app, log_level="critical", lifespan="off", ws="none", timeout_graceful_shutdown=1)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    try:
        yield int(listener.getsockname()[1])
    finally:
        server.should_exit = True
        thread.join(10)
        listener.close()
