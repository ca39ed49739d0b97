"""The answers that clients missed because they lost their stream, until they resume it: bounded, the oldest goes first.

What is kept is the judged bytes. An answer that could not be kept is remembered as lost, so that whoever resumes is
told, instead of waiting for ever. Which answers were missed is told by `calls.py`.
"""

from collections import Counter, OrderedDict
from enum import Enum
from itertools import count
from typing import TypeAlias

from mcp_proxy.message import Message, RequestId

LARGEST = 2**20
"""A larger answer is not kept."""
OF_KEY = 4 * 2**20
"""Bytes of all answers that are kept for one key, whatever number of sessions it has."""
MOST = 64 * 2**20
"""Bytes of all answers that are kept in one process."""
REMEMBERED = 256
"""Calls of one session of which it is remembered that their answer was missed."""

Place: TypeAlias = tuple[str, int, RequestId]
"""Whose answer it is: key, session, request."""


class Missed(Enum):
    """What is known of an answer that is not kept."""

    UNJUDGED = "unjudged"
    """It needs no judgement: as the server repeats it, it may leave."""
    LOST = "lost"
    """It was kept no longer, or was too large."""


class Kept:
    """The missed answers of one process.

    Args:
        of_key: most bytes for one key.
        most: most bytes in all.
    """

    def __init__(self, of_key: int = OF_KEY, most: int = MOST) -> None:
        self._of_key = of_key
        self._most = most
        self._answers: OrderedDict[Place, bytes] = OrderedDict()
        self._places: dict[str, OrderedDict[Place, None]] = {}
        self._sizes: Counter[str] = Counter()
        self._size = 0
        self._numbers = count(1)

    @property
    def size(self) -> int:
        """Bytes that are kept now."""
        return self._size

    def shelf(self, key: str) -> "Shelf":
        """The answers of one more session of a key."""
        return Shelf(self, key, next(self._numbers))

    def put(self, place: Place, raw: bytes) -> None:
        """Keep an answer; others make room for it, the oldest of the same key first."""
        self.take(place)
        key = place[0]
        self._answers[place] = raw
        self._places.setdefault(key, OrderedDict())[place] = None
        self._sizes[key] += len(raw)
        self._size += len(raw)
        while self._sizes[key] > self._of_key:
            self.take(next(iter(self._places[key])))
        while self._size > self._most:
            self.take(next(iter(self._answers)))

    def take(self, place: Place) -> bytes | None:
        """An answer, which is not kept any longer; None if it is not here."""
        raw = self._answers.pop(place, None)
        if raw is None:
            return None
        key = place[0]
        del self._places[key][place]
        self._sizes[key] -= len(raw)
        self._size -= len(raw)
        if not self._places[key]:
            del self._places[key], self._sizes[key]
        return raw


class Shelf:
    """The missed answers of one session. Make it with `Kept.shelf`."""

    def __init__(self, kept: Kept, key: str, number: int) -> None:
        self._kept = kept
        self._key = key
        self._number = number
        self._entries: OrderedDict[RequestId, bool] = OrderedDict()
        """Requests with a missed answer, and whether it was judged."""

    def keep(self, request_id: RequestId, raw: bytes | None) -> None:
        """Keep the judged answer to a request; None: whatever the server repeats may leave."""
        self.forget(request_id)
        self._entries[request_id] = raw is not None
        if raw is not None and len(raw) <= LARGEST:
            self._kept.put(self._place(request_id), raw)
        if len(self._entries) > REMEMBERED:
            self.forget(next(iter(self._entries)))

    def take(self, request_id: RequestId) -> Message | Missed | None:
        """The judged answer, once; what else is known of it; None if none was missed."""
        judged = self._entries.pop(request_id, None)
        if judged is None:
            return None
        raw = self._kept.take(self._place(request_id))
        if not judged:
            return Missed.UNJUDGED
        return Missed.LOST if raw is None else Message.parse_upstream(raw)

    def forget(self, request_id: RequestId) -> None:
        """Nobody will ask for the answer any more."""
        if self._entries.pop(request_id, None) is not None:
            self._kept.take(self._place(request_id))

    def close(self) -> None:
        """The session has ended."""
        for request_id in list(self._entries):
            self.forget(request_id)

    def _place(self, request_id: RequestId) -> Place:
        return self._key, self._number, request_id
