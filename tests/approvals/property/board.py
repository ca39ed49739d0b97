"""What the two racing processes share besides the database: one clock, and which ticket each call was told of last.

A file in memory that both have mapped. Each process writes cells of its own, so nothing needs a lock; a ticket that is
read while it is written names no ticket, which is a step like any other.
"""

import mmap
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from governance.clock import SystemClock

SLOTS = 64
"""Calls for which a ticket is remembered."""
_ID, _CELLS = 32, 5
_HEAD = 8 * _CELLS
_SIZE = _HEAD + SLOTS * _ID
BEGAN = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)


def create(path: Path) -> None:
    """Lay out an empty board."""
    path.write_bytes(bytes(_SIZE))


class Board:
    """A mapped board."""

    def __init__(self, path: Path) -> None:
        with path.open("r+b") as file:
            self._map = mmap.mmap(file.fileno(), _SIZE)
        self._cells = memoryview(self._map)[:_HEAD].cast("q")

    def elapsed(self) -> float:
        """Seconds by which the date was moved, by both."""
        return sum(self._cells[:2]) / 1000

    def aged(self) -> float:
        """Seconds by which what was read before counts as older than it is."""
        return sum(self._cells[2:4]) / 1000

    def pass_time(self, worker: int, seconds: float) -> None:
        """Move the date on, for both."""
        self._cells[worker] += round(seconds * 1000)

    def age(self, worker: int, seconds: float) -> None:
        """Let what was read before be older, for both."""
        self._cells[2 + worker] += round(seconds * 1000)

    @property
    def live(self) -> int:
        """Which definition the server gives now."""
        return self._cells[4]

    @live.setter
    def live(self, number: int) -> None:
        self._cells[4] = number

    def post(self, slot: int, ticket: str) -> None:
        """Remember the ticket of a call."""
        start = _HEAD + slot * _ID
        self._map[start : start + _ID] = ticket.encode().ljust(_ID, b"\0")

    def ticket(self, slot: int) -> str:
        """The ticket that a call was told of last; empty = none."""
        start = _HEAD + slot * _ID
        return self._map[start : start + _ID].rstrip(b"\0").decode("ascii", "replace")


@dataclass(frozen=True)
class SharedClock:
    """A `governance.clock.Clock` whose date only moves when one of the processes moves it, for both."""

    board: Board
    _real: SystemClock = field(default_factory=SystemClock)

    def now(self) -> datetime:
        return BEGAN + timedelta(seconds=self.board.elapsed())

    def monotonic(self) -> float:
        """What is measured goes on by itself."""
        return self._real.monotonic() + self.board.aged()

    def real(self) -> float:
        """Seconds of the machine, which both processes count alike."""
        return self._real.monotonic()
