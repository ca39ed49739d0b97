"""The table of labels (`sessions/labels/book.py`)."""

from collections.abc import Iterable

from sqlalchemy import text
from sqlmodel import Session, col, func, select

from governance.store import Store, Work
from governance.store.tables import SessionLabelRow
from sessions.labels.book import Label

_NEWEST = "SELECT max(epoch) FROM session_labels"
_AT_ONCE = 500
"""Runs asked about in one query: databases bound how many values one may name."""
_ADD = text(
    """
    INSERT INTO session_labels (session_id, label, source, exchange_id, at, epoch)
    VALUES (:session_id, :label, :source, :exchange_id, :at, (SELECT coalesce(max(epoch), 0) + 1 FROM session_labels))
    ON CONFLICT (session_id, label) DO NOTHING
    """
)


class SqlLabels:
    """The table. Writers take turns (`governance/store`), so a later epoch never becomes visible before an earlier."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def newest(self) -> int:
        """The newest epoch that was durable when this was called; 0 in an empty table."""
        ((epoch,),) = await self._store.glance(_NEWEST)
        return epoch or 0

    async def since(self, epoch: int) -> tuple[int, list[tuple[str, str]]]:
        """The newest epoch, and run and label of each row that came after `epoch`: of one moment."""
        wanted = select(SessionLabelRow).where(col(SessionLabelRow.epoch) > epoch)

        def work(session: Session) -> tuple[int, list[tuple[str, str]]]:
            return _newest(session), [(row.session_id, row.label) for row in session.exec(wanted)]

        return await self._store.read(work)

    async def of(self, session_id: str) -> tuple[int, frozenset[str]]:
        """The newest epoch, and the labels of a run: of one moment."""
        wanted = select(SessionLabelRow.label).where(col(SessionLabelRow.session_id) == session_id)

        def work(session: Session) -> tuple[int, frozenset[str]]:
            return _newest(session), frozenset(session.exec(wanted))

        return await self._store.read(work)

    async def listed(self, session_ids: Iterable[str]) -> dict[str, list[Label]]:
        """The labels of some runs, in the order in which they were set; a run without any is left out."""
        asked = list(session_ids)
        rows = select(SessionLabelRow).order_by(col(SessionLabelRow.epoch))

        def work(session: Session) -> dict[str, list[Label]]:
            found: dict[str, list[Label]] = {}
            for start in range(0, len(asked), _AT_ONCE):
                some = asked[start : start + _AT_ONCE]
                for row in session.exec(rows.where(col(SessionLabelRow.session_id).in_(some))):
                    label = Label(row.label, row.source, row.exchange_id, row.at)
                    found.setdefault(row.session_id, []).append(label)
            return found

        return await self._store.read(work)

    def add(self, session_id: str, labels: Iterable[Label]) -> Work[None]:
        """The work that adds labels to a run; one that it has stays as it is."""
        rows = [
            {
                "session_id": session_id,
                "label": one.label,
                "source": one.source,
                "exchange_id": one.exchange_id,
                "at": one.at,
            }
            for one in labels
        ]

        def work(session: Session) -> None:
            for row in rows:
                session.connection().execute(_ADD, row)

        return work


def _newest(session: Session) -> int:
    return session.exec(select(func.max(SessionLabelRow.epoch))).one() or 0
