"""What this process counts of its exchanges: plain integers, so that counting costs next to nothing on the hot path.

It is read when somebody scrapes (`wicket/metrics.py`). Labels come from closed lists of ours, never from a message, so
nothing here can grow with what agents send. Counters start at zero with the process.
"""

from bisect import bisect_left
from dataclasses import dataclass, field

from governance.exchange import Action
from governance.verdict import Decision

BOUNDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)
"""Upper ends of the buckets of time, in seconds."""


@dataclass(slots=True)
class Timings:
    """A histogram of times."""

    counts: list[int] = field(default_factory=lambda: [0] * (len(BOUNDS) + 1))
    """How many fell into each bucket; the last is of those beyond all bounds."""
    microseconds: int = 0
    """All of them together."""

    def add(self, seconds: float) -> None:
        """Count one."""
        self.counts[bisect_left(BOUNDS, seconds)] += 1
        self.microseconds += int(seconds * 1e6)


@dataclass(slots=True)
class Tally:
    """The counts of one process."""

    judged: dict[tuple[Action, Decision], int] = field(default_factory=dict[tuple[Action, Decision], int])
    """Exchanges by what was decided about their request."""
    ended: dict[tuple[Action, str], int] = field(default_factory=dict[tuple[Action, str], int])
    """Exchanges that were forwarded, by how they ended: an `Outcome.status`, or `withheld`."""
    held: dict[str, int] = field(default_factory=dict[str, int])
    """Calls that waited for a person, by what came of it."""
    waiting: int = 0
    """Calls that wait now."""
    input_tokens: int = 0
    output_tokens: int = 0
    added: Timings = field(default_factory=Timings)
    """How long Wicket itself took with each exchange: judging, recording, settling; not the waiting for a person, the
    upstream or the client."""

    def judge(self, action: Action, decision: Decision) -> None:
        """A request was judged."""
        key = (action, decision)
        self.judged[key] = self.judged.get(key, 0) + 1

    def end(self, action: Action, status: str) -> None:
        """An exchange that was forwarded has ended."""
        key = (action, status)
        self.ended[key] = self.ended.get(key, 0) + 1

    def hold(self, state: str) -> None:
        """A call that waited for a person goes on, or not."""
        self.held[state] = self.held.get(state, 0) + 1
