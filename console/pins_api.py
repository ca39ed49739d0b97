"""Pins for programs: JSON under `/console/api/pins`, with the key of an approver; deciding takes an administrator's."""

from starlette.responses import Response

from console.api import LIMIT, body_of, json, problem
from console.frame import Frame, Visit
from console.pages import pins
from governance import jsontree
from governance.jsontree import Json, JsonObject
from governance.pins.pin import Pin
from governance.pins.reviews import differences


async def list_pins(frame: Frame, visit: Visit) -> Response:
    """Pins, those that wait first; `?waiting=1` for those only."""
    found = await frame.core.reviews.pins(waiting=visit.request.query_params.get("waiting") == "1")
    return json({"pins": [_pin(one) for one in found[:LIMIT]], "count": len(found)})


async def show_pin(frame: Frame, visit: Visit) -> Response:
    """One pin with what differs."""
    pin = await pins.find(frame, visit)
    if pin is None:
        return _absent()
    changes: list[Json] = [{"path": one.path, "before": one.before, "after": one.after} for one in differences(pin)]
    return json({**_pin(pin), "differences": changes})


async def decide_pin(frame: Frame, visit: Visit) -> Response:
    """Approve or reject exactly what the id names."""
    body = await body_of(visit.request)
    move = frame.core.reviews.approve if visit.move == "approve" else frame.core.reviews.reject
    reason = jsontree.as_text(body.get("reason"))
    decided = await move(visit.request.path_params["pin"], by=visit.visitor.name, reason=reason)
    if decided is None:
        return _absent()
    if not decided.made:
        return problem(409, "settled", "nothing was changed: it was decided before, or changed meanwhile")
    return json(_pin(decided.pin))


def _pin(pin: Pin) -> JsonObject:
    return {
        "id": pin.id,
        "state": pin.state.value,
        "server": pin.server,
        "kind": pin.kind.value,
        "name": pin.name,
        "rule": pin.rule,
        "reason": pin.reason,
        "trusted": pin.digest,
        "trusted_at": pin.trusted_at,
        "trusted_by": pin.trusted_by,
        "given": pin.live,
        "given_at": pin.live_at,
        "decided_by": pin.decided_by,
        "decision_reason": pin.decision_reason,
    }


def _absent() -> Response:
    return problem(404, "unknown", "there is no review with this id, or what it names was changed again")
