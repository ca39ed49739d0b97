"""A model provider for real agents: it asks for one tool, sees the result, and says that it is done.

The prompt names what to do: `please mark RUN-...`. The tool is the one whose name ends in `mark`, whatever prefix the
agent puts before it. Whoever brings no such tool, or has the result, is answered with words.
"""

import json
import re
import secrets
from collections.abc import AsyncIterator
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from tests.e2e.provider import event

RUN = re.compile(r"RUN-\w+")
KEPT_BACK = re.compile(r"mcp__\w+__mark")
"""The tool, where its agent tells of it in words and gives its model another tool to call it with."""
CARRIER = "tool_call"
DONE = "Done, it is marked."
USAGE = {"prompt_tokens": 900, "completion_tokens": 20, "total_tokens": 920}


def application() -> Starlette:
    """Chat completions and messages, streamed or not, and what agents ask for besides."""

    async def chat(request: Request) -> Response:
        body = await request.json()
        names = [tool["function"]["name"] for tool in body.get("tools") or ()]
        answered = any(one.get("role") == "tool" for one in body["messages"])
        wanted = _wanted(names, body["messages"], answered=answered)
        if body.get("stream"):
            return StreamingResponse(_chunks(wanted), media_type="text/event-stream")
        message: dict[str, Any] = {"role": "assistant", "content": DONE}
        if wanted:
            message = {"role": "assistant", "content": None, "tool_calls": [_call(wanted)]}
        choice = {"index": 0, "message": message, "finish_reason": "tool_calls" if wanted else "stop"}
        return JSONResponse({**_head("chat.completion"), "choices": [choice], "usage": USAGE})

    async def messages(request: Request) -> Response:
        body = await request.json()
        names = [tool["name"] for tool in body.get("tools") or ()]
        answered = '"tool_result"' in json.dumps(body["messages"])
        wanted = _wanted(names, body["messages"], answered=answered)
        if body.get("stream"):
            return StreamingResponse(_events(wanted), media_type="text/event-stream")
        return JSONResponse({**_message(), "content": [_block(wanted)], "stop_reason": _stop(wanted)})

    async def count(request: Request) -> Response:
        return JSONResponse({"input_tokens": len(await request.body()) // 4})

    return Starlette(
        routes=[
            Route("/v1/chat/completions", chat, methods=["POST"]),
            Route("/v1/messages", messages, methods=["POST"]),
            Route("/v1/messages/count_tokens", count, methods=["POST"]),
        ]
    )


Wanted = tuple[str, dict[str, Any]]
"""The name of a tool, and what to call it with."""


def _wanted(names: list[str], messages: list[Any], *, answered: bool) -> Wanted | None:
    said = json.dumps([one for one in messages if one.get("role") == "user"])
    tool = next((name for name in names if name.endswith("mark")), None)
    kept_back, run = KEPT_BACK.search(said), RUN.search(said)
    if answered or run is None:
        return None
    if tool is None and kept_back is not None and CARRIER in names:
        return CARRIER, {"name": kept_back[0], "arguments": {"text": run[0]}}
    return None if tool is None else (tool, {"text": run[0]})


def _head(kind: str) -> dict[str, Any]:
    return {"id": f"chatcmpl-{secrets.token_hex(8)}", "object": kind, "created": 1, "model": "mock"}


def _call(wanted: Wanted) -> dict[str, Any]:
    function = {"name": wanted[0], "arguments": json.dumps(wanted[1])}
    return {"index": 0, "id": f"call_{secrets.token_hex(12)}", "type": "function", "function": function}


async def _chunks(wanted: Wanted | None) -> AsyncIterator[bytes]:
    head = _head("chat.completion.chunk")
    said: dict[str, Any] = {"role": "assistant", "content": DONE}
    if wanted:
        said = {"role": "assistant", "content": None, "tool_calls": [_call(wanted)]}
    for delta, finish in ((said, None), ({}, "tool_calls" if wanted else "stop")):
        yield event({**head, "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]})
    yield event({**head, "choices": [], "usage": USAGE})
    yield b"data: [DONE]\n\n"


def _message() -> dict[str, Any]:
    return {
        "id": f"msg_{secrets.token_hex(12)}", "type": "message", "role": "assistant", "model": "claude-sonnet-5",
        "content": [], "stop_reason": None, "stop_sequence": None,
        "usage": {"input_tokens": 900, "output_tokens": 1},
    }  # fmt: skip


def _stop(wanted: Wanted | None) -> str:
    return "tool_use" if wanted else "end_turn"


def _block(wanted: Wanted | None) -> dict[str, Any]:
    if wanted is None:
        return {"type": "text", "text": DONE}
    return {"type": "tool_use", "id": f"toolu_{secrets.token_hex(12)}", "name": wanted[0], "input": wanted[1]}


async def _events(wanted: Wanted | None) -> AsyncIterator[bytes]:
    block = _block(wanted)
    delta: dict[str, Any] = {"type": "text_delta", "text": DONE}
    empty: dict[str, Any] = {**block, "text": ""}
    if wanted:
        delta = {"type": "input_json_delta", "partial_json": json.dumps(block["input"])}
        empty = {**block, "input": {}}
    yield event({"type": "message_start", "message": _message()})
    yield event({"type": "content_block_start", "index": 0, "content_block": empty})
    yield event({"type": "content_block_delta", "index": 0, "delta": delta})
    yield event({"type": "content_block_stop", "index": 0})
    stop = {"stop_reason": _stop(wanted), "stop_sequence": None}
    yield event({"type": "message_delta", "delta": stop, "usage": {"output_tokens": 20}})
    yield event({"type": "message_stop"})
