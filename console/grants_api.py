"""Grants for programs: JSON under `/console/api/grants`, with the key of an approver or administrator."""

from starlette.responses import Response

from approvals.grants.grant import shown
from console.api import body_of, json, problem
from console.frame import Frame, Visit
from console.pages import grants
from governance import jsontree
from governance.jsontree import Json


async def list_grants(frame: Frame, visit: Visit) -> Response:
    """Grants that can be used, the newest first; `?all=1` for those too that cannot any more."""
    core, now = frame.core, frame.core.clock.now()
    active = visit.request.query_params.get("all", "") != "1"
    found = await core.grants.listed(now, active=active, tenant=visit.visitor.tenant)
    listed: list[Json] = [shown(one, now) for one in found]
    return json({"grants": listed})


async def show_grant(frame: Frame, visit: Visit) -> Response:
    """One grant."""
    grant = await grants.find(frame, visit)
    return _none() if grant is None else json(shown(grant, frame.core.clock.now()))


async def revoke_grant(frame: Frame, visit: Visit) -> Response:
    """End a grant."""
    body = await body_of(visit.request)
    ended = await grants.end(frame, visit, jsontree.as_text(body.get("reason")))
    grant = await grants.find(frame, visit)
    if ended is None or grant is None:
        return _none()
    if not ended:
        return problem(409, "settled", "nothing was changed: the grant could not be used any more")
    return json(shown(grant, frame.core.clock.now()))


def _none() -> Response:
    return problem(404, "unknown", "there is no grant with this id, or it is not for you to see")
