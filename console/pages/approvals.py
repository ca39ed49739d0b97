"""The calls that wait for a person, and the page on which one is decided."""

import json
from collections.abc import Sequence
from dataclasses import dataclass

from starlette.responses import RedirectResponse, Response

from approvals.amendment import AmendmentError, arguments_of, changes
from approvals.quorum import WORDS
from approvals.shelf import Decided
from approvals.terms import GrantError, Wish
from approvals.ticket import ReliefError, State, Ticket
from approvals.visible import Line, escapes, lines
from console.frame import Frame, Visit
from console.pages import granting
from governance import jsontree
from governance.jsontree import Json, JsonObject
from governance.verdict import relief_of

SETTLED = (State.APPROVED, State.DENIED, State.EXPIRED, State.INVALIDATED, State.CONSUMED)
PREVIEW = 4
LONGEST = 120
"""Characters of a value on the list."""
MOST_EDITED = 16_384
"""Characters of arguments that can be edited on the page; a form carries no more. Larger ones go through the API."""


@dataclass(frozen=True, slots=True)
class Card:
    """A ticket as the list shows it."""

    ticket: Ticket
    title: str
    where: str
    who: str
    preview: Sequence[Line]
    """The first few values; the page of the ticket has all."""
    more: int
    whole: bool
    """Whether the list shows all that a decision covers, so that it may be decided right there."""


def title_of(ticket: Ticket) -> str:
    """What a ticket is called."""
    return ticket.field("name") or ticket.field("model") or ticket.field("action")


def card(ticket: Ticket) -> Card:
    """What the list shows of a ticket."""
    principal = jsontree.as_object(ticket.bound.get("principal"))
    who = [jsontree.as_text(principal.get(name)) for name in ("agent", "user", "key_id")]
    values = list(lines(ticket.arguments))
    return Card(
        ticket,
        title=title_of(ticket),
        where=ticket.field("server") or ticket.field("provider"),
        who=" · ".join(one for one in who if one),
        preview=values[:PREVIEW],
        more=max(0, len(values) - PREVIEW),
        whole=len(values) <= PREVIEW
        and all(len(one.value) <= LONGEST and len(one.path) <= LONGEST for one in values)
        and not (ticket.beside or ticket.edited_digest)
        and ticket.intact(),
    )


async def listed(frame: Frame, tenant: str | None) -> str:
    """The list as it stands, as a piece of a page."""
    waiting, settled = await _both(frame, tenant)
    return frame.part("approvals_list.html", waiting_cards=waiting, settled_cards=settled)


async def index(frame: Frame, visit: Visit) -> Response:
    """The list."""
    waiting, settled = await _both(frame, visit.visitor.tenant)
    return await frame.draw(visit, "approvals.html", waiting_cards=waiting, settled_cards=settled)


async def show(frame: Frame, visit: Visit) -> Response:
    """One ticket, whole."""
    ticket = await find(frame, visit)
    if ticket is None:
        return frame.notice("no such ticket", "there is no ticket with this id, or it is not for you to see", 404)
    return await _draw(frame, visit, ticket, "", 200)


async def decide(frame: Frame, visit: Visit) -> Response:
    """Approve or deny, as the button says. The digest that was on the page must still be the ticket's."""
    ticket = await find(frame, visit)
    if ticket is None:
        return frame.notice("no such ticket", "there is no ticket with this id, or it is not for you to see", 404)
    if visit.form.get("digest", "") != ticket.current or not ticket.intact():
        return await _draw(frame, visit, ticket, "this is not the call that the page showed: look again", 409)
    reason, relief = visit.form.get("reason", ""), visit.form.get("relief", "")
    try:
        arguments = arguments_of(visit.form["arguments"]) if "arguments" in visit.form else None
        if visit.move == "amend":
            return await _preview(frame, visit, ticket, arguments)
        if visit.form.get("once") == "1":
            arguments = jsontree.as_object(ticket.arguments)
        decided = await settle(
            frame, visit, ticket, reason, relief=relief, digest=ticket.current, arguments=arguments,
            grant=granting.wished(ticket, visit.form),
        )  # fmt: skip
    except (AmendmentError, GrantError, ReliefError, ValueError) as error:
        return await _draw(frame, visit, ticket, f"nothing was changed: {error}", 400)
    if decided is not None and decided.refusal:
        return await _draw(frame, visit, decided.ticket, f"nothing was changed: {decided.refusal}", 403)
    if decided is None or not decided.made:
        now = await find(frame, visit) or ticket
        return await _draw(frame, visit, now, "nothing was changed: the ticket was settled before", 409)
    return RedirectResponse(f"/console/approvals/{ticket.id}", 303)


