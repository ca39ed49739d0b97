"""What people allowed beyond one call: the list of grants, and the button that ends one."""

from starlette.responses import RedirectResponse, Response

from approvals.desk import plain
from approvals.grants.grant import Grant, Standing
from console.frame import Frame, Visit

MOST_ENDED = 50


async def index(frame: Frame, visit: Visit) -> Response:
    """The list."""
    active, ended = await found(frame, visit)
    return await frame.draw(visit, "grants.html", active=active, ended=ended)


async def revoke(frame: Frame, visit: Visit) -> Response:
    """End a grant, as the form says."""
    if await end(frame, visit, visit.form.get("reason", "")) is None:
        return frame.notice("no such grant", "there is no grant with this id, or it is not for you to see", 404)
    return RedirectResponse("/console/grants", 303)


async def found(frame: Frame, visit: Visit) -> tuple[list[Grant], list[tuple[Grant, Standing]]]:
    """Grants that can be used, and the newest of those that cannot any more, each with why."""
    core, tenant = frame.core, visit.visitor.tenant
    now = core.clock.now()
    active = await core.grants.listed(now, tenant=tenant)
    latest = await core.grants.listed(now, active=False, tenant=tenant)
    ended = [(one, one.standing(now)) for one in latest]
    return active, [pair for pair in ended if pair[1] is not Standing.ACTIVE][:MOST_ENDED]


async def find(frame: Frame, visit: Visit) -> Grant | None:
    """The grant that a path names, if it is this person's affair."""
    grant = await frame.core.grants.get(visit.request.path_params["grant"])
    return grant if grant is not None and visit.visitor.sees(grant.principal["tenant"]) else None


async def end(frame: Frame, visit: Visit, reason: str) -> bool | None:
    """End the grant that a path names; false if it had ended before, None if there is none."""
    grant = await find(frame, visit)
    if grant is None:
        return None
    core = frame.core
    return await core.grants.revoke(grant.id, by=visit.visitor.name, reason=plain(reason), now=core.clock.now())
