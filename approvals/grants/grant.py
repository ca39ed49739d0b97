"""A grant: leave for further calls of one tool by one caller, that a person gave when approving a call.

Pure: what may be granted, and which calls a grant covers. How grants are kept and used is `store.py`; that a call was
held, and what would refuse it, was judged before (`pipeline/passage.py`).
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from approvals.terms import GrantError, Terms, Wish, end_of, fits, widened
from approvals.ticket import Ticket, beside, grant_id
from governance import jsontree
from governance.clock import rfc3339
from governance.exchange import Action, Exchange, Principal
from governance.jsontree import JsonObject
from governance.verdict import Leave, Reach

WHO = ("key_id", "tenant", "team", "agent", "user")
"""What of a caller must be the same."""


class SpentError(Exception):
    """The grant has no use left, or has ended, at the moment at which a call wanted to use it."""


class Standing(StrEnum):
    """Whether a grant can still be used."""

    ACTIVE = "active"
    USED_UP = "used_up"
    EXPIRED = "expired"
    ENDED = "ended"
    """A person revoked it, its session was killed, or what it rests on has changed."""


@dataclass(frozen=True, slots=True)
class Grant:
    """Leave for further calls. Times are aware and in UTC."""

    id: str
    ticket: str
    """The ticket that was approved with it."""
    given_at: datetime
    given_by: str
    """Everybody who approved."""
    reason: str
    rules: tuple[tuple[str, str], ...]
    """Id and digest of each rule that asked; a call that any other rule holds is not covered."""
    server: str
    tool: str
    definition: str
    """Digest of the tool's definition: of another one nothing was granted."""
    principal: Mapping[str, str]
    """`WHO` of the caller."""
    session: str
    """Session that asked."""
    terms: Terms
    used: int = 0
    last_used_at: datetime | None = None
    ended_at: datetime | None = None
    ended_by: str = ""
    end_reason: str = ""

    def standing(self, now: datetime) -> Standing:
        """Whether it can still be used."""
        if self.ended_at is not None:
            return Standing.ENDED
        if self.used >= self.terms.uses:
            return Standing.USED_UP
        return Standing.EXPIRED if now >= self.terms.until else Standing.ACTIVE

    def covers(self, exchange: Exchange, leaves: Collection[Leave]) -> bool:
        """Whether a call that these rules hold is one that it was given for. Whether it can be used is `standing`."""
        resource = exchange.resource
        return (
            exchange.action is Action.TOOL_CALL
            and (resource.server, resource.name, resource.definition) == (self.server, self.tool, self.definition)
            and who(exchange.principal) == self.principal
            and (not self.terms.session or exchange.session.id == self.session)
            and answers(self.rules, leaves)
            and not beside(exchange)
            and fits(self.terms.arguments, exchange.arguments)
        )


def answers(rules: Collection[tuple[str, str]], leaves: Collection[Leave]) -> bool:
    """Whether whoever answered these rules answered all that hold a call now, and each lets more be granted."""
    return bool(leaves) and all(one.reach is not Reach.ONCE and (one.rule, one.digest) in rules for one in leaves)


def who(principal: Principal) -> dict[str, str]:
    """What of a caller must be the same."""
    return {
        "key_id": principal.key_id,
        "tenant": principal.tenant,
        "team": principal.team,
        "agent": principal.agent,
        "user": principal.user,
    }


def barred(ticket: Ticket) -> str:
    """Why nothing can be granted with a ticket, in words for a person; empty if something can."""
    if ticket.field("action") != Action.TOOL_CALL:
        return "only of tool calls more can be allowed than the call"
    if not ticket.leaves:
        return "something else than rules of the policy holds this call, and asks about each"
    once = sorted(one.rule for one in ticket.leaves if one.reach is Reach.ONCE)
    if once:
        return f"the rule `{once[0]}` wants to be asked about each call"
    if not ticket.field("definition"):
        return "the tool's definition is not known, so another tool of this name could not be told from it"
    if ticket.beside:
        return "the call carries more than its arguments"
    return ""


@dataclass(frozen=True, slots=True)
class Limits:
    """The most that all rules that asked let be granted."""

    reach: Reach
    seconds: int
    uses: int


def limits(ticket: Ticket) -> Limits:
    """The most that can be granted with a ticket for which nothing bars it."""
    asked = ticket.leaves
    alone = any(one.reach is not Reach.PATTERN for one in asked)
    reach = Reach.SESSION if alone else Reach.PATTERN
    return Limits(reach, min(one.seconds for one in asked), min(one.uses for one in asked))


def terms_of(ticket: Ticket, wish: Wish, now: datetime) -> Terms:
    """What a person may grant of what they wish.

    Raises:
        GrantError: it is more than the rules allow, or cannot be granted at all.
    """
    if why := barred(ticket):
        raise GrantError(why)
    most = limits(ticket)
    if most.reach is Reach.SESSION and (wish.arguments or not wish.session):
        raise GrantError("the rule lets only the same call be granted, and only for its session")
    uses = most.uses if wish.uses is None else wish.uses
    if not 1 <= uses <= most.uses:
        raise GrantError(f"give 1 to {most.uses} uses: the rule allows no more")
    arguments = widened(ticket.arguments, wish.arguments)
    return Terms(arguments, wish.session, end_of(wish, now, most.seconds), uses)


def granted_form(ticket: Ticket, terms: Terms) -> tuple[str, str]:
    """The form of a ticket together with what is granted, and its digest: several people approve one and the same."""
    form: JsonObject = {**ticket.bound, "grant": terms.form}
    return jsontree.canonical(form).decode(), jsontree.digest(form)


def grant_of(ticket: Ticket, terms: Terms) -> Grant:
    """The grant that begins with the approval of a ticket."""
    told = jsontree.as_object(ticket.bound.get("principal"))
    return Grant(
        id=grant_id(ticket.id),
        ticket=ticket.id,
        given_at=ticket.decided_at or ticket.requested_at,
        given_by=ticket.decided_by,
        reason=ticket.decision_reason,
        rules=tuple((one.rule, one.digest) for one in ticket.leaves),
        server=ticket.field("server"),
        tool=ticket.field("name"),
        definition=ticket.field("definition"),
        principal={name: jsontree.as_text(told.get(name)) for name in WHO},
        session=ticket.field("session"),
        terms=terms,
    )


def shown(grant: Grant, now: datetime) -> JsonObject:
    """A grant for programs and people, flat but for what it covers."""
    return {
        "id": grant.id,
        "state": grant.standing(now).value,
        "ticket": grant.ticket,
        "server": grant.server,
        "tool": grant.tool,
        "rules": [rule for rule, _ in grant.rules],
        **dict(grant.principal),
        "session": grant.session if grant.terms.session else "",
        "arguments": dict(grant.terms.arguments),
        "uses": grant.terms.uses,
        "used": grant.used,
        "last_used_at": rfc3339(grant.last_used_at) if grant.last_used_at else "",
        "given_at": rfc3339(grant.given_at),
        "given_by": grant.given_by,
        "reason": grant.reason,
        "until": rfc3339(grant.terms.until),
        "ended_at": rfc3339(grant.ended_at) if grant.ended_at else "",
        "ended_by": grant.ended_by,
        "end_reason": grant.end_reason,
    }
