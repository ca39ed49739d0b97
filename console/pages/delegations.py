"""Who decides for whom: the list, the form by which somebody lets another decide, and the button that ends it."""

from datetime import datetime, timedelta

from starlette.responses import RedirectResponse, Response

from approvals.delegation.delegation import Delegation, DelegationError
from approvals.desk import plain
from approvals.quorum import folded
from console.access import ForbiddenError
from console.frame import Frame, Visit
from pipeline.border import BadRequestError

HOURS = (8, 24, 72, 168, 336, 720)


async def index(frame: Frame, visit: Visit) -> Response:
    """The list and the form."""
    now, visitor = frame.core.clock.now(), visit.visitor
    listed = await frame.delegations.listed(now, tenant=visitor.tenant)
    people = [one for one in await frame.delegations.people(now) if folded(one) != folded(visitor.approver.user)]
    mine = {one.id for one in listed if _may_end(visit, one)}
    return await frame.draw(visit, "delegations.html", listed=listed, people=people, mine=mine, hours=HOURS)


async def give(frame: Frame, visit: Visit) -> Response:
    """Let somebody decide, as the form says."""
    form, now = visit.form, frame.core.clock.now()
    hours = form.get("hours", "")
    if hours not in map(str, HOURS):
        raise BadRequestError(400, "malformed", "pick for how long")
    try:
        until = now + timedelta(hours=int(hours))
        await made(frame, visit, to=form.get("to", ""), reason=form.get("reason", ""), until=until)
    except DelegationError as error:
        return frame.notice("nothing was delegated", str(error), 400)
    return RedirectResponse("/console/delegations", 303)


async def end(frame: Frame, visit: Visit) -> Response:
    """End a delegation."""
    if await ended(frame, visit) is None:
        return frame.notice("no such delegation", "there is none with this id, or it is not for you to see", 404)
    return RedirectResponse("/console/delegations", 303)


async def made(frame: Frame, visit: Visit, *, to: str, reason: str, until: datetime) -> Delegation:
    """Let somebody decide in the place of this visitor.

    Raises:
        DelegationError: that may not be delegated.
    """
    visitor = visit.visitor
    return await frame.delegations.give(
        visitor.approver, visitor.key_id, visitor.tenant or "", to=to, reason=plain(reason), until=until,
        now=frame.core.clock.now(),
    )  # fmt: skip


async def ended(frame: Frame, visit: Visit) -> bool | None:
    """End the delegation that a path names; false if it had ended before, None if there is none.

    Raises:
        ForbiddenError: it is another person's, and this is no administrator.
    """
    found = await frame.delegations.get(visit.request.path_params["delegation"])
    if found is None or (visit.visitor.tenant is not None and found.tenant != visit.visitor.tenant):
        return None
    if not _may_end(visit, found):
        raise ForbiddenError("only who delegated, or an administrator, may end it")
    return await frame.delegations.end(found, by=visit.visitor.name, now=frame.core.clock.now())


def _may_end(visit: Visit, delegation: Delegation) -> bool:
    return visit.visitor.admin or delegation.giver.person == visit.visitor.approver.person
