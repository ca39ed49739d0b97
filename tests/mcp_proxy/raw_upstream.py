"""An MCP server over Streamable HTTP written without any SDK, that does exactly what a test tells it to."""

import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import anyio

Handler = Callable[["Call"], Awaitable[None]]


@dataclass
class Call:
    """One POST to the server."""

    message: dict[str, Any]
    raw: bytes
    headers: dict[str, str]
    session: "UpstreamSession | None"
    _receive: Any
    _send: Any
    streaming: bool = False
    """Whether the head of a stream was sent."""
    left: anyio.Event = field(default_factory=anyio.Event)

    @property
    def id(self) -> Any:
        return self.message.get("id")

    @property
    def params(self) -> dict[str, Any]:
        return self.message.get("params", {})

    def result(self, result: Any) -> bytes:
        return json.dumps({"jsonrpc": "2.0", "id": self.id, "result": result}).encode()

    async def reply(self, raw: bytes, *, status: int = 200, headers: dict[str, str] | None = None) -> None:
        """Answer with one JSON body."""
        lines = [(b"content-type", b"application/json")]
        lines += [(name.encode(), text.encode()) for name, text in (headers or {}).items()]
        await self._send({"type": "http.response.start", "status": status, "headers": lines})
        await self._send({"type": "http.response.body", "body": raw})

    async def event(self, raw: bytes, *, event_id: str = "", retry: int = 0) -> None:
        """Send one event of a stream."""
        if not self.streaming:
            self.streaming = True
            lines = [(b"content-type", b"text/event-stream")]
            await self._send({"type": "http.response.start", "status": 200, "headers": lines})
        place = f"id: {event_id}\n".encode() if event_id else b""
        place += b"retry: %d\n" % retry if retry else b""
        await self._send({"type": "http.response.body", "body": place + b"data: " + raw + b"\n\n", "more_body": True})

    async def end(self) -> None:
        """End the stream."""
        await self._send({"type": "http.response.body", "body": b""})

    async def until_left(self) -> None:
        """Wait until the client closes the connection."""
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self.left.set()

    async def ask(self, request: dict[str, Any]) -> dict[str, Any]:
        """Send a request to the client on this call's stream and wait for its answer."""
        assert self.session is not None
        waiting = self.session.expect(request["id"])
        await self.event(json.dumps(request).encode())
        await waiting.wait()
        return self.session.answers[request["id"]]


@dataclass
class UpstreamSession:
    """What the server knows of one client."""

    id: str
    messages: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    answers: dict[Any, dict[str, Any]] = field(default_factory=dict[Any, dict[str, Any]])
    stream: Any = None
    listening: anyio.Event = field(default_factory=anyio.Event)
    _waiting: dict[Any, anyio.Event] = field(default_factory=dict[Any, anyio.Event])

    def expect(self, request_id: Any) -> anyio.Event:
        return self._waiting.setdefault(request_id, anyio.Event())

    def take(self, message: dict[str, Any]) -> None:
        self.messages.append(message)
        if "method" not in message:
            self.answers[message["id"]] = message
            self.expect(message["id"]).set()
        elif "id" not in message:
            self.expect(message["method"]).set()


@dataclass
class RawUpstream:
    """The server: an ASGI application."""

    handlers: dict[str, Handler] = field(default_factory=dict[str, Handler])
    initialize: dict[str, Any] = field(
        default_factory=lambda: {
            "protocolVersion": "2025-11-25",
            "capabilities": {"tools": {"listChanged": True}, "experimental": {"x": {"y": 2**60 + 1}}},
            "serverInfo": {"name": "raw", "version": "0", "unknown": [1.0, None]},
            "instructions": "be kind ü",
            "extra": {"deep": True},
        }
    )
    stateful: bool = True
    resumed: bytes = b""
    """What is sent to a client that goes on with a stream."""
    sessions: dict[str, UpstreamSession] = field(default_factory=dict[str, UpstreamSession])
    ended: list[str] = field(default_factory=list[str])
    calls: list[Call] = field(default_factory=list[Call])

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        headers = {name.decode(): value.decode() for name, value in scope["headers"]}
        session = self.sessions.get(headers.get("mcp-session-id", ""))
        verb = scope["method"]
        if self.stateful and session is None and "mcp-session-id" in headers:
            await _empty(send, 404)
        elif verb == "DELETE" and session is not None:
            del self.sessions[session.id]
            self.ended.append(session.id)
            await _empty(send, 200)
        elif verb == "GET" and session is not None:
            await self._listen(session, headers, receive, send)
        elif verb == "POST":
            await self._post(headers, session, receive, send)
        else:
            await _empty(send, 405)

    async def _post(self, headers: dict[str, str], session: UpstreamSession | None, receive: Any, send: Any) -> None:
        raw = b""
        while True:
            part = await receive()
            raw += part.get("body", b"")
            if not part.get("more_body"):
                break
        message = json.loads(raw)
        call = Call(message, raw, headers, session, receive, send)
        self.calls.append(call)
        if session is not None:
            session.take(message)
        method = message.get("method", "")
        if method in self.handlers:
            await self.handlers[method](call)
        elif method == "initialize":
            fresh = UpstreamSession(f"up-{len(self.sessions) + len(self.ended)}")
            fresh.messages.append(message)
            if self.stateful:
                self.sessions[fresh.id] = fresh
            await call.reply(
                call.result(self.initialize), headers={"mcp-session-id": fresh.id} if self.stateful else {}
            )
        elif "id" in message and method:
            await call.reply(call.result({"echo": message.get("params")}))
        else:
            await _empty(send, 202)

    async def _listen(self, session: UpstreamSession, headers: dict[str, str], receive: Any, send: Any) -> None:
        call = Call({}, b"", headers, session, receive, send)
        self.calls.append(call)
        if self.resumed and "last-event-id" in headers:
            await call.event(self.resumed)
            await call.end()
            return
        session.stream = call
        lines = [(b"content-type", b"text/event-stream")]
        await send({"type": "http.response.start", "status": 200, "headers": lines})
        await send({"type": "http.response.body", "body": b": hello\n\n", "more_body": True})
        call.streaming = True
        session.listening.set()
        await call.until_left()


async def _empty(send: Any, status: int) -> None:
    await send({"type": "http.response.start", "status": status, "headers": [(b"content-length", b"0")]})
    await send({"type": "http.response.body", "body": b""})
