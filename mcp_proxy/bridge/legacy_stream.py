"""The server's own stream of a legacy client session, over the subscription of a modern server.

One `subscriptions/listen` stands for the session's list changes and all its subscriptions; it is made anew when they
change. What the client may subscribe to is not decided here.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping

import anyio

from governance import jsontree
from governance.jsontree import Json, JsonObject
from mcp_proxy.bridge.downward import legacy_notification
from mcp_proxy.bridge.replies import Reader
from mcp_proxy.link import NO_HEADERS, Event, Reply, UpstreamError
from mcp_proxy.message import Message
from mcp_proxy.transports.switchboard import CANCELLED

MOST_SUBSCRIPTIONS = 1000
LONGEST_URI = 8 * 1024
ACKNOWLEDGED = "notifications/subscriptions/acknowledged"
SETTLE_SECONDS = 5.0
"""How long a subscription may take to be acknowledged before the client is told that it stands."""
AGAIN_SECONDS = 1.0
"""Pause before a subscription that the server ended is made again."""


class OwnStream:
    """What one client session listens to.

    Args:
        send: makes a `subscriptions/listen` request with these `notifications`.
    """

    def __init__(self, send: Callable[[JsonObject], Awaitable[Reply]]) -> None:
        self.offered: JsonObject = {}
        """Capabilities of the server."""
        self.ended = False
        self.changed = anyio.Event()
        """Set when what is wanted is not what was asked for, or the stream ended."""
        self.send = send
        self._uris: dict[str, None] = {}
        self._reader: StreamReply | None = None
        self._settled = anyio.Event()

    @property
    def wanted(self) -> JsonObject:
        """What to subscribe to; empty if there is nothing."""
        found: JsonObject = {
            f"{kind}ListChanged": True
            for kind in ("tools", "prompts", "resources")
            if jsontree.as_object(self.offered.get(kind)).get("listChanged")
        }
        if self._uris:
            uris: list[Json] = list(self._uris)
            found["resourceSubscriptions"] = uris
        return found

    def want(self, uri: str) -> bool:
        """Subscribe to a resource; whether there is room."""
        if len(uri) > LONGEST_URI or (uri not in self._uris and len(self._uris) >= MOST_SUBSCRIPTIONS):
            return False
        if uri not in self._uris:
            self._uris[uri] = None
            self._change()
        return True

    def unwant(self, uri: str) -> None:
        """Unsubscribe from a resource."""
        if uri in self._uris:
            del self._uris[uri]
            self._change()

    async def settled(self) -> None:
        """Wait until the server acknowledged what is wanted, if somebody listens."""
        if self._reader is not None:
            with anyio.move_on_after(SETTLE_SECONDS):
                await self._settled.wait()

    def reply(self) -> "StreamReply | None":
        """The stream, for its one reader; None if it has one already."""
        if self._reader is not None:
            return None
        self._change()
        self._reader = StreamReply(self)
        return self._reader

    def end(self) -> None:
        """Nothing more will come."""
        self.ended = True
        self._change()

    def acknowledged(self) -> None:
        """The server knows what is wanted, or was asked in vain."""
        self._settled.set()

    def unheard(self) -> None:
        """The reader has left."""
        self._reader = None
        self._settled.set()

    def _change(self) -> None:
        self._settled = anyio.Event()
        self.changed.set()
        if self._reader is not None:
            self._reader.wake()


class StreamReply:
    """The stream as its reader sees it."""

    status = 200
    headers: Mapping[str, str] = NO_HEADERS

    def __init__(self, stream: OwnStream) -> None:
        self._stream = stream
        self._reader: Reader | None = None

    @property
    def events(self) -> AsyncIterator[Event]:
        """The notifications, as they come."""
        return self

    def __aiter__(self) -> AsyncIterator[Event]:
        return self

    def wake(self) -> None:
        """What is wanted has changed."""
        if self._reader is not None:
            self._reader.wake()

    async def __anext__(self) -> Event:
        while True:
            if self._stream.changed.is_set() or self._reader is None:
                await self._reopen()
            if self._stream.ended or self._reader is None:
                raise StopAsyncIteration
            try:
                event = await self._reader.next()
            except StopAsyncIteration:
                raise UpstreamError("the server ended its subscription without a word") from None
            found = await self._heard(event.message) if event is not None and event.message is not None else None
            if found is not None:
                return Event(found)

    async def aclose(self) -> None:
        """Nobody listens any more, which ends the subscription."""
        self._stream.unheard()
        await self._drop()

    async def _reopen(self) -> None:
        """Subscribe to what is wanted now; waits while that is nothing."""
        while not self._stream.ended:
            self._stream.changed = anyio.Event()
            wanted = self._stream.wanted
            before = self._reader
            self._reader = Reader(await self._stream.send(wanted)) if wanted else None
            if before is not None:
                await before.aclose()
            if self._reader is not None:
                return
            self._stream.acknowledged()
            await self._stream.changed.wait()

    async def _heard(self, message: Message) -> Message | None:
        if message.method == ACKNOWLEDGED:
            self._stream.acknowledged()
            return None
        if message.is_response or message.method == CANCELLED:
            await self._ended(refused="error" in message.value)
            return None
        return legacy_notification(message) if message.is_notification else None

    async def _ended(self, *, refused: bool) -> None:
        """The server ended the subscription: wait until asking again makes sense."""
        await self._drop()
        self._stream.acknowledged()
        with anyio.move_on_after(None if refused else AGAIN_SECONDS):
            await self._stream.changed.wait()

    async def _drop(self) -> None:
        reader, self._reader = self._reader, None
        if reader is not None:
            await reader.aclose()
