"""A fast MCP server that answers at once: over HTTP on a port, or over stdio. Both eras; one tool, `echo`.

It does as little as a server can, so that what is measured is the proxy before it.
"""

import asyncio
import sys
from typing import Any, cast

import orjson
import uvloop

TOOL = {
    "name": "echo",
    "description": "Say it back.",
    "inputSchema": {
        "type": "object",
        "properties": {"text": {"type": "string"}, "count": {"type": "integer"}},
        "required": ["text"],
    },
}
CAPABILITIES: dict[str, dict[str, bool]] = {"tools": {}}
INFO = {"name": "bench", "version": "1"}


def answer(message: dict[str, Any]) -> dict[str, Any] | None:
    """The response to one message; nothing to a notification."""
    if "id" not in message:
        return None
    params: dict[str, Any] = message.get("params") or {}
    match message.get("method"):
        case "initialize":
            result: dict[str, Any] = {
                "protocolVersion": params["protocolVersion"],
                "capabilities": CAPABILITIES,
                "serverInfo": INFO,
            }
        case "server/discover":
            result = {
                "resultType": "complete", "supportedVersions": ["2026-07-28"], "capabilities": CAPABILITIES,
                "ttlMs": 0, "cacheScope": "private",
            }  # fmt: skip
        case "tools/list":
            result = {"resultType": "complete", "tools": [TOOL], "ttlMs": 60_000, "cacheScope": "private"}
        case "tools/call":
            text = params["arguments"]["text"]
            result = {"resultType": "complete", "content": [{"type": "text", "text": text}], "isError": False}
        case _:
            return {"jsonrpc": "2.0", "id": message["id"], "error": {"code": -32601, "message": "no such method"}}
    return {"jsonrpc": "2.0", "id": message["id"], "result": result}


class Http(asyncio.Protocol):
    """As much HTTP/1.1 as a proxy's client needs: keep-alive, Content-Length bodies."""

    def __init__(self) -> None:
        self._buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = cast("asyncio.WriteTransport", transport)  # uvloop's own class

    def data_received(self, data: bytes) -> None:
        """Answer every whole request in the buffer."""
        self._buffer += data
        while True:
            head, found, rest = self._buffer.partition(b"\r\n\r\n")
            if not found:
                return
            length = 0
            for line in head.lower().split(b"\r\n"):
                if line.startswith(b"content-length:"):
                    length = int(line[15:])
            if len(rest) < length:
                return
            self._buffer = rest[length:]
            self._reply(head, rest[:length])

    def _reply(self, head: bytes, raw: bytes) -> None:
        transport = self._transport
        if not head.startswith(b"POST"):
            transport.write(b"HTTP/1.1 405 Method Not Allowed\r\nContent-Length: 0\r\n\r\n")
            return
        said = answer(orjson.loads(raw))
        if said is None:
            transport.write(b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n")
            return
        body = orjson.dumps(said)
        session = b"Mcp-Session-Id: bench\r\n" if b'"initialize"' in raw else b""
        transport.write(
            b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n%bContent-Length: %d\r\n\r\n%b"
            % (session, len(body), body)
        )


async def serve(port: int) -> None:
    """Serve HTTP on a loopback port until ended."""
    server = await asyncio.get_running_loop().create_server(Http, "127.0.0.1", port)
    await server.serve_forever()


class Stdio(asyncio.Protocol):
    """Newline-delimited messages on a pipe."""

    def __init__(self) -> None:
        self._buffer = b""

    def data_received(self, data: bytes) -> None:
        """Answer every whole line; one write for all of them."""
        *lines, self._buffer = (self._buffer + data).split(b"\n")
        said = [orjson.dumps(reply) for line in lines if line and (reply := answer(orjson.loads(line)))]
        if said:
            sys.stdout.buffer.write(b"\n".join(said) + b"\n")
            sys.stdout.buffer.flush()

    def eof_received(self) -> None:
        """The client is gone."""
        sys.exit(0)


async def speak() -> None:
    """Serve stdin and stdout until end of file."""
    await asyncio.get_running_loop().connect_read_pipe(Stdio, sys.stdin.buffer)
    await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(serve(int(sys.argv[1])) if len(sys.argv) > 1 else speak())
