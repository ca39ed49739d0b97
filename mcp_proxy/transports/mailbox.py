"""The events of one call between the transport that receives them and the one reader that wants them.

Bounded, because a reader may be slower than a server. It knows nothing of JSON-RPC: what belongs into which mailbox is
the switchboard's business.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable

from mcp_proxy.link import Event, UpstreamError, UpstreamTimeoutError
from mcp_proxy.message import Message

log = logging.getLogger(__name__)

MOST_EVENTS = 10_000
"""Events that may wait, however small: each costs some kilobytes besides its own bytes."""


class Mailbox:
    """Events in, one asynchronous reader out. Events put before the end are read before the end is seen.

    Args:
        max_bytes: Most bytes that may wait to be read; one message alone may be larger.
        silence: Seconds that the reader waits for the next event before it gives up; None waits for ever.
        forgetful: Whether the oldest event makes room when the box is full. Otherwise the box ends with an error.
        owner: Name of the server in messages.
    """

    def __init__(
        self, *, max_bytes: int, silence: float | None = None, forgetful: bool = False, owner: str = ""
    ) -> None:
        self._max_bytes = max_bytes
        self._silence = silence
        self._forgetful = forgetful
        self._owner = owner
        self._events: deque[Message] = deque()
        self._held = 0
        self._error: UpstreamError | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._deadline: asyncio.TimerHandle | None = None
        self.ended = False
        """Whether nothing more will come in."""

    @property
    def drained(self) -> bool:
        """Whether nothing more will come out."""
        return self.ended and not self._events

    def put(self, message: Message) -> None:
        """Add an event. Dropped if the box has ended."""
        if self.ended:
            return
        size = len(message.raw)
        while self._events and (self._held + size > self._max_bytes or len(self._events) >= MOST_EVENTS):
            if not self._forgetful:
                self.end(UpstreamError(f"server `{self._owner}` sends faster than the client reads"))
                return
            self._held -= len(self._events.popleft().raw)
            log.warning("server %s: a message that nobody listened for was dropped", self._owner)
        self._events.append(message)
        self._held += size
        self._wake()

    def end(self, error: UpstreamError | None = None) -> None:
        """Nothing more will come; the reader sees `error` after the events that wait. Only the first end counts."""
        if self.ended:
            return
        self.ended, self._error = True, error
        if self._deadline is not None:
            self._deadline.cancel()
        self._wake()

    def end_within(self, seconds: float, then: Callable[[], None]) -> None:
        """Call `then` if the box has not ended by itself in `seconds`."""
        if not self.ended and self._deadline is None:
            self._deadline = asyncio.get_running_loop().call_later(seconds, then)

    def __aiter__(self) -> "Mailbox":
        return self

    async def __anext__(self) -> Event:
        while not self._events:
            if self.ended:
                error, self._error = self._error, None
                raise error or StopAsyncIteration
            await self._wait()
        message = self._events.popleft()
        self._held -= len(message.raw)
        return Event(message)

    async def _wait(self) -> None:
        loop = asyncio.get_running_loop()
        self._waiter = loop.create_future()
        timer = loop.call_later(self._silence, self._expire) if self._silence is not None else None
        try:
            await self._waiter
        finally:
            self._waiter = None
            if timer is not None:
                timer.cancel()

    def _expire(self) -> None:
        seconds = f"{self._silence or 0:g}"
        self.end(UpstreamTimeoutError(f"server `{self._owner}` was silent for {seconds} seconds"))

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)
