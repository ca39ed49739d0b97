"""When repetition is a loop: the same call again and again, a cycle of calls, too many calls.

Pure: calls and their times in, what was seen out. It knows neither exchanges nor verdicts (`loop_stage.py`), and keeps
digests of calls, never the calls.
"""

import hashlib
from collections import OrderedDict, deque
from dataclasses import dataclass, field

from governance import jsontree
from governance.config.models import Loop
from governance.jsontree import Json

PERIODS = range(2, 6)
"""Lengths of the cycles that are looked for; a cycle of one is a repetition."""

RUNS = 10_000
"""Most runs that are remembered; the one that was quiet for longest is forgotten first."""
CALLS_OF_ALL = 1_000_000
"""Most calls that are remembered of all runs together, about 150 MB."""
_BETWEEN = 5
"""How many other calls may stand between two equal ones, on average, before the first is forgotten."""


@dataclass(frozen=True, slots=True)
class Sighting:
    """What one more call makes of its run."""

    repeats: int
    """How often this same call was made within the window, this one included."""
    period: int
    """Length of the cycle that the newest calls form, if it went round as often as the numbers ask; 0 otherwise."""
    too_fast: bool
    """Whether more calls came within the last minute than allowed."""


@dataclass(slots=True)
class _Run:
    """The remembered calls of one run."""

    calls: deque[tuple[float, bytes]] = field(default_factory=deque[tuple[float, bytes]])
    counts: dict[bytes, int] = field(default_factory=dict[bytes, int])
    total: int = 0

    def forget_oldest(self) -> None:
        _, call = self.calls.popleft()
        left = self.counts[call] - 1
        if left:
            self.counts[call] = left
        else:
            del self.counts[call]

    def add(self, call: bytes, at: float) -> None:
        self.calls.append((at, call))
        self.counts[call] = self.counts.get(call, 0) + 1
        self.total += 1


class Loops:
    """Remembers the newest calls of the newest runs, within bounds, and says what they amount to."""

    def __init__(self, numbers: Loop, *, runs: int = RUNS, calls: int = CALLS_OF_ALL) -> None:
        self._numbers = numbers
        self._most_runs = runs
        self._most_calls = calls
        rungs = max(numbers.repeat_warn, numbers.repeat_hold, numbers.repeat_deny, numbers.repeat_kill)
        tail = PERIODS[-1] * (numbers.cycle_repeats + 1)
        self._most_of_one = max(rungs * _BETWEEN, tail, numbers.rate_per_minute + 1)
        self._runs: OrderedDict[str, _Run] = OrderedDict()
        self._held = 0

    def see(self, run: str, call: bytes, at: float) -> Sighting:
        """Take in a call.

        Args:
            run: id of the session.
            call: `fingerprint` of the call.
            at: monotonic seconds.
        """
        known = self._runs.get(run)
        if known is None:
            known = self._runs[run] = _Run()
        self._runs.move_to_end(run)
        self._expire(known, at)
        known.add(call, at)
        self._held += 1
        self._make_room()
        return Sighting(known.counts[call], self._cycle(known), self._too_fast(known, at))

    def calls(self, run: str) -> int:
        """How many calls of a run were seen since it was last forgotten."""
        known = self._runs.get(run)
        return known.total if known else 0

    def forget(self, run: str) -> None:
        """Begin anew with a run, for example because a person revived it."""
        known = self._runs.pop(run, None)
        if known:
            self._held -= len(known.calls)

    @property
    def held(self) -> tuple[int, int]:
        """How many runs and calls are remembered: what the bounds are about."""
        return len(self._runs), self._held

    def _expire(self, known: _Run, at: float) -> None:
        oldest = at - self._numbers.window_seconds
        while known.calls and (known.calls[0][0] <= oldest or len(known.calls) >= self._most_of_one):
            known.forget_oldest()
            self._held -= 1

    def _make_room(self) -> None:
        while len(self._runs) > 1 and (len(self._runs) > self._most_runs or self._held > self._most_calls):
            _, quiet = self._runs.popitem(last=False)
            self._held -= len(quiet.calls)

    def _cycle(self, known: _Run) -> int:
        """The length of the shortest cycle at the end that went round often enough; 0 if there is none."""
        if not self._numbers.cycle_repeats:
            return 0
        needed = max(self._numbers.cycle_repeats, 2)  # what was done once has not gone round
        return next((period for period in PERIODS if _goes_round(known.calls, period, needed)), 0)

    def _too_fast(self, known: _Run, at: float) -> bool:
        limit = self._numbers.rate_per_minute
        return bool(limit) and len(known.calls) > limit and known.calls[-1 - limit][0] > at - 60


def fingerprint(server: str, tool: str, arguments: Json) -> bytes:
    """A short digest that is equal for calls that mean the same, however their JSON was written."""
    return hashlib.sha256(jsontree.canonical([server, tool, arguments])).digest()[:16]


def _goes_round(calls: deque[tuple[float, bytes]], period: int, rounds: int) -> bool:
    """Whether the calls end in `rounds` equal rounds of `period` calls that are not all the same call."""
    if len(calls) < period * rounds or calls[-1][1] != calls[-1 - period][1]:
        return False
    if all(calls[-back][1] == calls[-1][1] for back in range(2, period + 1)):
        return False
    return all(calls[-back][1] == calls[-back - period][1] for back in range(1, period * (rounds - 1) + 1))
