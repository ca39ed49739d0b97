"""How one call ended, time after time: how often in the same way without a break.

Pure. It keeps digests of results, and asks for the one without what differs each time only where it has to: most calls
are never made again.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple, TypeVar

_K = TypeVar("_K")
_V = TypeVar("_V")

RESULTS_OF_ONE = 8
"""Most results of one call that are known again."""


class Answer(NamedTuple):
    """What matters of an answer."""

    raw: bytes
    """Digest of the answer as it came."""
    masked: Callable[[], bytes]
    """Digest without what differs each time; worked out only where it is needed."""
    failed: bool = False


@dataclass(slots=True)
class Streak:
    """One call, or the errors of one tool: when it ended in the same way, without a break."""

    tool: str
    times: deque[float] = field(default_factory=deque[float])
    result: int = 0
    """Number of the newest result."""
    raw: dict[bytes, int] = field(default_factory=dict[bytes, int])
    """The newest results as they came, each with its number."""
    masked: dict[bytes, int] = field(default_factory=dict[bytes, int])
    """The same without what differs each time."""
    results: int = 0
    """The highest number."""
    progress: int = -1
    """What the run had done when this was seen last."""
    round: int = -1
    """The round that was counted last."""
    failed: bool = False
    """Whether the newest result is a failure."""
    went_well: bool = False
    """Whether it ever did not fail."""

    def takes(self, answer: Answer) -> bool:
        """Take in a result as the newest; returns whether there was none like it."""
        number, new = self.raw.get(answer.raw), False
        if number is None:
            number, new = self._number(answer)
        elif not self.masked:
            self.masked[answer.masked()] = number
        keep(self.raw, answer.raw, number, RESULTS_OF_ONE)
        if number != self.result:
            self.times.clear()
            self.round = -1
            self.result = number
        self.failed = answer.failed
        return new

    def _number(self, answer: Answer) -> tuple[int, bool]:
        """The number of a result that did not come in just this form before, and whether it is a new one."""
        if not self.raw:
            return 0, False  # the first; it is masked when the call is made again, because most never are
        masked = answer.masked()
        number = self.masked.get(masked)
        if number is not None:
            return number, False
        if not self.masked and answer.failed == self.failed:
            self.raw.clear()  # nobody knows how the first looks without what varies: the second counts as equal to it
            self.masked[masked] = 0
            return 0, False
        self.results += 1
        keep(self.masked, masked, self.results, RESULTS_OF_ONE)
        return self.results, True

    def count(self, at: float, round_: int, most: int) -> None:
        """Count an ending, but once for each round; of more than `most` the oldest is forgotten."""
        if self.round != round_:
            self.times.append(at)
            self.round = round_
        if len(self.times) > most:
            self.times.popleft()


def keep(kept: dict[_K, _V], name: _K, value: _V, most: int) -> None:
    """Keep one more, or another value of one; the one that came first is forgotten for it."""
    if name not in kept and len(kept) >= most:
        del kept[next(iter(kept))]
    kept[name] = value
