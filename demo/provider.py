"""A model provider on loopback that plays a script, so that the demo needs no key and no luck.

It speaks the OpenAI chat wire, streaming or not, and keeps the bytes of every request so that the demo can show what
a provider really gets to see. It is no part of the product.
"""

import json
import sys
from collections.abc import AsyncIterator
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from demo.listening import listen

Step = tuple[str, dict[str, Any]] | str
"""A tool call as `(name, arguments)`, or the final words."""

SCRIPT: dict[str, list[Step]] = {
    "read": [("files__read_text_file", {"path": "notes.txt"}), "The notes say: ship the wicket on Friday."],
    "write": [
        ("files__write_file", {"path": "summary.txt", "content": "Ship the wicket on Friday.\n"}),
        "I wrote the summary.",
    ],
    "file": ["I filed the customer under the number you gave me."],
    "watch": [("crm__find_customer", {"customer": 7})] * 40,
    "find": [("crm__find_customer", {"customer": 7}), "The customer waits for a call back."],
    "again": ["You should not be able to read this."],
}

seen: list[bytes] = []


def next_step(messages: list[dict[str, Any]]) -> Step:
    """The next step of the task that the last user message names."""
    last_user = max(index for index, message in enumerate(messages) if message["role"] == "user")
    task = str(messages[last_user]["content"]).split()[0].lower().strip(",.:")
    since = messages[last_user + 1 :]
    if any("loop" in str(message.get("content")) for message in since if message["role"] == "tool"):
        return "I was told that I am going in circles, so I stop."
    done = sum(1 for message in since if message["role"] == "assistant")
    steps = SCRIPT[task]
    return steps[min(done, len(steps) - 1)]


def message_of(step: Step, number: int) -> dict[str, Any]:
    """A step as the assistant message that asks for it."""
    if isinstance(step, str):
        return {"role": "assistant", "content": step}
    name, arguments = step
    call = {"id": f"call_{number}", "type": "function", "function": {"name": name, "arguments": json.dumps(arguments)}}
    return {"role": "assistant", "content": None, "tool_calls": [call]}


def chunks(message: dict[str, Any], usage: dict[str, int]) -> list[dict[str, Any]]:
    """The message as stream events."""
    head: dict[str, Any] = {
        "id": "chatcmpl-demo",
        "object": "chat.completion.chunk",
        "created": 1,
        "model": "gpt-4o-mini",
    }
    deltas: list[dict[str, Any]] = [{"role": "assistant", "content": ""}]
    if message.get("tool_calls"):
        deltas.append({"tool_calls": [{"index": 0, **message["tool_calls"][0]}]})
    else:
        deltas += [{"content": word + " "} for word in str(message["content"]).split()]
    finish = "tool_calls" if message.get("tool_calls") else "stop"
    events: list[dict[str, Any]] = [
        {**head, "choices": [{"index": 0, "delta": delta, "finish_reason": None}]} for delta in deltas
    ]
    events.append({**head, "choices": [{"index": 0, "delta": {}, "finish_reason": finish}]})
    events.append({**head, "choices": [], "usage": usage})
    return events


async def complete(request: Request) -> Response:
    """`POST /v1/chat/completions`."""
    raw = await request.body()
    seen.append(raw)
    body = json.loads(raw)
    message = message_of(next_step(body["messages"]), len(seen))
    usage = {"prompt_tokens": len(raw) // 4, "completion_tokens": 12, "total_tokens": len(raw) // 4 + 12}
    if body.get("stream"):

        async def stream() -> AsyncIterator[bytes]:
            for event in chunks(message, usage):
                yield b"data: " + json.dumps(event).encode() + b"\n\n"
            yield b"data: [DONE]\n\n"

        return StreamingResponse(stream(), media_type="text/event-stream")
    finish = "tool_calls" if message.get("tool_calls") else "stop"
    choice = {"index": 0, "message": message, "finish_reason": finish}
    head = {"id": "chatcmpl-demo", "object": "chat.completion", "created": 1, "model": "gpt-4o-mini"}
    return JSONResponse({**head, "choices": [choice], "usage": usage})


async def history(_request: Request) -> Response:
    """`GET /seen`: every request body that ever reached this provider."""
    return JSONResponse([raw.decode() for raw in seen])


def make(_host: str) -> Starlette:
    """The application."""
    return Starlette(routes=[Route("/v1/chat/completions", complete, methods=["POST"]), Route("/seen", history)])


if __name__ == "__main__":
    listen(make, sys.argv[1:])
