"""The server of the checks over streamable HTTP and over HTTP+SSE: one ASGI application for any number of servers.

`/NAME/mcp` is a server over streamable HTTP, `/NAME/sse` the same over HTTP+SSE. Each name keeps a journal of its own.
"""

import json
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs

import anyio

from tests.fidelity.cases import CASES
from tests.fidelity.script import INITIALIZED, Machine, is_response_to

REPLAYED = b'{"jsonrpc":"2.0","method":"vendor/replayed","params":{"after":"%s"}}'
"""What a stream says first that was opened to go on after an event."""
STATUS = {-32601: 404, -32602: 400, -32020: 400, -32021: 400, -32022: 400}
"""What HTTP says of an error in the modern era."""
KEPT = ("mcp-protocol-version", "mcp-method", "mcp-name", "mcp-param-x", "traceparent", "tracestate", "last-event-id")
"""Headers that are part of a record."""
Headers = Mapping[str, str]


@dataclass(frozen=True)
class Entry:
    """One message that reached a server."""

    raw: bytes
    headers: Headers = field(default_factory=dict[str, str])


@dataclass
class Session:
    """One client of one server."""

    machine: Machine
    stream: "Lane"


@dataclass
class Shelf:
    """One server: what reached it, and its sessions."""

    journal: list[Entry] = field(default_factory=list[Entry])
    sessions: dict[str, Session] = field(default_factory=dict[str, Session])
    modern: Machine = field(default_factory=lambda: Machine(CASES))
    opened: list[Headers] = field(default_factory=list[Headers])
    """The streams that were asked for."""
    ended: list[str] = field(default_factory=list[str])
    introduction: bytes = INITIALIZED
    """How it answers `initialize`."""
    preface: bytes = b""
    """Sent before the first event of every stream: comments, for example."""
    place: bytes = b""
    """Lines before the data of every event, such as `id: 7`; `%d` is the number of the event."""

    def event(self, frame: bytes, number: int) -> bytes:
        """A frame as an event of a stream."""
        place = self.place % number if b"%d" in self.place else self.place
        return place + b"data: " + frame + b"\n\n"

    def seat(self) -> str:
        """Begin a session; returns its id."""
        lane = Lane()
        name = f"s{len(self.sessions) + len(self.ended)}"
        self.sessions[name] = Session(Machine(CASES, lane.say, self.introduction), lane)
        return name


class Lane:
    """Frames on their way to one HTTP response."""

    def __init__(self) -> None:
        self._frames: deque[bytes] = deque()
        self._more = anyio.Event()

    def say(self, raw: bytes) -> None:
        """Put one frame in."""
        self._frames.append(raw)
        self._more.set()

    async def next(self) -> bytes:
        """The next frame."""
        while not self._frames:
            self._more = anyio.Event()
            await self._more.wait()
        return self._frames.popleft()


