"""Held calls, and deciding about them. Whoever decides is known from the key, never from the body."""

from typing import Literal

from approvals.amendment import AmendmentError
from approvals.quorum import form_of
from approvals.ticket import ReliefError, Ticket
from console.pages.approvals import tenant_of
from console.roles import Permission
from console.v1 import cursor
from console.v1.operation import Call, Operation, Paged
from console.v1.problems import ProblemError
from console.v1.shapes import Approval, Approvals, ApprovalWhole, Decision
from console.v1.store import Pages
from governance import jsontree
from governance.clock import rfc3339
from governance.jsontree import JsonObject
from governance.verdict import relief_of

ABSENT = ProblemError(404, "unknown", "there is no held call with this id, or it is not for you to see")


class ApprovalQuery(Paged):
    """Which held calls."""

    state: Literal["", "pending", "approved", "denied", "expired", "invalidated", "consumed"] = ""


async def list_approvals(call: Call) -> Approvals:
    """The newest first."""
    asked: ApprovalQuery = call.query
    place, tenant = cursor.opened(asked.cursor), call.visitor.tenant or ""
    found = await Pages(call.frame.core.store).tickets(tenant, asked.state, place, asked.limit + 1)
    shown = found[: asked.limit]
    tickets = [await call.frame.core.desk.get(ticket_id) for ticket_id, _ in shown]
    more = cursor.close(shown[-1][1], shown[-1][0]) if len(found) > asked.limit else None
    return Approvals(items=[Approval.model_validate(_approval(call, one)) for one in tickets if one], next=more)


async def show_approval(call: Call) -> ApprovalWhole:
    """One with the whole call."""
    ticket = await _found(call)
    whole: JsonObject = {"call": ticket.bound, "edited_arguments": ticket.edited_arguments}
    return ApprovalWhole.model_validate({**_approval(call, ticket), **whole})


async def decide(call: Call) -> Approval:
    """Approve or deny exactly what was looked at."""
    ticket, asked = await _found(call), call.body
    assert isinstance(asked, Decision)  # noqa: S101 - the door has read it by this shape
    if asked.digest != ticket.current or not ticket.intact():
        raise ProblemError(409, "digest", "this is not the call with that digest: look again")
    desk, by = call.frame.core.desk, call.visitor.approver
    try:
        if asked.decision == "deny":
            decided = await desk.deny(ticket.id, by=by, reason=asked.reason)
        else:
            decided = await desk.approve(
                ticket.id, by=by, reason=asked.reason, digest=asked.digest, arguments=asked.arguments,
                relief=relief_of(asked.relief),
            )  # fmt: skip
    except (AmendmentError, ReliefError, ValueError) as error:
        raise ProblemError(422, "invalid", str(error)) from None
    if decided is None:
        raise ABSENT
    if decided.refusal:
        raise ProblemError(403, "not_yours", f"nothing was changed: {decided.refusal}")
    if not decided.made:
        raise ProblemError(409, "settled", "nothing was changed: it was settled before")
    return Approval.model_validate(_approval(call, decided.ticket))


async def _found(call: Call) -> Ticket:
    ticket = await call.frame.core.desk.get(call.path["approval"])
    if ticket is None or not call.visitor.sees(tenant_of(ticket)):
        raise ABSENT
    return ticket


def _approval(call: Call, ticket: Ticket) -> JsonObject:
    return {
        "id": ticket.id,
        "state": ticket.state.value,
        "action": ticket.field("action"),
        "server": ticket.field("server"),
        "tool": ticket.field("name"),
        "provider": ticket.field("provider"),
        "model": ticket.field("model"),
        "session": ticket.field("session"),
        "principal": jsontree.as_object(ticket.bound.get("principal")),
        "rule": ticket.rule,
        "reason": ticket.reason,
        "findings": list(ticket.findings),
        "digest": ticket.digest,
        "current_digest": ticket.current,
        "policy_version": ticket.field("policy"),
        "requested_at": rfc3339(ticket.requested_at),
        "expires_at": rfc3339(ticket.expires_at),
        "approvers": form_of(ticket.charters),
        "approvals": ticket.standing.have,
        "quorum": ticket.standing.wanted,
        "votes": [
            {
                "by": vote.by.name,
                "decision": vote.decision,
                "digest": vote.digest,
                "reason": vote.reason,
                "at": rfc3339(vote.at),
            }
            for vote in ticket.votes
        ],
        "decided_at": rfc3339(ticket.decided_at) if ticket.decided_at else "",
        "decided_by": ticket.decided_by,
        "decision_reason": ticket.decision_reason,
        "relief": ticket.relief.text,
        "link": call.frame.core.desk.link(ticket.id),
    }


_GONE = {404: "there is none, or not for you"}
OPERATIONS = (
    Operation(
        "listApprovals", "GET", "/approvals", Permission.TICKETS, "Held calls, the newest first", Approvals,
        list_approvals, ApprovalQuery,
    ),
    Operation(
        "showApproval", "GET", "/approvals/{approval}", Permission.TICKETS, "One held call, whole", ApprovalWhole,
        show_approval, refusals=_GONE,
    ),
    Operation(
        "decideApproval", "POST", "/approvals/{approval}/decision", Permission.DECIDE,
        "Approve or deny exactly what was looked at", Approval, decide, body=Decision,
        refusals={**_GONE, 409: "it was settled before, or is not the call with that digest"},
    ),
)  # fmt: skip
