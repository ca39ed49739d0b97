"""What one event says, for whoever looks things up later. Pure: fields of events in, sums out.

The tables that the sums go into are `store.py`. Whatever is counted here can be counted again from the log.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from enum import StrEnum

from governance.audit.event import Tag, Value
from governance.exchange import Action
from governance.verdict import Decision

LONGEST = 200
"""Characters of a name that are kept."""
MOST = 10**12
"""Most tokens, or millionths of a dollar, that one event adds: a provider says what it likes, and sums must fit."""
JUDGED = frozenset({Tag.EXCHANGE_ADMITTED.value, Tag.EXCHANGE_REFUSED.value})
ENDED = frozenset({Tag.EXCHANGE_COMPLETED.value, Tag.EXCHANGE_WITHHELD.value})
_ALLOW = Decision.ALLOW.value
WAITS = (1, 2, 5, 10, 15, 20, 30, 45, 60, 90, 120, 180, 300, 600, 900, 1_800, 3_600, 7_200, 14_400, 86_400)
"""Seconds that a person took: the steps into which waits are sorted. The last takes whatever is longer."""
DURATIONS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000, 30_000, 60_000, 300_000)
"""The same for how long upstreams took, in milliseconds."""


class Kind(StrEnum):
    """What events and sessions are found by."""

    EVENT = "event"
    """Kind of event, but for those that every exchange has (`COMMON`)."""
    TENANT = "tenant"
    KEY = "key"
    AGENT = "agent"
    USER = "user"
    TEAM = "team"
    ACTOR = "actor"
    """A person who decided."""
    MODEL = "model"
    TOOL = "tool"
    SERVER = "server"
    PROVIDER = "provider"
    VERDICT = "verdict"
    """A decision other than to allow."""
    RULE = "rule"
    REASON = "reason"
    FINDING = "finding"
    LABEL = "label"
    HAS = "has"
    """`findings` or `approvals`: that there are any."""
    SUBAGENT = "subagent"
    """A sub-agent, then a space and the one that started it, where that is not the main agent."""


COMMON = JUDGED | ENDED
"""Kinds of events that stand everywhere in the log: nobody needs an index to find one."""
_PLAIN = (
    (Kind.TENANT.value, "tenant_id"), (Kind.KEY.value, "key_id"), (Kind.AGENT.value, "agent"),
    (Kind.USER.value, "user"), (Kind.TEAM.value, "team"), (Kind.ACTOR.value, "actor"), (Kind.MODEL.value, "model"),
    (Kind.TOOL.value, "tool"), (Kind.SERVER.value, "server"), (Kind.PROVIDER.value, "provider"),
    (Kind.RULE.value, "rule"),
)  # fmt: skip
_ADMITTED = Tag.EXCHANGE_ADMITTED.value
_REFUSED = Tag.EXCHANGE_REFUSED.value
_REQUESTED = Tag.APPROVAL_REQUESTED.value
_GRANTED = Tag.APPROVAL_GRANTED.value
_DENIED = Tag.APPROVAL_DENIED.value
_EXPIRED = Tag.APPROVAL_EXPIRED.value
_TOOL_CALL = Action.TOOL_CALL.value
_FIRM = frozenset({Decision.DENY.value, Decision.HOLD.value, Decision.KILL.value})

_NOT_OF_SESSIONS = frozenset({Kind.EVENT.value, Kind.REASON.value, Kind.ACTOR.value, Kind.PROVIDER.value})


class Count(StrEnum):
    """What is counted by the minute, the hour and the day."""

    VERDICT = "verdict"
    MODEL = "model"
    TOOL = "tool"
    FINDING = "finding"
    APPROVAL = "approval"
    """`requested`, and then one of `granted`, `denied`, `expired`, `withdrawn`."""
    WAIT = "wait"
    """How long people took: the number of a step of `WAITS`."""
    UPSTREAM = "upstream"
    """`mcp:NAME` or `llm:NAME`."""
    TOOK = "took"
    """The same, a space, and the number of a step of `DURATIONS`."""
    SESSION = "session"
    """Sessions with an event in the span."""


_DENY = Decision.DENY.value
_VERDICT = Kind.VERDICT.value


@dataclass(slots=True)
class Amount:
    """How much of something."""

    count: int = 0
    tokens: int = 0
    micro_usd: int = 0
    flawed: int = 0

    def add(self, count: int = 1, tokens: int = 0, micro_usd: int = 0, flawed: int = 0) -> None:
        """Count more of it."""
        self.count += count
        self.tokens += tokens
        self.micro_usd += micro_usd
        self.flawed += flawed


Facet = tuple[str, str]
"""A kind and a name."""
OF_HOUR, OF_DAY = "hour", "day"
"""Name the count of a session in the first minute of an hour, or of a day, that it is active in."""


@dataclass(slots=True)
class Strand:
    """What some events add to one session."""

    tenant: str
    began: str
    last_at: str
    sums: Counter[str] = field(default_factory=Counter[str])
    """By the names of the columns of `session_totals`."""
    facets: Counter[Facet] = field(default_factory=Counter[Facet])
    minutes: dict[str, None] = field(default_factory=dict[str, None])
    """Each minute with an event in it, in order."""


_COLUMN = {
    _ALLOW: "allowed",
    Decision.WARN.value: "warned",
    Decision.REDACT.value: "redacted",
    Decision.HOLD.value: "held",
    Decision.DENY.value: "denied",
    Decision.KILL.value: "killed",
}


class Sums:
    """What a stretch of the log adds up to."""

    def __init__(self) -> None:
        self.last = -1
        """Place of the last event."""
        self.events: list[tuple[Facet, int]] = []
        self.seen: dict[Facet, str] = {}
        """When each facet was last seen."""
        self.sessions: dict[str, Strand] = {}
        self.tallies: dict[tuple[str, str, str, str], Amount] = {}
        """By tenant, kind, minute and name."""
        self.settled: list[tuple[str, str, str]] = []
        """Of each ticket that a person settled: its id, when, and the tenant."""

    def add(self, seq: int, fields: Mapping[str, Value]) -> None:
        """Count one event; they come in the order of the log."""
        self.last = seq
        tag, at = _text(fields, "event_type"), _text(fields, "at")
        tenant, minute = _text(fields, "tenant_id"), at[:16]
        facets = facets_of(tag, fields)
        for facet in facets:
            self.events.append((facet, seq))
            self.seen[facet] = at
        if session := _text(fields, "session_id"):
            strand = self.sessions.get(session)
            if strand is None:
                strand = self.sessions[session] = Strand(tenant, at, at)
            strand.last_at = max(strand.last_at, at)
            for column, value in _sums(tag, fields).items():
                strand.sums[column] += value
            for facet in facets:
                if facet[0] not in _NOT_OF_SESSIONS:
                    strand.facets[facet] += 1
            strand.minutes[minute] = None
        self._tally(tag, tenant, minute, fields)
        if _answer(tag, fields) in ("granted", "denied"):
            self.settled.append((_text(fields, "approval_id"), at, tenant))

    def count(self, tenant: str, kind: Count, minute: str, name: str, **more: int) -> None:
        """Count something in its minute, for its tenant and for all."""
        for whose in ("", tenant) if tenant else ("",):
            key = (whose, str(kind), minute, name[:LONGEST])
            amount = self.tallies.get(key)
            if amount is None:
                amount = self.tallies[key] = Amount()
            amount.add(**more)

    def active(self, strand: Strand, last_at: str) -> None:
        """Count a session in each minute that it was active in, after what it was counted in before."""
        for minute in strand.minutes:
            if minute > last_at[:16]:
                first = "" if minute[:13] == last_at[:13] else OF_HOUR if minute[:10] == last_at[:10] else OF_DAY
                self.count(strand.tenant, Count.SESSION, minute, first)
                last_at = minute

    def _tally(self, tag: str, tenant: str, minute: str, fields: Mapping[str, Value]) -> None:
        if tag in JUDGED:
            self.count(tenant, Count.VERDICT, minute, decision_of(tag, fields))
            if _text(fields, "action") == _TOOL_CALL and (tool := _text(fields, "tool")):
                self.count(tenant, Count.TOOL, minute, tool, flawed=int(tag == _REFUSED))
        elif tag in ENDED:
            self._tally_ending(tenant, minute, fields)
        elif tag == _REQUESTED:
            self.count(tenant, Count.APPROVAL, minute, "requested")
        elif answer := _answer(tag, fields):
            self.count(tenant, Count.APPROVAL, minute, answer)
        if tag != _ADMITTED:
            for kind in _texts(fields, "classification"):
                self.count(tenant, Count.FINDING, minute, kind)

    def _tally_ending(self, tenant: str, minute: str, fields: Mapping[str, Value]) -> None:
        failed = int(_text(fields, "status") in ("error", "unknown"))
        if model := _text(fields, "model"):
            cost = micro_usd(_text(fields, "cost_usd"))
            tokens = _number(fields, "input_tokens") + _number(fields, "output_tokens")
            self.count(tenant, Count.MODEL, minute, model, tokens=tokens, micro_usd=cost or 0, flawed=int(cost is None))
        server, provider = _text(fields, "server"), _text(fields, "provider")
        if server or provider:
            upstream = f"mcp:{server}" if server else f"llm:{provider}"
            self.count(tenant, Count.UPSTREAM, minute, upstream, flawed=failed)
            took = step(DURATIONS, _number(fields, "duration_ms"))
            self.count(tenant, Count.TOOK, minute, f"{upstream[: LONGEST - 4]} {took}")

    def waited(self, asked: Mapping[str, str]) -> None:
        """Count how long people took, by when each ticket was asked about."""
        for ticket, at, tenant in self.settled:
            if ticket in asked:
                seconds = (datetime.fromisoformat(at) - datetime.fromisoformat(asked[ticket])).total_seconds()
                self.count(tenant, Count.WAIT, at[:16], str(step(WAITS, seconds)))


def facets_of(tag: str, fields: Mapping[str, Value]) -> list[Facet]:
    """What an event can be found by, each once."""
    found: list[Facet] = [] if tag in COMMON else [(Kind.EVENT.value, tag)]
    for kind, name in _PLAIN:
        if value := fields.get(name):
            found.append((kind, str(value)))
    decision = decision_of(tag, fields)
    if decision and decision != _ALLOW:
        found.append((_VERDICT, decision))
    if reason := _text(fields, "reason"):
        found.append((Kind.REASON.value, reason))
    if kinds := _texts(fields, "classification"):
        found += [(Kind.FINDING.value, kind) for kind in kinds]
        found.append((Kind.HAS.value, "findings"))
    if labels := _texts(fields, "labels_set"):
        found += [(Kind.LABEL.value, one.partition(": ")[0]) for one in labels]
    if tag == _REQUESTED:
        found.append((Kind.HAS.value, "approvals"))
    if subagent := _text(fields, "subagent"):
        found.append((Kind.SUBAGENT.value, f"{subagent} {_text(fields, 'subagent_of')}".strip()))
    if any(len(name) > LONGEST or "\0" in name for _, name in found):
        found = [(kind, name[:LONGEST].replace("\0", "\ufffd")) for kind, name in found]
    return list(dict.fromkeys(found))


def decision_of(tag: str, fields: Mapping[str, Value]) -> str:
    """What was decided, by the event that says so; empty where nothing was."""
    said = _text(fields, "policy_decision")
    if tag == _REFUSED and said not in _FIRM:
        return _DENY
    return said or (_ALLOW if tag in JUDGED else "")


def micro_usd(text: str) -> int | None:
    """Decimal text in US dollars as whole millionths; None where there is no price."""
    try:
        return min(MOST, max(0, int((Decimal(text) * 1_000_000).to_integral_value()))) if text else None
    except (ArithmeticError, ValueError):
        return None


def step(steps: tuple[int, ...], value: float) -> int:
    """The number of the first step that is not below `value`; of the last, where all are."""
    return next((index for index, top in enumerate(steps) if value <= top), len(steps) - 1)


def _sums(tag: str, fields: Mapping[str, Value]) -> dict[str, int]:
    sums = {"events": 1}
    if tag in JUDGED:
        action = _text(fields, "action")
        sums["calls"] = 1
        sums["model_calls"] = int(action.startswith("llm."))
        sums["tool_calls"] = int(action == _TOOL_CALL)
        if column := _COLUMN.get(decision_of(tag, fields)):
            sums[column] = 1
    elif tag in ENDED:
        sums["input_tokens"] = _number(fields, "input_tokens")
        sums["output_tokens"] = _number(fields, "output_tokens")
        if _text(fields, "model"):
            cost = micro_usd(_text(fields, "cost_usd"))
            sums["micro_usd"], sums["unpriced"] = cost or 0, int(cost is None)
    elif tag == _REQUESTED:
        sums["approvals"] = 1
    if tag != _ADMITTED:  # its ending names the same findings again, and more
        sums["findings"] = len(_texts(fields, "classification"))
    return sums


def _answer(tag: str, fields: Mapping[str, Value]) -> str:
    """What became of a question, where the event says so. An approval that runs out unused was given all the same."""
    if tag == _GRANTED:
        return "granted"
    if tag == _DENIED:
        return "withdrawn" if _text(fields, "state") == "invalidated" else "denied"
    return "expired" if tag == _EXPIRED and not _text(fields, "actor") else ""


def _text(fields: Mapping[str, Value], name: str) -> str:
    value = fields.get(name)
    return value if isinstance(value, str) else ""


def _texts(fields: Mapping[str, Value], name: str) -> list[str]:
    value = fields.get(name)
    return value if isinstance(value, list) else []


def _number(fields: Mapping[str, Value], name: str) -> int:
    value = fields.get(name)
    return min(MOST, max(0, value)) if isinstance(value, int) else 0
