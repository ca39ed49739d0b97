"""When repetition is a loop: the same call to the same end, a cycle of calls, the same error, too many calls.

Pure: calls, their answers and times in, what they amount to out. It knows neither exchanges nor verdicts
(`loop_stage.py`), nor what makes two calls or two answers the same (`likeness.py`), and keeps digests, never the calls.

Calls that are under way at the same time are one round, as a model proposes them in one turn: of equal ones only one is
counted. A round ends when all its calls are answered, or when one of them is made again after its answer.
"""

from collections import OrderedDict, deque
from dataclasses import dataclass, field
from itertools import islice
from typing import NamedTuple

from governance.config.models import Loop
from sessions.streak import Answer, Streak, keep

LONGEST = 5
"""Rounds of the longest cycle that is looked for. A cycle of one is a repetition."""

RUNS = 10_000
"""Most runs that are remembered; the one that was quiet for longest is forgotten first."""
MARKS_OF_ALL = 1_000_000
"""Most marks that are remembered of all runs together. A new call leaves about three; 1,000,000 are some 250 MB."""
CALLS_OF_ONE = 1_000
"""Most different calls of one run."""
TIMES_OF_ONE = 100_000
"""How often one call is counted, and how many rounds of one run; what is not counted reaches no rung."""
TOOLS_OF_ONE = 200
"""Most tools of one run of which an error or a result is remembered."""


class Call(NamedTuple):
    """What matters of a call."""

    key: bytes
    """Equal for calls that are the same."""
    tool: str
    """`SERVER/TOOL`."""
    reads: bool = False
    """Whether the tool says that it changes nothing."""


class Sighting(NamedTuple):
    """What a call makes of its run, itself included."""

    repeats: int = 0
    """How often the call was made with the same result and nothing new done in between."""
    cycles: int = 0
    """How often the cycle went round that the newest rounds form; 0 where there is none."""
    period: int = 0
    """Rounds of that cycle."""
    tools: tuple[str, ...] = ()
    """Tools of that cycle."""
    errors: int = 0
    """How often in a row the tool failed with the same error, before this call or with it."""
    too_fast: bool = False
    """Whether more calls came within the last minute than allowed."""


NOTHING = Sighting()


@dataclass(slots=True)
class _Round:
    """A round that has ended: its calls, each with the number of its result."""

    at: float
    marks: frozenset[tuple[bytes, int]]


@dataclass(slots=True)
class _Run:
    """What is remembered of one run."""

    minute: deque[float] = field(default_factory=deque[float])
    calls: OrderedDict[bytes, Streak] = field(default_factory=OrderedDict[bytes, Streak])
    errors: dict[str, Streak] = field(default_factory=dict[str, Streak])
    last: dict[str, bytes] = field(default_factory=dict[str, bytes])
    """The newest result of each tool."""
    out: dict[bytes, int] = field(default_factory=dict[bytes, int])
    """Calls under way."""
    done: dict[bytes, int] = field(default_factory=dict[bytes, int])
    """Calls of the round that were answered, each with the number of its result."""
    rounds: deque[_Round] = field(default_factory=deque[_Round])
    matches: list[int] = field(default_factory=lambda: [0] * LONGEST)
    """For each length of a cycle, how many rounds without a break equal the one that long before."""
    number: int = 0
    """Of the round."""
    progress: int = 0
    """How much was done that had not been done before."""
    total: int = 0
    marks: int = 0
    """Of `calls`: each call, and each of its times."""

    def size(self) -> int:
        """How much is remembered, in marks."""
        return len(self.minute) + len(self.rounds) + self.marks + len(self.errors) + len(self.last)


