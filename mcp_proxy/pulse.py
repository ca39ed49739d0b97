"""How an upstream server has been doing, and whether it may be tried again yet.

A server that keeps failing is tried less and less often, and whoever asks in between is told at once. It starts and
reaches nothing itself.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from governance.clock import Clock
from mcp_proxy.link import Condition, Health, UpstreamUnreachableError

FIRST_WAIT_SECONDS = 0.5
LONGEST_WAIT_SECONDS = 60.0
STABLE_SECONDS = 30.0
"""A server that lived this long is trusted again: its next failure is counted as the first."""


@dataclass(frozen=True, slots=True)
class Vitals:
    """What `doctor` and the console tell about a server besides its condition."""

    failing_since: datetime | None = None
    """When the failures began that have not ended yet."""
    failures: int = 0
    """How often in a row it failed."""
    starts: int = 0
    """How often it was started or connected to since this process began."""


class Pulse:
    """The failures of one server, and the pause that they ask for.

    The first failure asks for none, so that one crash costs one call; then 0.5 s, doubling to 60 s.

    Args:
        name: The server's name in the configuration.
        clock: Tells and measures time.
        jitter: Returns a number from 0 to 1, so that many servers do not come back at the same moment.
    """

    def __init__(self, name: str, clock: Clock, jitter: Callable[[], float]) -> None:
        self.condition = Condition()
        """How the server is now."""
        self.vitals = Vitals()
        self._name = name
        self._clock = clock
        self._jitter = jitter
        self._not_before = 0.0

    def check(self) -> None:
        """Ask whether the server may be tried.

        Raises:
            UpstreamUnreachableError: not yet.
        """
        wait = self._not_before - self._clock.monotonic()
        if self.vitals.failures and wait > 0:
            raise UpstreamUnreachableError(
                f"server `{self._name}` is failing ({self.condition.detail}): it is tried again in {wait:.1f} seconds"
            )

    def started(self) -> float:
        """It was started; it may still fail at once. Returns the moment, for `ended`."""
        self.vitals = Vitals(self.vitals.failing_since, self.vitals.failures, self.vitals.starts + 1)
        if not self.vitals.failures:
            self.condition = Condition(Health.READY)
        return self._clock.monotonic()

    def answered(self) -> None:
        """It said something that makes sense. The pause after the next failure is not shortened by that."""
        if self.condition.health is not Health.READY:
            self.condition = Condition(Health.READY)

    def failed(self, why: str) -> None:
        """It could not be started or reached.

        Args:
            why: our own words, safe to show to a client.
        """
        failures = self.vitals.failures + 1
        since = self.vitals.failing_since or self._clock.now()
        self.vitals = Vitals(since, failures, self.vitals.starts)
        self.condition = Condition(Health.FAILING, why)
        self._not_before = self._clock.monotonic() + self._pause(failures)

    def ended(self, why: str, started: float) -> None:
        """It ran and then stopped without being asked to; `started` is what `started()` returned."""
        if self._clock.monotonic() - started >= STABLE_SECONDS:
            self.recovered()
        self.failed(why)

    def recovered(self) -> None:
        """It has been well for long enough."""
        self.vitals = Vitals(starts=self.vitals.starts)
        self._not_before = 0.0

    def stopped(self) -> None:
        """We stopped it for good."""
        self.condition = Condition(Health.STOPPED)

    def _pause(self, failures: int) -> float:
        if failures < 2:
            return 0.0
        full = min(LONGEST_WAIT_SECONDS, FIRST_WAIT_SECONDS * 2.0 ** min(failures - 2, 16))
        return full * (0.5 + self._jitter() / 2)
