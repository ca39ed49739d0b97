"""The table of grants.

A grant is written with the approval that begins it (`approvals/store.py`), and used in the transaction that writes the
decision about the call (`pipeline/passage.py`), so it is never used more often than it says.
"""

from collections.abc import Collection
from datetime import datetime

from sqlmodel import Session, col, select, tuple_, update
from sqlmodel.sql.expression import SelectOfScalar

from approvals.grants.grant import WHO, Grant, SpentError, who
from approvals.stopping import targets
from approvals.terms import Terms
from governance import jsontree
from governance.audit.event import AuditLog, Draft, Tag
from governance.clock import rfc3339
from governance.exchange import Exchange
from governance.store import Store, Work
from governance.store.approval_tables import ApprovalGrantRow
from governance.store.tables import KillRow, TicketRow
from governance.verdict import Leave

_SCOPES = {
    "session": col(ApprovalGrantRow.session_id),
    "key": col(ApprovalGrantRow.key_id),
    "agent": col(ApprovalGrantRow.agent),
    "user": col(ApprovalGrantRow.user),
    "team": col(ApprovalGrantRow.team),
    "tenant": col(ApprovalGrantRow.tenant),
    "server": col(ApprovalGrantRow.server),
}
"""What of a grant a kill of each scope names."""
_OPEN = col(ApprovalGrantRow.ended_at).is_(None)


class _EndedError(Exception):
    """Somebody ended the grant first."""


class SqlGrants:
    """Grants on a database."""

    def __init__(self, store: Store, audit: AuditLog) -> None:
        self._store = store
        self._audit = audit

    async def covering(
        self, exchange: Exchange, leaves: Collection[Leave], now: datetime, digest: str = ""
    ) -> Grant | None:
        """A grant that covers a held call and can be used, the one that ends first; None = a person must be asked.

        A grant whose tool has another definition now is ended; one given before its run was killed is none. The call
        that was approved itself, known by the `digest` of its ticket, uses its approval and not a grant.
        """
        resource, principal = exchange.resource, exchange.principal
        query = _active(now).where(
            ApprovalGrantRow.key_id == principal.key_id,
            ApprovalGrantRow.server == resource.server,
            ApprovalGrantRow.tool == resource.name,
        )
        stopped = select(KillRow.at).where(tuple_(col(KillRow.scope), col(KillRow.target)).in_(_targets(exchange)))

        approved = select(TicketRow.id).where(
            TicketRow.digest == digest, TicketRow.state == "approved", col(TicketRow.expires_at) > rfc3339(now)
        )

        def work(session: Session) -> tuple[list[Grant], str]:
            found = [_grant(row) for row in session.exec(query)]
            if not found or session.exec(approved).first() is not None:
                return [], ""
            return found, max(session.exec(stopped), default="")

        found, killed_at = await self._store.read(work)
        for one in found:
            if resource.definition and one.definition != resource.definition:
                await self._end(one, by="wicket", reason="the tool's definition changed", now=now)
        good = (one for one in found if rfc3339(one.given_at) > killed_at and one.covers(exchange, leaves))
        return next(good, None)

    def use(self, grant: Grant, now: datetime) -> Work[None]:
        """Take one use, to be done in the transaction that lets the call go.

        Raises, when it is done:
            SpentError: there is none left, or the grant has ended.
        """
        change = (
            update(ApprovalGrantRow)
            .where(
                col(ApprovalGrantRow.id) == grant.id,
                _OPEN,
                col(ApprovalGrantRow.used) < col(ApprovalGrantRow.uses),
                col(ApprovalGrantRow.expires_at) > rfc3339(now),
            )
            .values(used=col(ApprovalGrantRow.used) + 1, last_used_at=rfc3339(now))
        )

        def work(session: Session) -> None:
            if session.exec(change).rowcount != 1:
                raise SpentError

        return work

    async def get(self, grant_id: str) -> Grant | None:
        """A grant by its id."""
        found = await self._list(select(ApprovalGrantRow).where(ApprovalGrantRow.id == grant_id))
        return found[0] if found else None

    async def listed(
        self, now: datetime, *, active: bool = True, tenant: str | None = None, limit: int = 200
    ) -> list[Grant]:
        """Grants of one tenant (none given: all), the newest first; all there ever were, or those that can be used."""
        query = _active(now) if active else select(ApprovalGrantRow)
        if tenant is not None:
            query = query.where(ApprovalGrantRow.tenant == tenant)
        order = (col(ApprovalGrantRow.given_at).desc(), col(ApprovalGrantRow.id))
        return await self._list(query.order_by(None).order_by(*order).limit(limit))

    async def revoke(self, grant_id: str, *, by: str, reason: str, now: datetime) -> bool:
        """End a grant; false if there is none of this id that could be used."""
        grant = await self.get(grant_id)
        return grant is not None and await self._end(grant, by=by, reason=reason, now=now)

    async def end_stopped(self, scope: str, target: str, *, by: str, reason: str, now: datetime) -> int:
        """End every grant of what was killed (`sessions.killswitch.Scope`); returns how many."""
        query = _active(now)
        if scope != "all":
            query = query.where(_SCOPES[scope] == target)
        return await self._end_all(await self._list(query), by=by, reason=reason, now=now)

    async def end_outdated(self, rules: Collection[str], now: datetime) -> int:
        """End every grant of a rule that is not in force any more as it was; `rules` are digests. Returns how many."""
        found = [one for one in await self._list(_active(now)) if any(digest not in rules for _, digest in one.rules)]
        return await self._end_all(found, by="wicket", reason="the rule that asked has changed", now=now)

    async def _end_all(self, found: Collection[Grant], *, by: str, reason: str, now: datetime) -> int:
        return [await self._end(one, by=by, reason=reason, now=now) for one in found].count(True)

    async def _end(self, grant: Grant, *, by: str, reason: str, now: datetime) -> bool:
        change = (
            update(ApprovalGrantRow)
            .where(col(ApprovalGrantRow.id) == grant.id, _OPEN, col(ApprovalGrantRow.expires_at) > rfc3339(now))
            .values(ended_at=rfc3339(now), ended_by=by, end_reason=reason)
        )

        def work(session: Session) -> None:
            if session.exec(change).rowcount != 1:
                raise _EndedError

        try:
            await self._audit.append(_ended(grant, by, reason), within=work)
        except _EndedError:
            return False
        return True

    async def _list(self, query: SelectOfScalar[ApprovalGrantRow]) -> list[Grant]:
        return await self._store.read(lambda session: [_grant(row) for row in session.exec(query)])