class Loops:
    """Remembers the newest calls of the newest runs, within bounds, and says what they amount to."""

    def __init__(self, numbers: Loop, *, runs: int = RUNS, marks: int = MARKS_OF_ALL) -> None:
        self._numbers = numbers
        self._most_runs = runs
        self._most_marks = marks
        repeat = max(numbers.repeat_observe, numbers.repeat_warn, numbers.repeat_hold, numbers.repeat_deny)
        error = max(numbers.error_observe, numbers.error_warn, numbers.error_hold, numbers.error_deny)
        self._most_times = min(max(repeat, numbers.repeat_kill, error, numbers.error_kill), TIMES_OF_ONE)
        cycle = max(numbers.cycle_observe, numbers.cycle_warn, numbers.cycle_hold, numbers.cycle_deny)
        self._most_rounds = min(LONGEST * (max(cycle, numbers.cycle_kill) + 1), TIMES_OF_ONE)
        self._runs: OrderedDict[str, _Run] = OrderedDict()
        self._held = 0

    # -- what happens -----------------------------------------------------------------------------------------------

    def begin(self, run: str, call: Call | None, at: float) -> Sighting:
        """A call is about to be made. Its result is taken to be what it was before.

        Args:
            run: id of the session.
            call: what matters of it; None for one that forms no loop.
            at: monotonic seconds.
        """
        known = self._runs.get(run)
        if known is None:
            known = self._runs[run] = _Run()
        self._runs.move_to_end(run)
        before = known.size()
        too_fast = self._too_fast(known, at)
        known.total += 1
        seen = Sighting(too_fast=too_fast) if call is None else self._began(known, call, at, too_fast)
        self._held += known.size() - before
        self._make_room()
        return seen

    def end(self, run: str, call: Call, answer: Answer | None, at: float, *, counts: bool = True) -> Sighting:
        """A call came to its end.

        Args:
            run: id of the session.
            call: the one that began.
            answer: what it was answered; None where it was not made, or nobody knows.
            at: monotonic seconds.
            counts: whether it counts; a result that was never seen is taken note of all the same.
        """
        known = self._runs.get(run)
        if known is None:
            return NOTHING
        left = known.out.get(call.key, 0) - 1
        if left > 0:
            known.out[call.key] = left
        else:
            known.out.pop(call.key, None)
        streak = known.calls.get(call.key)
        if streak is None:
            return NOTHING
        before = known.size()
        seen = self._ended(known, streak, call, answer, at, counts=counts)
        self._held += known.size() - before
        self._make_room()
        return seen

    def calls(self, run: str) -> int:
        """How many calls of a run were seen since it was last forgotten."""
        known = self._runs.get(run)
        return known.total if known else 0

    def forget(self, run: str) -> None:
        """Begin anew with a run, for example because a person revived it."""
        known = self._runs.pop(run, None)
        if known:
            self._held -= known.size()

    @property
    def held(self) -> tuple[int, int]:
        """How many runs and marks are remembered: what the bounds are about."""
        return len(self._runs), self._held

    # -- within -----------------------------------------------------------------------------------------------------

    def _began(self, known: _Run, call: Call, at: float, too_fast: bool) -> Sighting:
        if _opens(known, call):
            self._close(known, at)
        known.out[call.key] = known.out.get(call.key, 0) + 1
        streak = known.calls.get(call.key)
        if streak is None:
            streak = known.calls[call.key] = Streak(call.tool)
            known.marks += 1
        known.calls.move_to_end(call.key)
        self._expire(known, streak, at)
        new = 0 if streak.round == known.number else 1
        failing = known.errors.get(call.tool)
        cycles, period = self._cycle(known, call.key, streak.result)
        return Sighting(
            len(streak.times) + new,
            cycles,
            period,
            self._tools(known, period),
            self._errors(known, failing, at),
            too_fast,
        )

    def _ended(
        self, known: _Run, streak: Streak, call: Call, answer: Answer | None, at: float, *, counts: bool
    ) -> Sighting:
        marks = len(streak.times)
        if answer is not None:
            new = streak.takes(answer)
            if counts or not answer.failed:
                self._fail(known, call, answer, at)
            self._progress(known, streak, call, answer, new=new)
        if counts:
            streak.count(at, known.number, self._most_times)
            known.done[call.key] = streak.result
        known.marks += len(streak.times) - marks
        streak.progress = known.progress
        cycles, period = self._cycle(known, call.key, streak.result)
        errors = self._errors(known, known.errors.get(call.tool), at)
        return Sighting(len(streak.times), cycles, period, self._tools(known, period), errors)

    def _fail(self, known: _Run, call: Call, answer: Answer, at: float) -> None:
        """Count a failure of a tool, or forget those before."""
        if not answer.failed:
            known.errors.pop(call.tool, None)
            return
        failing = known.errors.get(call.tool)
        if failing is None:
            failing = Streak(call.tool)
            keep(known.errors, call.tool, failing, TOOLS_OF_ONE)
        masked = answer.masked()
        if masked not in failing.masked or failing.progress != known.progress:
            failing.masked = {masked: 0}
            failing.times.clear()
            failing.round = -1
        failing.progress = known.progress
        failing.count(at, known.number, self._most_times)

    def _progress(self, known: _Run, streak: Streak, call: Call, answer: Answer, *, new: bool) -> None:
        """Note that something was done for the first time: what was tried before may now end in another way."""
        before = known.last.get(call.tool)
        keep(known.last, call.tool, answer.raw, TOOLS_OF_ONE)
        if answer.failed:
            return
        first, streak.went_well = not streak.went_well, True
        if new or (first and not (call.reads and before == answer.raw)):
            known.progress += 1

    def _expire(self, known: _Run, streak: Streak, at: float) -> None:
        """Forget what is older than the window, and the endings before something new was done."""
        oldest = at - self._numbers.window_seconds
        if streak.progress != known.progress:
            known.marks -= len(streak.times)
            streak.times.clear()
        while streak.times and streak.times[0] <= oldest:
            streak.times.popleft()
            known.marks -= 1
        while known.rounds and (known.rounds[0].at <= oldest or len(known.rounds) > self._most_rounds):
            known.rounds.popleft()
        while len(known.calls) > CALLS_OF_ONE:
            _, forgotten = known.calls.popitem(last=False)
            known.marks -= 1 + len(forgotten.times)

    def _errors(self, known: _Run, failing: Streak | None, at: float) -> int:
        if failing is None or failing.progress != known.progress:
            return 0
        oldest = at - self._numbers.window_seconds
        while failing.times and failing.times[0] <= oldest:
            failing.times.popleft()
        return len(failing.times)

    def _close(self, known: _Run, at: float) -> None:
        """Begin another round; the one before is one step of whatever cycle there is."""
        known.number += 1
        if not known.done:
            return
        ended = _Round(at, frozenset(known.done.items()))
        known.done.clear()
        for back in range(1, LONGEST + 1):
            same = len(known.rounds) >= back and known.rounds[-back].marks == ended.marks
            known.matches[back - 1] = known.matches[back - 1] + 1 if same else 0
        known.rounds.append(ended)

    def _cycle(self, known: _Run, key: bytes, result: int) -> tuple[int, int]:
        """How often the cycle went round that this call goes on with, and its period; of several the one most often."""
        best, found = 1, 0
        rounds, mark = known.rounds, (key, result)
        for period in range(1, min(LONGEST, len(rounds)) + 1):
            if known.matches[period - 1] + 1 < period:
                continue
            expected = rounds[-period].marks
            if mark not in expected or (period == 1 and len(expected) == 1):
                continue
            if period > 1 and known.matches[0] >= period - 1:
                continue  # all the same: a repetition, not a cycle
            times = (min(known.matches[period - 1] + period, len(rounds)) + 1) // period
            if times > best and len({key for back in range(1, period + 1) for key, _ in rounds[-back].marks}) > 1:
                best, found = times, period
        return (best, found) if found else (0, 0)

    def _tools(self, known: _Run, period: int) -> tuple[str, ...]:
        """The tools of the newest rounds, each once, in alphabetical order."""
        if not period:
            return ()
        marks = [key for one in islice(reversed(known.rounds), period) for key, _ in one.marks]
        return tuple(sorted({known.calls[key].tool for key in marks if key in known.calls}))

    def _too_fast(self, known: _Run, at: float) -> bool:
        limit = self._numbers.rate_per_minute
        if not limit:
            return False
        minute = known.minute
        minute.append(at)
        while minute[0] <= at - 60 or len(minute) > limit + 1:
            minute.popleft()
        return len(minute) > limit

    def _make_room(self) -> None:
        while len(self._runs) > 1 and (len(self._runs) > self._most_runs or self._held > self._most_marks):
            _, quiet = self._runs.popitem(last=False)
            self._held -= quiet.size()


def _opens(known: _Run, call: Call) -> bool:
    """Whether a call begins another round."""
    return call.key not in known.out and (not known.out or call.key in known.done)
