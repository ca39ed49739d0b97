"""Who decides for whom, for programs: JSON under `/console/api/delegations`, with a key of who may decide."""

from datetime import datetime

from starlette.responses import Response

from approvals.delegation.delegation import DelegationError, shown
from console.api import body_of, json, problem
from console.frame import Frame, Visit
from console.pages import delegations
from governance import jsontree
from governance.jsontree import Json
from pipeline.border import BadRequestError


async def list_delegations(frame: Frame, visit: Visit) -> Response:
    """Delegations that hold, the newest first; `?all=1` for those too that do not any more."""
    now, active = frame.core.clock.now(), visit.request.query_params.get("all", "") != "1"
    found = await frame.delegations.listed(now, active=active, tenant=visit.visitor.tenant)
    listed: list[Json] = [shown(one, now) for one in found]
    return json({"delegations": listed})


async def give_delegation(frame: Frame, visit: Visit) -> Response:
    """Let `to` decide in the place of who asks, `until` a time, for a `reason`."""
    body = await body_of(visit.request)
    to, reason, until = (jsontree.as_text(body.get(name)) for name in ("to", "reason", "until"))
    try:
        made = await delegations.made(frame, visit, to=to, reason=reason, until=_moment(until))
    except DelegationError as error:
        return problem(400, "delegation", str(error))
    return json(shown(made, frame.core.clock.now()))


async def end_delegation(frame: Frame, visit: Visit) -> Response:
    """End a delegation."""
    ended = await delegations.ended(frame, visit)
    if ended is None:
        return problem(404, "unknown", "there is no delegation with this id, or it is not for you to see")
    if not ended:
        return problem(409, "settled", "nothing was changed: it had ended before")
    return json({"id": visit.request.path_params["delegation"], "active": False})


def _moment(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise BadRequestError(400, "malformed", "`until` is a time with its zone: `2026-11-21T12:00:00Z`")
    return moment
