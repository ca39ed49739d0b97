"""Rows of the tables of tickets and votes, made of values, and values of rows. Nothing here reads or writes."""

from datetime import datetime

from approvals.quorum import Approver, Vote
from approvals.ticket import State, Ticket, escalation, reminder
from governance import jsontree
from governance.clock import rfc3339
from governance.store.tables import TicketRow, VoteRow
from governance.verdict import relief_of


def vote_row(ticket_id: str, vote: Vote, place: int) -> VoteRow:
    """A decision as it is kept."""
    by = vote.by
    return VoteRow(
        ticket_id=ticket_id,
        person=by.person,
        decision=vote.decision,
        digest=vote.digest,
        place=place,
        name=by.name,
        user=by.user,
        role=by.role,
        team=by.team,
        reason=vote.reason,
        at=rfc3339(vote.at),
        **_in_place_of(vote.on_behalf),
    )


def vote_of(row: VoteRow) -> Vote:
    """A decision as it was kept."""
    by = Approver(row.name, row.person, row.user, row.role, row.team)
    giver = Approver(row.for_name, row.for_person, row.for_user, row.for_role, row.for_team)
    moment = datetime.fromisoformat(row.at)
    return Vote(by, row.decision, row.digest, row.reason, moment, giver if row.for_person else None)


def _in_place_of(giver: Approver | None) -> dict[str, str]:
    if giver is None:
        return {}
    return {
        "for_person": giver.person,
        "for_name": giver.name,
        "for_user": giver.user,
        "for_role": giver.role,
        "for_team": giver.team,
    }


def row_of(ticket: Ticket) -> TicketRow:
    """A new ticket as it is kept."""
    principal = jsontree.as_object(ticket.bound.get("principal"))
    return TicketRow(
        id=ticket.id,
        digest=ticket.digest,
        state=ticket.state.value,
        action=ticket.field("action"),
        server=_storable(ticket.field("server") or ticket.field("provider")),
        tool=_storable(ticket.field("name") or ticket.field("model")),
        definition=ticket.field("definition"),
        key_id=jsontree.as_text(principal.get("key_id")),
        tenant=jsontree.as_text(principal.get("tenant")),
        team=jsontree.as_text(principal.get("team")),
        agent=jsontree.as_text(principal.get("agent")),
        user=jsontree.as_text(principal.get("user")),
        session_id=ticket.field("session"),
        exchange_id=ticket.exchange_id,
        policy_version=ticket.field("policy"),
        rule=ticket.rule,
        reason=ticket.reason,
        findings=" ".join(ticket.findings),
        form=ticket.form,
        created_at=rfc3339(ticket.requested_at),
        expires_at=rfc3339(ticket.expires_at),
        remind_at=next_reminder(ticket, ticket.requested_at),
        escalate_at=next_escalation(ticket, ticket.requested_at),
    )


def next_reminder(ticket: Ticket, after: datetime) -> str | None:
    """When people are reminded next after a moment, as it is kept."""
    found = reminder(ticket, after=after)
    return None if found is None else rfc3339(found[0])


def next_escalation(ticket: Ticket, after: datetime) -> str | None:
    """When others may decide next after a moment, as it is kept."""
    found = escalation(ticket, after=after)
    return None if found is None else rfc3339(found)


def _storable(text: str) -> str:
    """A name in a column to search by: no NUL, which Postgres refuses. The truth is the form."""
    return text.replace("\0", "\ufffd")


def ticket_of(row: TicketRow) -> Ticket:
    """A ticket as it was kept, without what people decided."""
    return Ticket(
        id=row.id,
        digest=row.digest,
        form=row.form,
        state=State(row.state),
        exchange_id=row.exchange_id,
        rule=row.rule,
        reason=row.reason,
        requested_at=datetime.fromisoformat(row.created_at),
        expires_at=datetime.fromisoformat(row.expires_at),
        decided_at=datetime.fromisoformat(row.decided_at) if row.decided_at else None,
        decided_by=row.decided_by,
        decision_reason=row.decision_reason,
        findings=tuple(row.findings.split()),
        relief=relief_of(row.relief),
        edited_form=row.edited_form,
        edited_digest=row.edited_digest,
    )
