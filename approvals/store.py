"""The table of tickets. How their messages are kept is `approvals/webhook/store.py`.

Every change of a ticket is one transaction: the row, its audit event, and the messages that tell of it. A change is
made by one `UPDATE` that names the states it may start from, so of any number of callers exactly one makes it.
"""

from collections.abc import Collection
from dataclasses import replace
from datetime import datetime

from sqlmodel import Session, col, func, select, tuple_, update
from sqlmodel.sql.expression import SelectOfScalar

from approvals.delegation.delegation import Delegation, standing_in
from approvals.delegation.store import SqlDelegations
from approvals.grants import store as grants_store
from approvals.grants.grant import WHO, grant_of
from approvals.quorum import APPROVE, WORDS, Approver, Vote, objection
from approvals.rows import next_escalation, next_reminder, row_of, ticket_of, vote_of, vote_row
from approvals.shelf import STALE, CrowdedError, Decided, Edited
from approvals.stopping import targets
from approvals.ticket import MOVES, OPEN, Move, State, Ticket, check_relief, draft, particulars
from approvals.webhook.message import Announcer
from approvals.webhook.store import keep
from governance import jsontree
from governance.audit.event import AuditLog, Tag
from governance.clock import rfc3339
from governance.jsontree import Json
from governance.store import ConflictError, Store, StoreError, Work
from governance.store.tables import KeyRow, KillRow, TicketRow, VoteRow
from governance.verdict import NO_RELIEF, Relief

ATTEMPTS = 8
"""How often opening may meet a ticket that closes at the same moment."""
_SCOPES = {
    "session": col(TicketRow.session_id),
    "key": col(TicketRow.key_id),
    "agent": col(TicketRow.agent),
    "user": col(TicketRow.user),
    "team": col(TicketRow.team),
    "tenant": col(TicketRow.tenant),
    "server": col(TicketRow.server),
}
"""What of a ticket a kill of each scope names."""
_REFUSED = (State.DENIED, State.EXPIRED, State.INVALIDATED)


class _LostError(Exception):
    """The row was not in a state from which this move starts: somebody else moved first."""


