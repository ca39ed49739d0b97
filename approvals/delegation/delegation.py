"""What a delegation is, and whether somebody may decide because of one.

Pure. It hands on what a person may decide by their own key, never what was delegated to them, and it makes two people
one: who decides for another counts as both, so that neither counts again.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta

from approvals.quorum import APPROVE, WORDS, Approver, Vote, folded, objection, self_approval
from approvals.ticket import Ticket
from governance import jsontree
from governance.clock import rfc3339
from governance.jsontree import JsonObject

LONGEST = timedelta(days=90)


class DelegationError(Exception):
    """It cannot be delegated like this; says why, in words for the person. Nothing was changed."""


@dataclass(frozen=True, slots=True)
class Delegation:
    """Somebody may decide in the place of somebody else. Times are aware and in UTC."""

    id: str
    giver: Approver
    """Who is decided for, as they are known now."""
    key_id: str
    """Their key: when it is revoked, there is nothing to decide in the place of."""
    tenant: str
    """Whose tickets they may decide about; empty = all."""
    to: str
    """Person who decides for them, by name."""
    reason: str
    given_at: datetime
    until: datetime
    ended_at: datetime | None = None
    ended_by: str = ""

    def good(self, now: datetime) -> bool:
        """Whether it holds at a moment."""
        return self.ended_at is None and now < self.until


def check(delegation: Delegation, approvers: Collection[str], now: datetime) -> None:
    """Whether this may be delegated; `approvers` are people who may decide about anything, by name.

    Raises:
        DelegationError: it may not.
    """
    if not now < delegation.until <= now + LONGEST:
        raise DelegationError(f"it must end between now and {rfc3339(now + LONGEST)}")
    if not delegation.reason:
        raise DelegationError("say why: the record keeps it")
    if folded(delegation.to) == folded(delegation.giver.user):
        raise DelegationError("you cannot decide in your own place")
    if folded(delegation.to) not in {folded(one) for one in approvers}:
        raise DelegationError(f"`{delegation.to}` is no user of a key of an approver or administrator")


def standing_in(
    ticket: Ticket,
    by: Approver,
    delegations: Collection[Delegation],
    owners: Collection[str],
    decision: str,
    digest: str,
    now: datetime,
) -> Delegation | None:
    """The delegation by which somebody may decide about a ticket who may not by themselves; None = there is none."""
    charters, seconds = ticket.charters, (now - ticket.requested_at).total_seconds()
    tenant = jsontree.as_text(jsontree.as_object(ticket.bound.get("principal")).get("tenant"))
    if not by.user or self_approval(charters, by, owners, decision):
        return None
    for one in delegations:
        mine = folded(one.to) == folded(by.user) and one.good(now) and one.tenant in ("", tenant)
        if mine and not (
            spoken_for(ticket.votes, one.giver, decision, digest)
            or objection(charters, one.giver, owners, decision, seconds)
        ):
            return one
    return None


def spoken_for(votes: Collection[Vote], giver: Approver, decision: str, digest: str) -> str:
    """Why nobody can decide for somebody any more, who has or for whom somebody else has; empty if one can."""
    done = any(giver.person in one.people and (one.decision, one.digest) == (decision, digest) for one in votes)
    return f"{giver.name} {WORDS[decision]} this call already" if done and decision == APPROVE else ""


def shown(delegation: Delegation, now: datetime) -> JsonObject:
    """A delegation for programs."""
    return {
        "id": delegation.id,
        "active": delegation.good(now),
        "from": delegation.giver.name,
        "to": delegation.to,
        "tenant": delegation.tenant,
        "reason": delegation.reason,
        "given_at": rfc3339(delegation.given_at),
        "until": rfc3339(delegation.until),
        "ended_at": rfc3339(delegation.ended_at) if delegation.ended_at else "",
        "ended_by": delegation.ended_by,
    }
