"""The border of every HTTP front: what must hold of a request before any proxy looks at it.

Exactly one Host, and one that is ours (DNS rebinding); an Origin, if there is one, that is ours (web pages); no more
headers than the limits allow; an origin-form target. Bodies are read by `read_body`, bounded, and plain. What a
refusal looks like on the wire is decided by the proxy that hands in `render`.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection, MutableMapping
from functools import lru_cache
from http import HTTPStatus
from typing import Any, TypeAlias, cast
from urllib.parse import urlsplit

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from governance.config.models import Limits

AsgiScope: TypeAlias = MutableMapping[str, Any]
AsgiMessage: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[AsgiMessage]]
Send: TypeAlias = Callable[[AsgiMessage], Awaitable[None]]
AsgiApp: TypeAlias = Callable[[AsgiScope, Receive, Send], Awaitable[None]]
Headers: TypeAlias = list[tuple[bytes, bytes]]


class BadRequestError(Exception):
    """Why a request was turned away before anything was judged. Every word is ours and safe to send."""

    def __init__(self, status: int, code: str, message: str) -> None:
        self.status = status
        """HTTP status."""
        self.code = code
        """Stable word: `host`, `origin`, `headers`, `target`, `encoding`, `media_type`, `too_large`, `slow`,
        `malformed`."""
        self.message = message
        super().__init__(message)


Render: TypeAlias = Callable[[AsgiScope, BadRequestError], tuple[bytes, bytes]]
"""A problem as `(content type, body)` in the protocol's own shape."""
Record: TypeAlias = Callable[[str, BadRequestError], Awaitable[None]]
"""Writes a refused request into the audit log: `(path, problem)`."""


class Border:
    """ASGI middleware that lets only sound requests through.

    Args:
        app: what lies behind it.
        hosts: names that are served.
        limits: what a request may measure.
        render: makes the answer.
        record: writes down what was turned away.
        trusted: header in which a proxy in front names the person, if there is one: with two of them, one may be the
            client's own.
    """

    def __init__(
        self,
        app: AsgiApp,
        *,
        hosts: Collection[str],
        limits: Limits,
        render: Render,
        record: Record,
        trusted: str = "",
    ) -> None:
        self._app = app
        self._trusted = trusted.lower().encode()
        self._hosts = frozenset(host.lower() for host in hosts)
        self._limits = limits
        self._render = render
        self._record = record

    async def __call__(self, scope: AsgiScope, receive: Receive, send: Send) -> None:
        """Pass a sound request on; answer any other."""
        if scope["type"] in ("http", "websocket"):
            problem = self._look(scope)
            if problem is not None:
                await self._record(str(scope["path"]), problem)
                await answer(scope, send, problem, self._render)
                return
        await self._app(scope, receive, send)

    def _look(self, scope: AsgiScope) -> BadRequestError | None:
        headers = cast("Headers", scope["headers"])
        if len(headers) > self._limits.headers:
            return BadRequestError(431, "headers", f"more than {self._limits.headers} header lines")
        hosts: list[bytes] = []
        origins: list[bytes] = []
        size, trusted = 0, 0
        for name, value in headers:
            size += len(name) + len(value)
            if name == b"host":
                hosts.append(value)
            elif name == b"origin":
                origins.append(value)
            elif name == self._trusted:
                trusted += 1
        if size > self._limits.header_bytes:
            return BadRequestError(431, "headers", f"more than {self._limits.header_bytes} bytes of headers")
        if trusted > 1:
            return BadRequestError(400, "headers", "the header that names the person appears more than once")
        return self._look_at_host(hosts) or self._look_at_origin(origins) or _look_at_target(scope)

    def _look_at_host(self, hosts: list[bytes]) -> BadRequestError | None:
        if len(hosts) != 1:
            return BadRequestError(400, "host", "send exactly one `Host` header")
        if _host_name(hosts[0]) not in self._hosts:
            return BadRequestError(
                421, "host", "this host name is not served here: add it to `hosts` in the configuration"
            )
        return None

    def _look_at_origin(self, origins: list[bytes]) -> BadRequestError | None:
        if not origins:
            return None
        if len(origins) == 1:
            scheme, separator, rest = origins[0].partition(b"://")
            if separator and scheme in (b"http", b"https") and _host_name(rest) in self._hosts:
                return None
        return BadRequestError(403, "origin", "requests from web pages of other origins are refused")