class SqlTickets:
    """`approvals.desk.TicketStore` on a database."""

    def __init__(self, store: Store, audit: AuditLog, announcer: Announcer | None = None) -> None:
        self._store = store
        self._audit = audit
        self._announcer = announcer or Announcer(())
        self._grants = grants_store.SqlGrants(store, audit)
        self._delegations = SqlDelegations(store, audit)

    async def open_or_attach(self, ticket: Ticket, now: datetime, *, most: int) -> Ticket:
        """Keep a new ticket, or return the open one of the same digest."""
        for _ in range(ATTEMPTS):
            found = await self._open(ticket.digest)
            if found is not None and not found.overdue(now):
                return found
            if found is not None:
                await self._move(found, Move.EXPIRE, now)
                continue
            try:
                await self._audit.append(draft(Tag.APPROVAL_REQUESTED, ticket), within=self._insertion(ticket, most))
            except ConflictError:
                continue
            return ticket
        raise StoreError("a ticket could not be opened: the same call is opened and closed again and again")

    async def get(self, ticket_id: str) -> Ticket | None:
        """A ticket by its id."""
        return await self._first(select(TicketRow).where(TicketRow.id == ticket_id))

    async def decided(self, ids: Collection[str]) -> list[str]:
        """Those of these tickets that are pending no more."""
        query = select(TicketRow.id).where(col(TicketRow.id).in_(list(ids)), TicketRow.state != State.PENDING)
        return await self._store.read(lambda session: list(session.exec(query)))

    async def tickets(
        self, states: Collection[State] = (), limit: int = 200, tenant: str | None = None
    ) -> list[Ticket]:
        """Tickets in these states (none given: any) of one tenant (none given: all), newest first."""
        query = select(TicketRow).order_by(col(TicketRow.created_at).desc(), col(TicketRow.id)).limit(limit)
        if states:
            query = query.where(col(TicketRow.state).in_(list(states)))
        if tenant is not None:
            query = query.where(TicketRow.tenant == tenant)
        return await self._store.read(lambda session: _with_votes(session, list(session.exec(query))))

    async def pulse(self) -> str:
        """A text that changes whenever a list of tickets would look different."""
        newest = (col(TicketRow.created_at).desc(), col(TicketRow.id))
        query = select(TicketRow.id, TicketRow.state, TicketRow.expires_at, TicketRow.votes).order_by(*newest)
        later = select(TicketRow.id, TicketRow.escalate_at).order_by(*newest)

        def work(session: Session) -> list[list[Json]]:
            return [list(row) for one in (query, later) for row in session.exec(one.limit(200)).all()]

        rows = await self._store.read(work)
        return jsontree.digest([*rows])

    async def decide(
        self, ticket_id: str, vote: Vote, *, until: datetime, seen: str, relief: Relief, edited: Edited = None
    ) -> Decided | None:
        """Count what somebody decided, and settle the ticket if that settles it; None if there is no such ticket.

        The number of earlier decisions must still be what it was when they were read, so of two people who decide at
        the same moment the second sees the first.

        Raises:
            ReliefError: more than the call cannot be allowed here. Nothing was changed.
        """
        ticket = None
        for _ in range(ATTEMPTS):
            ticket = await self.get(ticket_id)
            if ticket is None or ticket.state is not State.PENDING or ticket.overdue(vote.at):
                break
            stale = STALE if vote.decision == APPROVE and seen != ticket.current else ""
            refusal, delegated = await self._entitled(ticket, vote.by, vote.decision, vote.digest, vote.at)
            if stale or refusal:
                return Decided(ticket, made=False, refusal=stale or refusal)
            if delegated is not None:
                vote = replace(vote, on_behalf=delegated.giver)
            if edited is not None:
                ticket = replace(ticket, edited_form=edited[0], edited_digest=edited[1])
            check_relief(ticket, relief)
            if await self._vote(ticket, vote, until, relief):
                return Decided(await self.get(ticket_id) or ticket, made=True)
        return None if ticket is None else Decided(ticket, made=False)

    async def consume(self, ticket_id: str, *, exchange_id: str, now: datetime) -> bool:
        """Use an approval up. True for exactly one caller."""
        ticket = await self.get(ticket_id)
        if ticket is None or not ticket.intact():
            return False
        return await self._move(ticket, Move.CONSUME, now, consumed_at=rfc3339(now), consumed_by=exchange_id)

    async def prolong(self, ticket_id: str, *, until: datetime, now: datetime) -> bool:
        """Let an approval be used until then; false if it is none any more, or is good for as long already."""
        ticket = await self.get(ticket_id)
        if ticket is None or not ticket.intact() or ticket.expires_at >= until:
            return False
        return await self._move(replace(ticket, expires_at=until), Move.PROLONG, now, expires_at=rfc3339(until))

    async def expire_due(self, now: datetime) -> list[str]:
        """Expire every open ticket whose deadline has passed; returns their ids."""
        query = select(TicketRow).where(col(TicketRow.state).in_(list(OPEN)), col(TicketRow.expires_at) <= rfc3339(now))
        due = await self._store.read(lambda session: [ticket_of(row) for row in session.exec(query)])
        return [ticket.id for ticket in due if await self._move(ticket, Move.EXPIRE, now)]

    async def remind_due(self, now: datetime) -> int:
        """Tell the webhooks of every ticket that still waits and whose next reminder is due; returns of how many.

        Where no webhook wants to hear of it nothing is written, and nothing is recorded.
        """
        if not self._announcer.wanted(Tag.APPROVAL_REMINDED):
            return 0
        query = select(TicketRow).where(TicketRow.state == State.PENDING, col(TicketRow.remind_at) <= rfc3339(now))
        due = await self._store.read(lambda session: [ticket_of(row) for row in session.exec(query)])
        return [await self._move(one, Move.REMIND, now, remind_at=next_reminder(one, now)) for one in due].count(True)

    async def escalate_due(self, now: datetime) -> int:
        """Record and tell of every ticket about which others may decide from now on; returns of how many."""
        due = select(TicketRow).where(TicketRow.state == State.PENDING, col(TicketRow.escalate_at) <= rfc3339(now))
        found = await self._store.read(lambda session: [ticket_of(row) for row in session.exec(due)])
        moves = [await self._move(one, Move.ESCALATE, now, escalate_at=next_escalation(one, now)) for one in found]
        return moves.count(True)

    async def invalidate(self, scope: str, target: str, *, by: str, reason: str, now: datetime) -> list[str]:
        """Close every open ticket and end every grant of what was stopped (`sessions.killswitch.Scope`).

        Returns the ids of the tickets.
        """
        query = select(TicketRow).where(col(TicketRow.state).in_(list(OPEN)))
        if scope != "all":
            query = query.where(_SCOPES[scope] == target)
        found = await self._store.read(lambda session: [ticket_of(row) for row in session.exec(query)])
        await self._grants.end_stopped(scope, target, by=by, reason=reason, now=now)
        return [one.id for one in found if await self._invalidate(one, by=by, reason=reason, now=now)]

    async def withdraw(self, ticket_id: str, *, by: str, reason: str, now: datetime) -> bool:
        """Close one open ticket; false if it was closed before."""
        ticket = await self.get(ticket_id)
        return ticket is not None and await self._invalidate(ticket, by=by, reason=reason, now=now)

    async def _invalidate(self, ticket: Ticket, *, by: str, reason: str, now: datetime) -> bool:
        after = replace(ticket, decided_at=now, decided_by=by, decision_reason=reason)
        return await self._move(
            after, Move.INVALIDATE, now, decided_at=rfc3339(now), decided_by=by, decision_reason=reason
        )

    async def tell(self, digest: str, *, since: datetime, now: datetime) -> Ticket | None:
        """The refusal of this call that no agent was told yet, whose deadline was after `since`; told from now on."""
        query = (
            select(TicketRow)
            .where(
                TicketRow.digest == digest,
                col(TicketRow.state).in_(_REFUSED),
                col(TicketRow.told_at).is_(None),
                col(TicketRow.expires_at) > rfc3339(since),
            )
            .order_by(col(TicketRow.created_at).desc())
            .limit(1)
        )
        ticket = await self._first(query)
        # An approval that ran out unused is nobody's refusal: the call is simply asked about again.
        if ticket is None or (ticket.state is State.EXPIRED and ticket.decided_by):
            return None
        mark = update(TicketRow).where(col(TicketRow.id) == ticket.id, col(TicketRow.told_at).is_(None))
        mark = mark.values(told_at=rfc3339(now))
        told = await self._store.write(lambda session: session.exec(mark).rowcount)
        return ticket if told == 1 else None

    # -- within -----------------------------------------------------------------------------------------------------

    async def objection(self, ticket: Ticket, by: Approver, decision: str, digest: str, now: datetime) -> str:
        """Why somebody may not decide about a ticket now, or not so; empty if they may."""
        return (await self._entitled(ticket, by, decision, digest, now))[0]

    async def _entitled(
        self, ticket: Ticket, by: Approver, decision: str, digest: str, now: datetime
    ) -> tuple[str, Delegation | None]:
        """Why somebody may not decide, and the delegation by which they may where they may not by themselves."""
        mine = (by.person, decision, digest)
        if any((one.by.person, one.decision, one.digest) == mine for one in ticket.votes):
            return f"you {WORDS[decision]} this call already", None
        if await self._store.read(lambda session: _stopped(session, ticket)):
            return "what made this call was stopped, so nothing of it can be decided", None
        owners, seconds = await self._owners(ticket), (now - ticket.requested_at).total_seconds()
        refusal = objection(ticket.charters, by, owners, decision, seconds)
        if not refusal or not by.user:
            return refusal, None
        delegations = await self._delegations.to(by.user, now)
        found = standing_in(ticket, by, delegations, owners, decision, digest, now)
        return ("", found) if found is not None else (refusal, None)

    async def _vote(self, ticket: Ticket, vote: Vote, until: datetime, relief: Relief) -> bool:
        voted = replace(ticket, votes=(*ticket.votes, vote))
        move = Move.DENY
        if vote.decision == APPROVE:
            move = Move.APPROVE if voted.standing.complete else Move.VOTE
        if move is Move.VOTE:
            return await self._move(voted, move, vote.at, vote=vote)
        granted = move is Move.APPROVE
        agreed = [one for one in voted.votes if one.decision == APPROVE and one.digest == voted.current]
        names = [one.signed for one in agreed] if granted else []
        signed, more = ", ".join(names) or vote.signed, relief if granted else NO_RELIEF
        return await self._move(
            replace(voted, decided_at=vote.at, decided_by=signed, decision_reason=vote.reason, relief=more),
            move,
            vote.at,
            vote=vote,
            expires_at=rfc3339(until if granted else ticket.expires_at),
            decided_at=rfc3339(vote.at),
            decided_by=signed,
            decision_reason=vote.reason,
            relief=more.text,
        )

    async def _owners(self, ticket: Ticket) -> list[str]:
        """Everybody whom the caller's key stands for: whom the call names, and whom the key itself names."""
        if not any(one.no_self_approval for one in ticket.charters):
            return []
        principal = jsontree.as_object(ticket.bound.get("principal"))
        query = select(KeyRow.user).where(KeyRow.id == jsontree.as_text(principal.get("key_id")))
        own = await self._store.read(lambda session: list(session.exec(query)))
        return [jsontree.as_text(principal.get("user")), *own]

    async def _open(self, digest: str) -> Ticket | None:
        return await self._first(
            select(TicketRow).where(TicketRow.digest == digest, col(TicketRow.state).in_(list(OPEN)))
        )

    async def _first(self, query: SelectOfScalar[TicketRow]) -> Ticket | None:
        def work(session: Session) -> Ticket | None:
            found = _with_votes(session, list(session.exec(query.limit(1))))
            return found[0] if found else None

        return await self._store.read(work)

    async def _move(
        self, ticket: Ticket, move: Move, now: datetime, *, vote: Vote | None = None, **values: str | None
    ) -> bool:
        """Make a move, with its event and its messages, or nothing at all.

        Args:
            ticket: as it stands afterwards, but for its state.
            move: what happens.
            now: when.
            vote: the decision that makes it happen, if one does; the last of the ticket's.
            values: columns that change besides.
        """
        step = MOVES[move]
        after = replace(ticket, state=step.target)
        change = update(TicketRow).where(col(TicketRow.id) == ticket.id, col(TicketRow.state).in_(list(step.sources)))
        if step.overdue is not None:
            deadline = col(TicketRow.expires_at)
            change = change.where(deadline <= rfc3339(now) if step.overdue else deadline > rfc3339(now))
        change = change.values(state=step.target.value, **values)
        if move is Move.REMIND:  # of several processes one reminds
            change = change.where(col(TicketRow.remind_at) <= rfc3339(now))
        if move is Move.ESCALATE:
            change = change.where(col(TicketRow.escalate_at) <= rfc3339(now))
        if vote is not None:
            before = len(ticket.votes) - 1
            change = change.where(col(TicketRow.votes) == before).values(
                votes=before + 1, edited_form=ticket.edited_form, edited_digest=ticket.edited_digest
            )

        def work(session: Session) -> None:
            if session.exec(change).rowcount != 1:
                raise _LostError
            if vote is not None:
                session.add(vote_row(ticket.id, vote, len(ticket.votes)))
                session.flush()
            if move is Move.APPROVE and (terms := after.terms) is not None:
                grants_store.keep(session, grant_of(after, terms))
            self._announce(session, step.tag, after, now)

        more = particulars(move, after, now, vote)
        if exchange := values.get("consumed_by"):
            more["exchange_id"] = exchange
        try:
            await self._audit.append(draft(step.tag, after, **more), within=work)
        except (_LostError, ConflictError):
            return False
        return True

    def _insertion(self, ticket: Ticket, most: int) -> Work[None]:
        row = row_of(ticket)
        waiting = select(func.count()).where(TicketRow.key_id == row.key_id, TicketRow.state == State.PENDING)

        def work(session: Session) -> None:
            if session.exec(waiting).one() >= most:
                raise CrowdedError
            session.add(row)
            session.flush()
            self._announce(session, Tag.APPROVAL_REQUESTED, ticket, ticket.requested_at)

        return work

    def _announce(self, session: Session, event: Tag, ticket: Ticket, at: datetime) -> None:
        for message in self._announcer.messages(event, ticket, at):
            keep(session, message, about=ticket.id)


def _stopped(session: Session, ticket: Ticket) -> bool:
    """Whether a kill of the ticket's session, caller or server is in force."""
    told = jsontree.as_object(ticket.bound.get("principal"))
    named = targets({name: jsontree.as_text(told.get(name)) for name in WHO}, [ticket.field("session")], ticket.place)
    query = select(KillRow.at).where(tuple_(col(KillRow.scope), col(KillRow.target)).in_(named))
    return session.exec(query.where(col(KillRow.revived_at).is_(None), KillRow.probation == 0)).first() is not None


def _with_votes(session: Session, rows: list[TicketRow]) -> list[Ticket]:
    """Tickets with what people decided about them."""
    voted = [row.id for row in rows if row.votes]
    votes: dict[str, list[Vote]] = {}
    if voted:
        query = select(VoteRow).where(col(VoteRow.ticket_id).in_(voted)).order_by(col(VoteRow.place))
        for row in session.exec(query):
            votes.setdefault(row.ticket_id, []).append(vote_of(row))
    return [replace(ticket_of(row), votes=tuple(votes.get(row.id, ()))) for row in rows]
