"""The kill switch for programs: JSON under `/console/api/kills`, with the key of an administrator."""

from dataclasses import asdict

from starlette.responses import Response

from console.api import body_of, json
from console.frame import Frame, Visit
from console.pages import kills
from governance import jsontree
from governance.jsontree import Json, JsonObject
from sessions.killswitch import Kill
from sessions.witness import Carried


async def list_kills(frame: Frame, _: Visit) -> Response:
    """What is stopped or on probation, the newest first, and which processes have carried it out."""
    shown: list[Json] = [_kill(*one) for one in await kills.found(frame)]
    return json({"kills": shown})


async def switch_kill(frame: Frame, visit: Visit) -> Response:
    """Stop what `scope` and `target` name, or revive it; `probation` revives it by half."""
    body = await body_of(visit.request)
    scope, target, reason = (jsontree.as_text(body.get(name)) for name in ("scope", "target", "reason"))
    order = kills.read(scope, target, reason, body.get("probation") is True)
    kill = visit.move == "kill"
    changed = await kills.carry_out(frame, visit, order, kill=kill)
    return json({"scope": order.scope.value, "target": order.target, "killed": kill, "changed": changed})


def _kill(kill: Kill, carried: Carried) -> JsonObject:
    confirmed: list[Json] = [asdict(one) for one in carried.confirmed]
    waiting: list[Json] = [asdict(one) for one in carried.waiting]
    return {
        "scope": kill.scope.value,
        "target": kill.target,
        "reason": kill.reason,
        "actor": kill.actor,
        "requested_at": kill.at,
        "probation": kill.probation,
        "confirmed": confirmed,
        "waiting": waiting,
    }
