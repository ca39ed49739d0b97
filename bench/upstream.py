"""A model provider that answers at once: `python -m bench.upstream PORT`.

Speaks chat completions and messages, whole and as a stream of 50 chunks. It does as little as a server can, so that
what is measured is the proxy before it.
"""

import asyncio
import sys
from collections.abc import Iterator
from typing import Any, cast

import orjson
import uvloop

CHUNKS = 50


def whole(body: bytes, media_type: bytes = b"application/json") -> bytes:
    """An HTTP answer."""
    head = b"HTTP/1.1 200 OK\r\ncontent-type: %s\r\ncontent-length: %d\r\n\r\n"
    return head % (media_type, len(body)) + body


def chunk(data: bytes) -> bytes:
    """A chunk of a streamed HTTP answer."""
    return b"%x\r\n%s\r\n" % (len(data), data)


def streamed(events: list[bytes]) -> list[bytes]:
    """A streamed HTTP answer, one piece an event."""
    head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
    return [head, *map(chunk, events), b"0\r\n\r\n"]


def chat(model: str) -> dict[str, Any]:
    """The members that every answer of the chat wire has."""
    return {"id": "chatcmpl-bench", "object": "chat.completion", "created": 1_700_000_000, "model": model}


def chat_answer() -> bytes:
    """A chat completion."""
    message = {"role": "assistant", "content": "The answer is forty-two."}
    choices = [{"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}]
    usage = {"prompt_tokens": 64, "completion_tokens": 7, "total_tokens": 71}
    return orjson.dumps({**chat("gpt-4o-mini-2024-07-18"), "choices": choices, "usage": usage})


def chat_events() -> list[bytes]:
    """A streamed chat completion, with its usage."""
    common = {**chat("gpt-4o-mini-2024-07-18"), "object": "chat.completion.chunk"}
    deltas: list[dict[str, str]] = [{"role": "assistant", "content": ""}]
    deltas += [{"content": f"word{place} "} for place in range(CHUNKS)]
    values: list[dict[str, Any]] = [
        {**common, "choices": [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": None}]}
        for delta in deltas
    ]
    values.append({**common, "choices": [{"index": 0, "delta": {}, "logprobs": None, "finish_reason": "stop"}]})
    usage = {"prompt_tokens": 64, "completion_tokens": 2 * CHUNKS, "total_tokens": 64 + 2 * CHUNKS}
    values.append({**common, "choices": [], "usage": usage})
    return [b"data: " + orjson.dumps(value) + b"\n\n" for value in values] + [b"data: [DONE]\n\n"]


def message(content: list[object], stop: str | None, output: int) -> dict[str, Any]:
    """A message of the messages wire."""
    return {
        "id": "msg_bench", "type": "message", "role": "assistant", "model": "claude-sonnet-4-5", "content": content,
        "stop_reason": stop, "stop_sequence": None, "usage": {"input_tokens": 64, "output_tokens": output},
    }  # fmt: skip


def message_events() -> list[bytes]:
    """A streamed message."""
    values: list[dict[str, Any]] = [
        {"type": "message_start", "message": message([], None, 1)},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
    ]
    values += [
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": f"word{place} "}}
        for place in range(CHUNKS)
    ]
    end = {"stop_reason": "end_turn", "stop_sequence": None}
    values += [
        {"type": "content_block_stop", "index": 0},
        {"type": "message_delta", "delta": end, "usage": {"output_tokens": 2 * CHUNKS}},
        {"type": "message_stop"},
    ]
    return [f"event: {value['type']}\ndata: ".encode() + orjson.dumps(value) + b"\n\n" for value in values]


WHOLE = {
    b"/v1/chat/completions": whole(chat_answer()),
    b"/v1/messages": whole(orjson.dumps(message([{"type": "text", "text": "Forty-two."}], "end_turn", 7))),
}
STREAMED = {b"/v1/chat/completions": streamed(chat_events()), b"/v1/messages": streamed(message_events())}
NOT_FOUND = b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n"


class Upstream(asyncio.Protocol):
    """One connection: reads requests by their `Content-Length`, answers from what was made beforehand."""

    def __init__(self) -> None:
        self._held = b""
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Remember where to write."""
        self._transport = cast("asyncio.Transport", transport)  # of uvloop's own class

    def data_received(self, data: bytes) -> None:
        """Answer every request that is complete."""
        self._held += data
        while (end := self._held.find(b"\r\n\r\n")) >= 0:
            head = self._held[:end]
            lowered = head.lower()
            at = lowered.find(b"content-length:")
            length = int(lowered[at + 15 :].split(b"\r\n", 1)[0]) if at >= 0 else 0
            if len(self._held) < end + 4 + length:
                return
            body, self._held = self._held[end + 4 : end + 4 + length], self._held[end + 4 + length :]
            self._answer(head.split(b" ", 2)[1].split(b"?", 1)[0], body)

    def _answer(self, path: bytes, body: bytes) -> None:
        assert self._transport is not None
        if path not in WHOLE:
            self._transport.write(NOT_FOUND)
        elif b'"stream":true' in body or b'"stream": true' in body:
            self._stream(iter(STREAMED[path]), self._transport)
        else:
            self._transport.write(WHOLE[path])

    def _stream(self, pieces: Iterator[bytes], transport: asyncio.Transport) -> None:
        """One piece in each turn of the loop, so that chunks stay chunks."""
        piece = next(pieces, None)
        if piece is not None and not transport.is_closing():
            transport.write(piece)
            asyncio.get_running_loop().call_soon(self._stream, pieces, transport)


async def serve(port: int) -> None:
    """Answer until ended."""
    server = await asyncio.get_running_loop().create_server(Upstream, "127.0.0.1", port)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(serve(int(sys.argv[1])))