@lru_cache(maxsize=256)
def _host_name(authority: bytes) -> str:
    """The host of `host[:port]` in lower case, brackets kept; empty where it is not plainly that."""
    try:
        text = authority.decode("ascii").lower()
        parts = urlsplit(f"//{text}")
        port = parts.port
    except ValueError:
        return ""
    name = parts.hostname or ""
    plain = f"[{name}]" if ":" in name else name
    return plain if text in (plain, f"{plain}:{port}") else ""


def _look_at_target(scope: AsgiScope) -> BadRequestError | None:
    path = cast("bytes", scope.get("raw_path") or b"/")
    if not path.startswith(b"/") or b"://" in path or b"\\" in path or b"//" in path:
        return BadRequestError(400, "target", "send the path of the resource, not a whole address")
    return None


async def answer(scope: AsgiScope, send: Send, problem: BadRequestError, render: Render) -> None:
    """Send a problem as the answer; over a WebSocket handshake too."""
    prefix = "http" if scope["type"] == "http" else "websocket.http"
    media_type, body = render(scope, problem)
    headers = [(b"content-type", media_type), (b"content-length", b"%d" % len(body)), (b"connection", b"close")]
    await send({"type": f"{prefix}.response.start", "status": problem.status, "headers": headers})
    await send({"type": f"{prefix}.response.body", "body": body})


async def read_body(
    scope: AsgiScope, receive: Receive, *, limit: int, media_type: bytes = b"application/json"
) -> bytes:
    """The whole body of a request, refused before more than `limit` bytes are held.

    Raises:
        BadRequestError: wrong media type, an encoded body, a body over the limit, or a client that left (status 499).
    """
    headers = dict(cast("Headers", scope["headers"]))
    if headers.get(b"content-encoding", b"identity").lower() != b"identity":
        raise BadRequestError(415, "encoding", "send the body without `Content-Encoding`")
    given = headers.get(b"content-type", b"").partition(b";")[0].strip().lower()
    if given != media_type:
        raise BadRequestError(415, "media_type", f"send the body as `{media_type.decode()}`")
    too_large = BadRequestError(413, "too_large", f"the body is larger than {limit} bytes")
    length = headers.get(b"content-length", b"")
    if length.isdigit() and int(length) > limit:
        raise too_large
    message = await receive()
    if message["type"] == "http.request" and not message.get("more_body", False):
        body = cast("bytes", message.get("body", b""))
        if len(body) > limit:
            raise too_large
        return body
    return await _read_chunks(message, receive, limit, too_large)


async def _read_chunks(message: AsgiMessage, receive: Receive, limit: int, too_large: BadRequestError) -> bytes:
    chunks: list[bytes] = []
    held = 0
    while True:
        if message["type"] == "http.disconnect":
            raise BadRequestError(499, "malformed", "the client left before the body was complete")
        chunk = cast("bytes", message.get("body", b""))
        held += len(chunk)
        if held > limit:
            raise too_large
        chunks.append(chunk)
        if not message.get("more_body", False):
            return b"".join(chunks)
        message = await receive()


