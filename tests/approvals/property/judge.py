"""What is permitted, said once more and apart from the code: the log, the tables and both journals are held to it.

The audit log is one order of everything that was committed by both processes, so it is replayed through a table of its
own; what the log cannot say (which rules, definitions and kills held at a moment) the journals say as spans of time.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from governance import jsontree
from governance.jsontree import Json, JsonObject
from governance.store.tables import TicketRow, VoteRow
from tests.approvals.property.board import BEGAN
from tests.approvals.property.journal import Forwarded, Journal, Span, possible
from tests.approvals.property.scene import TIMEOUT, quorum

PERMITTED: Mapping[str, tuple[frozenset[str], str]] = {
    "approval.requested": (frozenset({""}), "waits"),
    "approval.voted": (frozenset({"waits"}), "waits"),
    "approval.granted": (frozenset({"waits"}), "good"),
    "approval.prolonged": (frozenset({"good"}), "good"),
    "approval.denied": (frozenset({"waits"}), "over"),
    "approval.invalidated": (frozenset({"waits", "good"}), "over"),
    "approval.expired": (frozenset({"waits", "good"}), "over"),
    "approval.consumed": (frozenset({"good"}), "used"),
}
"""From where each event may come, and where it leads."""


@dataclass
class Evidence:
    """Everything there is to judge by, after the race."""

    events: list[JsonObject]
    """The audit log in its order."""
    tickets: dict[str, TicketRow]
    votes: list[VoteRow]
    journals: list[Journal]
    users: dict[str, str]
    """Whom each key stands for."""
    variants: dict[str, int]
    """Which policy a version is."""
    faults: list[str] = field(default_factory=list[str])

    def fault(self, what: str, ticket: str, exchange: str = "") -> None:
        """Keep what must not have happened."""
        self.faults.append(f"{what}: ticket {ticket or '-'}, exchange {exchange or '-'}")

    @property
    def forwarded(self) -> list[tuple[Journal, Forwarded]]:
        """Every call that was really made."""
        return [(journal, one) for journal in self.journals for one in journal.forwarded]


def judge(evidence: Evidence) -> list[str]:
    """Everything that must not have happened; empty if all is well."""
    used_by = _replayed(evidence)
    _made_once(evidence, used_by)
    _in_time(evidence)
    _by_enough_people(evidence)
    _as_seen(evidence)
    spans = _Spans.of(evidence)
    for journal, one in evidence.forwarded:
        row = evidence.tickets.get(used_by.get(one.exchange, ""))
        if row is not None:
            _as_approved(evidence, one, row)
            _while_it_held(evidence, journal, one, row, spans)
    return evidence.faults


def _replayed(evidence: Evidence) -> dict[str, str]:
    """Play the log through the table; returns which ticket each exchange used up."""
    states: dict[str, str] = {}
    open_by_digest: dict[str, str] = {}
    used_by: dict[str, str] = {}
    for event in evidence.events:
        kind, ticket = _text(event, "event_type"), _text(event, "approval_id")
        if kind == "approval.denied" and event.get("state") == "invalidated":
            kind = "approval.invalidated"
        if kind not in PERMITTED:
            continue
        sources, target = PERMITTED[kind]
        if states.get(ticket, "") not in sources:
            evidence.fault(f"{kind} of a ticket that is `{states.get(ticket, '')}`", ticket)
        states[ticket] = target
        digest = _text(event, "approval_digest")
        if kind == "approval.requested" and open_by_digest.get(digest):
            evidence.fault(f"a second question beside {open_by_digest[digest]}", ticket)
        open_by_digest[digest] = ticket if target in ("waits", "good") else ""
        if kind == "approval.consumed":
            used_by[_text(event, "exchange_id")] = ticket
    for ticket, row in evidence.tickets.items():
        said = {"pending": "waits", "approved": "good", "consumed": "used"}.get(row.state, "over")
        if said != states.get(ticket):
            evidence.fault(f"the table says `{row.state}` and the log `{states.get(ticket)}`", ticket)
    return {exchange: ticket for exchange, ticket in used_by.items() if not exchange.startswith("exc_forged")}


def _made_once(evidence: Evidence, used_by: Mapping[str, str]) -> None:
    """No approval is used twice, and no call is made without one of its own that was used, and recorded, before."""
    admitted = {
        _text(one, "exchange_id"): _text(one, "approval_id")
        for one in evidence.events
        if one["event_type"] == "exchange.admitted"
    }
    consumed = Counter(_text(one, "approval_id") for one in evidence.events if one["event_type"] == "approval.consumed")
    uses: Counter[str] = Counter()
    for _, one in evidence.forwarded:
        ticket = admitted.get(one.exchange, "")
        uses[ticket] += 1
        if not ticket or used_by.get(one.exchange) != ticket:
            evidence.fault("a call was made without an approval of its own", ticket, one.exchange)
    uses.update(ticket for journal in evidence.journals for ticket in journal.redeemed)
    for ticket, count in (uses | consumed).items():
        if count > 1:
            evidence.fault(f"one approval was used {count} times", ticket)


def _in_time(evidence: Evidence) -> None:
    for ticket, row in evidence.tickets.items():
        if row.consumed_at is None or row.decided_at is None:
            continue
        decided, until = datetime.fromisoformat(row.decided_at), datetime.fromisoformat(row.expires_at)
        if datetime.fromisoformat(row.consumed_at) >= until:
            evidence.fault("an approval was used after it ran out", ticket)
        if until > decided + timedelta(seconds=2 * TIMEOUT):
            evidence.fault("an approval was good for too long", ticket)
        if decided >= datetime.fromisoformat(row.created_at) + timedelta(seconds=TIMEOUT):
            evidence.fault("a call was approved after its question ran out", ticket)


def _by_enough_people(evidence: Evidence) -> None:
    """Of this very call: what people approved before somebody changed it does not count."""
    people: dict[tuple[str, str], set[str]] = {}
    for vote in evidence.votes:
        if vote.decision == "approve":
            people.setdefault((vote.ticket_id, vote.digest), set()).add(vote.person)
    for ticket, row in evidence.tickets.items():
        if row.state not in ("approved", "consumed"):
            continue
        agreed = people.get((ticket, row.edited_digest or row.digest), set())
        if len(agreed) < quorum(evidence.variants.get(row.policy_version, 0), row.tool):
            evidence.fault(f"only {len(agreed)} approved", ticket)
        own = evidence.users[row.key_id]
        if row.tool == "pay" and (not own or f"user:{own}" in agreed):
            evidence.fault("somebody approved their own call", ticket)


def _as_seen(evidence: Evidence) -> None:
    """Nobody approves another form of a call than the one that was on their screen."""
    given = {(vote.ticket_id, vote.person, vote.digest) for vote in evidence.votes if vote.decision == "approve"}
    for one in (one for journal in evidence.journals for one in journal.approved):
        if (one.ticket, one.person, one.seen or evidence.tickets[one.ticket].digest) not in given:
            evidence.fault("somebody approved what they had not seen", one.ticket)


def _as_approved(evidence: Evidence, one: Forwarded, row: TicketRow) -> None:
    """What was sent is what was shown, by whom it was shown to be, in the run that it was shown to be in."""
    form = jsontree.as_object(jsontree.parse((row.edited_form or row.form).encode()))
    facts = (
        ("arguments", one.arguments, jsontree.digest(form["arguments"])),
        ("principal", one.key, row.key_id),
        ("session", one.session, row.session_id),
        ("tool", one.tool, row.tool),
        ("definition", one.definition, row.definition),
    )
    for name, made, approved in facts:
        if made != approved:
            evidence.fault(f"the call was made with another {name} than was approved", row.id, one.exchange)
    if BEGAN + timedelta(seconds=one.elapsed) >= datetime.fromisoformat(row.expires_at):
        evidence.fault("a call came after its approval ran out, and was made", row.id, one.exchange)


@dataclass(frozen=True)
class _Spans:
    granted: dict[str, Span]
    definitions: list[Span]
    runs: dict[str, list[Span]]

    @classmethod
    def of(cls, evidence: Evidence) -> "_Spans":
        found = sorted((one for journal in evidence.journals for one in journal.decided), key=_began)
        runs = {session: spans for journal in evidence.journals for session, spans in journal.runs.items()}
        return cls({one.value: one for one in found}, evidence.journals[0].definitions, runs)


_began: Callable[[Span], float] = lambda span: span.start  # noqa: E731


def _while_it_held(evidence: Evidence, journal: Journal, one: Forwarded, row: TicketRow, spans: _Spans) -> None:
    """Rules, definition and run were, after the approval and while the call was made, what was approved."""
    granted = spans.granted[row.id]
    since = max(one.start, granted.start)
    if row.policy_version not in possible(journal.policies, since, one.at):
        evidence.fault("a call was made under another policy than it was approved under", row.id, one.exchange)
    if one.definition not in possible(spans.definitions, since, one.at):
        evidence.fault("a call was made of a tool that is not defined as it was trusted", row.id, one.exchange)
    run = spans.runs.get(one.session, [Span(0, 0, "alive")])
    if "alive" not in possible(run, since, one.at):
        evidence.fault("a call was made in a run that was killed", row.id, one.exchange)
    kills = (span for span in run if span.value == "killed")
    if any(granted.end < kill.start and kill.end < one.start for kill in kills):
        evidence.fault("an approval outlived a kill of its run", row.id, one.exchange)


def _text(event: Mapping[str, Json], name: str) -> str:
    return jsontree.as_text(event.get(name))


def story(evidence: Evidence, fault: str) -> Iterable[str]:
    """What the log says of the ticket of a fault, for whoever reads the failure."""
    ticket = fault.partition(": ticket ")[2].partition(",")[0]
    for event in evidence.events:
        if event.get("approval_id") == ticket:
            fields = (_text(event, name) for name in ("at", "event_type", "writer", "exchange_id", "actor", "state"))
            yield "    " + " ".join(filter(None, fields))
