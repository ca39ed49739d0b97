"""The MCP proxy as an ASGI application: who is asking, for which server, by which front.

It authenticates, routes, and answers what was refused unread. Messages are carried by the fronts in
`mcp_proxy/transports`; the border in front of all of it is `pipeline/border.py`.
"""

import contextlib
import logging
import secrets
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from types import MappingProxyType
from typing import Protocol, cast

from governance.catalog.catalog import Catalog
from governance.clock import Clock
from governance.config.models import Limits
from governance.exchange import Principal
from governance.identity.directory import IdentityStaleError, UnknownKeyError
from governance.policy.glob import Globs
from mcp_proxy import errors
from mcp_proxy.aggregate_book import Shelf
from mcp_proxy.aggregate_cursor import Cursors
from mcp_proxy.aggregate_relay import AggregateRelay
from mcp_proxy.aggregate_session import Aggregate
from mcp_proxy.aggregate_task_ids import TaskIds
from mcp_proxy.cut import Kills
from mcp_proxy.delivery import Delivery
from mcp_proxy.eras import ParamHeaders
from mcp_proxy.gate import Gate, Place, by_evidence
from mcp_proxy.link import Server
from mcp_proxy.message import MalformedMessageError
from mcp_proxy.missed import Kept
from mcp_proxy.pinning import Pinning
from mcp_proxy.protected_resource import WELL_KNOWN, ChallengeError, ProtectedResource
from mcp_proxy.relay import Relay
from mcp_proxy.task_notices import Notices
from mcp_proxy.tasks.counter import Counter
from mcp_proxy.tasks.runner import Runner
from mcp_proxy.transports.sse_front import SseFront
from mcp_proxy.transports.streamable_http_front import HttpFront, Incoming
from mcp_proxy.transports.streamable_http_sessions import Sessions
from pipeline.border import AsgiApp, AsgiScope, BadRequestError, Border, Headers, Receive, Record, Send, local_peer

log = logging.getLogger(__name__)

_ONCE = frozenset({"authorization", "x-api-key", "content-type", "content-encoding", "mcp-session-id", "last-event-id"})
_LEFT = 499
_ORDINARY = frozenset({"session", "sessions", "method", "upstream", "refused"})
"""What happens to sound clients too, and is no bad input."""


class Identity(Protocol):
    """Who is asking (`governance.identity.directory.Identity`)."""

    async def recognise(self, token: str | None, *, peer: str = "", user: str = "") -> Principal:
        """The principal behind a key or access token."""
        ...


class Front(Protocol):
    """One agent-facing transport."""

    async def serve(self, incoming: Incoming) -> None:
        """Answer one HTTP request."""
        ...


NO_FRONTS: Mapping[str, Front] = MappingProxyType({})


@dataclass(frozen=True)
class Organs:
    """What the application acts with."""

    gate: Gate
    kills: Kills
    catalog: Catalog
    identity: Identity
    clock: Clock
    limits: Limits
    hosts: tuple[str, ...]
    record: Record
    """Writes a refused request into the audit log: `(path, problem)`."""
    header_user: str = ""
    """Trusted header that names the person, if one is configured."""
    resource: ProtectedResource = field(default_factory=ProtectedResource)
    """What strangers are told about how to get in."""
    place: Place = by_evidence
    """Tells which run a message belongs to."""
    delivery: Delivery | None = None
    """How approvals reach clients."""
    pins: Pinning | None = None
    """Holds what servers say of themselves to what is trusted."""
    cursor_key: bytes = b""
    """32 bytes that seal the cursors of the aggregate; without them a random key of this process."""


