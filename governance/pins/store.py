"""The table of pins. Only this file of the room speaks SQL.

Every change is one transaction with its audit event, and moves a number on that tells every process to read again.
"""

from collections.abc import Sequence
from dataclasses import replace

from sqlalchemy.orm import defer
from sqlmodel import Session, select

from governance.audit.event import AuditLog, Draft
from governance.clock import Clock, rfc3339
from governance.pins.pin import Change, Key, Kind, MovedError, Pin, State
from governance.store import Store
from governance.store.tables import PinRow, SignalRow

TOPIC = "pins"
_VERSION = "SELECT version FROM signals WHERE topic = 'pins'"
_TEXTS = ("definition", "live_definition")


class SqlPins:
    """`governance.pins.pin.PinStore` on a database."""

    def __init__(self, store: Store, audit: AuditLog, clock: Clock) -> None:
        self._store = store
        self._audit = audit
        self._clock = clock

    async def version(self) -> int:
        """A number that grows with every change, as cheaply as can be."""
        rows = await self._store.glance(_VERSION)
        return int(rows[0][0]) if rows else 0

    async def all(self) -> list[Pin]:
        """Every pin, without definitions."""
        query = select(PinRow).options(*(defer(getattr(PinRow, name)) for name in _TEXTS))
        return await self._store.read(lambda session: [_light(row) for row in session.exec(query)])

    async def get(self, key: Key) -> Pin | None:
        """One pin, whole."""

        def work(session: Session) -> Pin | None:
            row = session.get(PinRow, key)
            return None if row is None else _pin(row)

        return await self._store.read(work)

    async def record(self, changes: Sequence[Change], draft: Draft) -> None:
        """Make changes, all or none."""
        now = rfc3339(self._clock.now())

        def work(session: Session) -> None:
            for change in changes:
                _make(session, change, now)
            signal = session.get(SignalRow, TOPIC) or SignalRow(topic=TOPIC, version=0)
            signal.version += 1
            session.add(signal)

        await self._audit.append(draft, work)


def _make(session: Session, change: Change, now: str) -> None:
    row = session.get(PinRow, change.after.key)
    if (row is not None or change.before is not None) and not (row and _light(row).same(change.before)):
        raise MovedError
    after = change.after
    if row is None:
        row = PinRow(server=after.server, kind=after.kind.value, name=after.name)
    row.state, row.digest, row.live = after.state.value, after.digest, after.live
    row.rule, row.reason, row.live_at, row.changed_at = after.rule, after.reason, after.live_at, now
    row.trusted_at, row.trusted_by = after.trusted_at, after.trusted_by
    row.decided_by, row.decision_reason = after.decided_by, after.decision_reason
    # A change that was made from what is known without its texts leaves them as they are.
    row.definition = after.definition or (row.definition if after.digest else "")
    row.live_definition = after.live_definition or row.live_definition
    session.add(row)


def _light(row: PinRow) -> Pin:
    return Pin(
        server=row.server,
        kind=Kind(row.kind),
        name=row.name,
        state=State(row.state),
        live=row.live,
        digest=row.digest,
        rule=row.rule,
        reason=row.reason,
        live_at=row.live_at,
        trusted_at=row.trusted_at,
        trusted_by=row.trusted_by,
        decided_by=row.decided_by,
        decision_reason=row.decision_reason,
    )


def _pin(row: PinRow) -> Pin:
    return replace(_light(row), definition=row.definition, live_definition=row.live_definition)
