"""The answering side of the Streamable HTTP front: one HTTP response, as JSON or as a stream of events.

The status is committed only when the first message is known, or after a silence: it must fit the message. Which
messages come is decided elsewhere.
"""

from collections.abc import Callable, Mapping

import anyio

from governance import sse
from governance.clock import Clock
from governance.sse import SseEvent
from mcp_proxy.eras import status_of
from mcp_proxy.link import NO_HEADERS, Era, Event
from mcp_proxy.message import Message
from pipeline.border import Headers, Receive, Send

SILENCE_SECONDS = 15.0
"""After so long without a message a comment keeps the connection open; a response not begun becomes a stream."""
WATCH_SECONDS = 0.3
"""A request that is open for longer is watched for a client that leaves."""

_STREAM_HEADERS: Headers = [
    (b"content-type", b"text/event-stream"),
    (b"cache-control", b"no-cache, no-transform"),
    (b"x-accel-buffering", b"no"),
]
_ERRORS_FROM = 400


class HttpOutlet:
    """Answers one POST (with a request) or one GET (without)."""

    def __init__(
        self,
        receive: Receive,
        send: Send,
        clock: Clock,
        *,
        era: Era,
        request: Message | None,
    ) -> None:
        self.gone = False
        self.started = False
        self.finished = False
        self.status = 202 if request is None or not request.is_request else 200
        self.watched = False
        self.opened_at = self.spoke_at = clock.monotonic()
        self.final: Message | None = None
        """The response, once it was sent."""
        self.scope = anyio.CancelScope() if request is None or era is Era.MODERN else None
        """Holds the exchange of a client whose leaving ends it; None where it does not (legacy calls go on)."""
        self.opening: Callable[[Event], str] | None = None
        """For `initialize`: asked for the session id that goes with the first event."""
        self._receive = receive
        self._send = send
        self._clock = clock
        self._era = era
        self._request = request
        self._headers: Mapping[str, str] = NO_HEADERS
        self._sending = False
        self._ticking: anyio.Event | None = None

    async def begin(self, status: int, headers: Mapping[str, str]) -> None:
        """Take in the upstream's status. The server's own stream (GET) starts at once: its client waits for that."""
        self.status, self._headers = status, headers
        if self._request is None and status < _ERRORS_FROM:
            await self._start_stream(Event(None))

    async def put(self, event: Event) -> None:
        """Send one event."""
        if self.finished:
            return
        if self._ticking is not None:
            await self._ticking.wait()
        message = event.message
        final = message is not None and self._is_final(message)
        if final:
            self.final = message
        self._sending = True
        try:
            if message is not None and final and not self.started and event.event_id is None:
                await self._send_whole(message, event)
                return
            if not self.started:
                await self._start_stream(event)
            await self._body(encode(event), more=not final)
        finally:
            self._sending = False

    async def end(self) -> None:
        """End the stream without a response, for a client that will resume it."""
        if self.started and not self.finished:
            await self._body(b"", more=False)

    async def finish(self) -> None:
        """Nothing more will come."""
        if self.finished:
            return
        if self.started:
            await self._body(b"", more=False)
            return
        await self._start(self.status, [(b"content-length", b"0"), *_lines(self._headers)])
        await self._body(b"", more=False)

    def is_silent(self, now: float) -> bool:
        """Whether the connection needs a sign of life."""
        return (
            self._streams
            and not (self.finished or self._sending or self._ticking)
            and now - self.spoke_at >= SILENCE_SECONDS
        )

    def needs_watching(self, now: float) -> bool:
        """Whether somebody should look out for the client leaving. Short calls never pay for it."""
        return not self.watched and (self._request is None or now - self.opened_at >= WATCH_SECONDS)

    async def keep_alive(self) -> None:
        """Send a comment, as a stream."""
        if not self.is_silent(self._clock.monotonic()):
            return
        self._ticking = anyio.Event()
        try:
            if not self.started:
                await self._start_stream(Event(None))
            await self._body(sse.KEEP_ALIVE, more=True)
        finally:
            self._ticking.set()
            self._ticking = None

    async def watch(self) -> None:
        """Notice that the client left. For a modern client that cancels the request."""
        while (await self._receive())["type"] != "http.disconnect":
            pass
        if not self.finished:
            self.gone = True
            if self.scope is not None:
                self.scope.cancel()

    @property
    def _streams(self) -> bool:
        return self._request is None or self._request.is_request

    def _is_final(self, message: Message) -> bool:
        if self._request is None:
            return self.status >= _ERRORS_FROM
        return message.is_response and message.id in (self._request.id, None)

    async def _send_whole(self, message: Message, event: Event) -> None:
        status = status_of(message, self.status) if self._era is Era.MODERN else self.status
        headers: Headers = [
            (b"content-type", b"application/json"),
            (b"content-length", b"%d" % len(message.raw)),
            *_lines(self._headers),
            *self._session(event),
        ]
        await self._start(status, headers)
        await self._body(message.raw, more=False)

    async def _start_stream(self, event: Event) -> None:
        await self._start(200, [*_STREAM_HEADERS, *self._session(event)])

    def _session(self, event: Event) -> Headers:
        session_id = self.opening(event) if self.opening is not None else ""
        return [(b"mcp-session-id", session_id.encode())] if session_id else []

    async def _start(self, status: int, headers: Headers) -> None:
        self.started = True
        await self._send({"type": "http.response.start", "status": status, "headers": headers})

    async def _body(self, body: bytes, *, more: bool) -> None:
        self.finished = not more
        self.spoke_at = self._clock.monotonic()
        await self._send({"type": "http.response.body", "body": body, "more_body": more})


def encode(event: Event) -> bytes:
    """One event of a stream. An event without a message keeps its place and its `retry`, as it came."""
    message = event.message
    if message is not None and event.event_id is None and event.retry is None:
        raw = message.raw
        if b"\n" not in raw and b"\r" not in raw:
            return b"event: message\ndata: " + raw + b"\n\n"
    name, data = ("message", message.raw) if message is not None else ("", b"")
    return sse.encode(SseEvent(name, data, event.event_id, event.retry))


def _lines(headers: Mapping[str, str]) -> Headers:
    """The lines of the headers that the server chose; one that is not plain text is left out."""
    return [(name.encode("latin-1"), text.encode()) for name, text in headers.items() if text.isascii()]
