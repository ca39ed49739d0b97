"""What a ticket is: one exact call, waiting for a person, and the moves it may make.

Pure: a table of moves and the form that a decision is bound to. How tickets are kept is `approvals/store.py`; how a
call waits for one is `approvals/desk.py`.
"""

import hashlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from types import MappingProxyType

from approvals import leaves as leave_forms
from approvals.quorum import Standing, Vote, charters_in, escalated, form_of, standing
from approvals.terms import Terms, terms_in
from governance import jsontree
from governance.audit.event import Draft, Tag, Value
from governance.clock import rfc3339
from governance.exchange import Action, Exchange
from governance.jsontree import Json, JsonObject
from governance.verdict import NO_RELIEF, Charter, Leave, Relief


class State(StrEnum):
    """Where a ticket stands."""

    PENDING = "pending"
    APPROVED = "approved"
    DENIED = "denied"
    EXPIRED = "expired"
    INVALIDATED = "invalidated"
    CONSUMED = "consumed"


class Move(StrEnum):
    """What can happen to a ticket."""

    VOTE = "vote"
    """An approval that is not the last one wanted."""
    APPROVE = "approve"
    DENY = "deny"
    CONSUME = "consume"
    PROLONG = "prolong"
    REMIND = "remind"
    ESCALATE = "escalate"
    EXPIRE = "expire"
    INVALIDATE = "invalidate"


@dataclass(frozen=True, slots=True)
class Step:
    """One line of the table: from which states, to which, and on which side of the ticket's deadline."""

    sources: frozenset[State]
    target: State
    overdue: bool | None
    """True: only at or after the deadline; False: only before it; None: whenever."""
    tag: Tag
    """The audit event that records it."""


MOVES: Mapping[Move, Step] = MappingProxyType(
    {
        Move.VOTE: Step(frozenset({State.PENDING}), State.PENDING, False, Tag.APPROVAL_VOTED),
        Move.APPROVE: Step(frozenset({State.PENDING}), State.APPROVED, False, Tag.APPROVAL_GRANTED),
        Move.DENY: Step(frozenset({State.PENDING}), State.DENIED, False, Tag.APPROVAL_DENIED),
        Move.CONSUME: Step(frozenset({State.APPROVED}), State.CONSUMED, False, Tag.APPROVAL_CONSUMED),
        Move.PROLONG: Step(frozenset({State.APPROVED}), State.APPROVED, False, Tag.APPROVAL_PROLONGED),
        Move.REMIND: Step(frozenset({State.PENDING}), State.PENDING, False, Tag.APPROVAL_REMINDED),
        Move.ESCALATE: Step(frozenset({State.PENDING}), State.PENDING, False, Tag.APPROVAL_ESCALATED),
        Move.EXPIRE: Step(frozenset({State.PENDING, State.APPROVED}), State.EXPIRED, True, Tag.APPROVAL_EXPIRED),
        Move.INVALIDATE: Step(frozenset({State.PENDING, State.APPROVED}), State.INVALIDATED, None, Tag.APPROVAL_DENIED),
    }
)
"""Everything that can happen. A pair of move and state that is not here cannot happen."""

REMINDERS = (50, 90)
"""At which percent of their time people are reminded of a ticket that waits."""

OPEN = frozenset({State.PENDING, State.APPROVED})
"""States in which the same call attaches to the ticket instead of opening another."""


class ReliefError(Exception):
    """More than one call was to be allowed where that cannot be (`check_relief`). Nothing was changed."""


