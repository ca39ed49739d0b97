"""Puts the story into a database in bulk: rows made here, written by the database's own fastest way.

The chain is a real one, sealed with the installation's key, so that `wicket audit verify` has something to do at this
size too. The index is what `sessions/index` makes of the same events; `tests/bench` holds the two equal.
"""

import json
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from bench.console.story import Story, moments, told
from governance import jsontree
from governance.audit.chain import GENESIS, encode, link, seal
from governance.audit.columns import columns
from governance.audit.event import Tag, Value
from governance.clock import rfc3339
from sessions.index.reading import Facet, Strand, Sums
from sessions.index.store import tally_rows, total_row

Rows = Iterable[Sequence[Any]]
Say = Callable[[str], None]
CHUNK = 20_000


@dataclass
class Gathered:
    """What the index will hold, gathered over all events."""

    sessions: dict[str, Strand] = field(default_factory=dict[str, Strand])
    numbers: dict[Facet, int] = field(default_factory=dict[Facet, int])
    places: dict[Facet, "array[int]"] = field(default_factory=dict[Facet, "array[int]"])
    last: dict[Facet, str] = field(default_factory=dict[Facet, str])
    tallies: dict[tuple[str, ...], list[int]] = field(default_factory=dict[tuple[str, ...], list[int]])
    tickets: list[tuple[Any, ...]] = field(default_factory=list[tuple[Any, ...]])
    asked: dict[str, str] = field(default_factory=dict[str, str])
    labels: dict[tuple[str, str], tuple[Any, ...]] = field(default_factory=dict[tuple[str, str], tuple[Any, ...]])
    minutes_since: str = ""
    """Counts by the minute are kept for some days only."""

    def take(self, sums: Sums) -> None:
        """Add a stretch of the log."""
        sums.waited(self.asked)
        for facet, seq in sums.events:
            places = self.places.get(facet)
            if places is None:
                self.numbers[facet] = len(self.numbers) + 1
                places = self.places[facet] = array("q")
            places.append(seq)
        self.last.update(sums.seen)
        for name, strand in sums.sessions.items():
            whole = self.sessions.get(name)
            sums.active(strand, "" if whole is None else whole.last_at)
            if whole is None:
                self.sessions[name] = strand
                continue
            whole.last_at = max(whole.last_at, strand.last_at)
            whole.sums.update(strand.sums)
            whole.facets.update(strand.facets)
        for row in tally_rows(sums.tallies):
            if row["span"] == "minute" and row["at"] < self.minutes_since:
                continue
            key = tuple(row[name] for name in ("tenant", "kind", "span", "at", "name"))
            amounts = self.tallies.setdefault(key, [0, 0, 0, 0])
            for place, name in enumerate(("count", "tokens", "micro_usd", "flawed")):
                amounts[place] += row[name]


def gathered(story: Story, minutes_since: str) -> Gathered:
    """All that goes into other tables than the log."""
    found, sums = Gathered(minutes_since=minutes_since), Sums()
    for seq, fields in _told(story):
        _keep(found, fields)
        sums.add(seq, fields)
        if seq % CHUNK == 0:
            found.take(sums)
            sums = Sums()
    found.take(sums)
    return found


def events(story: Story, seal_key: bytes, say: Say) -> Iterator[tuple[Any, ...]]:
    """The rows of `audit_events` in order."""
    previous = GENESIS
    for seq, fields in _told(story):
        body = encode(fields)
        previous = link(previous, seq, body)
        yield (seq, body.decode(), previous.hex(), seal(seal_key, previous).hex(), *columns(fields))
        if seq and seq % (10 * CHUNK) == 0:
            say(f"{seq:,} of about {story.events:,} events")


def _told(story: Story) -> Iterator[tuple[int, dict[str, Value]]]:
    keys = sorted((at << 40) | (number << 20) | (exchange << 4) | part for at, number, exchange, part in moments(story))
    for seq, key in enumerate(keys):
        yield seq, told(story.session(key >> 20 & 0xFFFFF), key >> 4 & 0xFFFF, key & 15, story.at(key >> 40))


def _keep(gathered: Gathered, fields: dict[str, Value]) -> None:
    at, session = str(fields["at"]), str(fields["session_id"])
    labels = fields.get("labels_set")
    for one in labels if isinstance(labels, list) else []:
        label, _, source = one.partition(": ")
        row = (session, label, source, fields["exchange_id"], at)
        gathered.labels.setdefault((session, label), row)
    if fields["event_type"] == Tag.APPROVAL_REQUESTED.value:
        ticket = str(fields["approval_id"])
        gathered.asked[ticket] = at
        gathered.tickets.append(_ticket(ticket, fields))


def _ticket(ticket: str, fields: dict[str, Value]) -> tuple[Any, ...]:
    """A ticket as `approvals/store.py` writes it, in the order of `TICKETS`."""
    who = {name: str(fields.get(name) or "") for name in ("agent", "user", "key_id")}
    principal = {**who, "tenant": str(fields["tenant_id"]), "team": ""}
    call: jsontree.JsonObject = {
        "version": 1, "action": "tool.call", "server": str(fields["server"]), "name": str(fields["tool"]),
        "provider": "", "model": "", "definition": "", "arguments": {"path": f"/data/{ticket}.txt", "mode": "write"},
        "principal": dict(principal), "session": str(fields["session_id"]), "policy": "",
    }  # fmt: skip
    form = jsontree.canonical(call).decode()
    expires = datetime.fromisoformat(str(fields["at"])) + timedelta(minutes=5)
    return (
        ticket, jsontree.digest(call), str(fields["tool"]), str(fields["server"]), who["key_id"],
        str(fields["tenant_id"]), who["agent"], who["user"], str(fields["session_id"]), str(fields["exchange_id"]),
        str(fields["rule"]), form, str(fields["at"]), rfc3339(expires),
    )  # fmt: skip