@contextlib.asynccontextmanager
async def open_app(organs: Organs, servers: Mapping[str, Server]) -> AsyncGenerator[AsgiApp]:
    """The application, with its border, while the block is open; ends every client session afterwards.

    Args:
        organs: what it acts with.
        servers: the configured upstream servers by name. They are not closed here.
    """
    rules = ParamHeaders(organs.catalog)
    patience, place, delivery = organs.limits.upstream_seconds, organs.place, organs.delivery
    book = delivery.tasks if delivery is not None else None
    counter = None if delivery is None or book is None else Counter(book, delivery.tickets, organs.clock)
    relay = Relay(
        organs.gate,
        organs.kills,
        organs.catalog,
        organs.clock,
        rules,
        patience,
        place,
        delivery=delivery,
        pins=organs.pins,
        counter=counter,
    )
    kept = Kept()
    carrier = relay if book is None else Notices(relay, book)
    http = HttpFront(carrier, organs.clock, organs.limits, rules, Sessions(organs.clock, kept=kept))

    async def record(path: str, error: MalformedMessageError) -> None:
        await organs.record(path, _unread(error))

    old = SseFront(carrier, organs.clock, organs.limits, rules, record)
    key = organs.cursor_key or secrets.token_bytes(32)
    aggregate, cursors = Aggregate(servers, Shelf(), TaskIds(key), kept), Cursors(key)
    share = 2 * organs.limits.connect_seconds
    joint = AggregateRelay(carrier, aggregate, rules, organs.catalog, cursors, organs.record, share)
    joint_http = HttpFront(joint, organs.clock, organs.limits, rules, Sessions(organs.clock, kept=kept))
    joint_old = SseFront(joint, organs.clock, organs.limits, rules, record)
    every = {"/mcp": joint_http, "/mcp/": joint_http, "/mcp/sse": joint_old, "/mcp/messages": joint_old}
    async with _making(organs, relay, servers), http.running(), joint_http.running():
        app = App(organs, servers, {"": http, "sse": old, "messages": old}, aggregate, every)
        try:
            yield Border(
                app,
                hosts=organs.hosts,
                limits=organs.limits,
                render=errors.render,
                record=organs.record,
                trusted=organs.header_user,
            )
        finally:
            old.end()
            joint_old.end()


def _making(
    organs: Organs, relay: Relay, servers: Mapping[str, Server]
) -> contextlib.AbstractAsyncContextManager[None]:
    """Makes the calls of tasks while it is open, where there are tasks."""
    delivery = organs.delivery
    if delivery is None or delivery.tasks is None:
        return contextlib.nullcontext()
    return Runner(delivery.tasks, delivery.tickets, relay, servers, organs.clock).running()


