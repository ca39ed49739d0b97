"""A model provider on loopback for the end-to-end tests: answers at once, streams on request, keeps what it saw."""

import contextlib
import json
import secrets
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
    goes_on: threading.Event = field(default_factory=threading.Event)
    """Set by a test that has seen enough of a stream which stays open behind a tool call."""
    streams_left: int = 0
    """Streams whose client went away before the end."""


HEAD: dict[str, Any] = {"id": "chatcmpl-1", "created": 1, "model": "gpt-4o-mini"}
USAGE = {"prompt_tokens": 11, "completion_tokens": 7, "total_tokens": 18}


def application(provider: Provider) -> Starlette:
    """Chat completions and messages.

    A user text that holds `endless` is answered by a stream that never ends. One that is a JSON object is what the
    model does: `use` names a tool, `input` its arguments; with `stays` a streamed message goes on when a test says so.
    """

    async def chat(request: Request) -> Response:
        raw = await request.body()
        provider.seen.append(raw)
        provider.keys.append(request.headers.get("authorization", ""))
        body = json.loads(raw)
        if wanted := wanted_of(body):
            call = {"name": wanted["use"], "arguments": json.dumps(wanted["input"])}
            calls = [{"index": 0, "id": f"call_{secrets.token_hex(12)}", "type": "function", "function": call}]
            delta = {"role": "assistant", "content": None, "tool_calls": calls}
            if body.get("stream"):
                return StreamingResponse(calling(delta), media_type="text/event-stream")
            choice = {"index": 0, "message": delta, "finish_reason": "tool_calls"}
            return JSONResponse({**HEAD, "object": "chat.completion", "choices": [choice], "usage": USAGE})
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
        if wanted := wanted_of(json.loads(raw)):
            return StreamingResponse(message_calling(provider, wanted), media_type="text/event-stream")
        return JSONResponse(MESSAGE)

    routes = [
        Route("/v1/chat/completions", chat, methods=["POST"]),
        Route("/v1/messages", messages, methods=["POST"]),
    ]
    return Starlette(routes=routes)


MESSAGE: dict[str, Any] = {
    "id": "msg_1", "type": "message", "role": "assistant", "model": "claude-sonnet-5",
    "content": [{"type": "text", "text": "Forty-two."}], "stop_reason": "end_turn", "stop_sequence": None,
    "usage": {"input_tokens": 9, "output_tokens": 4},
}  # fmt: skip


async def calling(delta: dict[str, Any]) -> AsyncIterator[bytes]:
    """A streamed chat completion that asks for tools."""
    for said, finish in ((delta, None), ({}, "tool_calls")):
        choice = {"index": 0, "delta": said, "finish_reason": finish}
        yield event({**HEAD, "object": "chat.completion.chunk", "choices": [choice]})
    yield b"data: [DONE]\n\n"


async def message_calling(provider: Provider, wanted: dict[str, Any]) -> AsyncIterator[bytes]:
    """A streamed message that asks for a tool; with `stays` it goes on behind that when a test says so."""
    block: dict[str, Any] = {
        "type": "tool_use",
        "id": f"toolu_{secrets.token_hex(12)}",
        "name": wanted["use"],
        "input": {},
    }
    delta = {"type": "input_json_delta", "partial_json": json.dumps(wanted["input"])}
    start: dict[str, Any] = {**MESSAGE, "content": []}
    yield event({"type": "message_start", "message": start})
    yield event({"type": "content_block_start", "index": 0, "content_block": block})
    yield event({"type": "content_block_delta", "index": 0, "delta": delta})
    yield event({"type": "content_block_stop", "index": 0})
    while wanted.get("stays") and not provider.goes_on.is_set():
        yield event({"type": "ping"})
        await anyio.sleep(0.02)
    yield event({"type": "message_delta", "delta": {"stop_reason": "tool_use"}, "usage": {"output_tokens": 4}})
    yield event({"type": "message_stop"})


def wanted_of(body: dict[str, Any]) -> dict[str, Any] | None:
    """What the last message, if it is a user's, wants the model to do."""
    messages: list[dict[str, Any]] = body.get("messages") or [{}]
    text = messages[-1].get("content")
    if messages[-1].get("role") != "user" or not isinstance(text, str) or not text.startswith("{"):
        return None
    wanted: dict[str, Any] = json.loads(text)
    return wanted


def event(value: dict[str, Any]) -> bytes:
    """A server-sent event."""
    name = f"event: {value['type']}\n" if "type" in value else ""
    return name.encode() + b"data: " + json.dumps(value).encode() + b"\n\n"


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
