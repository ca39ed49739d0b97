"""Several tickets decided at once, on the page and in the API: each for itself, and each as it was shown."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from starlette.responses import Response

from console.access import Visitor
from console.frame import Frame, Visit
from console.pages.approvals import tenant_of, title_of
from governance import jsontree
from governance.jsontree import JsonObject
from pipeline.border import BadRequestError

MOST = 100
PICK = "pick."
"""How the fields of a form begin that name a ticket; the value is the digest that was shown."""


@dataclass(frozen=True, slots=True)
class Result:
    """What became of one of them."""

    ticket: str
    title: str
    done: bool
    state: str
    said: str
    """Why nothing was changed."""


async def decide(frame: Frame, visit: Visit) -> Response:
    """Decide about what was picked on the list; the page says what became of each."""
    picks = picked(visit.form)
    if not picks:
        return frame.notice("nothing picked", "pick the calls on the list that you want to decide about", 400)
    results = await each(frame, visit, picks, visit.form.get("reason", ""))
    done = sum(one.done for one in results)
    return await frame.draw(visit, "batch.html", results=results, done=done, move=visit.move)


def picked(form: Mapping[str, str]) -> dict[str, str]:
    """The digest that was shown of each ticket that was picked, by its id."""
    return {name.removeprefix(PICK): digest for name, digest in form.items() if name.startswith(PICK)}


def listed(body: JsonObject) -> dict[str, str]:
    """The same from the body of a request of the API.

    Raises:
        BadRequestError: it does not name tickets with their digests, one names a ticket twice, or there are too many.
    """
    asked = jsontree.as_list(body.get("tickets"))
    pairs = [(one.get("id"), one.get("digest")) for one in map(jsontree.as_object, asked)]
    picks = {one: digest for one, digest in pairs if isinstance(one, str) and isinstance(digest, str)}
    if not picks or len(picks) < len(asked) or len(picks) > MOST:
        what = f"`tickets` lists 1 to {MOST} objects, each with the `id` and the `digest` of a ticket, none twice"
        raise BadRequestError(400, "malformed", what)
    return picks


async def each(frame: Frame, visit: Visit, picks: Mapping[str, str], reason: str) -> Sequence[Result]:
    """Decide about one after the other. What cannot be decided stops none of the others."""
    return [await _one(frame, visit.visitor, one, digest, visit.move, reason) for one, digest in picks.items()]


async def _one(frame: Frame, visitor: Visitor, ticket_id: str, digest: str, move: str, reason: str) -> Result:
    desk = frame.core.desk
    ticket = await desk.get(ticket_id)
    if ticket is None or not visitor.sees(tenant_of(ticket)):
        return Result(ticket_id, ticket_id, done=False, state="", said="there is no such ticket, or it is not yours")
    title = title_of(ticket)
    if digest != ticket.current or not ticket.intact():
        said = "this is not the call that was shown: look again"
        return Result(ticket_id, title, done=False, state=ticket.state.value, said=said)
    if move == "approve":
        decided = await desk.approve(ticket_id, by=visitor.approver, reason=reason, digest=digest)
    else:
        decided = await desk.deny(ticket_id, by=visitor.approver, reason=reason)
    if decided is None or not decided.made:
        state = ticket.state if decided is None else decided.ticket.state
        said = (decided.refusal if decided is not None else "") or "the ticket was settled before"
        return Result(ticket_id, title, done=False, state=state.value, said=said)
    return Result(ticket_id, title, done=True, state=decided.ticket.state.value, said="")
