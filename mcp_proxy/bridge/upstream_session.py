"""One session with a legacy server, kept for modern clients that look alike to it.

Several requests may be under way on it. It sorts what the server sends of its own accord; which client may use it is
the business of `pool.py`.
"""

import logging
from collections import Counter
from collections.abc import Callable
from itertools import count

import anyio

from governance import jsontree
from governance.jsontree import JsonObject
from mcp_proxy.bridge.conversation import Conversation
from mcp_proxy.bridge.downward import LEVELS
from mcp_proxy.bridge.replies import Reader, answer_of, failure, notification, request, result
from mcp_proxy.bridge.upward import Guest, token_of
from mcp_proxy.eras import VERSION_HEADER
from mcp_proxy.link import Link, LinkLostError, Reply, UpstreamError
from mcp_proxy.message import Message
from mcp_proxy.sdk import HANDSHAKE_PROTOCOL_VERSIONS, LATEST_HANDSHAKE_VERSION, METHOD_NOT_FOUND
from mcp_proxy.transports.switchboard import SESSION_WIDE

log = logging.getLogger(__name__)

LISTEN_AGAIN_SECONDS = 1.0
"""Pause before a stream of the server's own that it ended is asked for again."""


class UpstreamSession:
    """A session after its handshake. Make it with `open`.

    Args:
        link: to the server; closed with the session.
        guest: whom the server sees.
        heard: told every notification that is for whoever listens.
    """

    def __init__(self, link: Link, guest: Guest, heard: Callable[[Message], None]) -> None:
        self.initialized: JsonObject = {}
        self.users = 0
        """Requests and subscriptions that use it now."""
        self.used_at = 0.0
        """When the last of them ended."""
        self.lost = False
        """Whether nothing can be sent any more."""
        self.tell = heard
        self._link = link
        self._guest = guest
        self._version = LATEST_HANDSHAKE_VERSION
        self._numbers = count(1)
        self._talks: dict[int, Conversation] = {}
        self._subscribed: Counter[str] = Counter()
        self._level = ""
        self._stream: Reader | None = None

    @property
    def is_talking(self) -> bool:
        """Whether a request is under way, or suspended."""
        return bool(self._talks)

    @property
    def talks(self) -> list[Conversation]:
        """Requests under way or suspended."""
        return list(self._talks.values())

    async def shake_hands(self) -> None:
        """Introduce the client.

        Raises:
            UpstreamError: the server does not want it, or speaks no version that we know.
        """
        hello: JsonObject = {
            "protocolVersion": LATEST_HANDSHAKE_VERSION,
            "capabilities": self._guest.capabilities,
            "clientInfo": self._guest.info,
        }
        response = await answer_of(self._link, request(next(self._numbers), "initialize", hello), self._headers)
        self.initialized = jsontree.as_object(response.value.get("result"))
        version = jsontree.as_text(self.initialized.get("protocolVersion"))
        if version not in HANDSHAKE_PROTOCOL_VERSIONS:
            raise UpstreamError("the server speaks neither this client's revision nor one that can be translated")
        self._version = version
        await (await self.send(notification("notifications/initialized", {}))).aclose()

    async def send(self, message: Message) -> Reply:
        """Deliver one message.

        Raises:
            UpstreamError: it cannot be delivered.
        """
        try:
            return await self._link.send(message, self._headers)
        except LinkLostError:
            self.lost = True
            raise

    async def resume(self, place: str) -> Reply:
        """The rest of a stream that the server ended at a place.

        Raises:
            UpstreamError: it is not to be had.
        """
        return await self._link.listen({**self._headers, "last-event-id": place})

    def enter(self, talk: Conversation) -> int:
        """A conversation begins; returns the id that its request has upstream."""
        wire_id = next(self._numbers)
        self._talks[wire_id] = talk
        return wire_id

    def leave(self, talk: Conversation) -> None:
        """A conversation is over."""
        self._talks.pop(talk.wire_id, None)

    async def log_at(self, level: str) -> None:
        """Have the server send log messages of this level at least.

        Raises:
            UpstreamError: it cannot be told.
        """
        if not level or "logging" not in jsontree.as_object(self.initialized.get("capabilities")):
            return
        if not self._level or LEVELS.index(level) < LEVELS.index(self._level):
            self._level = level
            await self._ask("logging/setLevel", {"level": level})

    async def subscribe(self, uri: str) -> bool:
        """Subscribe to a resource; whether the server agreed.

        Raises:
            UpstreamError: it cannot be told.
        """
        if not self._subscribed[uri] and "result" not in (await self._ask("resources/subscribe", {"uri": uri})).value:
            del self._subscribed[uri]
            return False
        self._subscribed[uri] += 1
        return True

    async def unsubscribe(self, uri: str) -> None:
        """One subscription less; the last one ends it.

        Raises:
            UpstreamError: the server cannot be told.
        """
        self._subscribed[uri] -= 1
        if self._subscribed[uri] <= 0:
            del self._subscribed[uri]
            await self._ask("resources/unsubscribe", {"uri": uri})

    async def pump(self, *, again: bool) -> None:
        """Read what the server sends of its own accord until the session ends.

        Args:
            again: whether a stream that the server ended is asked for again.
        """
        place: dict[str, str] = {}
        while not self.lost:
            try:
                reply = await self._link.listen({**self._headers, **place})
                self._stream = Reader(reply)
                if reply.status != 200:
                    return
                await self._read(self._stream, place)
            except UpstreamError as error:
                log.debug("the own stream of a session has ended: %s", error)
                self.lost = self.lost or not self.is_talking
            finally:
                if self._stream is not None:
                    await self._stream.aclose()
            self.lost = self.lost or not again
            if self.lost:
                return
            await anyio.sleep(LISTEN_AGAIN_SECONDS)

    async def close(self) -> None:
        """End the session."""
        self.lost = True
        await self._link.close()

    async def _read(self, stream: Reader, place: dict[str, str]) -> None:
        while True:
            try:
                event = await stream.next()
            except StopAsyncIteration:
                return
            if event is None:
                return
            if event.event_id is not None:
                place["last-event-id"] = event.event_id
            if event.message is not None:
                await self._heard(event.message)

    async def _heard(self, message: Message) -> None:
        """Sort one message that came on the session's own stream."""
        if message.method == "ping" and message.is_request:
            await (await self.send(result(message.id, {}))).aclose()
        elif message.method in SESSION_WIDE:
            self.tell(message)
        elif not message.is_response:
            # Messages of a call that come here belong to the call that is named, or else to the only one there is.
            token = token_of(message)
            named = self._talks.get(token) if isinstance(token, int) else None
            talk = named or (next(iter(self._talks.values())) if len(self._talks) == 1 else None)
            if talk is not None:
                talk.inject(message)
            elif message.is_request:
                refusal = failure(message.id, METHOD_NOT_FOUND, "no client can be asked this now")
                await (await self.send(refusal)).aclose()

    async def _ask(self, method: str, params: JsonObject) -> Message:
        return await answer_of(self._link, request(next(self._numbers), method, params), self._headers)

    @property
    def _headers(self) -> dict[str, str]:
        return {VERSION_HEADER: self._version} if self.initialized else {}
