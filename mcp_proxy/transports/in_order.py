"""Messages read in the order in which they came, large ones off the event loop, for transports made of callbacks.

Where a task may wait it does so (`pipeline.reading.read_apart`). Here none may: what comes while a large message is
read waits in line, and the sender is asked to pause meanwhile. What a message says is of no interest here.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

from pipeline.reading import LARGE

log = logging.getLogger(__name__)

T = TypeVar("T")


class InOrder(Generic[T]):
    """Reads texts and hands on what they say, one after the other.

    Args:
        read: Makes of a text what is handed on. Runs in a thread where the text is large, and raises nothing.
        take: Is handed what was read, on the event loop.
    """

    def __init__(self, read: Callable[[bytes], T], take: Callable[[T], None]) -> None:
        self.pause: Callable[[bool], None] = lambda _: None
        """Asked to stop what feeds (true) while a large text is read, and to let it go on (false)."""
        self._read = read
        self._take = take
        self._waiting: deque[bytes] = deque()
        self._is_busy = False

    def feed(self, raw: bytes) -> None:
        """One more text has come."""
        if self._is_busy:
            self._waiting.append(raw)
        elif len(raw) <= LARGE:
            self._take(self._read(raw))
        else:
            self._is_busy = True
            self.pause(True)
            reading = asyncio.get_running_loop().run_in_executor(None, self._read, raw)
            reading.add_done_callback(self._done)

    def _done(self, reading: "asyncio.Future[T]") -> None:
        self._is_busy = False
        if reading.cancelled():
            return  # the process ends
        try:
            self._take(reading.result())
            while self._waiting and not self._is_busy:
                self.feed(self._waiting.popleft())
        finally:
            if not self._is_busy:
                self.pause(False)