class App:
    """Routes `/mcp/{server}`, and `/mcp` for all servers as one, to a front.

    Args:
        organs: what it acts with.
        servers: the configured upstream servers by name.
        fronts: the fronts by what follows the server's name in the path; empty = Streamable HTTP.
        aggregate: all servers as one, if that is offered.
        joint: the fronts before it, by whole path.
    """

    def __init__(
        self,
        organs: Organs,
        servers: Mapping[str, Server],
        fronts: Mapping[str, Front],
        aggregate: Aggregate | None = None,
        joint: Mapping[str, Front] = NO_FRONTS,
    ) -> None:
        self._organs = organs
        self._servers = servers
        self._fronts = fronts
        self._aggregate = aggregate
        self._joint = joint

    async def __call__(self, scope: AsgiScope, receive: Receive, send: Send) -> None:
        """Answer one HTTP request; anything but HTTP is not spoken here."""
        if scope["type"] != "http":
            return
        sender = _Sender(send)
        try:
            if scope["path"] == "/health":
                await _answer(sender, 200, b'{"status":"ok"}')
                return
            if scope["path"].startswith(WELL_KNOWN):
                await _describe(self._organs.resource, scope, sender)
                return
            incoming, front = await self._admit(scope, receive, sender)
            await front.serve(incoming)
        except MalformedMessageError as error:
            await self._organs.record(scope["path"], _unread(error))
            await self._tell(sender, errors.malformed(error))
        except BadRequestError as problem:
            if problem.status != _LEFT:
                if problem.code not in _ORDINARY:
                    await self._organs.record(scope["path"], problem)
                challenge = problem.challenge if isinstance(problem, ChallengeError) else ""
                await self._tell(sender, errors.bad_request(problem), challenge)
        except Exception:
            log.exception("a request could not be answered")
            await self._tell(sender, errors.bad_request(BadRequestError(500, "internal", "the proxy failed")))

    async def _admit(self, scope: AsgiScope, receive: Receive, send: Send) -> tuple[Incoming, Front]:
        """The request with its sender and its server.

        Raises:
            BadRequestError: nobody known, or nothing there.
        """
        lines = tuple(
            (name.decode("latin-1"), value.decode("latin-1").strip(" \t"))
            for name, value in cast("Headers", scope["headers"])
        )
        headers = dict(lines)
        if len(headers) != len(lines):
            _refuse_repeated(lines)
        principal = await self._principal(scope, headers)
        name, _, rest = scope["path"].removeprefix("/mcp/").partition("/")
        server = self._servers.get(name) if scope["path"].startswith("/mcp/") else None
        front = self._fronts.get(rest)
        joint = self._joint.get(scope["path"]) if server is None else None
        if joint is not None and self._aggregate is not None and self._aggregate.visible(principal):
            return Incoming(scope, receive, send, principal, self._aggregate, headers, lines), joint
        if server is None or front is None or not _globs(principal.servers).match(name):
            raise BadRequestError(404, "server", "no such server here: the path is `/mcp/{server}`")
        return Incoming(scope, receive, send, principal, server, headers, lines), front

    async def _principal(self, scope: AsgiScope, headers: Mapping[str, str]) -> Principal:
        sent = headers.get("authorization", "")
        kind, _, token = sent.partition(" ")
        # Whatever was sent as a credential is tried as one: a wrong key must never pass for none at all.
        key = token.strip() if kind.lower() == "bearer" else headers.get("x-api-key") or sent or None
        peer = local_peer(scope) if key is None else ""  # only asked for where there is no key
        user = headers.get(self._organs.header_user.lower(), "") if self._organs.header_user else ""
        try:
            return await self._organs.identity.recognise(key, peer=peer, user=user)
        except UnknownKeyError as error:
            raise self._organs.resource.challenge(error, scope["path"], has_key=key is not None) from None
        except IdentityStaleError as error:
            raise BadRequestError(503, "identity", str(error)) from None

    async def _tell(self, sender: "_Sender", answer: errors.Answer, challenge: str = "") -> None:
        if not sender.started:
            await _answer(sender, answer.status, answer.message.raw, challenge)


class _Sender:
    """Remembers whether an answer was begun, so that none is begun twice."""

    __slots__ = ("_send", "started")

    def __init__(self, send: Send) -> None:
        self._send = send
        self.started = False

    def __call__(self, message: AsgiScope) -> Awaitable[None]:
        self.started = True
        return self._send(message)


async def _describe(
    resource: ProtectedResource, scope: AsgiScope, send: Callable[[AsgiScope], Awaitable[None]]
) -> None:
    """Answer whoever asks which issuers' tokens are believed here; nobody needs a key for that."""
    metadata = resource.metadata(scope["path"]) if scope["method"] in ("GET", "HEAD") else None
    if metadata is None:
        raise BadRequestError(404, "method", "there is nothing at this path")
    await _answer(send, 200, b"" if scope["method"] == "HEAD" else metadata)


async def _answer(send: Callable[[AsgiScope], Awaitable[None]], status: int, body: bytes, challenge: str = "") -> None:
    headers: Headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    if challenge:
        headers.append((b"www-authenticate", challenge.encode("ascii", "replace")))
    if status == 405:
        headers.append((b"allow", b"POST"))
    if status == 503:
        headers.append((b"retry-after", b"5"))
    if status in (413, 415):
        headers.append((b"connection", b"close"))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def _unread(error: MalformedMessageError) -> BadRequestError:
    return BadRequestError(400, "malformed", str(error))


def _refuse_repeated(lines: tuple[tuple[str, str], ...]) -> None:
    names = [name for name, _ in lines if name in _ONCE]
    repeated = next((name for name in names if names.count(name) > 1), None)
    if repeated:
        raise BadRequestError(400, "headers", f"the `{repeated}` header appears more than once")


@lru_cache(maxsize=1024)
def _globs(patterns: tuple[str, ...]) -> Globs:
    return Globs(patterns)
