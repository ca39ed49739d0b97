"""Requests and answers of both wires, written as providers write them."""

from typing import Any

import orjson

CHAT_ANSWER = (
    b'{"id":"chatcmpl-1","object":"chat.completion","created":1,"model":"gpt-4o-mini-2024","choices":[{"index":0,'
    b'"message":{"role":"assistant","content":"hello"},"logprobs":null,"finish_reason":"stop"}],'
    b'"usage":{"prompt_tokens":5,"completion_tokens":2,"total_tokens":7,"prompt_tokens_details":{"cached_tokens":3}}}'
)
MESSAGE_ANSWER = (
    b'{"id":"msg_1","type":"message","role":"assistant","model":"claude-sonnet-5","content":[{"type":"text",'
    b'"text":"hello"}],"stop_reason":"end_turn","stop_sequence":null,"usage":{"input_tokens":5,'
    b'"cache_read_input_tokens":100,"cache_creation_input_tokens":10,"output_tokens":2}}'
)


def chat_chunk(delta: dict[str, object], finish: str | None = None, **more: object) -> bytes:
    choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
    chunk = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "gpt-4o-mini-2024"}
    return b"data: " + orjson.dumps({**chunk, "choices": [choice], **more}) + b"\n\n"


CHAT_USAGE = (
    b'data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1,"model":"gpt-4o-mini-2024","choices":[],'
    b'"usage":{"prompt_tokens":5,"completion_tokens":2,"total_tokens":7}}\n\n'
)
CHAT_DONE = b"data: [DONE]\n\n"


def chat_stream(*texts: str, usage: bool = True) -> list[bytes]:
    null: dict[str, Any] = {"usage": None} if usage else {}
    events = [chat_chunk({"role": "assistant", "content": ""}, **null)]
    events += [chat_chunk({"content": text}, **null) for text in texts]
    events.append(chat_chunk({}, "stop", **null))
    return [*events, *([CHAT_USAGE] if usage else []), CHAT_DONE]


def message_event(kind: str, **members: object) -> bytes:
    return f"event: {kind}\ndata: ".encode() + orjson.dumps({"type": kind, **members}) + b"\n\n"


def message_stream(*texts: str) -> list[bytes]:
    start: dict[str, object] = {
        "id": "msg_1", "type": "message", "role": "assistant", "model": "claude-sonnet-5", "content": [],
        "stop_reason": None, "stop_sequence": None,
        "usage": {"input_tokens": 5, "cache_read_input_tokens": 100, "output_tokens": 1},
    }  # fmt: skip
    return [
        message_event("message_start", message=start),
        message_event("content_block_start", index=0, content_block={"type": "text", "text": ""}),
        b'event: ping\ndata: {"type": "ping"}\n\n',
        *(message_event("content_block_delta", index=0, delta={"type": "text_delta", "text": text}) for text in texts),
        message_event("content_block_stop", index=0),
        message_event("message_delta", delta={"stop_reason": "end_turn"}, usage={"output_tokens": 9}),
        message_event("message_stop"),
    ]


def chat_call(index: int, call_id: str, name: str, *pieces: str) -> list[bytes]:
    """A tool call of a streamed chat completion, its arguments in pieces."""
    begun: dict[str, object] = {
        "index": index, "id": call_id, "type": "function", "function": {"name": name, "arguments": ""}
    }  # fmt: skip
    more = [chat_chunk({"tool_calls": [{"index": index, "function": {"arguments": piece}}]}) for piece in pieces]
    return [chat_chunk({"tool_calls": [begun]}), *more]


def chat_calling(*calls: list[bytes]) -> list[bytes]:
    """A streamed chat completion that asks for tools."""
    start = chat_chunk({"role": "assistant", "content": None})
    return [start, *(event for call in calls for event in call), chat_chunk({}, "tool_calls"), CHAT_DONE]


def message_call(index: int, call_id: str, name: str, *pieces: str, kind: str = "tool_use") -> list[bytes]:
    """A tool call of a streamed message, its arguments in pieces."""
    begun = message_event(
        "content_block_start", index=index, content_block={"type": kind, "id": call_id, "name": name, "input": {}}
    )
    more = [
        message_event("content_block_delta", index=index, delta={"type": "input_json_delta", "partial_json": piece})
        for piece in pieces
    ]
    return [begun, *more, message_event("content_block_stop", index=index)]


def message_calling(*calls: list[bytes]) -> list[bytes]:
    """A streamed message that asks for tools."""
    start, *_ = message_stream()
    *_, delta, stop = message_stream()
    return [start, *(event for call in calls for event in call), delta, stop]
