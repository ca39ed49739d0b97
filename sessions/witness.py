"""Tells that a kill was carried out: which processes are up, and which of them have ended all of it.

A kill is in force when its row is durable: every gate goes by that. Whether what was under way has ended is another
thing, and each process can only say so for itself. Nothing is let through or refused by what stands here, and where it
cannot be written, that is logged.
"""

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from governance.clock import Clock
from governance.store import StoreError
from sessions.killswitch import InForce, Kill, Target

log = logging.getLogger(__name__)

BEAT_SECONDS = 5.0
"""How often a process says that it is up."""
STALE_SECONDS = 15.0
"""What did not say so for this long is not waited for any more."""


@dataclass(frozen=True, slots=True)
class Process:
    """A process that serves."""

    id: str
    """Random."""
    name: str
    """`gateway`, `mcp` or `stdio`."""
    started_at: str
    seen_at: str


@dataclass(frozen=True, slots=True)
class Confirmation:
    """That one process has carried out one kill."""

    process: str
    name: str
    epoch: int
    at: str
    """When the last of it had ended, RFC 3339."""
    cut: int
    """How much was under way there and was cut."""


@dataclass(frozen=True, slots=True)
class Carried:
    """How far a kill is carried out."""

    confirmed: tuple[Confirmation, ...]
    waiting: tuple[Process, ...]
    """Processes that are up, were up when it was thrown, and have not said so yet."""

    @property
    def everywhere(self) -> bool:
        """Whether nobody is waited for."""
        return not self.waiting


class Board(Protocol):
    """Where it is written down (`sessions.store.SqlWitnesses`)."""

    async def beat(self, process_id: str, name: str, *, started: bool) -> None:
        """This process is up."""
        ...

    async def gone(self, process_id: str) -> None:
        """This process serves no more."""
        ...

    async def confirm(self, kill: Kill, process_id: str, name: str, cut: int) -> None:
        """This process has ended all of a kill."""
        ...


class Witness:
    """What one process says of kills. Implements `sessions.killswitch.Watcher`.

    Args:
        process_id: random.
        name: `gateway`, `mcp` or `stdio`.
        board: where it is written down.
        clock: measures how long ago it was said.
    """

    def __init__(self, process_id: str, name: str, board: Board, clock: Clock) -> None:
        self._id = process_id
        self._name = name
        self._board = board
        self._clock = clock
        self._beat_at: float | None = None
        self._said: set[tuple[Target, int]] | None = None

    async def look(self, kills: InForce, ending: Mapping[Target, int], cut: Mapping[Target, int]) -> None:
        """Say that this process is up, and confirm what has ended. Kills from before its start need no word of it."""
        standing = {(target, kill.epoch) for target, kill in kills.items()}
        try:
            await self._beat()
            if self._said is None:
                self._said = standing
            self._said &= standing
            for target, kill in kills.items():
                if (target, kill.epoch) not in self._said and not ending.get(target):
                    if not kill.probation:
                        await self._board.confirm(kill, self._id, self._name, cut.get(target, 0))
                    self._said.add((target, kill.epoch))
        except StoreError as error:
            log.warning("what became of kills could not be told: %s", error)

    async def leave(self) -> None:
        """This process serves no more, and is not waited for."""
        try:
            await self._board.gone(self._id)
        except StoreError as error:
            log.warning("the end of this process could not be told: %s", error)

    async def _beat(self) -> None:
        now = self._clock.monotonic()
        if self._beat_at is None or now - self._beat_at >= BEAT_SECONDS:
            await self._board.beat(self._id, self._name, started=self._beat_at is None)
            self._beat_at = now


def carried(kill: Kill, confirmations: Iterable[Confirmation], processes: Iterable[Process], now: datetime) -> Carried:
    """How far a kill is carried out, by what was said of it."""
    said = tuple(one for one in confirmations if one.epoch == kill.epoch)
    done = {one.process for one in said}
    fresh = (one for one in processes if now - datetime.fromisoformat(one.seen_at) < timedelta(seconds=STALE_SECONDS))
    return Carried(said, tuple(one for one in fresh if one.id not in done and one.started_at <= kill.at))