@dataclass(frozen=True, slots=True)
class Ticket:
    """One call that a person was asked about. Times are aware and in UTC."""

    id: str
    digest: str
    """SHA-256 of `form`: what the decision is bound to."""
    form: str
    """Canonical JSON of the exact call, as `binding` makes it. What a person is shown is read from here."""
    state: State
    exchange_id: str
    """The exchange that asked first."""
    rule: str
    """The rule that asked, and why: copied, so that a later change of the rule cannot rewrite history."""
    reason: str
    requested_at: datetime
    expires_at: datetime
    decided_at: datetime | None = None
    decided_by: str = ""
    decision_reason: str = ""
    findings: tuple[str, ...] = ()
    """Kinds of what detectors found in the call."""
    relief: Relief = NO_RELIEF
    """What the person allowed beyond this call."""
    votes: tuple[Vote, ...] = ()
    """What people decided so far, oldest first."""
    edited_form: str = ""
    """The form with the arguments that a person wrote instead, or with what they allow beyond the call (`terms`);
    empty = nobody changed anything."""
    edited_digest: str = ""

    @property
    def bound(self) -> JsonObject:
        """The call itself, read back from `form`."""
        return jsontree.as_object(jsontree.parse(self.form.encode(), max_depth=jsontree.MAX_DEPTH + 1))

    @property
    def arguments(self) -> Json:
        """What the call would be made with."""
        return self.bound.get("arguments")

    @property
    def beside(self) -> Json:
        """What else of the message the decision covers; nothing where a call has only arguments."""
        return self.bound.get("beside")

    @property
    def charters(self) -> tuple[Charter, ...]:
        """What the rules that asked want of those who decide."""
        return charters_in(self.bound)

    @property
    def leaves(self) -> tuple[Leave, ...]:
        """What the rules that asked let people allow beyond the call; nothing where something else holds it too."""
        return leave_forms.leaves_in(self.bound)

    @property
    def standing(self) -> Standing:
        """How many approvals there are, and how many are wanted."""
        return standing(self.charters, self.votes, self.current, self.requested_at)

    def escalated_to(self, now: datetime) -> list[str]:
        """Who else may decide by now, because nobody has for long."""
        return escalated(self.charters, (now - self.requested_at).total_seconds())

    @property
    def current(self) -> str:
        """Digest of what is to be decided: of the call as it was asked for, or as a person changed it."""
        return self.edited_digest or self.digest

    @property
    def edited_arguments(self) -> JsonObject | None:
        """What a person wants the call to be made with instead; None = with what was asked for."""
        if not self.edited_form or self.terms is not None:
            return None
        return jsontree.as_object(self._edited.get("arguments"))

    @property
    def terms(self) -> Terms | None:
        """What is allowed beyond the call with it; None = nothing, or a person changed the call instead."""
        return terms_in(self._edited) if self.edited_form else None

    @property
    def _edited(self) -> JsonObject:
        return jsontree.as_object(jsontree.parse(self.edited_form.encode(), max_depth=jsontree.MAX_DEPTH + 1))

    def field(self, name: str) -> str:
        """A text member of the bound call, `server` for example, or nothing."""
        return jsontree.as_text(self.bound.get(name))

    @property
    def place(self) -> str:
        """The MCP server, or the provider, that the call is for."""
        return self.field("server") or self.field("provider")

    @property
    def of_a_loop(self) -> bool:
        """Whether the call was held because something repeats, so that more of it can be allowed."""
        return self.rule.startswith("loop.")

    @property
    def wants_several(self) -> bool:
        """Whether one person's approval need not be enough."""
        return len(self.charters) > 1 or any(one.quorum > 1 for one in self.charters)

    @property
    def relievable(self) -> bool:
        """Whether more than this call can be allowed with it."""
        return self.of_a_loop and not self.wants_several

    def overdue(self, now: datetime) -> bool:
        """Whether the deadline has passed."""
        return now >= self.expires_at

    def intact(self) -> bool:
        """Whether the stored forms still have the digests that the decision is bound to."""
        pairs = ((self.form, self.digest), (self.edited_form, self.edited_digest))
        return all(
            hashlib.sha256(form.encode()).hexdigest() == digest for form, digest in pairs[: 2 if any(pairs[1]) else 1]
        )


def grant_id(ticket_id: str) -> str:
    """Id of the grant that begins with the approval of a ticket."""
    return "grt_" + ticket_id.removeprefix("tkt_")


def check_relief(ticket: Ticket, relief: Relief) -> None:
    """Whether more than the call can be allowed of this ticket, as it is to be approved.

    Raises:
        ReliefError: it cannot; says why, in words for the person.
    """
    if relief == NO_RELIEF:
        return
    if not ticket.of_a_loop:
        raise ReliefError("this call was not held because something repeats: approve it without more")
    if ticket.wants_several:
        raise ReliefError("several people must agree on this call, and they agree on it alone: approve it without more")
    if ticket.edited_digest:
        raise ReliefError("a changed call is another one than what repeats: approve it without more")


def reminder(ticket: Ticket, *, after: datetime) -> tuple[datetime, int] | None:
    """The next reminder of a ticket after a moment, and its percent; None = there is none any more."""
    whole = ticket.expires_at - ticket.requested_at
    due = ((ticket.requested_at + whole * percent / 100, percent) for percent in REMINDERS)
    return next((one for one in due if one[0] > after), None)


def escalation(ticket: Ticket, *, after: datetime) -> datetime | None:
    """When others may decide about a ticket next, after a moment; None = nobody else any more."""
    later = (one.escalation for one in ticket.charters if one.escalation is not None)
    due = (ticket.requested_at + timedelta(seconds=one.seconds) for one in later)
    return min((one for one in due if one > after), default=None)


def elapsed(ticket: Ticket, now: datetime) -> int:
    """The last percent of `REMINDERS` that has passed; 0 = none has."""
    whole = ticket.expires_at - ticket.requested_at
    return max((one for one in REMINDERS if ticket.requested_at + whole * one / 100 <= now), default=0)


