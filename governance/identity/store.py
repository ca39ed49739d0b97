"""The table of keys. Only this file of the room speaks SQL.

Every change is one transaction with its audit event, so no key is ever made or revoked without a record of it.
"""

from datetime import UTC, datetime

import orjson
from sqlmodel import Session, col, select, update

from governance.audit.event import AuditLog, Draft, Tag, Value
from governance.clock import Clock, rfc3339
from governance.identity.keys import Grant, Key, KeyRole
from governance.store import Store
from governance.store.tables import KeyRow


class _GoneError(Exception):
    """The key to revoke is not there, or was revoked already: nothing is written."""


class SqlKeys:
    """`governance.identity.keys.KeyStore` on a database."""

    def __init__(self, store: Store, audit: AuditLog, clock: Clock) -> None:
        self._store = store
        self._audit = audit
        self._clock = clock

    async def all(self) -> list[Key]:
        """Every key, revoked ones too, oldest first."""
        query = select(KeyRow).order_by(col(KeyRow.created_at), col(KeyRow.id))
        return await self._store.read(lambda session: [_key(row) for row in session.exec(query)])

    async def add(self, key: Key, *, actor: str) -> None:
        """Keep a new key, with its audit event in the same transaction."""
        await self._audit.append(_draft(Tag.KEY_CREATED, key, actor), within=lambda session: session.add(_row(key)))

    async def revoke(self, key_id: str, *, actor: str, reason: str = "") -> bool:
        """Revoke a key, with its audit event; false if there is none or it was revoked already."""
        key = await self._one(key_id)
        if key is None:
            return False
        draft = _draft(Tag.KEY_REVOKED, key, actor)
        if reason:
            draft = Draft(draft.tag, {**draft.fields, "reason": reason})
        try:
            await self._audit.append(draft, within=lambda session: self._revoke_in(session, key_id))
        except _GoneError:
            return False
        return True

    async def replace(self, key_id: str, successor: Key, *, actor: str) -> bool:
        """Revoke a key and keep its successor, both or neither; false if there is none or it was revoked already."""
        if await self._one(key_id) is None:
            return False

        def swap(session: Session) -> None:
            self._revoke_in(session, key_id)
            session.add(_row(successor))

        draft = _draft(Tag.KEY_CREATED, successor, actor)
        try:
            await self._audit.append(Draft(draft.tag, {**draft.fields, "replaces": key_id}), within=swap)
        except _GoneError:
            return False
        return True

    async def _one(self, key_id: str) -> Key | None:
        query = select(KeyRow).where(KeyRow.id == key_id)
        row = await self._store.read(lambda session: session.exec(query).first())
        return None if row is None else _key(row)

    def _revoke_in(self, session: Session, key_id: str) -> None:
        change = (
            update(KeyRow)
            .where(col(KeyRow.id) == key_id, col(KeyRow.revoked_at).is_(None))
            .values(revoked_at=rfc3339(self._clock.now()))
        )
        if session.exec(change).rowcount != 1:
            raise _GoneError


def _draft(tag: Tag, key: Key, actor: str) -> Draft:
    fields: dict[str, Value] = {
        "key_id": key.id,
        "tenant_id": key.grant.tenant,
        "role": key.grant.role.value,
        "actor": actor,
    }
    return Draft(tag, fields)


def _row(key: Key) -> KeyRow:
    grant = key.grant
    return KeyRow(
        id=key.id,
        hash=key.digest,
        name=grant.name,
        role=grant.role.value,
        tenant=grant.tenant,
        team=grant.team,
        agent=grant.agent,
        user=grant.user,
        models=orjson.dumps(grant.models).decode(),
        servers=orjson.dumps(grant.servers).decode(),
        created_at=rfc3339(key.created_at),
        expires_at=grant.expires_at and rfc3339(grant.expires_at),
        revoked_at=key.revoked_at and rfc3339(key.revoked_at),
    )


def _key(row: KeyRow) -> Key:
    grant = Grant(
        role=KeyRole(row.role),
        tenant=row.tenant,
        team=row.team,
        agent=row.agent,
        user=row.user,
        models=tuple(orjson.loads(row.models)),
        servers=tuple(orjson.loads(row.servers)),
        expires_at=_moment(row.expires_at),
        name=row.name,
    )
    created_at = datetime.fromisoformat(row.created_at).astimezone(UTC)
    return Key(row.id, row.hash, grant, created_at, _moment(row.revoked_at))


def _moment(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text).astimezone(UTC)
