"""Reads the log into the index as it grows, behind the back of whoever writes it.

No request waits for it: counting along with each call would make every call dearer. What it costs is bounded by a
share of the time instead, so under heavy load the index falls behind, says so, and catches up. Several processes may
do this at once; each event is counted once.
"""

import logging
from collections.abc import Callable
from datetime import timedelta
from typing import Protocol

import anyio

from governance.clock import Clock, rfc3339
from governance.store import StoreError

log = logging.getLogger(__name__)

AT_ONCE = 250
"""Events taken in by one transaction: bounds how long writers wait for it, to some milliseconds."""
SHARE = 0.1
"""Of its time it is busy for no more than this."""
LOOK_SECONDS = 1.0
KEPT_MINUTES = timedelta(days=3)
"""For how long counts by the minute are kept; by the hour they stay."""


class Pages(Protocol):
    """The tables of the index (`store.py`)."""

    async def behind(self) -> tuple[int, int]:
        """Place of the last event in the index, and how many events of the log are not in it yet."""
        ...

    async def read_on(self, most: int) -> int:
        """Take the next events in, at most `most`; returns how many."""
        ...

    async def forget_minutes(self, before: str) -> None:
        """Drop the counts by the minute of what was before."""
        ...


class Follower:
    """Keeps the index close behind the log."""

    def __init__(self, pages: Pages, clock: Clock) -> None:
        self._pages = pages
        self._clock = clock
        self._turn: anyio.Lock | None = None
        self._swept = ""

    async def run(self) -> None:
        """Follow for as long as the process serves. A database that cannot be used is tried again."""
        while True:
            began = self._clock.monotonic()
            try:
                read = await self._step(AT_ONCE)
                await self._sweep()
            except StoreError as error:
                log.warning("the index over the log cannot be brought up to date: %s", error)
                read = 0
            except Exception:  # what reads for people must never take the proxy with it
                log.exception("the index over the log cannot be brought up to date")
                read = 0
            took = self._clock.monotonic() - began
            await anyio.sleep(took / SHARE if read == AT_ONCE else LOOK_SECONDS)

    async def catch_up(self, most: int = 2 * AT_ONCE) -> int:
        """Take in what is missing, at most so much; returns how many events are missing still.

        Where nothing can be written, what is in the index is shown all the same.

        Raises:
            StoreError: the database cannot be read.
        """
        try:
            while most > 0 and (read := await self._step(min(most, AT_ONCE))):
                most -= read
        except StoreError as error:
            log.warning("the index over the log cannot be brought up to date: %s", error)
        return (await self._pages.behind())[1]

    async def catch_up_wholly(self, told: Callable[[int, int], None]) -> None:
        """Take in all that is missing as fast as can be, for a command that waits; `told` gets how many of how many.

        Raises:
            StoreError: the database cannot be used.
        """
        _, missing = await self._pages.behind()
        done = 0
        while done < missing and (read := await self._step(20 * AT_ONCE)):
            done += read
            told(done, missing)

    async def _step(self, most: int) -> int:
        if self._turn is None:
            self._turn = anyio.Lock()
        async with self._turn:
            return await self._pages.read_on(most)

    async def _sweep(self) -> None:
        """Once an hour, forget the minutes of long ago."""
        now = self._clock.now()
        hour = rfc3339(now)[:13]
        if hour != self._swept:
            self._swept = hour
            await self._pages.forget_minutes(rfc3339(now - KEPT_MINUTES)[:16])
