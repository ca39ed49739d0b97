"""Which sessions to list, and what the list says of one. Pure: the tables are asked by `store.py`.

The order is that in which sessions began, newest first: it never changes, so pages neither repeat nor miss any.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from governance.clock import rfc3339
from sessions.index.facets import facet
from sessions.index.reading import Facet, Kind
from sessions.killswitch import InForce, Kill, Scope
from sessions.roll import Run

IDLE = timedelta(minutes=30)
"""A session from which nothing came for so long has ended, until something comes again."""


class State(StrEnum):
    """How a session is. The first that holds is told."""

    KILLED = "killed"
    PROBATION = "probation"
    WAITING = "waiting"
    """A call of it waits for a person."""
    ACTIVE = "active"
    ENDED = "ended"
    """Nothing came for `IDLE`."""


class FilterError(ValueError):
    """What is asked for is no filter. The message is ours."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """A filter. Whatever is left out does not matter; all that is given must hold."""

    state: str = ""
    """One of `State`."""
    agent: str = ""
    principal: str = ""
    """Id of the gateway key, or the person it stands for."""
    tenant: str = ""
    model: str = ""
    tool: str = ""
    server: str = ""
    label: str = ""
    finding: str = ""
    """Kind of a finding; `any` for whatever was found."""
    approvals: bool = False
    """Whether a person was asked about something of it."""
    verdict: str = ""
    """A decision other than to allow, at least once."""
    since: str = ""
    """RFC 3339 in UTC; began at or after."""
    until: str = ""
    """RFC 3339 in UTC; began before."""
    text: str = ""
    """Part of the name of anything that it is found by, or a whole id."""

    def __post_init__(self) -> None:
        if self.state and self.state not in list(State):
            raise FilterError(f"`state` is one of {', '.join(State)}")

    @property
    def groups(self) -> list[list[Facet]]:
        """What must be carried: of each group one facet. Text is not among them."""
        exact = (
            (Kind.AGENT, self.agent), (Kind.TENANT, self.tenant), (Kind.MODEL, self.model), (Kind.TOOL, self.tool),
            (Kind.SERVER, self.server), (Kind.LABEL, self.label), (Kind.VERDICT, self.verdict),
        )  # fmt: skip
        found = [[facet(kind, name)] for kind, name in exact if name]
        if self.principal:
            found.append([facet(Kind.KEY, self.principal), facet(Kind.USER, self.principal)])
        if self.finding:
            found.append([(Kind.HAS, "findings") if self.finding == "any" else facet(Kind.FINDING, self.finding)])
        if self.approvals:
            found.append([facet(Kind.HAS, "approvals")])
        return found

    @property
    def given(self) -> dict[str, str]:
        """What is asked for, as the query of an address."""
        return {name: "1" if value is True else str(value) for name, value in asdict(self).items() if value}


NAMES = tuple(Wanted.__dataclass_fields__)


def moment(text: str) -> str:
    """A time as people and browsers write it, as the tables have it; UTC where no zone is given.

    Raises:
        FilterError: it is none.
    """
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise FilterError(f"`{text[:40]}` is not a time: write for example `2026-11-21T12:00Z`") from None
    return rfc3339(found if found.tzinfo else datetime.fromisoformat(f"{found.isoformat()}+00:00"))


def wanted_of(asked: Mapping[str, str]) -> Wanted:
    """The filter of the query of an address; what is none of it is ignored.

    Raises:
        FilterError: a state or a time is none.
    """
    texts = {name: asked.get(name, "").strip() for name in NAMES if name != "approvals"}
    for name in ("since", "until"):
        if texts[name]:
            texts[name] = moment(texts[name])
    return Wanted(**texts, approvals=asked.get("approvals", "") in ("1", "true", "on", "yes"))


@dataclass(frozen=True, slots=True)
class Totals:
    """What a session has come to. Its order is that of the columns of `session_totals`."""

    events: int = 0
    model_calls: int = 0
    tool_calls: int = 0
    calls: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    micro_usd: int = 0
    unpriced: int = 0
    findings: int = 0
    approvals: int = 0
    allowed: int = 0
    warned: int = 0
    redacted: int = 0
    held: int = 0
    denied: int = 0
    killed: int = 0

    @property
    def usd(self) -> str:
        """The cost as decimal text."""
        return f"{self.micro_usd / 1_000_000:.4f}"

    @property
    def verdicts(self) -> dict[str, int]:
        """How often each decision was made, without those that never were."""
        found = {
            "allow": self.allowed, "warn": self.warned, "redact": self.redacted, "hold": self.held,
            "deny": self.denied, "kill": self.killed,
        }  # fmt: skip
        return {name: count for name, count in found.items() if count}

    def plus(self, other: "Totals") -> "Totals":
        """Both together."""
        return Totals(*(getattr(self, name) + getattr(other, name) for name in TOTALS))


TOTALS = tuple(Totals.__dataclass_fields__)


@dataclass(frozen=True, slots=True)
class Listed:
    """A session as the list shows it."""

    run: Run
    state: State
    totals: Totals
    named: Mapping[str, Mapping[str, int]] = field(default_factory=dict[str, Mapping[str, int]])
    """Of each kind the names that it carries, and how often, the most frequent first."""
    children: int = 0
    """Runs that it started."""

    def names(self, kind: str) -> list[str]:
        """The names of a kind, the most frequent first."""
        return list(self.named.get(kind, {}))


@dataclass(frozen=True, slots=True)
class Page:
    """A page of the list."""

    sessions: tuple[Listed, ...]
    next: str = ""
    """Where the next page begins; empty at the end."""
    looked_back_to: str = ""
    """Set where the search was broken off because it had looked at enough: when the last looked at began."""


def state_of(run: Run, kills: InForce, *, waiting: bool, now: datetime) -> State:
    """How a run is."""
    kill = stopped_by(run, kills)
    if kill is not None:
        return State.PROBATION if kill.probation else State.KILLED
    if waiting:
        return State.WAITING
    return State.ACTIVE if run.last_seen >= rfc3339(now - IDLE) else State.ENDED


def stopped_by(run: Run, kills: InForce) -> Kill | None:
    """The kill that a run falls under, one that stops it before one that is on probation."""
    marks = ((Scope.SESSION, run.id), (Scope.KEY, run.key_id), (Scope.AGENT, run.agent), (Scope.TENANT, run.tenant))
    found = [kills[one] for one in (*marks, (Scope.ALL, "")) if one in kills]
    return min(found, key=lambda kill: kill.probation, default=None)
