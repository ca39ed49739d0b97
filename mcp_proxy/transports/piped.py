"""A link over one pipe that carries everything: stdio, and HTTP+SSE.

It joins a switchboard to a wire. What the wire is made of is the transport's business; what the messages mean, and
whether they may pass, is not decided here.
"""

import logging
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

import orjson

from governance import jsontree
from governance.jsontree import Json, JsonObject
from mcp_proxy.link import NO_HEADERS, Era, Event, LinkLostError, Reply, UpstreamError
from mcp_proxy.message import MalformedMessageError, Message, RequestId
from mcp_proxy.sdk import PROTOCOL_VERSION_META_KEY
from mcp_proxy.transports.in_order import InOrder
from mcp_proxy.transports.mailbox import Mailbox
from mcp_proxy.transports.switchboard import CANCELLED, Call, Switchboard
from pipeline.reading import read_apart

log = logging.getLogger(__name__)

CANCEL_GRACE_SECONDS = 5.0
"""How long a cancelled call may still be answered, because its answer was on the way already."""
MOST_CANCELLED = 64
"""Cancellations remembered for requests that have not come by yet."""


class Wire(Protocol):
    """One pipe of messages towards a server."""

    async def write(self, raw: bytes) -> None:
        """Send one message, once there is room for it.

        Raises:
            UpstreamError: it cannot be sent.
        """
        ...

    def post(self, raw: bytes) -> None:
        """Send one message without waiting, if that is still possible."""
        ...

    async def close(self) -> None:
        """End the pipe, and what stands at its other end if it is ours."""
        ...


class PipedLink:
    """One upstream session over a `Wire`.

    Args:
        name: The server's name, for messages.
        era: Says what a client that leaves means: in the modern era its call is cancelled. A request with a modern
            envelope is one of that era on any link.
        shared: Whether several clients use this pipe.
        strangers: Whether they may be of different principals.
        max_bytes: Most bytes that may wait for the reader of one call.
        silence: Seconds without an event after which a call is given up.
        on_close: Called once when the link was closed by its user.
    """

    def __init__(
        self,
        name: str,
        era: Era,
        *,
        shared: bool,
        strangers: bool = False,
        max_bytes: int,
        silence: float,
        on_close: Callable[[], object] = lambda: None,
    ) -> None:
        self.stateful = not shared
        self.wire: Wire | None = None
        """Set by the transport once it is open."""
        self._name = name
        self._era = era
        self._shared = shared
        self._on_close = on_close
        self._board = Switchboard(shared=shared, strangers=strangers, max_bytes=max_bytes, silence=silence, owner=name)
        self._in_order = InOrder(_read, self._arrived)
        self._cancelled: list[RequestId] = []
        self._closed = False
        self._lost = ""

    @property
    def is_lost(self) -> bool:
        """Whether nothing can be sent any more."""
        return self._closed or self._lost != ""

    @property
    def open_calls(self) -> int:
        """How many requests wait for their response."""
        return self._board.open_calls

    async def send(self, message: Message, headers: Mapping[str, str] = NO_HEADERS) -> Reply:
        """Deliver one message; see `Link.send`.

        Raises:
            UpstreamError: the message cannot be delivered.
        """
        wire = self._open_wire()
        if message.is_request:
            if self._was_cancelled(message):
                raise UpstreamError("the call was cancelled before it could be made")
            call, raw = self._board.depart(message)
            try:
                await wire.write(raw)
            except BaseException as error:
                self._abandon(call, told=isinstance(error, UpstreamError) or self._era is Era.LEGACY)
                raise
            cancels = self._era is Era.MODERN or PROTOCOL_VERSION_META_KEY in message.meta
            return CallReply(call.mailbox, lambda: self._abandon(call, told=not cancels))
        if self._shared and (message.is_response or message.method == CANCELLED):
            return ACCEPTED  # neither exists in the era that shares pipes, and its id could be another client's
        if message.method == CANCELLED:
            self._expect_end(message)
        await wire.write(message.raw)
        return ACCEPTED

    async def listen(self, headers: Mapping[str, str] = NO_HEADERS) -> Reply:
        """What the server says of its own accord; see `Link.listen`.

        Raises:
            UpstreamError: the server is gone.
        """
        self._open_wire()
        if self._shared:
            return EmptyReply(405)
        if self._board.is_heard:
            return EmptyReply(409)
        self._board.is_heard = True
        return CallReply(self._board.session, self._stop_hearing)

    async def close(self) -> None:
        """End the session; see `Link.close`."""
        if self._closed:
            return
        self._closed = True
        self._on_close()
        self._board.lose(LinkLostError("the session has ended: start a new one"))
        if self.wire is not None:
            await self.wire.close()

    def receive(self, raw: bytes) -> None:
        """The server sent this. What is no message is dropped, and the call that it should have answered fails."""
        self._in_order.feed(raw)

    def pausing(self, pause: Callable[[bool], None]) -> None:
        """Have the server's output paused while a large message is read; see `InOrder.pause`."""
        self._in_order.pause = pause

    async def take(self, raw: bytes) -> None:
        """As `receive`, for a transport that can wait until a large message is read."""
        self._arrived(await read_apart(_read, raw))

    def _arrived(self, message: "Message | _Unreadable") -> None:
        if isinstance(message, _Unreadable):
            self._blame(message)
        elif (told := self._board.arrive(message)) is not None:
            self._post(told)

    def lost(self, how: str) -> None:
        """The pipe is gone. Nobody can tell what became of the calls that were open."""
        if self._lost or self._closed:
            return
        self._lost = how
        self._board.lose(UpstreamError(f"server `{self._name}` stopped before it answered: {how}"))

    def _open_wire(self) -> Wire:
        if self._closed:
            raise LinkLostError("the session has ended: start a new one")
        if self._lost or self.wire is None:
            raise LinkLostError(f"server `{self._name}` has stopped: start a new session")
        return self.wire

    def _abandon(self, call: Call, *, told: bool) -> None:
        """Nobody waits for this call any more, which the server must be told, unless it was or need not be."""
        if self._board.finish(call) and not told:
            params: JsonObject = {"requestId": call.wire_id, "reason": "the client has left"}
            self._post({"jsonrpc": "2.0", "method": CANCELLED, "params": params})

    def _expect_end(self, cancelled: Message) -> None:
        request_id = cancelled.params.get("requestId")
        call = self._board.find(request_id)
        if call is not None:
            call.mailbox.end_within(CANCEL_GRACE_SECONDS, lambda: self._give_up(call))
        elif type(request_id) is str or type(request_id) is int:
            # It overtook its request, which may still be held: that must not run any more.
            self._cancelled = [*self._cancelled[-MOST_CANCELLED:], request_id]

    def _was_cancelled(self, request: Message) -> bool:
        if request.id not in self._cancelled:
            return False
        self._cancelled.remove(request.id)
        return True

    def _give_up(self, call: Call) -> None:
        self._board.finish(call)

    def _stop_hearing(self) -> None:
        self._board.is_heard = False

    def _post(self, value: JsonObject) -> None:
        if self.wire is not None and not self.is_lost:
            self.wire.post(jsontree.dump(value))

    def _blame(self, found: "_Unreadable") -> None:
        """End the call that an unreadable message was meant to answer, so that nobody waits for it in vain."""
        log.warning("server %s: something that is not a message was dropped: %s", self._name, found.why)
        if found.answers is not None:
            broken = UpstreamError(f"server `{self._name}` sent a malformed message: {found.why}")
            self._board.fail(found.answers, broken)