class BoundedProtocol(HttpToolsProtocol):
    """The HTTP protocol of uvicorn, with a limit to what it holds besides bodies, and to the time a request takes.

    Nothing below it limits a head, and whoever sends one need not have a key, so one that never ends is cut off here.
    So is a request that comes drop by drop, and a connection on which none ever comes: each holds memory and a place.
    A request that arrives in one piece sets no timer.
    """

    longest = 0
    """Most bytes of a head with its target, or of trailers, that are not at their end yet."""
    slowest = 0.0
    """Most seconds from the first byte of a request, or from the opening of the connection, to its end."""
    _deadline: asyncio.TimerHandle | None = None
    _is_arriving = False
    """Whether a request has begun and is not complete."""
    _is_new = False
    """Whether it began in the bytes that came last."""
    _steps = 0
    """How often the parser got on: to a message, past its head, to a piece of its body, to its end."""
    _held = 0
    """Bytes that came since, in whole reads."""
    _in_body = False

    def refuse(self, problem: BadRequestError) -> None:
        """Answer before there is a request, and close."""
        raise NotImplementedError

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A connection is there; its first request must come in time."""
        super().connection_made(transport)
        self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone."""
        self._wait_no_more()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Read on, unless nothing comes of what is read."""
        steps = self._steps
        super().data_received(data)
        if not self._is_arriving:
            self._wait_no_more()
        elif self._is_new:
            self._is_new = False
            self._wait()
        self._held = self._held + len(data) if steps == self._steps else 0
        if self._held > self.longest and not self.transport.is_closing():
            self.refuse(BadRequestError(431, "headers", f"more than {self.longest} bytes of headers"))

    def on_message_begin(self) -> None:
        """A head begins."""
        self._steps += 1
        self._in_body = False
        self._is_arriving = self._is_new = True
        super().on_message_begin()

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header; of a trailer nothing, because uvicorn would add it to the headers that were looked at."""
        if not self._in_body:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """A head is complete."""
        self._steps += 1
        self._in_body = True
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Take a piece of a body."""
        self._steps += 1
        super().on_body(body)

    def on_message_complete(self) -> None:
        """A message is complete."""
        self._steps += 1
        self._is_arriving = False
        super().on_message_complete()

    def _wait(self) -> None:
        self._wait_no_more()
        if not self.transport.is_closing():
            self._deadline = self.loop.call_later(self.slowest, self._too_slow)

    def _wait_no_more(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _too_slow(self) -> None:
        """Give up a request that does not arrive; without one there is nobody to answer."""
        self._deadline = None
        if self.transport.is_closing() or self.transport.get_protocol() is not self:
            return
        if self.flow.read_paused:  # it is we who do not read
            self._wait()
        elif self._is_arriving and not self._is_answered():
            self.refuse(
                BadRequestError(408, "slow", f"the request took longer than {self.slowest:g} seconds to arrive")
            )
        else:
            self.transport.close()

    def _is_answered(self) -> bool:
        """Whether an answer was given or is on its way, into which nothing may be written."""
        cycle = cast("RequestResponseCycle | None", self.cycle)
        if cycle is None:
            return False
        if self._in_body:
            return cycle.response_started or bool(self.pipeline)
        return not cycle.response_complete


def governed_protocol(
    render: Render, note: Callable[[BadRequestError], None], limits: Limits
) -> type[HttpToolsProtocol]:
    """The HTTP protocol of uvicorn, with its answer to bytes that are no HTTP request in the proxy's own shape.

    llhttp refuses smuggling shapes (Content-Length with Transfer-Encoding, bare line feeds, folded headers) before
    there is a request to route, so this is the only place where they can be answered and noted.
    """

    class GovernedProtocol(BoundedProtocol):
        """Answers what cannot be parsed."""

        slowest = limits.request_seconds
        longest = 2 * limits.header_bytes  # line ends and colons too; `Border` counts exactly

        def on_headers_complete(self) -> None:
            """Let the border see an absolute target: httptools keeps only its path, the host in it would be lost."""
            super().on_headers_complete()
            if not self.url.startswith(b"/"):
                self.scope["raw_path"] = self.url

        def send_400_response(self, msg: str) -> None:
            """Answer in our own words; `msg` is uvicorn's."""
            self.refuse(BadRequestError(400, "malformed", "not a well-formed HTTP request"))

        def refuse(self, problem: BadRequestError) -> None:
            """Answer before there is a request, and close."""
            note(problem)
            nowhere: AsgiScope = {"type": "http", "path": "/", "headers": []}
            scope = cast("AsgiScope", self.scope) if self._in_body else nowhere
            media_type, body = render(scope, problem)
            head = b"HTTP/1.1 %d %s\r\ncontent-type: %s\r\ncontent-length: %d\r\nconnection: close\r\n\r\n"
            phrase = HTTPStatus(problem.status).phrase.encode()
            self.transport.write(head % (problem.status, phrase, media_type, len(body)) + body)
            self.transport.close()

    return GovernedProtocol
