"""The sessions with a legacy server that modern clients use, and which client may use which.

A session belongs to one principal, and to one set of declared capabilities and one name: the server is told exactly
what the client says of itself. Bounded, because a modern client opens no session it could be counted by.
"""

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import anyio
from anyio.abc import TaskGroup

from governance.clock import Clock
from governance.exchange import Principal
from governance.jsontree import Json, JsonObject
from mcp_proxy.bridge.downward import NEEDS, SUBSCRIPTION_ID
from mcp_proxy.bridge.suspension import Suspensions
from mcp_proxy.bridge.upstream_session import UpstreamSession
from mcp_proxy.bridge.upward import Guest
from mcp_proxy.link import Era, Server, UpstreamError, UpstreamUnreachableError
from mcp_proxy.message import Message, RequestId
from mcp_proxy.transports.mailbox import Mailbox

log = logging.getLogger(__name__)

MOST_OF_ONE = 16
"""Sessions of one principal on one server; the longest unused makes room."""
MOST = 200
"""Sessions on one server, as many as there may be processes of one."""
MOST_LISTENERS = 64
"""Subscriptions of one guest."""
IDLE_SECONDS = 300.0
"""How long a session is kept that nobody uses."""
SWEEP_SECONDS = 5.0
_KINDS = {
    "notifications/tools/list_changed": "toolsListChanged",
    "notifications/prompts/list_changed": "promptsListChanged",
    "notifications/resources/list_changed": "resourcesListChanged",
}


@dataclass(frozen=True, eq=False)
class Listener:
    """One subscription of a modern client."""

    id: RequestId
    """Of its `subscriptions/listen` request."""
    wanted: JsonObject
    """The `notifications` that were accepted."""
    mailbox: Mailbox

    def tell(self, message: Message) -> None:
        """Put a notification of the server in, if it is wanted."""
        uris = self.wanted.get("resourceSubscriptions")
        named = message.params.get("uri")
        updated = message.method == "notifications/resources/updated" and isinstance(uris, list) and named in uris
        if updated or self.wanted.get(_KINDS.get(message.method, "")) is True:
            self.mailbox.put(self.tagged(message))

    def tagged(self, message: Message) -> Message:
        """A notification under the name of this subscription."""
        meta: dict[str, Json] = {**message.meta, SUBSCRIPTION_ID: self.id}
        return Message.build({**message.value, "params": {**message.params, "_meta": meta}})


@dataclass(eq=False)
class Party:
    """The sessions and subscriptions of one guest."""

    sessions: list[UpstreamSession] = field(default_factory=list[UpstreamSession])
    listeners: set[Listener] = field(default_factory=set[Listener])
    opening: anyio.Lock = field(default_factory=anyio.Lock)
    waiting: int = 0
    """Requests that are about to get a session."""

    def tell(self, message: Message) -> None:
        """Tell every subscription of a notification."""
        for listener in list(self.listeners):
            listener.tell(message)


