"""What servers say of themselves, what of it changed, and the page on which it is decided what is trusted."""

from typing import Any

from starlette.responses import RedirectResponse, Response

from approvals.visible import escapes
from console.frame import Frame, Visit
from governance.pins.pin import Pin, State
from governance.pins.reviews import differences

MOST = 500


async def listed(frame: Frame) -> str:
    """The list as it stands, as a piece of a page."""
    return frame.part("pins_list.html", **await _both(frame))


async def index(frame: Frame, visit: Visit) -> Response:
    """The list."""
    return await frame.draw(visit, "pins.html", **await _both(frame))


async def show(frame: Frame, visit: Visit) -> Response:
    """One change, value by value."""
    pin = await find(frame, visit)
    return _absent(frame) if pin is None else await _draw(frame, visit, pin, "", 200)


async def decide(frame: Frame, visit: Visit) -> Response:
    """Approve or reject, as the button says."""
    pin = await find(frame, visit)
    if pin is None:
        return _absent(frame)
    move = frame.core.reviews.approve if visit.move == "approve" else frame.core.reviews.reject
    decided = await move(pin.id, by=visit.visitor.name, reason=visit.form.get("reason", ""))
    if decided is None or not decided.made:
        now = await find(frame, visit) or pin
        return await _draw(frame, visit, now, "nothing was changed: it was decided before, or changed meanwhile", 409)
    return RedirectResponse(f"/console/pins/{pin.id}", 303)


async def find(frame: Frame, visit: Visit) -> Pin | None:
    """The pin that a path names; None where what it names was changed since."""
    return await frame.core.reviews.get(visit.request.path_params["pin"])


async def _both(frame: Frame) -> dict[str, Any]:
    pins = await frame.core.reviews.pins()
    waiting = [pin for pin in pins if pin.state is State.PENDING]
    return {"waiting_pins": waiting, "settled_pins": pins[len(waiting) :][:MOST]}


def _absent(frame: Frame) -> Response:
    return frame.notice("no such review", "there is no review with this id, or what it names was changed again", 404)


async def _draw(frame: Frame, visit: Visit, pin: Pin, said: str, status: int) -> Response:
    found = differences(pin)
    texts = [text for one in found for text in (one.path, one.before or "", one.after or "")]
    hidden = sum(escapes(text) for text in texts)
    return await frame.draw(visit, "pin.html", status=status, pin=pin, differences=found, hidden=hidden, said=said)
