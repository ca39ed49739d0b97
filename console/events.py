"""The audit log as the pages show it: a thin reading over `governance/audit/query.py`."""

import itertools
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from governance.audit import query
from governance.audit.chain import link
from governance.audit.event import Value
from governance.audit.query import Record, Wanted
from governance.history.recorded import DECIDED
from governance.store import Store

CHECKED = 1_000
_DECIDED = frozenset(tag.value for tag in DECIDED)


@dataclass(frozen=True, slots=True)
class Event:
    """One event, read."""

    seq: int
    at: datetime
    tag: str
    fields: dict[str, Value]
    hash: str = ""

    def text(self, name: str) -> str:
        """A text field, or nothing."""
        value = self.fields.get(name)
        return value if isinstance(value, str) else ""

    @property
    def judged(self) -> str:
        """The exchange of which this event tells how it was decided, or nothing."""
        return self.text("exchange_id") if self.tag in _DECIDED else ""

    def texts(self, name: str) -> list[str]:
        """A list of texts, or an empty one."""
        value = self.fields.get(name)
        return value if isinstance(value, list) else []

    def number(self, name: str) -> int:
        """A whole number, or 0."""
        value = self.fields.get(name)
        return value if isinstance(value, int) else 0


@dataclass(frozen=True, slots=True)
class Chain:
    """Where the log ends, and whether its newest events hang together."""

    count: int
    head: str
    """Hash of the last event; empty in an empty log."""
    checked: int
    sound: bool
    """Whether the checked events follow from one another and end at the head. Only `wicket audit verify` checks all."""


class Events:
    """The log, read for one console."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def page(self, wanted: Wanted) -> list[Event]:
        """The events that are wanted."""
        return [event_of(record) for record in await query.find(self._store, wanted)]

    async def of_session(
        self,
        session_id: str,
        parts: Collection[str] = (),
        limit: int = 2_000,
        *,
        before: int | None = None,
        after: int | None = None,
    ) -> list[Event]:
        """What happened in a run, oldest first: the newest `limit` events of it, or of those between two places.

        Args:
            session_id: the run.
            parts: sessions that turned out to be part of it.
            limit: most events.
            before: only events before this place.
            after: the first events after this place, instead of the newest.
        """
        newest = after is None
        found = [
            event
            for one in (session_id, *parts)
            for event in await self.page(
                Wanted(session_id=one, newest_first=newest, limit=limit, before=before, after=after)
            )
        ]
        ordered = sorted(found, key=lambda event: event.seq)
        return ordered[-limit:] if newest else ordered[:limit]

    async def chain(self) -> Chain:
        """The end of the chain, with a look at its newest `CHECKED` events."""
        head = await query.head(self._store)
        if head is None:
            return Chain(0, "", 0, sound=True)
        newest = await query.find(self._store, Wanted(before=head.seq + 1, newest_first=True, limit=CHECKED))
        return Chain(head.seq + 1, head.hash, len(newest), sound=_hangs_together(newest, head.hash))


def _hangs_together(newest: Collection[Record], head: str) -> bool:
    """Whether events, newest first, follow from one another and the newest is the head."""
    records = list(newest)
    ends = bool(records) and records[0].hash == head
    return ends and all(_follows(above, below) for above, below in itertools.pairwise(records))


def _follows(above: Record, below: Record) -> bool:
    linked = link(bytes.fromhex(below.hash), above.seq, above.body.encode())
    return above.seq == below.seq + 1 and linked.hex() == above.hash


def event_of(record: Record) -> Event:
    """A record, read."""
    fields = record.fields
    at, tag = fields.get("at"), fields.get("event_type")
    return Event(record.seq, datetime.fromisoformat(str(at)), str(tag), fields, record.hash)
