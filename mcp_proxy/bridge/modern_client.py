"""A modern client in front of a server that speaks only legacy revisions: one link for one request or more.

Each request brings what it needs, so nothing of a client is kept here but its open requests. Sessions with the server
are `pool.py`, one request under way is `conversation.py`, the changes in messages are `upward.py`.
"""

from collections.abc import AsyncIterator, Mapping

import anyio

from governance import jsontree
from governance.exchange import Principal
from governance.jsontree import Json, JsonObject
from mcp_proxy.bridge.conversation import Conversation, LegReply, answers_in
from mcp_proxy.bridge.downward import NO_TASKS
from mcp_proxy.bridge.legacy_stream import LONGEST_URI
from mcp_proxy.bridge.pool import MOST_LISTENERS, Listener, Party, Pool
from mcp_proxy.bridge.replies import OneReply, failure, notification, result
from mcp_proxy.bridge.upstream_session import UpstreamSession
from mcp_proxy.bridge.upward import Guest, discover_result, level_of
from mcp_proxy.link import (
    NO_HEADERS,
    Event,
    LinkLostError,
    Reply,
    Resuming,
    Suspending,
    Track,
    UpstreamError,
    UpstreamUnreachableError,
)
from mcp_proxy.message import INVALID_PARAMS, MalformedMessageError, Message, RequestId
from mcp_proxy.sdk import METHOD_NOT_FOUND
from mcp_proxy.transports.mailbox import Mailbox
from mcp_proxy.transports.piped import ACCEPTED, EmptyReply
from mcp_proxy.transports.switchboard import CANCELLED

ACKNOWLEDGED = "notifications/subscriptions/acknowledged"
MOST_SUBSCRIPTIONS = 1000
"""Resources of one subscription."""
LISTENER_BYTES = 256 * 1024
"""How much may wait for the reader of one subscription; the oldest is dropped."""
_REMOVED = frozenset({"initialize", "ping", "logging/setLevel", "resources/subscribe", "resources/unsubscribe"})


class StandInLink(Resuming):
    """A link for requests of one principal.

    Args:
        name: the server's name in the configuration.
        principal: whose requests these are.
        pool: the sessions with the server.
    """

    stateful = False

    def __init__(self, name: str, principal: Principal, pool: Pool) -> None:
        self._name = name
        self._principal = principal
        self._pool = pool
        self._open: dict[RequestId, LegReply] = {}

    async def send(self, message: Message, headers: Mapping[str, str] = NO_HEADERS) -> Reply:
        """Deliver or answer one message; see `Link.send`.

        Raises:
            UpstreamError: the message cannot be delivered.
        """
        if not message.is_request:
            self._notified(message)
            return ACCEPTED
        try:
            guest = Guest.of(self._principal, message)
        except MalformedMessageError as error:
            return OneReply(failure(message.id, error.code, str(error)))
        if message.method.startswith("tasks/"):
            return OneReply(failure(message.id, METHOD_NOT_FOUND, NO_TASKS))
        if message.method in _REMOVED:
            return OneReply(failure(message.id, METHOD_NOT_FOUND, f"`{message.method}` is not offered here"))
        if message.method == "server/discover":
            return OneReply(await self._discover(message, guest))
        if message.method == "subscriptions/listen":
            return await self._listen(message, guest)
        if message.params.get("requestState") is not None:
            return await self._resume(message, guest)
        return await self._begin(message, guest)

    async def waits(self, message: Message) -> bool:
        """Whether the call that a request goes on with still waits; see `Resuming.waits`."""
        state = message.params.get("requestState")
        if state is None:
            return True
        try:
            guest = Guest.of(self._principal, message)
        except MalformedMessageError:
            return True  # it will be told what is wrong with it
        talk = self._pool.suspensions.find(state, guest.owner, message)
        return talk is not None and await talk.waits()

    async def listen(self, headers: Mapping[str, str] = NO_HEADERS) -> Reply:
        """There is no such stream in the modern era; see `Link.listen`."""
        return EmptyReply(405)

    async def close(self) -> None:
        """Cancel what is under way; see `Link.close`. Sessions with the server go on for others."""
        for reply in list(self._open.values()):
            await reply.aclose()

    def _notified(self, message: Message) -> None:
        """A cancellation; over HTTP there is none, as closing the response says it."""
        wanted = message.params.get("requestId") if message.method == CANCELLED else None
        reply = self._open.get(wanted) if isinstance(wanted, str | int) else None
        if reply is not None:
            reply.cancel()

    async def _discover(self, message: Message, guest: Guest) -> Message:
        _, session = await self._pool.lease(guest, self._principal, asked=False)
        self._pool.release(session)
        return result(message.id, discover_result(session.initialized))

    async def _begin(self, message: Message, guest: Guest) -> Reply:
        """Make a request upstream; once more if its session turns out to be gone."""
        try:
            return await self._try(message, guest)
        except LinkLostError:
            try:
                return await self._try(message, guest)
            except LinkLostError as error:
                raise UpstreamError(str(error)) from None

    async def _try(self, message: Message, guest: Guest) -> Reply:
        _, session = await self._pool.lease(guest, self._principal, asked=True)
        talk = Conversation(session, message)
        try:
            await session.log_at(level_of(message))
            await talk.start()
        except BaseException:
            await talk.cancel()
            raise
        finally:
            self._pool.release(session)  # from here on the conversation itself keeps it
        return self._leg(talk, message, guest)

    async def _resume(self, message: Message, guest: Guest) -> Reply:
        talk = self._pool.suspensions.resume(message.params.get("requestState"), guest.owner, message)
        if talk is None:
            data: JsonObject = {"reason": "invalid_request_state"}
            return OneReply(failure(message.id, INVALID_PARAMS, "`requestState` is invalid or has expired", data))
        leg = self._leg(talk, message, guest)
        answers = answers_in(message, talk.questions)
        if answers is None:
            asked_again = leg.suspended()
            if asked_again is not None:
                return AskedAgain(asked_again, leg)
        try:
            await talk.answer(answers or {})
        except BaseException:
            await leg.aclose()
            raise
        return leg

    def _leg(self, talk: Conversation, message: Message, guest: Guest) -> "OpenLeg":
        leg = OpenLeg(self._open, talk, message, guest, self._pool)
        if message.id is not None:
            self._open[message.id] = leg
        return leg

    # -- subscriptions ------------------------------------------------------------------------------------------------

    async def _listen(self, message: Message, guest: Guest) -> Reply:
        party, session = await self._pool.lease(guest, self._principal, asked=False)
        if len(party.listeners) >= MOST_LISTENERS:
            self._pool.release(session)
            raise UpstreamUnreachableError(f"server `{self._name}` has {MOST_LISTENERS} subscriptions: end one")
        try:
            wanted = await self._accepted(message, session)
        except BaseException:
            self._pool.release(session)
            raise
        mailbox = Mailbox(max_bytes=LISTENER_BYTES, forgetful=True, owner=self._name)
        listener = Listener(message.id or 0, wanted, mailbox)
        mailbox.put(listener.tagged(notification(ACKNOWLEDGED, {"notifications": wanted})))
        party.listeners.add(listener)
        return SubscriptionReply(listener, party, session, self._pool)

    async def _accepted(self, message: Message, session: UpstreamSession) -> JsonObject:
        """What the server can tell of what a subscription wants; resources are subscribed to."""
        asked = jsontree.as_object(message.params.get("notifications"))
        offered = jsontree.as_object(session.initialized.get("capabilities"))
        found: JsonObject = {
            f"{kind}ListChanged": True
            for kind in ("tools", "prompts", "resources")
            if asked.get(f"{kind}ListChanged") is True and jsontree.as_object(offered.get(kind)).get("listChanged")
        }
        uris = dict.fromkeys(
            uri
            for uri in jsontree.as_list(asked.get("resourceSubscriptions"))
            if isinstance(uri, str) and len(uri) <= LONGEST_URI
        )
        if uris and jsontree.as_object(offered.get("resources")).get("subscribe"):
            agreed: list[Json] = [uri for uri in list(uris)[:MOST_SUBSCRIPTIONS] if await session.subscribe(uri)]
            found["resourceSubscriptions"] = agreed
        return found


