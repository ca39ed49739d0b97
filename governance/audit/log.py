"""The audit log: makes events durable and chained, or raises.

What goes into an event, and what is masked in it, is decided by the pipeline. How the chain is made is `chain.py`.
"""

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import orjson

from governance.audit import keys
from governance.audit.chain import encode, link, seal
from governance.audit.columns import columns
from governance.audit.event import AuditError, Draft, Receipt
from governance.clock import Clock, rfc3339
from governance.store import ConflictError, Pen, Store, StoreError, Work

_OWN = ("at", "event_type", "writer")
_MOST_ROWS = 64
"""Rows of one statement in SQLite."""


class _Entry(NamedTuple):
    body: bytes
    columns: list[str]


class _Row(NamedTuple):
    """A row of the table `audit_events`, in the order of its columns."""

    seq: int
    body: str
    hash: str
    mac: str
    at: str
    event_type: str
    tenant_id: str
    session_id: str
    exchange_id: str
    key_id: str
    model: str
    tool: str


class Journal:
    """The audit log of one process, kept in the store. Implements `governance.audit.event.AuditLog`."""

    def __init__(self, store: Store, master: bytes, clock: Clock, *, writer: str = "") -> None:
        """A log on an open store.

        Args:
            store: where events are kept, together with the rest of the state.
            master: the 32-byte master key.
            clock: tells when an event happened.
            writer: name of this process, written into each of its events; empty = leave it out.
        """
        self._store = store
        self._clock = clock
        self._writer = writer
        self._chain = _Chain(keys.derive(master, keys.AUDIT_MAC))
        self.failures = 0
        """How many events this log could not make durable. Whoever waited for one was told, and refused."""

    async def append(self, draft: Draft, within: Work[Any] | None = None) -> Receipt:
        """Make an event durable, together with what `within` does in the same transaction: both or neither.

        A field that is `None` is left out. A caller that is cancelled while it waits leaves the event in its place.

        Raises:
            AuditError: the event is not durable, or a field holds what a field may not hold.
            ConflictError: `within` broke a rule of the tables; nothing was written. Whatever else `within` raises
                comes out as it is, and nothing was written either.
        """
        try:
            return await self._store.append(self._chain, self._entry(draft), within)
        except ConflictError:
            raise
        except AuditError:
            self.failures += 1
            raise
        except StoreError as error:
            self.failures += 1
            raise AuditError(f"the audit log could not be written: {error}") from error

    def _entry(self, draft: Draft) -> _Entry:
        fields = dict(draft.fields)
        if None in fields.values():
            fields = {name: value for name, value in fields.items() if value is not None}
        for name in _OWN:
            if name in fields:
                raise AuditError(f"field `{name}` of the event `{draft.tag}` is written by the log itself")
        fields["at"] = rfc3339(self._clock.now())
        fields["event_type"] = draft.tag.value
        if self._writer:
            fields["writer"] = self._writer
        try:
            return _Entry(encode(fields), columns(fields))
        except ValueError as error:
            raise AuditError(f"the event `{draft.tag}` cannot be written: {error}") from None


class _Chain:
    """Gives the entries of a batch their places and hashes, and writes them. Runs in the store's writer thread."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    def flush(self, pen: Pen, items: Sequence[_Entry]) -> Sequence[Receipt]:
        """Write the entries behind the head, and move the head.

        The head is read from the table each time, because another process may have moved it.
        """
        insert, move = _WRITERS[pen.dialect]
        pen.cursor.execute("SELECT seq, hash FROM audit_head WHERE id = 1")
        head = pen.cursor.fetchone()
        if head is None:
            raise StoreError("the table `audit_head` is empty: the log cannot be continued")
        rows = self._chained(head[0], bytes.fromhex(head[1]), items)
        insert(pen.cursor, rows)
        pen.cursor.execute(move, (rows[-1].seq, rows[-1].hash))
        return [Receipt(row.seq, row.hash) for row in rows]

    def _chained(self, seq: int, previous: bytes, items: Sequence[_Entry]) -> list[_Row]:
        rows: list[_Row] = []
        for body, copies in items:
            seq += 1
            previous = link(previous, seq, body)
            rows.append(_Row(seq, body.decode(), previous.hex(), seal(self._key, previous).hex(), *copies))
        return rows


def _insert_into_sqlite(cursor: Any, rows: Sequence[_Row]) -> None:
    """Many rows in one statement: the driver lets other threads run at every step, and a step a row is a race a row."""
    start = 0
    while start < len(rows):
        # Powers of two, so that a handful of prepared statements serves every number of rows.
        count = min(_MOST_ROWS, 1 << ((len(rows) - start).bit_length() - 1))
        cursor.execute(_inserting(count), [value for row in rows[start : start + count] for value in row])
        start += count


@functools.cache
def _inserting(count: int) -> str:
    row = "(" + ", ".join("?" * len(_Row._fields)) + ")"
    return "INSERT INTO audit_events VALUES " + ", ".join([row] * count)  # noqa: S608 - only question marks


def _insert_into_postgres(cursor: Any, rows: Sequence[_Row]) -> None:
    """All rows as one JSON text in one statement: a statement a row would cost three times as much."""
    cursor.execute(
        "INSERT INTO audit_events SELECT * FROM json_populate_recordset(NULL::audit_events, %s::json)",
        (orjson.dumps([row._asdict() for row in rows]).decode(),),
    )


_Insert = Callable[[Any, Sequence[_Row]], None]
_WRITERS: Mapping[str, tuple[_Insert, str]] = {
    "sqlite": (_insert_into_sqlite, "UPDATE audit_head SET seq = ?, hash = ? WHERE id = 1"),
    "postgresql": (_insert_into_postgres, "UPDATE audit_head SET seq = %s, hash = %s WHERE id = 1"),
}
