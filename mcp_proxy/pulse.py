"""How an upstream server has been doing, and whether it may be tried again yet.

A server that keeps failing is tried less and less often, and whoever asks in between is told at once. It starts and
reaches nothing itself.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
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
    restarts: int = 0
    """How many of those followed a failure."""
    since: datetime | None = None
    """Since when it has been as it is now; None as long as nothing happened."""
    last_error: str = ""
    """How it failed last, in our own words, even if it is well again."""
    last_error_at: datetime | None = None
    """When that was."""


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
        self._is_down = False
        """Whether it failed since it was last started."""

    def check(self) -> None:
        """Ask whether the server may be tried.

        Raises:
            UpstreamUnreachableError: not yet.
        """
        wait = self.wait
        if wait > 0:
            raise UpstreamUnreachableError(
                f"server `{self._name}` is failing ({self.condition.detail}): it is tried again in {wait:.1f} seconds"
            )

    def started(self) -> float:
        """It was started; it may still fail at once. Returns the moment, for `ended`."""
        vitals = self.vitals
        self.vitals = replace(vitals, starts=vitals.starts + 1, restarts=vitals.restarts + self._is_down)
        self._is_down = False
        if not self.vitals.failures:
            self._turn(Condition(Health.READY))
        return self._clock.monotonic()

    def answered(self) -> None:
        """It said something that makes sense. The pause after the next failure is not shortened by that."""
        if self.condition.health is not Health.READY:
            self._turn(Condition(Health.READY))

    def well(self) -> None:
        """It answered, and nothing of ours has to live on for that: what failed before does not count any more."""
        if self.condition.health is not Health.READY:
            self.recovered()
            self._turn(Condition(Health.READY))

    def failed(self, why: str) -> None:
        """It could not be started or reached.

        Args:
            why: our own words, safe to show to a client.
        """
        now, vitals = self._clock.now(), self.vitals
        failures = vitals.failures + 1
        since = vitals.failing_since or now
        self.vitals = replace(vitals, failing_since=since, failures=failures, last_error=why, last_error_at=now)
        self._is_down = True
        self._turn(Condition(Health.FAILING, why))
        self._not_before = self._clock.monotonic() + self._pause(failures)

    def ended(self, why: str, started: float) -> None:
        """It ran and then stopped without being asked to; `started` is what `started()` returned."""
        if self._clock.monotonic() - started >= STABLE_SECONDS:
            self.recovered()
        self.failed(why)

    def recovered(self) -> None:
        """It has been well for long enough."""
        self.vitals = replace(self.vitals, failing_since=None, failures=0)
        self._not_before = 0.0

    def stopped(self) -> None:
        """We stopped it for good."""
        self._turn(Condition(Health.STOPPED))

    @property
    def wait(self) -> float:
        """Seconds until it may be tried again."""
        return max(0.0, self._not_before - self._clock.monotonic()) if self.vitals.failures else 0.0

    def _turn(self, condition: Condition) -> None:
        if condition.health is not self.condition.health:
            self.vitals = replace(self.vitals, since=self._clock.now())
        self.condition = condition

    def _pause(self, failures: int) -> float:
        if failures < 2:
            return 0.0
        full = min(LONGEST_WAIT_SECONDS, FIRST_WAIT_SECONDS * 2.0 ** min(failures - 2, 16))
        return full * (0.5 + self._jitter() / 2)


class Watched:
    """A server whose health is that of its pulse."""

    pulse: Pulse
    """Remembers failures, and says when it may be tried again."""

    @property
    def condition(self) -> Condition:
        """How it is now."""
        return self.pulse.condition

    @property
    def vitals(self) -> Vitals:
        """How it has been doing."""
        return self.pulse.vitals
