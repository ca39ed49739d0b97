"""The border of every HTTP front: what must hold of a request before any proxy looks at it.

Exactly one Host, and one that is ours (DNS rebinding); an Origin, if there is one, that is ours (web pages); no more
headers than the limits allow; an origin-form target. Bodies are read by `read_body`, bounded, and plain. What a
refusal looks like on the wire is decided by the proxy that hands in `render`.
"""

from collections.abc import Awaitable, Callable, Collection, MutableMapping
from functools import lru_cache
from typing import Any, TypeAlias, cast
from urllib.parse import urlsplit

from governance.config.addresses import is_loopback
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


_FORWARDED = frozenset(
    {b"forwarded", b"via", b"x-forwarded-for", b"x-forwarded-host", b"x-forwarded-proto", b"x-real-ip"}
)
"""Headers that a proxy in front adds: what comes through one only looks as if it came from this machine."""


def local_peer(scope: AsgiScope) -> str:
    """The loopback address that a request came from; nothing where it came from elsewhere, or seems to through a proxy.

    A proxy on this machine need not say that it is one, so this is no proof.
    """
    peer = cast("tuple[str, int] | None", scope.get("client"))
    headers = cast("Headers", scope["headers"])
    host = next((value for name, value in headers if name == b"host"), b"").decode("latin-1")
    name = host.partition("]")[0] + "]" if host.startswith("[") else host.partition(":")[0]
    through = any(name in _FORWARDED for name, _ in headers)
    is_local = peer is not None and is_loopback(peer[0]) and is_loopback(name) and not through
    return peer[0] if peer is not None and is_local else ""


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