@dataclass(frozen=True, slots=True)
class _Unreadable:
    """Something that is no message."""

    why: str
    answers: RequestId | None
    """Id of the request that it was meant to answer, where that can be told."""


def _read(raw: bytes) -> Message | _Unreadable:
    """What a server sent."""
    try:
        return Message.parse_upstream(raw)
    except MalformedMessageError as error:
        why = str(error)
    try:
        value: Json = orjson.loads(raw)  # lenient on purpose: only to see who waits
    except orjson.JSONDecodeError:
        return _Unreadable(why, None)
    found = value.get("id") if isinstance(value, dict) and "method" not in value else None
    return _Unreadable(why, found if type(found) is str or type(found) is int else None)


class CallReply:
    """The answer to one request, or the session's own stream, as its reader sees it."""

    status = 200
    headers = NO_HEADERS

    def __init__(self, mailbox: Mailbox, on_close: Callable[[], None]) -> None:
        self.events: AsyncIterator[Event] = mailbox
        self._on_close = on_close

    async def aclose(self) -> None:
        """Nobody reads on."""
        self._on_close()


class EmptyReply:
    """An answer without events."""

    headers = NO_HEADERS

    def __init__(self, status: int) -> None:
        self.status = status
        self.events: AsyncIterator[Event] = Nothing()

    async def aclose(self) -> None:
        """Nothing to close."""


class Nothing:
    """No events."""

    def __aiter__(self) -> AsyncIterator[Event]:
        return self

    async def __anext__(self) -> Event:
        raise StopAsyncIteration


class One:
    """The one message of an answer that is no stream."""

    def __init__(self, message: Message) -> None:
        self._message: Message | None = message

    def __aiter__(self) -> AsyncIterator[Event]:
        return self

    async def __anext__(self) -> Event:
        if self._message is None:
            raise StopAsyncIteration
        message, self._message = self._message, None
        return Event(message)


ACCEPTED = EmptyReply(202)
