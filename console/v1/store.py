"""Pages of lists by keyset, and the answers that are kept for requests that are made again.

Reads tables of other rooms and writes none of them; the one that it writes is `answers`.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlmodel import Session, col, delete, or_, select

from governance.clock import rfc3339
from governance.store import ConflictError, Store
from governance.store.tables import AnswerRow, SessionRow, TicketRow
from sessions.roll import Run

KEPT = timedelta(hours=24)
"""How long the answer to a request that may be made again is kept."""
ABANDONED = timedelta(minutes=1)
"""After how long a request that was never answered is thought to have died with its process."""

Place = tuple[str, str] | None


@dataclass(frozen=True, slots=True)
class Runs:
    """Which runs are wanted. Empty = it does not matter."""

    tenant: str = ""
    agent: str = ""
    key_id: str = ""
    since: str = ""
    until: str = ""


@dataclass(frozen=True, slots=True)
class Kept:
    """An answer that was given before."""

    request: str
    """Digest of the request that it was for."""
    status: int
    """0 = not answered yet."""
    body: str


class Pages:
    """Pages of lists."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def runs(self, wanted: Runs, place: Place, limit: int) -> list[Run]:
        """Runs, the last seen first, without those that turned out to be part of another."""
        seen, run_id = col(SessionRow.last_seen), col(SessionRow.id)
        query = select(SessionRow).where(col(SessionRow.joined_id) == "")
        for column, value in (("tenant", wanted.tenant), ("agent", wanted.agent), ("key_id", wanted.key_id)):
            query = query.where(getattr(SessionRow, column) == value) if value else query
        query = query.where(seen >= wanted.since) if wanted.since else query
        query = query.where(seen < wanted.until) if wanted.until else query
        if place is not None:
            query = query.where(or_(seen < place[0], (seen == place[0]) & (run_id > place[1])))
        query = query.order_by(seen.desc(), run_id).limit(limit)
        return await self._store.read(lambda session: [_run(row) for row in session.exec(query)])

    async def tickets(self, tenant: str, state: str, place: Place, limit: int) -> list[tuple[str, str]]:
        """Ids of tickets, the newest first, each with when it was asked."""
        asked, ticket_id = col(TicketRow.created_at), col(TicketRow.id)
        query = select(TicketRow.id, TicketRow.created_at)
        query = query.where(TicketRow.tenant == tenant) if tenant else query
        query = query.where(TicketRow.state == state) if state else query
        if place is not None:
            query = query.where(or_(asked < place[0], (asked == place[0]) & (ticket_id > place[1])))
        query = query.order_by(asked.desc(), ticket_id).limit(limit)
        return await self._store.read(lambda session: [(row[0], row[1]) for row in session.exec(query)])


class Answers:
    """Answers to requests that may be made again."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def begin(self, name: str, request: str, now: datetime) -> Kept | None:
        """Take a request up; None = it is this caller's to answer, otherwise what became of it before."""
        row = AnswerRow(name=name, request=request, status=0, body="", at=rfc3339(now))
        old = delete(AnswerRow).where(
            or_(
                col(AnswerRow.at) < rfc3339(now - KEPT),
                (col(AnswerRow.status) == 0) & (col(AnswerRow.at) < rfc3339(now - ABANDONED)),
            )
        )

        def work(session: Session) -> None:
            session.exec(old)
            session.add(row)

        def look(session: Session) -> Kept | None:
            found = session.get(AnswerRow, name)
            return None if found is None else Kept(found.request, found.status, found.body)

        try:
            await self._store.write(work)
        except ConflictError:
            return await self._store.read(look) or Kept(request, 0, "")
        return None

    async def end(self, name: str, status: int, body: str) -> None:
        """Keep what a request was answered; one that was refused as not understood is forgotten."""

        def work(session: Session) -> None:
            row = session.get(AnswerRow, name)
            if row is None:
                return
            if status in (200, 409):
                row.status, row.body = status, body
                session.add(row)
            else:
                session.delete(row)

        await self._store.write(work)


def _run(row: SessionRow) -> Run:
    return Run(
        id=row.id,
        key_id=row.key_id,
        tenant=row.tenant,
        agent=row.agent,
        evidence=row.evidence,
        rank=row.rank,
        source=f"{row.source}={row.external_id}" if row.external_id else row.source,
        plane=row.plane,
        first_seen=row.first_seen,
        last_seen=row.last_seen,
        verified=row.verified,
        parent_id=row.parent_id,
        joined_id=row.joined_id,
    )
