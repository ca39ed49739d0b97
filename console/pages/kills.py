"""What is stopped: the list with who carried it out, and the switch for every scope."""

from dataclasses import dataclass

from starlette.responses import RedirectResponse, Response

from approvals.desk import plain
from console.frame import Frame, Visit
from pipeline.border import BadRequestError
from sessions.killswitch import Kill, Scope
from sessions.witness import Carried

LONGEST_TARGET = 300
MOST_SHOWN = 200
"""A loop detector may have stopped thousands of sessions, each of which is shown on its own page."""


@dataclass(frozen=True, slots=True)
class Order:
    """What a person wants stopped, or let go on."""

    scope: Scope
    target: str
    reason: str
    probation: bool = False


async def found(frame: Frame) -> list[tuple[Kill, Carried]]:
    """What was stopped last or is on probation, the newest first, with how far it is carried out."""
    standing = await frame.core.kills.store.in_force(now=True)
    kills = sorted(standing.values(), key=lambda kill: -kill.epoch)[:MOST_SHOWN]
    return list(zip(kills, await frame.witnesses.carried(kills), strict=True))


async def listed(frame: Frame, csrf: str) -> str:
    """The list as it stands, as a piece of a page."""
    return frame.part("kills_list.html", kills=await found(frame), csrf=csrf)


async def index(frame: Frame, visit: Visit) -> Response:
    """The list and the form."""
    scopes = [scope.value for scope in Scope]
    return await frame.draw(visit, "kills.html", kills=await found(frame), scopes=scopes, csrf=visit.visitor.csrf)


async def switch(frame: Frame, visit: Visit) -> Response:
    """Kill or revive, as the form says."""
    form = visit.form
    order = read(form.get("scope", ""), form.get("target", ""), form.get("reason", ""), form.get("probation") == "1")
    await carry_out(frame, visit, order, kill=visit.move == "kill")
    return RedirectResponse("/console/kills", 303)


def read(scope: str, target: str, reason: str, probation: bool) -> Order:
    """What was asked for.

    Raises:
        BadRequestError: there is no such scope, or nothing is named.
    """
    if scope not in list(Scope):
        raise BadRequestError(400, "malformed", f"`scope` is one of {', '.join(Scope)}")
    wanted = "" if scope == Scope.ALL else target.strip()
    if len(wanted) > LONGEST_TARGET or (scope != Scope.ALL and not wanted):
        raise BadRequestError(400, "malformed", f"name the {scope} in `target`, in at most {LONGEST_TARGET} characters")
    return Order(Scope(scope), wanted, plain(reason), probation)


async def carry_out(frame: Frame, visit: Visit, order: Order, *, kill: bool) -> bool:
    """Stop or revive; false if nothing had to be done.

    Raises:
        BadRequestError: nobody says why.
    """
    kills, actor = frame.core.kills, visit.visitor.name
    if not kill:
        return await kills.revive(
            order.scope, order.target, reason=order.reason, actor=actor, probation=order.probation
        )
    if not order.reason.strip():
        raise BadRequestError(400, "reason", "say why: the agent is told, and the audit log keeps it")
    return await kills.kill(order.scope, order.target, reason=order.reason, actor=actor)