class OpenLeg(LegReply, Suspending):
    """A leg that its link can find while it is open, to cancel it."""

    def __init__(
        self, book: dict[RequestId, LegReply], talk: Conversation, asked: Message, guest: Guest, pool: Pool
    ) -> None:
        self._book = book
        self._id = asked.id
        self._suspensions = pool.suspensions
        super().__init__(talk, asked, guest, lambda one, now: pool.suspensions.suspend(one, guest.owner, now))

    async def aclose(self) -> None:
        """Nobody reads on; see `LegReply.aclose`."""
        if self._id is not None and self._book.get(self._id) is self:
            del self._book[self._id]
        await super().aclose()

    async def withdraw(self) -> None:
        """Nobody got the state to go on with; see `Suspending.withdraw`."""
        if self._suspensions.forget(self._talk):
            await self._talk.cancel()

    def ends_with(self, track: Track) -> None:
        """See `Suspending.ends_with`."""
        self._suspensions.ends_with(self._talk, track)

    async def waits(self) -> bool:
        """See `Suspending.waits`. A call that was answered asks for a new one, so nothing need wait."""
        return not self.suspends or (self._suspensions.holds(self._talk) and await self._talk.waits())


class AskedAgain(OneReply, Suspending):
    """The questions once more, to a client that did not answer all of them."""

    def __init__(self, message: Message, leg: OpenLeg) -> None:
        super().__init__(message)
        self._leg = leg

    async def aclose(self) -> None:
        """See `LegReply.aclose`."""
        await self._leg.aclose()

    async def withdraw(self) -> None:
        """See `OpenLeg.withdraw`."""
        await self._leg.withdraw()

    def ends_with(self, track: Track) -> None:
        """See `OpenLeg.ends_with`."""
        self._leg.ends_with(track)

    async def waits(self) -> bool:
        """See `OpenLeg.waits`."""
        return await self._leg.waits()


class SubscriptionReply:
    """The stream of one subscription."""

    status = 200
    headers: Mapping[str, str] = NO_HEADERS

    def __init__(self, listener: Listener, party: Party, session: UpstreamSession, pool: Pool) -> None:
        self._listener = listener
        self._party = party
        self._session = session
        self._pool = pool
        self._closed = False

    @property
    def events(self) -> AsyncIterator[Event]:
        """The acknowledgement, then the notifications as they come."""
        return self._listener.mailbox

    async def aclose(self) -> None:
        """Nobody listens any more."""
        if self._closed:
            return
        self._closed = True
        self._party.listeners.discard(self._listener)
        self._listener.mailbox.end()
        with anyio.CancelScope(shield=True):
            try:
                for uri in jsontree.as_list(self._listener.wanted.get("resourceSubscriptions")):
                    if not self._session.lost:
                        await self._session.unsubscribe(jsontree.as_text(uri))
            except UpstreamError:
                self._session.lost = True
            finally:
                self._pool.release(self._session)
