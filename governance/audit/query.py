"""Reading the log: what the command line and the console show of it.

Nothing here is proof: a page that shows an event has not verified the chain (`verify.py`).
"""

from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

import orjson
from sqlalchemy import func
from sqlmodel import Session, col, select

from governance.audit.event import Receipt, Value
from governance.store import Store
from governance.store.tables import EventRow, HeadRow

_PAGE = 1_000


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which events to show. Whatever is left out does not matter."""

    event_types: tuple[str, ...] = ()
    tenant_id: str = ""
    session_id: str = ""
    exchange_id: str = ""
    key_id: str = ""
    model: str = ""
    tool: str = ""
    since: str = ""
    """RFC 3339 in UTC; at or after."""
    until: str = ""
    """RFC 3339 in UTC; before."""
    after: int | None = None
    """Places greater than this: for following the log as it grows."""
    before: int | None = None
    """Places smaller than this: for turning pages backwards."""
    newest_first: bool = False
    limit: int = 100


@dataclass(frozen=True, slots=True)
class Record:
    """An event as it stands in the log."""

    seq: int
    hash: str
    mac: str
    body: str
    """Canonical JSON, exactly the text that was hashed."""

    @property
    def fields(self) -> dict[str, Value]:
        """The body's members."""
        return cast("dict[str, Value]", orjson.loads(self.body))

    @property
    def line(self) -> str:
        """The event as a line of an exported file; its members are sorted, and the body stands as it was hashed."""
        return f'{{"body":{self.body},"hash":"{self.hash}","mac":"{self.mac}","seq":{self.seq}}}'


@dataclass(frozen=True, slots=True)
class Count:
    """How many events of a kind there were in a minute."""

    minute: str
    """`2026-11-21T12:00`, UTC."""
    event_type: str
    count: int


async def find(store: Store, wanted: Wanted) -> tuple[Record, ...]:
    """The events that are wanted, at most `limit` of them, by their places.

    Raises:
        StoreError: the database cannot be read.
    """
    query = select(EventRow.seq, EventRow.hash, EventRow.mac, EventRow.body).where(*_conditions(wanted))
    place = col(EventRow.seq)
    query = query.order_by(place.desc() if wanted.newest_first else place).limit(wanted.limit)

    def work(session: Session) -> tuple[Record, ...]:
        return tuple(Record(*row) for row in session.exec(query))

    return await store.read(work)


async def head(store: Store) -> Receipt | None:
    """Where the log ends now; nothing if it is empty.

    Raises:
        StoreError: the database cannot be read.
    """

    def work(session: Session) -> Receipt | None:
        row = session.exec(select(HeadRow)).first()
        return Receipt(row.seq, row.hash) if row is not None and row.seq >= 0 else None

    return await store.read(work)


async def place_at(store: Store, moment: str) -> int | None:
    """The place of the first event at or after a moment, by the index of times; None if there is none.

    Several processes write, each by its clock, so a few events about there may stand in another order.

    Raises:
        StoreError: the database cannot be read.
    """
    query = select(EventRow.seq).where(col(EventRow.at) >= moment).order_by(col(EventRow.at), col(EventRow.seq))
    return await store.read(lambda session: session.exec(query.limit(1)).first())


async def place_of_newest(store: Store, event_types: Sequence[str], count: int, *, session_id: str = "") -> int | None:
    """The place of the oldest of the newest `count` events of some kinds; None if there are none so many.

    Raises:
        StoreError: the database cannot be read.
    """
    wanted = Wanted(event_types=tuple(event_types), session_id=session_id)
    query = select(EventRow.seq).where(*_conditions(wanted)).order_by(col(EventRow.seq).desc())
    return await store.read(lambda session: session.exec(query.offset(count - 1).limit(1)).first())


async def per_minute(store: Store, since: str, until: str) -> tuple[Count, ...]:
    """How many events of each kind there were in each minute of a time, oldest first; minutes without any are left out.

    Raises:
        StoreError: the database cannot be read.
    """
    minute = func.substr(EventRow.at, 1, 16)
    query = (
        select(minute, EventRow.event_type, func.count())
        .where(col(EventRow.at) >= since, col(EventRow.at) < until)
        .group_by(minute, col(EventRow.event_type))
        .order_by(minute, col(EventRow.event_type))
    )

    def work(session: Session) -> tuple[Count, ...]:
        return tuple(Count(*row) for row in session.exec(query))

    return await store.read(work)


async def export(store: Store, wanted: Wanted | None = None) -> AsyncGenerator[str]:
    """The lines of an exported file: all that is wanted (by default everything) up to the end of the log.

    Only a whole log can be verified; a part of it shows what was written, and proves nothing.
    """
    wanted = replace(wanted or Wanted(), limit=_PAGE, newest_first=False)
    while records := await find(store, wanted):
        for record in records:
            yield record.line
        wanted = replace(wanted, after=records[-1].seq)


def _conditions(wanted: Wanted) -> list[Any]:
    conditions: list[Any] = [
        col(getattr(EventRow, name)) == value
        for name in ("tenant_id", "session_id", "exchange_id", "key_id", "model", "tool")
        if (value := getattr(wanted, name))
    ]
    # Their indices leave out what is empty, and SQLite takes them only where the query says the same.
    conditions += [
        col(getattr(EventRow, name)) != "" for name in ("session_id", "exchange_id") if getattr(wanted, name)
    ]
    if wanted.event_types:
        conditions.append(col(EventRow.event_type).in_(wanted.event_types))
    if wanted.since:
        conditions.append(col(EventRow.at) >= wanted.since)
    if wanted.until:
        conditions.append(col(EventRow.at) < wanted.until)
    if wanted.after is not None:
        conditions.append(col(EventRow.seq) > wanted.after)
    if wanted.before is not None:
        conditions.append(col(EventRow.seq) < wanted.before)
    return conditions