class Pool:
    """The sessions with one server.

    Args:
        server: opens links.
        group: owns what reads streams, and what ends idle sessions.
        clock: measures idleness.
        suspensions: the calls that wait for their client.
        failed: called when the server refuses a handshake.
        single: whether there is one client and one pipe, so that every request shares one session.
    """

    def __init__(
        self,
        server: Server,
        group: TaskGroup,
        clock: Clock,
        suspensions: Suspensions,
        failed: Callable[[], None],
        *,
        single: bool = False,
    ) -> None:
        self.suspensions = suspensions
        self._server = server
        self._group = group
        self._clock = clock
        self._failed = failed
        self._single = single
        self._parties: dict[Guest, Party] = {}
        self._watching = False
        self._closed = False

    async def lease(self, guest: Guest, principal: Principal, *, asked: bool) -> tuple[Party, UpstreamSession]:
        """A session for a guest, in use until `release`.

        Args:
            guest: whom the server sees.
            principal: for whom a session is opened.
            asked: whether the server may ask the client something. Questions need not say to which call they belong,
                so such a call has a session to itself, as long as there are enough; over a pipe always.

        Raises:
            UpstreamError: there is none to be had.
        """
        if self._closed:
            raise UpstreamUnreachableError(f"server `{self._server.name}` is stopped")
        alone = asked and not set(NEEDS.values()).isdisjoint(guest.capabilities)
        party = self._party_of(guest)
        party.waiting += 1
        try:
            async with party.opening:
                session = await self._chosen(guest, principal, party, alone=alone)
                session.users += 1
                return party, session
        finally:
            party.waiting -= 1
            self._tidy()

    def release(self, session: UpstreamSession) -> None:
        """A user of a session has left."""
        session.users -= 1
        session.used_at = self._clock.monotonic()

    async def sweep(self) -> None:
        """End what nobody uses: suspended calls that expired, sessions that are lost or were idle for too long."""
        await self.suspensions.expire()
        now = self._clock.monotonic()
        for party, session in list(self._sessions()):
            idle = not session.users and not session.is_talking and now - session.used_at > IDLE_SECONDS
            if session.lost or idle:
                await self._end(party, session)
        self._tidy()

    async def aclose(self) -> None:
        """End every session."""
        self._closed = True
        for party, session in list(self._sessions()):
            await self._end(party, session)
        self._tidy()

    def _sessions(self) -> Iterator[tuple[Party, UpstreamSession]]:
        return ((party, session) for party in self._parties.values() for session in party.sessions)

    def _party_of(self, guest: Guest) -> Party:
        """The sessions that a guest may use."""
        if self._single and self._parties:
            return next(iter(self._parties.values()))
        return self._parties.setdefault(guest, Party())

    async def _chosen(self, guest: Guest, principal: Principal, party: Party, *, alone: bool) -> UpstreamSession:
        usable = [one for one in party.sessions if not one.lost]
        free = [one for one in usable if self._single or not (alone and (one.users or one.is_talking))]
        if free:
            return free[0]
        try:
            await self._make_room(guest)
        except UpstreamUnreachableError:
            if usable and self._server.transport == "http":
                return min(usable, key=lambda one: len(one.talks))
            raise
        return await self._open(guest, principal, party)

    async def _open(self, guest: Guest, principal: Principal, party: Party) -> UpstreamSession:
        session = UpstreamSession(await self._server.open(principal, Era.LEGACY), guest, party.tell)
        try:
            await session.shake_hands()
        except BaseException as error:
            with anyio.CancelScope(shield=True):
                await session.close()
            if isinstance(error, UpstreamError):
                self._failed()
            raise
        session.used_at = self._clock.monotonic()
        party.sessions.append(session)
        self._group.start_soon(self._pump, party, session)
        if not self._watching:
            self._watching = True
            self._group.start_soon(self._watch)
        return session

    async def _make_room(self, guest: Guest) -> None:
        """See that one more session may be opened; the longest unused one of the principal is ended for it."""
        everything = list(self._sessions())
        own = [
            (party, session)
            for known, party in self._parties.items()
            if known.owner == guest.owner
            for session in party.sessions
        ]
        if len(own) < MOST_OF_ONE and len(everything) < MOST:
            return
        pool = own if len(own) >= MOST_OF_ONE else everything
        idle = [(party, one) for party, one in pool if not one.users and not one.is_talking]
        if not idle:
            raise UpstreamUnreachableError(
                f"server `{self._server.name}` has too many sessions in use: try again later"
            )
        await self._end(*min(idle, key=lambda pair: pair[1].used_at))

    async def _pump(self, party: Party, session: UpstreamSession) -> None:
        try:
            await session.pump(again=self._server.transport == "http")
        except Exception:
            log.exception("the own stream of a session with server `%s` could not be read", self._server.name)
            session.lost = True
        if session.lost:
            await self._end(party, session)

    async def _end(self, party: Party, session: UpstreamSession) -> None:
        if session not in party.sessions:
            return
        party.sessions.remove(session)
        for talk in session.talks:
            self.suspensions.forget(talk)
        if not party.sessions:
            for listener in party.listeners:
                listener.mailbox.end(UpstreamError(f"server `{self._server.name}` has ended the session"))
        with anyio.CancelScope(shield=True):
            await session.close()

    async def _watch(self) -> None:
        while self._parties and not self._closed:
            await anyio.sleep(SWEEP_SECONDS)
            try:
                await self.sweep()
            except Exception:
                log.exception("idle sessions with server `%s` could not be ended", self._server.name)
        self._watching = False

    def _tidy(self) -> None:
        for guest, party in list(self._parties.items()):
            if not party.sessions and not party.listeners and not party.waiting:
                del self._parties[guest]
