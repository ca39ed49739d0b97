"""The agent-facing side of HTTP+SSE (2024-11-05), for old clients.

A GET to `/mcp/{server}/sse` opens the stream, whose first event names the address to POST messages to. What they mean
is the relay's business; the border and the key of each request were looked at before they get here.
"""

import secrets
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from urllib.parse import parse_qs, quote

import anyio

from governance import sse
from governance.clock import Clock
from governance.config.models import Limits
from governance.sse import SseEvent
from mcp_proxy.carrier import Carrier
from mcp_proxy.gate import HeaderRules
from mcp_proxy.message import MalformedMessageError, Message
from mcp_proxy.transports.piped_front import Pipe, PipedClient, open_client
from mcp_proxy.transports.streamable_http_front import Incoming
from pipeline.border import BadRequestError, Receive, Send, read_body
from pipeline.reading import read_apart

KEEP_ALIVE_SECONDS = 15.0
MOST = 10_000
MOST_OF_ONE_KEY = 2_000

_HEADERS = [
    (b"content-type", b"text/event-stream"),
    (b"cache-control", b"no-cache, no-transform"),
    (b"x-accel-buffering", b"no"),
]
_ACCEPTED = b"Accepted"

RecordMalformed = Callable[[str, MalformedMessageError], Awaitable[None]]
"""Writes into the audit log that a message was refused unread: `(path, problem)`."""


@dataclass(frozen=True, slots=True)
class Seat:
    """An open session and who may use it."""

    key_id: str
    user: str
    rights: str
    server: str
    client: PipedClient

    def is_for(self, incoming: Incoming) -> bool:
        """Whether whoever sent a request opened this session, on this server."""
        who = incoming.principal
        mine, theirs = (self.key_id, self.user, self.rights), (who.key_id, who.user, who.rights)
        return (*mine, self.server) == (*theirs, incoming.server.name)


class SseFront:
    """Answers `GET .../sse` and `POST .../messages` for every configured server."""

    def __init__(
        self, relay: Carrier, clock: Clock, limits: Limits, rules: HeaderRules, record: RecordMalformed
    ) -> None:
        self._relay = relay
        self._clock = clock
        self._limits = limits
        self._rules = rules
        self._record = record
        self._seats: dict[str, Seat] = {}
        self._of_key: Counter[str] = Counter()

    async def serve(self, incoming: Incoming) -> None:
        """Answer one HTTP request.

        Raises:
            BadRequestError, MalformedMessageError: it is refused unread; nothing was answered yet.
        """
        verb, is_stream = incoming.scope["method"], incoming.scope["path"].endswith("/sse")
        if verb == "GET" and is_stream:
            await self._stream(incoming)
        elif verb == "POST" and not is_stream:
            await self._post(incoming)
        else:
            raise BadRequestError(405, "method", "GET the stream at `/sse`, POST messages where its first event says")

    def end(self) -> None:
        """End every stream, so that the process can stop; clients open new ones."""
        for seat in self._seats.values():
            seat.client.lost.set()

    async def _stream(self, incoming: Incoming) -> None:
        key_id, server = incoming.principal.key_id, incoming.server
        if len(self._seats) >= MOST or self._of_key[key_id] >= MOST_OF_ONE_KEY:
            raise BadRequestError(503, "sessions", "too many sessions are open: end some, or try again later")
        session = secrets.token_urlsafe(24)
        voice = _Voice(incoming.send, self._clock)
        path = incoming.scope["path"]

        async def record(error: MalformedMessageError) -> None:
            await self._record(path, error)

        pipe = Pipe(incoming.principal, "sse", session, voice.write, record, headers=incoming.headers)
        async with open_client(self._relay, server, pipe, self._rules) as client:
            self._seats[session] = Seat(key_id, incoming.principal.user, incoming.principal.rights, server.name, client)
            self._of_key[key_id] += 1
            try:
                where = f"{quote(path.removesuffix('/sse'))}/messages?session={session}"
                await voice.begin(f"{incoming.scope.get('root_path', '')}{where}")
                await _until_over(client, voice, incoming.receive)
            finally:
                del self._seats[session]
                self._of_key -= Counter({key_id: 1})
        await voice.end()

    async def _post(self, incoming: Incoming) -> None:
        given = parse_qs(incoming.scope["query_string"].decode("latin-1")).get("session", [])
        session = given[0] if len(given) == 1 else ""
        self._seat(session, incoming)
        body = await read_body(incoming.scope, incoming.receive, limit=self._limits.body_bytes)
        message = await read_apart(Message.parse, body)
        seat = self._seat(session, incoming)  # again: its stream may have ended while the body came
        await seat.client.carry(message)
        headers = [(b"content-type", b"text/plain"), (b"content-length", b"%d" % len(_ACCEPTED))]
        await incoming.send({"type": "http.response.start", "status": 202, "headers": headers})
        await incoming.send({"type": "http.response.body", "body": _ACCEPTED})

    def _seat(self, session: str, incoming: Incoming) -> Seat:
        seat = self._seats.get(session)
        if seat is None or not seat.is_for(incoming):
            raise BadRequestError(404, "session", "no such session: open a new stream")
        return seat


class _Voice:
    """The stream to one client."""

    def __init__(self, send: Send, clock: Clock) -> None:
        self._send = send
        self._clock = clock
        self._spoke_at = clock.monotonic()

    async def begin(self, endpoint: str) -> None:
        """Open the stream and say where messages go."""
        await self._send({"type": "http.response.start", "status": 200, "headers": _HEADERS})
        await self._event(SseEvent("endpoint", endpoint.encode()))

    async def write(self, raw: bytes) -> None:
        """Send one message."""
        await self._event(SseEvent("message", raw))

    async def keep_alive(self) -> None:
        """Keep a silent connection open, for as long as it lives."""
        while True:
            await anyio.sleep(KEEP_ALIVE_SECONDS)
            if self._clock.monotonic() - self._spoke_at >= KEEP_ALIVE_SECONDS:
                await self._body(sse.KEEP_ALIVE)

    async def end(self) -> None:
        """Close the stream."""
        await self._send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _event(self, event: SseEvent) -> None:
        await self._body(sse.encode(event))

    async def _body(self, body: bytes) -> None:
        self._spoke_at = self._clock.monotonic()
        await self._send({"type": "http.response.body", "body": body, "more_body": True})


async def _until_over(client: PipedClient, voice: _Voice, receive: Receive) -> None:
    """Wait until the client leaves or its upstream session is lost, which its next stream starts anew."""
    async with anyio.create_task_group() as group:

        async def gone() -> None:
            while (await receive())["type"] != "http.disconnect":
                pass
            group.cancel_scope.cancel()

        group.start_soon(gone)
        group.start_soon(voice.keep_alive)
        await client.lost.wait()
        group.cancel_scope.cancel()
