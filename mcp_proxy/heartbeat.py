"""Tells the other processes how this one's servers are: a row for each server, written anew when something changed.

The table is read by the console and by `wicket doctor` (`governance/health`). Nothing waits for it: where it cannot be
written, that is logged, and what stands there grows stale by itself.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Protocol

import anyio

from governance.clock import Clock, rfc3339
from governance.health.report import BEAT_SECONDS, Report
from governance.store import StoreError
from mcp_proxy.link import Server
from mcp_proxy.servers import reports

log = logging.getLogger(__name__)

LOOK_SECONDS = 1.0
"""How often it is looked whether something changed."""
FAREWELL_SECONDS = 5.0


class Board(Protocol):
    """Where health is written down (`governance.health.store.SqlHealth`)."""

    async def say(self, process: str, reports: Sequence[Report]) -> None:
        """Note how the servers of a process are now, instead of what it said before."""
        ...


def told(servers: Mapping[str, Server], tools: Callable[[str], int]) -> list[Report]:
    """How the servers are, as others may be told.

    Args:
        servers: the configured servers by name.
        tools: tells how many tools a server offers.
    """
    return [
        Report(
            server=one.name,
            transport=one.transport,
            state=one.condition.health.value,
            since=_text(one.vitals.since),
            starts=one.vitals.starts,
            restarts=one.vitals.restarts,
            failures=one.vitals.failures,
            last_error=one.vitals.last_error,
            last_error_at=_text(one.vitals.last_error_at),
            tools=tools(one.name),
        )
        for one in reports(servers)
    ]


class Heartbeat:
    """Says again and again how the servers are.

    Args:
        process: random id of this process.
        board: where it is written down.
        clock: measures how long ago it was said.
        look: tells how the servers are now.
    """

    def __init__(self, process: str, board: Board, clock: Clock, look: Callable[[], list[Report]]) -> None:
        self._process = process
        self._board = board
        self._clock = clock
        self._look = look
        self._said: list[Report] | None = None
        self._said_at = 0.0

    async def run(self) -> None:
        """Until it is cancelled; then what was said is taken back, because nobody vouches for it any more."""
        try:
            while True:
                await self.beat()
                await anyio.sleep(LOOK_SECONDS)
        finally:
            with anyio.move_on_after(FAREWELL_SECONDS, shield=True):
                await self._say([])

    async def beat(self) -> None:
        """Say it, if something changed or it was not said for long."""
        now = self._look()
        if now != self._said or self._clock.monotonic() - self._said_at >= BEAT_SECONDS:
            await self._say(now)

    async def _say(self, reports: list[Report]) -> None:
        try:
            await self._board.say(self._process, reports)
        except StoreError as error:
            log.warning("how the servers are could not be told: %s", error)
            return
        self._said, self._said_at = reports, self._clock.monotonic()


def _text(moment: datetime | None) -> str:
    return "" if moment is None else rfc3339(moment)
