"""The tables of one-time links, of people's sessions on the console, and of people. It writes nothing else."""

from dataclasses import replace
from datetime import datetime, timedelta

from sqlalchemy import Delete
from sqlmodel import Session, col, delete, func, select, update

from console.people import Person
from governance.audit.event import AuditLog, Draft, Tag, Value
from governance.clock import Clock, rfc3339
from governance.identity.keys import KeyRole
from governance.store import ConflictError, Store
from governance.store.tables import LoginRow, PersonRow, SessionRow


class _GoneError(Exception):
    """There is nobody to change, or nothing to change of them: nothing is written."""


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

    async def once(self, name: str, now: datetime, seconds: float) -> bool:
        """Whether this is the first time that `name` is used; it is remembered for so long."""
        try:
            await self.add(name, kind="used", subject="", now=now, expires_at=now + timedelta(seconds=seconds))
        except ConflictError:
            return False
        return True

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


class SqlPeople:
    """The table of people of the identity provider. Every change stands in one transaction with its audit event."""

    def __init__(self, store: Store, audit: AuditLog, clock: Clock) -> None:
        self._store = store
        self._audit = audit
        self._clock = clock

    async def get(self, person_id: str) -> Person | None:
        """Somebody by their id."""

        def work(session: Session) -> Person | None:
            row = session.get(PersonRow, person_id)
            return None if row is None else _person(row)

        return await self._store.read(work)

    async def all(self) -> list[Person]:
        """Everybody who ever signed in, those who came last first."""
        query = select(PersonRow).order_by(col(PersonRow.signed_in_at).desc(), col(PersonRow.id))
        return await self._store.read(lambda session: [_person(row) for row in session.exec(query)])

    async def came(self, person: Person) -> bool:
        """Write down that somebody signed in, as what they are now; false if they were shut out.

        Where they are something else than before, every session that they have ends.
        """
        now = rfc3339(self._clock.now())
        before = await self.get(person.id)
        if before is not None and before.revoked_at is not None:
            return False
        was: dict[str, Value] = {}
        if before is not None and before.role is not person.role:
            was = {"was_role": before.role.value}
        changed = before is not None and before.standing != person.standing

        def work(session: Session) -> None:
            row = session.get(PersonRow, person.id)
            if row is not None and row.revoked_at is not None:
                raise _GoneError
            created = now if row is None else row.created_at
            session.merge(_row(replace(person, created_at=created, signed_in_at=now)))
            if changed:
                session.exec(_sessions_of(person.id))

        fields: dict[str, Value] = {**_about(person), **was, "how": "oidc", "actor": person.name}
        try:
            await self._audit.append(Draft(Tag.PERSON_SIGNED_IN, fields), within=work)
        except _GoneError:
            return False
        return True

    async def revoke(self, person_id: str, *, actor: str, reason: str) -> bool:
        """Shut somebody out and end their sessions; false if there is nobody, or they were shut out before."""
        now = rfc3339(self._clock.now())
        return await self._change(person_id, Tag.PERSON_REVOKED, now, actor, reason)

    async def restore(self, person_id: str, *, actor: str, reason: str) -> bool:
        """Let somebody sign in again; false if they were not shut out."""
        return await self._change(person_id, Tag.PERSON_RESTORED, None, actor, reason)

    async def _change(self, person_id: str, tag: Tag, revoked_at: str | None, actor: str, reason: str) -> bool:
        person = await self.get(person_id)
        if person is None:
            return False

        def work(session: Session) -> None:
            row = session.get(PersonRow, person_id)
            if row is None or (row.revoked_at is None) == (revoked_at is None):
                raise _GoneError
            row.revoked_at = revoked_at
            session.add(row)
            session.exec(_sessions_of(person_id))

        fields: dict[str, Value] = {**_about(person), "actor": actor, "reason": reason}
        try:
            await self._audit.append(Draft(tag, fields), within=work)
        except _GoneError:
            return False
        return True


async def last_used(store: Store) -> dict[str, str]:
    """When a run of each key was last seen, RFC 3339, by the id of the key; keys without runs are left out."""
    query = select(SessionRow.key_id, func.max(SessionRow.last_seen)).group_by(col(SessionRow.key_id))
    return await store.read(lambda session: {row[0]: row[1] for row in session.exec(query)})


def _sessions_of(subject: str) -> Delete:
    return delete(LoginRow).where(col(LoginRow.subject) == subject, col(LoginRow.kind) == "session")


def _about(person: Person) -> dict[str, Value]:
    return {"key_id": person.id, "tenant_id": person.tenant, "role": person.role.value, "user": person.user}


def _row(person: Person) -> PersonRow:
    return PersonRow(
        id=person.id,
        issuer=person.issuer,
        subject=person.subject,
        user=person.user,
        role=person.role.value,
        tenant=person.tenant,
        team=person.team,
        terms=person.terms,
        created_at=person.created_at,
        signed_in_at=person.signed_in_at,
        revoked_at=person.revoked_at,
    )


def _person(row: PersonRow) -> Person:
    return Person(
        row.id, row.issuer, row.subject, row.user, KeyRole(row.role), row.tenant, row.team, row.terms,
        row.created_at, row.signed_in_at, row.revoked_at,
    )  # fmt: skip
