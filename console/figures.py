"""What the overview shows: counts of the index put into columns, shares and lists. Pure."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from enum import StrEnum

from console.events import Event
from governance.verdict import Decision
from sessions.index.counts.store import Counted
from sessions.index.reading import DURATIONS, WAITS
from sessions.index.reading import decision_of as _decision_of

DECISIONS = tuple(decision.value for decision in Decision)
MILLION = Decimal(1_000_000)


class Period(StrEnum):
    """How far back the overview looks."""

    HOUR = "hour"
    DAY = "day"
    WEEK = "week"
    MONTH = "month"

    @property
    def columns(self) -> tuple[int, timedelta]:
        """How many columns a plot has, and how much time each holds."""
        return {
            Period.HOUR: (60, timedelta(minutes=1)),
            Period.DAY: (24, timedelta(hours=1)),
            Period.WEEK: (56, timedelta(hours=3)),
            Period.MONTH: (30, timedelta(days=1)),
        }[self]

    @property
    def span(self) -> str:
        """Which counts it is made of."""
        return {Period.HOUR: "minute", Period.MONTH: "day"}.get(self, "hour")

    @property
    def form(self) -> str:
        """How a column is called."""
        return "%H:%M" if self in (Period.HOUR, Period.DAY) else "%a %H:%M" if self is Period.WEEK else "%d %b"

    def since(self, now: datetime) -> datetime:
        """When its first column begins."""
        columns, width = self.columns
        whole = now.replace(second=0, microsecond=0)
        if width >= timedelta(hours=1):
            whole = whole.replace(minute=0)
        if width > timedelta(hours=1):
            whole = whole.replace(hour=0) if width >= timedelta(days=1) else whole - timedelta(hours=whole.hour % 3)
        return whole - (columns - 1) * width


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a plot: how much of what."""

    at: datetime
    counts: Counter[str]

    @property
    def total(self) -> int:
        """All of it."""
        return self.counts.total()


def columns(found: Iterable[Counted], period: Period, now: datetime, of: str = "count") -> list[Column]:
    """Counts sorted into the columns of a period, oldest first, empty ones included; `of` is the amount to sum."""
    number, width = period.columns
    first = period.since(now)
    made = [Column(first + index * width, Counter[str]()) for index in range(number)]
    for one in found:
        at = datetime.fromisoformat(one.at).replace(tzinfo=UTC)
        index = (at - first) // width
        if 0 <= index < number:
            made[index].counts[one.name] += int(getattr(one, of))
    return made


def decision_of(event: Event) -> str:
    """What was decided about an exchange, by the event that says so."""
    return _decision_of(event.tag, event.fields)


@dataclass(frozen=True, slots=True)
class Outcomes:
    """What became of the questions put to people."""

    granted: int
    denied: int
    expired: int
    withdrawn: int
    seconds: int | None
    """Half of the decisions took no longer than this; None where nobody decided."""

    @property
    def total(self) -> int:
        """All that were settled."""
        return self.granted + self.denied + self.expired + self.withdrawn

    def share(self, count: int) -> int:
        """`count` as whole percent of all."""
        return round(100 * count / self.total) if self.total else 0


def outcomes(asked: Iterable[Counted], waits: Iterable[Counted]) -> Outcomes:
    """How approvals went."""
    counts = Counter({one.name: one.count for one in asked})
    return Outcomes(
        counts["granted"],
        counts["denied"],
        counts["expired"],
        counts["withdrawn"],
        middle(WAITS, {int(one.name): one.count for one in waits}),
    )


def middle(steps: Sequence[int], counts: Mapping[int, int]) -> int | None:
    """The step that half of what was sorted into steps does not exceed; None where there was nothing."""
    left = (sum(counts.values()) + 1) // 2
    for index in sorted(counts):
        left -= counts[index]
        if left <= 0:
            return steps[index]
    return None


@dataclass(frozen=True, slots=True)
class Spend:
    """What one model cost."""

    model: str
    usd: Decimal
    tokens: int
    calls: int
    unpriced: int
    """Calls whose price is not known: never counted as free."""


def spend(found: Iterable[Counted]) -> list[Spend]:
    """Cost by model, the dearest first."""
    made = [Spend(one.name, one.micro_usd / MILLION, one.tokens, one.count, one.flawed) for one in found]
    return sorted(made, key=lambda one: (-one.usd, -one.tokens, one.model))


@dataclass(frozen=True, slots=True)
class Health:
    """How an upstream has been answering."""

    name: str
    kind: str
    """`mcp` or `llm`."""
    calls: int
    failures: int
    milliseconds: int | None
    """Half of its answers took no longer than this."""
    last: str
    """When it was called last, at all; empty = never."""

    @property
    def state(self) -> str:
        """`quiet`, `well`, `shaky` (one in twenty fails) or `failing` (half or more)."""
        if not self.calls:
            return "quiet"
        if 20 * self.failures < self.calls:
            return "well"
        return "failing" if 2 * self.failures >= self.calls else "shaky"


def health(
    ended: Iterable[Counted], took: Iterable[Counted], last: Mapping[str, str], names: Iterable[tuple[str, str]]
) -> list[Health]:
    """How the configured upstreams answered, judged by how exchanges with them ended.

    Args:
        ended: exchanges by upstream: `mcp:NAME`, `llm:NAME`.
        took: the same with a step of `DURATIONS` behind.
        last: when each was called last, by the same names.
        names: kind and name of each that is configured.
    """
    counts = {one.name: one for one in ended}
    steps: dict[str, dict[int, int]] = {}
    for one in took:
        name, _, number = one.name.rpartition(" ")
        steps.setdefault(name, {})[int(number)] = one.count
    made: list[Health] = []
    for kind, name in names:
        called = f"{kind}:{name}"
        one = counts.get(called, Counted("", called, 0))
        made.append(
            Health(name, kind, one.count, one.flawed, middle(DURATIONS, steps.get(called, {})), last.get(called, ""))
        )
    return made
