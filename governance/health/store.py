"""The table of server health. Only this file of the room speaks SQL.

It is no authority: nothing is let through or refused by what stands here.
"""

from collections.abc import Sequence
from dataclasses import asdict
from datetime import timedelta
from typing import Any

from sqlmodel import Session, col, delete, select

from governance.clock import Clock, rfc3339
from governance.health.report import Report
from governance.store import Store
from governance.store.tables import ServerHealthRow

KEPT = timedelta(days=1)
"""How long the last words of a process that ended without a farewell are kept."""


class SqlHealth:
    """The health of servers in the database: one row for each server and process."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    async def say(self, process: str, reports: Sequence[Report]) -> None:
        """Note how the servers of a process are now, instead of what it said before.

        Raises:
            StoreError: the database failed.
        """
        now = self._clock.now()
        signed: dict[str, Any] = {"process": process, "seen_at": rfc3339(now)}
        old = delete(ServerHealthRow).where(col(ServerHealthRow.seen_at) < rfc3339(now - KEPT))
        own = delete(ServerHealthRow).where(col(ServerHealthRow.process) == process)

        def work(session: Session) -> None:
            session.exec(old)
            session.exec(own)
            for one in reports:
                session.add(ServerHealthRow(**asdict(one) | signed))

        await self._store.write(work)

    async def all(self) -> list[Report]:
        """Everything that was said, fresh or not.

        Raises:
            StoreError: the database failed.
        """
        return await self._store.read(lambda session: [_report(row) for row in session.exec(select(ServerHealthRow))])


def _report(row: ServerHealthRow) -> Report:
    return Report(**row.model_dump())
