"""The table of delegations. Who may decide because of one is `delegation.py`."""

import secrets
from dataclasses import replace
from datetime import datetime

from sqlmodel import Session, col, or_, select, update
from sqlmodel.sql.expression import SelectOfScalar

from approvals.delegation.delegation import Delegation, check
from approvals.quorum import Approver, folded, person_of
from governance.audit.event import AuditLog, Draft, Tag
from governance.clock import rfc3339
from governance.identity.directory import ADMINISTRATOR
from governance.identity.keys import KeyRole
from governance.store import Store
from governance.store.approval_tables import DelegationRow
from governance.store.tables import KeyRow

_DECIDING = (KeyRole.APPROVER.value, KeyRole.ADMIN.value)


class _EndedError(Exception):
    """Somebody ended it first."""


class SqlDelegations:
    """Delegations on a database."""

    def __init__(self, store: Store, audit: AuditLog) -> None:
        self._store = store
        self._audit = audit

    async def give(
        self, giver: Approver, key_id: str, tenant: str, *, to: str, reason: str, until: datetime, now: datetime
    ) -> Delegation:
        """Let somebody decide in the place of `giver`.

        Raises:
            DelegationError: that may not be delegated.
        """
        made = Delegation("dlg_" + secrets.token_hex(12), giver, key_id, tenant, to.strip(), reason, now, until)
        check(made, await self.people(now), now)
        row = DelegationRow(
            id=made.id,
            key_id=key_id,
            name=giver.name,
            person=giver.person,
            user=giver.user,
            role=giver.role,
            team=giver.team,
            tenant=tenant,
            to_user=folded(to),
            reason=reason,
            given_at=rfc3339(now),
            until=rfc3339(until),
        )

        def work(session: Session) -> None:
            session.add(row)
            session.flush()

        told = {"to": made.to, "until": rfc3339(until), "reason": reason}
        await self._audit.append(Draft(Tag.DELEGATION_GIVEN, {**_told(made), "actor": giver.name, **told}), within=work)
        return made

    async def end(self, delegation: Delegation, *, by: str, now: datetime) -> bool:
        """End a delegation; false if it had ended before."""
        row = DelegationRow
        change = update(row).where(col(row.id) == delegation.id, col(row.ended_at).is_(None))
        change = change.where(col(row.until) > rfc3339(now)).values(ended_at=rfc3339(now), ended_by=by)

        def work(session: Session) -> None:
            if session.exec(change).rowcount != 1:
                raise _EndedError

        try:
            draft = Draft(Tag.DELEGATION_ENDED, {**_told(delegation), "actor": by, "to": delegation.to})
            await self._audit.append(draft, within=work)
        except _EndedError:
            return False
        return True

    async def get(self, delegation_id: str) -> Delegation | None:
        """A delegation by its id."""
        query = select(DelegationRow).where(DelegationRow.id == delegation_id)
        found = await self._store.read(lambda session: [_delegation(row) for row in session.exec(query)])
        return found[0] if found else None

    async def listed(
        self, now: datetime, *, active: bool = True, tenant: str | None = None, limit: int = 200
    ) -> list[Delegation]:
        """Delegations of people of one tenant (none given: all), the newest first."""
        query = select(DelegationRow).order_by(col(DelegationRow.given_at).desc(), col(DelegationRow.id)).limit(limit)
        if active:
            query = query.where(col(DelegationRow.ended_at).is_(None), col(DelegationRow.until) > rfc3339(now))
        if tenant is not None:
            query = query.where(DelegationRow.tenant == tenant)
        return await self._store.read(lambda session: [_delegation(row) for row in session.exec(query)])

    async def to(self, user: str, now: datetime) -> list[Delegation]:
        """What is delegated to a person, by those who may still decide themselves, as their keys are now."""
        query = select(DelegationRow).where(
            DelegationRow.to_user == folded(user),
            col(DelegationRow.ended_at).is_(None),
            col(DelegationRow.until) > rfc3339(now),
        )

        def work(session: Session) -> list[Delegation]:
            rows = session.exec(query.order_by(col(DelegationRow.given_at))).all()
            wanted = [row.key_id for row in rows]
            keys = {key.id: key for key in session.exec(_active(now).where(col(KeyRow.id).in_(wanted)))}
            return [one for row in rows if (one := _as_they_are(_delegation(row), keys.get(row.key_id))) is not None]

        return await self._store.read(work)

    async def people(self, now: datetime) -> list[str]:
        """Everybody who may decide about anything, by name."""
        query = _active(now)
        return await self._store.read(lambda session: sorted({row.user for row in session.exec(query) if row.user}))


def _active(now: datetime) -> SelectOfScalar[KeyRow]:
    """Keys of people who may decide."""
    moment = rfc3339(now)
    good = (
        col(KeyRow.role).in_(_DECIDING),
        or_(col(KeyRow.revoked_at).is_(None), col(KeyRow.revoked_at) > moment),
        or_(col(KeyRow.expires_at).is_(None), col(KeyRow.expires_at) > moment),
    )
    return select(KeyRow).where(*good)


def _as_they_are(delegation: Delegation, key: KeyRow | None) -> Delegation | None:
    """A delegation by somebody as their key has it now; None where they may not decide any more."""
    if delegation.key_id == ADMINISTRATOR:
        return delegation
    if key is None or folded(key.user) != folded(delegation.giver.user):
        return None
    giver = Approver(delegation.giver.name, person_of(key.user, key.id), key.user, key.role, key.team)
    return replace(delegation, giver=giver, tenant="" if key.role == KeyRole.ADMIN else key.tenant)


def _told(delegation: Delegation) -> dict[str, str | int | bool | list[str] | None]:
    return {"delegation_id": delegation.id, "on_behalf_of": delegation.giver.name, "tenant_id": delegation.tenant}


def _delegation(row: DelegationRow) -> Delegation:
    return Delegation(
        row.id,
        Approver(row.name, row.person, row.user, row.role, row.team),
        row.key_id,
        row.tenant,
        row.to_user,
        row.reason,
        datetime.fromisoformat(row.given_at),
        datetime.fromisoformat(row.until),
        datetime.fromisoformat(row.ended_at) if row.ended_at else None,
        row.ended_by,
    )