def keep(session: Session, grant: Grant) -> None:
    """Write a grant that begins."""
    caller = grant.principal
    session.add(
        ApprovalGrantRow(
            id=grant.id,
            ticket_id=grant.ticket,
            given_at=rfc3339(grant.given_at),
            given_by=grant.given_by,
            reason=grant.reason,
            rules=jsontree.canonical([list(one) for one in grant.rules]).decode(),
            server=grant.server,
            tool=grant.tool,
            definition=grant.definition,
            key_id=caller["key_id"],
            tenant=caller["tenant"],
            team=caller["team"],
            agent=caller["agent"],
            user=caller["user"],
            session_id=grant.session,
            session_only=grant.terms.session,
            arguments=jsontree.canonical(dict(grant.terms.arguments)).decode(),
            expires_at=rfc3339(grant.terms.until),
            uses=grant.terms.uses,
        )
    )
    session.flush()


def _active(now: datetime) -> SelectOfScalar[ApprovalGrantRow]:
    row = ApprovalGrantRow
    still = (_OPEN, col(row.used) < col(row.uses), col(row.expires_at) > rfc3339(now))
    return select(row).where(*still).order_by(col(row.expires_at), col(row.id))


def _targets(exchange: Exchange) -> list[tuple[str, str]]:
    """Everything whose kill ends what was granted to this caller, in this run or at this server."""
    session = exchange.session
    return targets(who(exchange.principal), (session.id, *session.also), exchange.resource.server)


def _ended(grant: Grant, by: str, reason: str) -> Draft:
    return Draft(
        Tag.APPROVAL_GRANT_ENDED,
        {
            "grant_id": grant.id,
            "approval_id": grant.ticket,
            "actor": by,
            "reason": reason,
            "server": grant.server,
            "tool": grant.tool,
            "rules": [rule for rule, _ in grant.rules],
            "session_id": grant.session,
            "tenant_id": grant.principal["tenant"],
            "key_id": grant.principal["key_id"],
            "uses_left": grant.terms.uses - grant.used,
        },
    )


def _grant(row: ApprovalGrantRow) -> Grant:
    rules = (jsontree.as_list(one) for one in jsontree.as_list(jsontree.parse(row.rules.encode())))
    arguments = jsontree.as_object(jsontree.parse(row.arguments.encode(), max_depth=jsontree.MAX_DEPTH + 1))
    return Grant(
        id=row.id,
        ticket=row.ticket_id,
        given_at=datetime.fromisoformat(row.given_at),
        given_by=row.given_by,
        reason=row.reason,
        rules=tuple((str(rule), str(digest)) for rule, digest in rules),
        server=row.server,
        tool=row.tool,
        definition=row.definition,
        principal={name: str(getattr(row, name)) for name in WHO},
        session=row.session_id,
        terms=Terms(arguments, row.session_only, datetime.fromisoformat(row.expires_at), row.uses),
        used=row.used,
        last_used_at=_moment(row.last_used_at),
        ended_at=_moment(row.ended_at),
        ended_by=row.ended_by,
        end_reason=row.end_reason,
    )


def _moment(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None