def allowed(move: Move, state: State, *, overdue: bool) -> bool:
    """Whether `move` can be made from `state`, before or after the deadline."""
    step = MOVES[move]
    return state in step.sources and step.overdue in (None, overdue)


def binding(
    exchange: Exchange, policy_version: str, charters: Collection[Charter] = (), leaves: Collection[Leave] = ()
) -> JsonObject:
    """Everything a decision is bound to. Change one member of it and the decision is for another call.

    Member order and `1` against `1.0` do not count (`jsontree.canonical`); integers count to the last digit. The
    transport's own parts of a message (the JSON-RPC id, `_meta` with its progress token) are left out: the same call
    made again has others.
    """
    principal, resource = exchange.principal, exchange.resource
    others = beside(exchange)
    return {
        **({"beside": others} if others else {}),
        **({"charters": form_of(charters)} if charters else {}),
        **({"leaves": leave_forms.form_of(leaves)} if leaves else {}),
        "version": 1,
        "action": exchange.action.value,
        "server": resource.server,
        "name": resource.name,
        "provider": resource.provider,
        "model": resource.model,
        "definition": resource.definition,
        "arguments": subject(exchange),
        "principal": {
            "key_id": principal.key_id,
            "tenant": principal.tenant,
            "team": principal.team,
            "agent": principal.agent,
            "user": principal.user,
        },
        "session": exchange.session.id,
        "policy": policy_version,
    }


def subject(exchange: Exchange) -> Json:
    """What the call is made with: a tool's arguments, the params of other MCP requests, the body of a model call."""
    if exchange.action is Action.TOOL_CALL or exchange.action in (Action.LLM_GENERATE, Action.LLM_EMBED):
        return exchange.arguments
    params = jsontree.as_object(jsontree.at(exchange.request.value, "/params"))
    return {name: value for name, value in params.items() if name != "_meta"}


def beside(exchange: Exchange) -> JsonObject:
    """What a tool call carries beside its arguments and can do as much: answers to the server's questions, a task."""
    if exchange.action is not Action.TOOL_CALL:
        return {}
    params = jsontree.as_object(jsontree.at(exchange.request.value, "/params"))
    return {name: value for name, value in params.items() if name not in ("_meta", "name", "arguments")}


def draft(tag: Tag, ticket: Ticket, **more: Value) -> Draft:
    """The audit event of something that happened to a ticket. It has the digest of the call, and none of its text."""
    bound = ticket.bound
    principal = jsontree.as_object(bound.get("principal"))
    fields: dict[str, Value] = {
        "approval_id": ticket.id,
        "approval_digest": ticket.digest,
        "arguments_digest": jsontree.digest(bound.get("arguments")),
        "exchange_id": ticket.exchange_id,
        "session_id": ticket.field("session"),
        "tenant_id": jsontree.as_text(principal.get("tenant")),
        "key_id": jsontree.as_text(principal.get("key_id")),
        "action": ticket.field("action"),
        "rule": ticket.rule,
        "policy_version": ticket.field("policy"),
    }
    optional = (
        ("server", ticket.field("server")),
        ("tool", ticket.field("name")),
        ("provider", ticket.field("provider")),
        ("model", ticket.field("model")),
        ("agent", jsontree.as_text(principal.get("agent"))),
        ("user", jsontree.as_text(principal.get("user"))),
    )
    fields.update((name, text) for name, text in optional if text)
    return Draft(tag, {**fields, **more})


def particulars(move: Move, ticket: Ticket, now: datetime, vote: Vote | None = None) -> dict[str, Value]:
    """What the audit event of a move says besides: who made it and why, and how far the ticket is."""
    fields: dict[str, Value] = {"state": ticket.state.value}
    if move is Move.APPROVE and ticket.relief.text:
        fields["relief"] = ticket.relief.text
    if move is Move.APPROVE and (terms := ticket.terms) is not None:
        fields |= {"grant_id": grant_id(ticket.id), "grant_uses": terms.uses, "grant_until": rfc3339(terms.until)}
    if move is Move.REMIND:
        fields["elapsed_percent"] = elapsed(ticket, now)
    if move is Move.ESCALATE:
        fields["escalated_to"] = ticket.escalated_to(now)
    if ticket.decided_by:
        fields |= {"actor": ticket.decided_by, "reason": ticket.decision_reason}
    if vote is None:
        return fields
    fields |= {"actor": vote.by.name, "reason": vote.reason}
    if vote.on_behalf is not None:
        fields["on_behalf_of"] = vote.on_behalf.name
    if ticket.edited_digest:
        fields["edited_digest"] = ticket.edited_digest
    if ticket.charters:
        fields |= {"approvals": ticket.standing.have, "quorum": ticket.standing.wanted}
    return fields