TICKETS = (
    "id", "digest", "tool", "server", "key_id", "tenant", "agent", "user", "session_id", "exchange_id", "rule", "form",
    "created_at", "expires_at", "state", "decided_at", "decided_by", "decision_reason", "remind_at", "action",
    "definition", "team", "policy_version", "reason", "findings", "relief", "consumed_by", "edited_form",
    "edited_digest", "votes",
)  # fmt: skip
WAITING = 60
"""Tickets that still wait: the newest."""
KILLED = 400
"""Most sessions that are stopped."""
PINS = 300
_SESSIONS = (
    "id", "external_id", "key_id", "tenant", "agent", "evidence", "rank", "source", "plane", "parent_id", "joined_id",
    "verified", "first_seen", "last_seen",
)  # fmt: skip
_TALLIES = ("tenant", "kind", "span", "at", "name", "count", "tokens", "micro_usd", "flawed")


def others(story: Story, gathered: Gathered) -> Iterator[tuple[str, Sequence[str], Rows]]:
    """Everything besides the events: each table with its columns and rows."""
    yield "sessions", _SESSIONS, _sessions(story, gathered)
    labels = [(*row, epoch) for epoch, row in enumerate(gathered.labels.values(), 1)]
    yield "session_labels", ("session_id", "label", "source", "exchange_id", "at", "epoch"), labels
    yield "tickets", TICKETS, _tickets(gathered, rfc3339(story.end + timedelta(days=3650)))
    yield "kills", ("scope", "target", "reason", "actor", "at", "revived_by", "epoch", "probation"), _kills(story)
    yield "pins", _PINS, _pins(rfc3339(story.end))
    totals = [total_row(name, one) for name, one in gathered.sessions.items()]
    yield "session_totals", tuple(totals[0]), [tuple(row.values()) for row in totals]
    sessions = sorted(
        (gathered.numbers[facet], one.began, name, count)
        for name, one in gathered.sessions.items()
        for facet, count in one.facets.items()
    )
    yield "session_facets", ("facet", "began", "session_id", "count"), sessions
    counts: dict[int, int] = {}
    for row in sessions:
        counts[row[0]] = counts.get(row[0], 0) + 1
    facets = [
        (number, *facet, len(gathered.places[facet]), counts.get(number, 0), gathered.last[facet])
        for facet, number in gathered.numbers.items()
    ]
    yield "facets", ("id", "kind", "name", "events", "sessions", "last_at"), facets
    tallies = sorted((*key, *amounts) for key, amounts in gathered.tallies.items())
    yield "tallies", _TALLIES, tallies
    by_number = sorted((gathered.numbers[facet], places) for facet, places in gathered.places.items())
    yield "event_facets", ("facet", "seq"), ((number, seq) for number, places in by_number for seq in places)


def _sessions(story: Story, gathered: Gathered) -> Rows:
    for number in range(story.sessions):
        one = story.session(number)
        strand = gathered.sessions[one.id]
        yield (
            one.id, f"run-{number}", one.key, one.tenant, one.agent, "agent_header", 2, "x-claude-code-session-id",
            "llm,mcp", one.parent, "", number % 3 > 0, strand.began, strand.last_at,
        )  # fmt: skip


def _tickets(gathered: Gathered, later: str) -> Rows:
    states = ("consumed", "consumed", "consumed", "denied", "expired", "approved")
    newest = len(gathered.tickets) - WAITING
    for place, row in enumerate(gathered.tickets):
        state = "pending" if place >= newest else states[place % 5]
        decided = (None, "") if state in ("pending", "expired") else (row[12], f"approver{place % 9}")
        tail = ("tool.call", "", "", "", "a rule asks for a person", "", "", "", "", "", 0)
        expires = later if state == "pending" else row[13]
        yield (*row[:13], expires, state, *decided, "", later, *tail)


def killed(story: Story) -> list[int]:
    """The sessions that are stopped."""
    number = min(KILLED, story.sessions // 4)
    return [(place + 1) * (story.sessions // (number + 1)) for place in range(number)]


def _kills(story: Story) -> Rows:
    for epoch, number in enumerate(killed(story), 1):
        session = story.session(number)
        yield "session", session.id, "it repeats itself", "loop:loop.repeat", rfc3339(story.end), "", epoch, 0


_PINS = (
    "server", "kind", "name", "state", "digest", "definition", "live", "live_definition", "rule", "reason", "live_at",
    "trusted_at", "trusted_by", "decided_by", "decision_reason", "changed_at",
)  # fmt: skip


def _pins(now: str) -> Rows:
    for number in range(PINS):
        waits = number % 15 == 0
        was = json.dumps({"name": f"tool_{number}", "description": "does something", "inputSchema": {"type": "object"}})
        live = was.replace("something", "something else") if waits else was
        yield (
            f"server{number % 12}", "tool", f"tool_{number}", "pending" if waits else "trusted", f"{number:064x}", was,
            f"{number + (5_000 if waits else 0):064x}", live, "pin.changed" if waits else "", "", now, now, "first use",
            "", "", now,
        )  # fmt: skip
