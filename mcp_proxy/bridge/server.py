"""A configured server with the bridge before it: clients of either era reach it, whichever it speaks itself.

Mirror first: where the server speaks the client's era, its own link is handed out and nothing is touched. What is
translated otherwise is `legacy_client.py` and `modern_client.py`.
"""

import logging
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass

import anyio
from anyio.abc import TaskGroup

from governance.clock import Clock
from governance.config.models import Limits
from governance.exchange import Principal
from mcp_proxy.bridge import probe
from mcp_proxy.bridge.headers import Annotations
from mcp_proxy.bridge.legacy_client import TranslatingLink
from mcp_proxy.bridge.modern_client import StandInLink
from mcp_proxy.bridge.only_child import OnlyChild
from mcp_proxy.bridge.pool import Pool
from mcp_proxy.bridge.suspension import Suspensions
from mcp_proxy.link import (
    NO_HEADERS,
    Condition,
    Era,
    Event,
    Link,
    Reply,
    Server,
    UpstreamError,
    UpstreamUnreachableError,
)
from mcp_proxy.message import Message
from mcp_proxy.transports.stdio import StdioServer

log = logging.getLogger(__name__)

DOUBT_SECONDS = 5.0
"""A server is not asked for its era again sooner than this because of an answer that looks odd."""
NO_SECONDS = 600.0
"""How long a server that is reached over HTTP is taken for one of legacy revisions only."""
_ODD = (400, 404, 405)
_UNSHARABLE = "it does not speak 2026-07-28, so its process cannot be shared: leave out `process`"


@dataclass(frozen=True)
class Means:
    """What the bridge works with."""

    group: TaskGroup
    """Owns what runs in the background; its server is closed before it ends."""
    clock: Clock
    limits: Limits
    state_key: bytes
    """32 bytes; seals what clients carry of suspended calls."""
    patience: float = 0
    """How long an approval may take from the question to its use (`approvals.whole_seconds`)."""


class BridgedServer:
    """A server for clients of both eras.

    Args:
        inner: the server as it is.
        means: what the bridge works with.
    """

    def __init__(self, inner: Server, means: Means) -> None:
        self.inner = inner
        """The server as it is."""
        self._means = means
        self._asking = anyio.Lock()
        self._is_modern: bool | None = None
        self._is_legacy: bool | None = None
        self._asked_at = 0.0
        self._attempts = 0
        self._trouble: UpstreamError | None = None
        self._annotations = Annotations()
        suspensions = Suspensions(
            means.state_key, inner.name, means.clock, means.patience, means.limits.upstream_seconds, means.group
        )
        single = isinstance(inner, OnlyChild)
        self._is_common = isinstance(inner, StdioServer) and inner.common
        self._pool = Pool(inner, means.group, means.clock, suspensions, self.forget, single=single)

    @property
    def name(self) -> str:
        """Name in the configuration."""
        return self.inner.name

    @property
    def transport(self) -> str:
        """`http`, `sse` or `stdio`."""
        return self.inner.transport

    @property
    def condition(self) -> Condition:
        """How it is now."""
        return self.inner.condition

    async def open(self, principal: Principal, era: Era) -> Link:
        """A link that takes messages of `era`; see `Server.open`.

        Raises:
            UpstreamError: the server cannot be started or reached.
        """
        if self._is_common:
            await self._check_common(principal)
        if era is Era.LEGACY:
            if self._is_common:
                return await self.translated(principal)
            if self._is_modern and self._is_legacy is False:
                return await self.translated(principal)
            return LegacyLink(self, principal, await self.inner.open(principal, era))
        if self._must_ask:
            await self._find_out(principal)
        if not self._is_modern:
            return StandInLink(self.name, principal, self._pool)
        return MirroringLink(self, await self.inner.open(principal, era))

    async def aclose(self) -> None:
        """Close every link and stop what was started."""
        await self._pool.aclose()
        await self.inner.aclose()

    async def translated(self, principal: Principal) -> Link:
        """A link that translates for a legacy client.

        Raises:
            UpstreamError: the server cannot be started or reached.
        """
        link = await self.inner.open(principal, Era.MODERN)
        annotations = self._annotations if self.inner.transport == "http" else None
        return TranslatingLink(self.name, link, annotations, self.forget)

    async def is_modern_only(self, principal: Principal, link: Link) -> bool:
        """Whether a server that refused `initialize` speaks the modern revision instead.

        Args:
            principal: for whom it is asked.
            link: on which it refused; a pipe is asked on the very same.

        Raises:
            UpstreamError: it cannot be reached.
        """
        async with self._asking:
            if self.inner.transport == "http":
                await self._ask(principal)
            else:
                modern = await probe.link_is_modern(link, self._means.limits.connect_seconds)
                self._remember(modern=modern)
            self._is_legacy = False if self._is_modern else None
        return bool(self._is_modern)

    def speaks_legacy(self) -> None:
        """A handshake went well."""
        self._is_legacy = True

    def forget(self) -> None:
        """The server failed: what it speaks is asked anew."""
        self._is_modern = self._is_legacy = None

    def doubt(self) -> None:
        """The server answered as one of the other era might: ask it anew, unless it was asked just now."""
        if self._means.clock.monotonic() - self._asked_at >= DOUBT_SECONDS:
            self.forget()

    @property
    def _must_ask(self) -> bool:
        """Whether it is not known, or not known for sure, if the server speaks the modern revision.

        Over HTTP a no may have been the word of something in between, or the server may have been renewed since.
        """
        if self._is_modern is None:
            return True
        age = self._means.clock.monotonic() - self._asked_at
        return not self._is_modern and self.inner.transport == "http" and age >= NO_SECONDS

    async def _find_out(self, principal: Principal) -> None:
        """Ask, unless somebody else has just done so; who waited for an attempt that failed does not make another."""
        attempt = self._attempts
        async with self._asking:
            if not self._must_ask:
                return
            if self._attempts != attempt and self._trouble is not None:
                raise type(self._trouble)(str(self._trouble))
            try:
                await self._ask(principal)
                self._trouble = None
            except UpstreamError as error:
                self._trouble = error
                raise
            finally:
                self._attempts += 1

    async def _check_common(self, principal: Principal) -> None:
        """See to it that a server whose process all clients share speaks the era in which they can."""
        if self._must_ask:
            await self._find_out(principal)
        if not self._is_modern:
            if isinstance(self.inner, StdioServer):
                self.inner.pulse.failed(_UNSHARABLE)
            raise UpstreamUnreachableError(f"server `{self.name}` cannot be used: {_UNSHARABLE}")

    async def _ask(self, principal: Principal) -> None:
        self._remember(modern=await probe.is_modern(self.inner, principal, self._means.limits))

    def _remember(self, *, modern: bool) -> None:
        self._is_modern = modern
        self._asked_at = self._means.clock.monotonic()
        log.info("server %s %s", self.name, "speaks the modern revision" if modern else "speaks legacy revisions only")