class Servers:
    """The application."""

    def __init__(self) -> None:
        self.shelves: dict[str, Shelf] = {}

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        headers = {name.decode(): value.decode() for name, value in scope["headers"]}
        name, _, what = scope["path"].strip("/").partition("/")
        shelf = self.shelves.setdefault(name, Shelf())
        verb = scope["method"]
        if what == "sse" and verb == "GET":
            await self._old_stream(shelf, name, receive, send)
        elif what == "messages":
            await self._old_message(shelf, scope, receive, send)
        elif what == "mcp" and verb == "POST":
            await self._post(shelf, headers, receive, send)
        elif what == "mcp" and headers.get("mcp-session-id") in shelf.sessions:
            await (self._listen if verb == "GET" else self._end)(shelf, headers, receive, send)
        else:
            await _empty(send, 404 if "mcp-session-id" in headers else 405)

    async def _post(self, shelf: Shelf, headers: dict[str, str], receive: Any, send: Any) -> None:
        raw = await _body(receive)
        message = json.loads(raw)
        name, opens = headers.get("mcp-session-id"), message.get("method") == "initialize"
        if name is not None and name not in shelf.sessions:
            await _empty(send, 404)
            return
        if opens:
            name = shelf.seat()
        machine = shelf.sessions[name].machine if name else shelf.modern
        lane = Lane()
        if machine.take(raw, lane.say):
            shelf.journal.append(Entry(raw, {key: headers[key] for key in KEPT if key in headers}))
        if "id" not in message or "method" not in message:
            await _empty(send, 202)
            return
        request_id = json.dumps(message["id"], ensure_ascii=False)
        await self._answer(shelf, lane, request_id, send, opened=name if opens else None, legacy=name is not None)

    async def _answer(
        self, shelf: Shelf, lane: Lane, request_id: str, send: Any, *, opened: str | None, legacy: bool
    ) -> None:
        frame = await lane.next()
        extra = [(b"mcp-session-id", opened.encode())] if opened else []
        final = is_response_to(frame, request_id)
        if final and not shelf.place:
            code = 0 if legacy else json.loads(frame).get("error", {}).get("code", 0)
            await _start(send, STATUS.get(code, 200), b"application/json", extra)
            await send({"type": "http.response.body", "body": frame})
            return
        await _start(send, 200, b"text/event-stream", extra)
        await send({"type": "http.response.body", "body": shelf.preface, "more_body": True})
        number = 0
        while True:
            await send({"type": "http.response.body", "body": shelf.event(frame, number), "more_body": not final})
            if final:
                return
            number += 1
            frame = await lane.next()
            final = is_response_to(frame, request_id)

    async def _listen(self, shelf: Shelf, headers: dict[str, str], receive: Any, send: Any) -> None:
        shelf.opened.append({key: headers[key] for key in KEPT if key in headers})
        await _start(send, 200, b"text/event-stream")
        await send({"type": "http.response.body", "body": shelf.preface or b": here\n\n", "more_body": True})
        session = shelf.sessions[headers["mcp-session-id"]]
        if "last-event-id" in headers:
            session.stream.say(REPLAYED % headers["last-event-id"].encode())
        await self._follow(shelf, session, receive, send)

    async def _follow(self, shelf: Shelf, session: Session, receive: Any, send: Any) -> None:
        async with anyio.create_task_group() as group:

            async def gone() -> None:
                while (await receive())["type"] != "http.disconnect":
                    pass
                group.cancel_scope.cancel()

            group.start_soon(gone)
            number = 0
            while True:
                event = shelf.event(await session.stream.next(), number)
                number += 1
                await send({"type": "http.response.body", "body": event, "more_body": True})

    async def _end(self, shelf: Shelf, headers: dict[str, str], receive: Any, send: Any) -> None:
        del shelf.sessions[headers["mcp-session-id"]]
        shelf.ended.append(headers["mcp-session-id"])
        await _empty(send, 200)

    async def _old_stream(self, shelf: Shelf, name: str, receive: Any, send: Any) -> None:
        seat = shelf.seat()
        await _start(send, 200, b"text/event-stream")
        first = f"event: endpoint\ndata: /{name}/messages?s={seat}\n\n".encode()
        await send({"type": "http.response.body", "body": first, "more_body": True})
        try:
            await self._follow(shelf, shelf.sessions[seat], receive, send)
        finally:
            del shelf.sessions[seat]
            shelf.ended.append(seat)

    async def _old_message(self, shelf: Shelf, scope: Any, receive: Any, send: Any) -> None:
        session = shelf.sessions.get(parse_qs(scope["query_string"].decode()).get("s", [""])[0])
        raw = await _body(receive)
        if session is None:
            await _empty(send, 404)
            return
        if session.machine.take(raw, session.stream.say):
            shelf.journal.append(Entry(raw))
        await _empty(send, 202)


async def _body(receive: Any) -> bytes:
    raw = b""
    while True:
        part = await receive()
        raw += part.get("body", b"")
        if not part.get("more_body"):
            return raw


async def _start(send: Any, status: int, kind: bytes, extra: list[tuple[bytes, bytes]] | None = None) -> None:
    await send({"type": "http.response.start", "status": status, "headers": [(b"content-type", kind), *(extra or [])]})


async def _empty(send: Any, status: int) -> None:
    await send({"type": "http.response.start", "status": status, "headers": [(b"content-length", b"0")]})
    await send({"type": "http.response.body", "body": b""})