async def settle(
    frame: Frame,
    visit: Visit,
    ticket: Ticket,
    reason: str,
    *,
    relief: str,
    digest: str,
    arguments: JsonObject | None,
    grant: Wish | None = None,
) -> Decided | None:
    """Approve or deny a ticket, as the path says; what is approved is what was on the screen, or a change of it.

    Raises:
        AmendmentError: the call has no arguments that could be changed.
        GrantError: this much cannot be granted.
        ReliefError, ValueError: what is to be allowed besides (`Relief.text`) cannot be. Nothing was changed.
    """
    desk, by = frame.core.desk, visit.visitor.approver
    if visit.move == "deny":
        return await desk.deny(ticket.id, by=by, reason=reason)
    more = relief_of(relief)
    return await desk.approve(
        ticket.id, by=by, reason=reason, digest=digest, arguments=arguments, relief=more, grant=grant
    )


async def _preview(frame: Frame, visit: Visit, ticket: Ticket, arguments: JsonObject | None) -> Response:
    """What a change would come to, as a diff. Nothing is decided yet."""
    if arguments is None or not isinstance(ticket.arguments, dict):
        raise AmendmentError("only the arguments of a tool call can be changed")
    if not changes(ticket.arguments, arguments):
        return await _draw(frame, visit, ticket, "nothing was changed: these are the arguments as asked for", 400)
    return await _draw(frame, visit, ticket, "", 200, proposed=arguments)


def editable(arguments: Json) -> str:
    """Arguments as a person edits them: nothing in it is invisible, and it reads back as the same value."""
    if not isinstance(arguments, dict):
        return ""
    hidden = any(escapes(text) for _, text, _ in jsontree.walk(arguments))
    text = json.dumps(arguments, indent=2, ensure_ascii=hidden)
    return text if len(text) <= MOST_EDITED else ""


async def find(frame: Frame, visit: Visit) -> Ticket | None:
    """The ticket that a path names, if it is this person's affair."""
    ticket = await frame.core.desk.get(visit.request.path_params["ticket"])
    return ticket if ticket is not None and visit.visitor.sees(tenant_of(ticket)) else None


def tenant_of(ticket: Ticket) -> str:
    """The tenant whose call it is."""
    return jsontree.as_text(jsontree.as_object(ticket.bound.get("principal")).get("tenant"))


async def _both(frame: Frame, tenant: str | None) -> tuple[Sequence[Card], Sequence[Card]]:
    desk = frame.core.desk
    waiting = await desk.tickets([State.PENDING], tenant=tenant)
    settled = await desk.tickets(SETTLED, limit=25, tenant=tenant)
    return [card(one) for one in reversed(waiting)], [card(one) for one in settled]


async def _draw(
    frame: Frame, visit: Visit, ticket: Ticket, said: str, status: int, *, proposed: JsonObject | None = None
) -> Response:
    edited = ticket.edited_arguments
    session = ticket.field("session")
    return await frame.draw(
        visit,
        "ticket.html",
        status=status,
        card=card(ticket),
        ticket=ticket,
        principal=jsontree.as_object(ticket.bound.get("principal")),
        intact=ticket.intact(),
        hidden=sum(escapes(text) for _, text, _ in jsontree.walk(ticket.bound)),
        said=said,
        labels=(await frame.core.labels.store.listed([session])).get(session, []),
        words=WORDS,
        edited=[] if edited is None else changes(ticket.arguments, edited),
        editable=editable(ticket.arguments if edited is None else edited) if ticket.state is State.PENDING else "",
        proposed=None if proposed is None else json.dumps(proposed),
        proposal=[] if proposed is None else changes(ticket.arguments, proposed),
        barred=await _barred(frame, visit, ticket),
        offer=granting.offer(ticket),
        terms=ticket.terms,
    )


async def _barred(frame: Frame, visit: Visit, ticket: Ticket) -> str:
    """Why this person may not approve a ticket that waits."""
    if ticket.state is not State.PENDING:
        return ""
    return await frame.core.desk.objection(ticket, visit.visitor.approver)