class MirroringLink:
    """A link to a server that speaks the modern client's own era; watched, because it may be replaced by another."""

    stateful = False

    def __init__(self, server: BridgedServer, link: Link) -> None:
        self._server = server
        self._link = link

    async def send(self, message: Message, headers: Mapping[str, str] = NO_HEADERS) -> Reply:
        """Deliver one message, byte for byte; see `Link.send`.

        Raises:
            UpstreamError: the message cannot be delivered.
        """
        try:
            reply = await self._link.send(message, headers)
        except UpstreamError:
            self._server.forget()
            raise
        if reply.status in _ODD:
            self._server.doubt()
        return reply

    async def listen(self, headers: Mapping[str, str] = NO_HEADERS) -> Reply:
        """There is no such stream in the modern era; see `Link.listen`."""
        return await self._link.listen(headers)

    async def close(self) -> None:
        """See `Link.close`."""
        await self._link.close()


class LegacyLink:
    """A link for one legacy client session: the server's own, until it refuses the handshake."""

    def __init__(self, server: BridgedServer, principal: Principal, link: Link) -> None:
        self._server = server
        self._principal = principal
        self._link = link
        self._translates = False

    @property
    def stateful(self) -> bool:
        """See `Link.stateful`."""
        return self._link.stateful

    async def send(self, message: Message, headers: Mapping[str, str] = NO_HEADERS) -> Reply:
        """Deliver one message; see `Link.send`.

        Raises:
            UpstreamError: the message cannot be delivered.
        """
        if message.method == "initialize" and not self._translates:
            return await self._initialize(message, headers)
        return await self._link.send(message, headers)

    async def listen(self, headers: Mapping[str, str] = NO_HEADERS) -> Reply:
        """See `Link.listen`."""
        return await self._link.listen(headers)

    async def close(self) -> None:
        """See `Link.close`."""
        await self._link.close()

    async def _initialize(self, message: Message, headers: Mapping[str, str]) -> Reply:
        """Shake hands; where the server does not, and speaks the modern revision, translate from here on."""
        refusal: UpstreamError | None = None
        reply: Reply | None = None
        try:
            reply = await self._link.send(message, headers)
            first = await _until_response(reply, message)
            if first and first[-1].message is not None and "result" in first[-1].message.value:
                self._server.speaks_legacy()
                return ReadReply(reply, first)
        except UpstreamUnreachableError:
            raise
        except UpstreamError as error:
            refusal, first = error, []
        except BaseException:
            if reply is not None:
                with anyio.CancelScope(shield=True):
                    await reply.aclose()
            raise
        if not await self._server.is_modern_only(self._principal, self._link):
            if refusal is not None or reply is None:
                raise refusal or UpstreamError("the server did not answer")
            return ReadReply(reply, first)
        if reply is not None:
            await reply.aclose()
        translated = await self._server.translated(self._principal)
        old, self._link, self._translates = self._link, translated, True
        await old.close()
        return await self._link.send(message, headers)


async def _until_response(reply: Reply, asked: Message) -> list[Event]:
    """The events of a reply up to its response. A server has nothing to say before, so these are one or few."""
    found: list[Event] = []
    async for event in reply.events:
        found.append(event)
        if event.message is not None and event.message.is_response and event.message.id in (asked.id, None):
            break
        if len(found) > _MOST_BEFORE:
            break
    return found


_MOST_BEFORE = 100


class ReadReply:
    """A reply of which the first events were read already."""

    def __init__(self, reply: Reply, first: list[Event]) -> None:
        self._reply = reply
        self._first = first
        self._rest = aiter(reply.events)

    @property
    def status(self) -> int:
        """See `Reply.status`."""
        return self._reply.status

    @property
    def headers(self) -> Mapping[str, str]:
        """See `Reply.headers`."""
        return self._reply.headers

    @property
    def events(self) -> AsyncIterator[Event]:
        """All events, those that were read first."""
        return self

    def __aiter__(self) -> AsyncIterator[Event]:
        return self

    async def __anext__(self) -> Event:
        return self._first.pop(0) if self._first else await anext(self._rest)

    async def aclose(self) -> None:
        """See `Reply.aclose`."""
        await self._reply.aclose()
