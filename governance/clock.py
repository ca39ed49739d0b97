"""Time, handed in.

Nothing else in the project reads a clock, so every wait, expiry and timestamp can be driven by a test.
"""

import time
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """The two clocks a program needs: one to tell the time by, one to measure with."""

    def now(self) -> datetime:
        """The wall clock, aware and in UTC. It may jump: never use it to measure."""
        ...

    def monotonic(self) -> float:
        """Seconds since an arbitrary start. It never goes back, and says nothing about the date."""
        ...


class SystemClock:
    """The machine's own clocks."""

    def now(self) -> datetime:
        """The current time in UTC."""
        return datetime.now(UTC)  # noqa: TID251 - this is the one place that reads the wall clock

    def monotonic(self) -> float:
        """Seconds from the machine's monotonic clock."""
        return time.monotonic()  # noqa: TID251 - this is the one place that measures


def rfc3339(moment: datetime) -> str:
    """`moment` as an RFC 3339 string in UTC with microseconds, the only form in which Wicket stores time."""
    if moment.tzinfo is not UTC:
        moment = moment.astimezone(UTC)
    return moment.isoformat(timespec="microseconds")[:-6] + "Z"
