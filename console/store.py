"""The table of one-time links and of people's sessions on the console. It writes nothing else."""

from datetime import datetime

from sqlmodel import Session, col, select, update

from governance.clock import rfc3339
from governance.store import Store
from governance.store.tables import LoginRow


class SqlLogins:
    """One-time links and sessions. Only hashes of tokens are kept."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def add(self, token_hash: str, *, kind: str, subject: str, now: datetime, expires_at: datetime) -> None:
        """Keep a new link (`kind` `link`) or session (`session`), and drop what expired."""
        row = LoginRow(
            hash=token_hash, kind=kind, subject=subject, created_at=rfc3339(now), expires_at=rfc3339(expires_at)
        )
        old = select(LoginRow).where(col(LoginRow.expires_at) <= rfc3339(now)).limit(100)

        def work(session: Session) -> None:
            for expired in session.exec(old).all():
                session.delete(expired)
            session.add(row)

        await self._store.write(work)

    async def redeem(self, token_hash: str, now: datetime) -> str | None:
        """Use a link up: the key id it was made for, for exactly one caller; None for everybody else."""
        use = (
            update(LoginRow)
            .where(
                col(LoginRow.hash) == token_hash,
                col(LoginRow.kind) == "link",
                col(LoginRow.used_at).is_(None),
                col(LoginRow.expires_at) > rfc3339(now),
            )
            .values(used_at=rfc3339(now))
        )

        def work(session: Session) -> str | None:
            if session.exec(use).rowcount != 1:
                return None
            return session.exec(select(LoginRow.subject).where(LoginRow.hash == token_hash)).one()

        return await self._store.write(work)

    async def session(self, token_hash: str, now: datetime) -> str | None:
        """The key id of an open session, or None."""
        query = select(LoginRow.subject).where(
            LoginRow.hash == token_hash, LoginRow.kind == "session", col(LoginRow.expires_at) > rfc3339(now)
        )
        return await self._store.read(lambda session: session.exec(query).first())

    async def end(self, token_hash: str) -> None:
        """End a session."""

        def work(session: Session) -> None:
            if (row := session.get(LoginRow, token_hash)) is not None:
                session.delete(row)

        await self._store.write(work)
