"""What the overview counts: pure sums over audit events."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal, InvalidOperation
from statistics import median

from console.events import Event
from governance.audit.event import Tag
from governance.verdict import Decision

DECISIONS = tuple(decision.value for decision in Decision)
JUDGED = (Tag.EXCHANGE_ADMITTED, Tag.EXCHANGE_REFUSED)
ENDED = (Tag.EXCHANGE_COMPLETED, Tag.EXCHANGE_WITHHELD)
APPROVALS = (Tag.APPROVAL_REQUESTED, Tag.APPROVAL_GRANTED, Tag.APPROVAL_DENIED, Tag.APPROVAL_EXPIRED)


@dataclass(frozen=True, slots=True)
class Minute:
    """The exchanges that were judged in one minute, by decision."""

    at: datetime
    counts: Counter[str]

    @property
    def total(self) -> int:
        """All of them."""
        return self.counts.total()


def per_minute(events: Iterable[Event], now: datetime, minutes: int = 60) -> list[Minute]:
    """The last `minutes` whole minutes and the running one, oldest first, empty ones included."""
    first = now.replace(second=0, microsecond=0) - timedelta(minutes=minutes - 1)
    found = [Minute(first + timedelta(minutes=index), Counter()) for index in range(minutes)]
    for event in events:
        index = int((event.at - first).total_seconds() // 60)
        if event.tag in JUDGED and 0 <= index < minutes:
            found[index].counts[decision_of(event)] += 1
    return found


def decision_of(event: Event) -> str:
    """What was decided about an exchange, by the event that says so."""
    said = event.text("policy_decision")
    if event.tag == Tag.EXCHANGE_REFUSED and said not in (Decision.DENY, Decision.HOLD, Decision.KILL):
        return Decision.DENY.value
    return said or Decision.ALLOW.value


@dataclass(frozen=True, slots=True)
class Outcomes:
    """What became of the questions put to people."""

    granted: int
    denied: int
    expired: int
    seconds: float | None
    """Median time to a decision of a person; None where nobody decided."""

    @property
    def total(self) -> int:
        """All that were settled."""
        return self.granted + self.denied + self.expired

    def share(self, count: int) -> int:
        """`count` as whole percent of all."""
        return round(100 * count / self.total) if self.total else 0


def outcomes(events: Iterable[Event]) -> Outcomes:
    """How approvals went."""
    counts: Counter[str] = Counter()
    asked: dict[str, datetime] = {}
    settled: set[str] = set()
    waited: list[float] = []
    for event in sorted(events, key=lambda one: one.seq):
        ticket = event.text("approval_id")
        if event.tag == Tag.APPROVAL_REQUESTED:
            asked[ticket] = event.at
        elif ticket not in settled:
            # An approval that later runs out unused was granted all the same: the first answer counts.
            settled.add(ticket)
            counts[event.tag] += 1
            if event.tag != Tag.APPROVAL_EXPIRED and ticket in asked:
                waited.append((event.at - asked[ticket]).total_seconds())
    return Outcomes(
        counts[Tag.APPROVAL_GRANTED],
        counts[Tag.APPROVAL_DENIED],
        counts[Tag.APPROVAL_EXPIRED],
        median(waited) if waited else None,
    )


@dataclass(frozen=True, slots=True)
class Spend:
    """What one model cost."""

    model: str
    usd: Decimal
    tokens: int
    calls: int
    unpriced: int
    """Calls whose price is not known: never counted as free."""


def spend(events: Iterable[Event]) -> list[Spend]:
    """Cost by model, the dearest first."""
    usd: dict[str, Decimal] = {}
    tokens: Counter[str] = Counter()
    calls: Counter[str] = Counter()
    unpriced: Counter[str] = Counter()
    for event in events:
        model = event.text("model")
        if event.tag not in ENDED or not model:
            continue
        calls[model] += 1
        tokens[model] += event.number("input_tokens") + event.number("output_tokens")
        cost = _decimal(event.text("cost_usd"))
        unpriced[model] += cost is None
        usd[model] = usd.get(model, Decimal(0)) + (cost or Decimal(0))
    found = [Spend(model, usd[model], tokens[model], calls[model], unpriced[model]) for model in usd]
    return sorted(found, key=lambda one: (-one.usd, -one.tokens, one.model))


def _decimal(text: str) -> Decimal | None:
    try:
        return Decimal(text) if text else None
    except InvalidOperation:
        return None


@dataclass(frozen=True, slots=True)
class Health:
    """How an upstream has been answering."""

    name: str
    kind: str
    """`mcp` or `llm`."""
    calls: int
    failures: int
    milliseconds: int | None
    """Median duration."""
    last: datetime | None

    @property
    def state(self) -> str:
        """`quiet`, `well`, `shaky` (one in twenty fails) or `failing` (half or more)."""
        if not self.calls:
            return "quiet"
        if 20 * self.failures < self.calls:
            return "well"
        return "failing" if 2 * self.failures >= self.calls else "shaky"


def health(events: Iterable[Event], servers: Iterable[str], providers: Iterable[str]) -> list[Health]:
    """How the configured upstreams answered, judged by how exchanges with them ended."""
    ended: dict[tuple[str, str], list[Event]] = {}
    for event in events:
        if event.tag in ENDED:
            kind, name = ("mcp", event.text("server")) if event.text("server") else ("llm", event.text("provider"))
            ended.setdefault((kind, name), []).append(event)
    named = [("mcp", name) for name in servers] + [("llm", name) for name in providers]
    return [_health(kind, name, ended.get((kind, name), [])) for kind, name in named]


def _health(kind: str, name: str, events: list[Event]) -> Health:
    failures = sum(1 for event in events if event.text("status") in ("error", "unknown"))
    durations = [event.number("duration_ms") for event in events]
    return Health(
        name,
        kind,
        len(events),
        failures,
        round(median(durations)) if durations else None,
        max((event.at for event in events), default=None),
    )
