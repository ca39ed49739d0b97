"""The audit log as the pages show it: a thin reading over `governance/audit/query.py`."""

import itertools
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from governance.audit import query
from governance.audit.chain import link
from governance.audit.event import Tag, Value
from governance.audit.query import Record, Wanted
from governance.clock import rfc3339
from governance.store import Store

MOST_EVENTS = 20_000
"""Most events one drawing is made of."""
CHECKED = 1_000


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
        return [_event(record) for record in await query.find(self._store, wanted)]

    async def since(self, moment: datetime, tags: Collection[Tag], tenant: str | None = None) -> list[Event]:
        """Events of some kinds since a moment, newest first and at most `MOST_EVENTS`."""
        kinds = tuple(tag.value for tag in tags)
        wanted = Wanted(
            event_types=kinds, tenant_id=tenant or "", since=rfc3339(moment), newest_first=True, limit=MOST_EVENTS
        )
        return await self.page(wanted)

    async def of_session(self, session_id: str, parts: Collection[str] = (), limit: int = 2_000) -> list[Event]:
        """What happened in a run, oldest first: the newest `limit` events of it.

        Args:
            session_id: the run.
            parts: sessions that turned out to be part of it.
            limit: most events.
        """
        found = [
            event
            for one in (session_id, *parts)
            for event in await self.page(Wanted(session_id=one, newest_first=True, limit=limit))
        ]
        return sorted(found, key=lambda event: event.seq)[-limit:]

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


def _event(record: Record) -> Event:
    fields = record.fields
    at, tag = fields.get("at"), fields.get("event_type")
    return Event(record.seq, datetime.fromisoformat(str(at)), str(tag), fields, record.hash)
