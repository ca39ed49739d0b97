"""The kill switch: what is stopped, stopping, and letting go on."""

from console.pages import kills
from console.pages.kills import Order
from console.roles import Permission
from console.v1.operation import Call, Operation
from console.v1.problems import ProblemError
from console.v1.shapes import Confirmation, Kill, KillOrder, Kills, Revival, Switched, Waiting
from pipeline.border import BadRequestError


async def list_kills(call: Call) -> Kills:
    """The newest first, each with who has carried it out."""
    shown = [
        Kill(
            scope=kill.scope.value,
            target=kill.target,
            reason=kill.reason,
            actor=kill.actor,
            requested_at=kill.at,
            probation=kill.probation,
            confirmed=[
                Confirmation(process=one.process, name=one.name, at=one.at, cut=one.cut) for one in carried.confirmed
            ],
            waiting=[Waiting(process=one.id, name=one.name, seen_at=one.seen_at) for one in carried.waiting],
        )
        for kill, carried in await kills.found(call.frame)
    ]
    return Kills(items=shown)


async def stop(call: Call) -> Switched:
    """Stop what is named, in all processes."""
    asked = call.body
    assert isinstance(asked, KillOrder)  # noqa: S101 - the door has read it by this shape
    return await _switched(call, _order(asked.scope, asked.target, asked.reason, probation=False), kill=True)


async def revive(call: Call) -> Switched:
    """Let it go on, or half of it."""
    asked = call.body
    assert isinstance(asked, Revival)  # noqa: S101 - the door has read it by this shape
    return await _switched(call, _order(asked.scope, asked.target, asked.reason, probation=asked.probation), kill=False)


def _order(scope: str, target: str, reason: str, *, probation: bool) -> Order:
    try:
        return kills.read(scope, target, reason, probation)
    except BadRequestError as error:
        raise ProblemError(422, "invalid", error.message) from None


async def _switched(call: Call, order: Order, *, kill: bool) -> Switched:
    switch, actor = call.frame.core.kills, call.visitor.name
    if kill:
        if not order.reason.strip():
            raise ProblemError(422, "invalid", "say why: the agent is told, and the audit log keeps it")
        changed = await switch.kill(order.scope, order.target, reason=order.reason, actor=actor)
    else:
        changed = await switch.revive(
            order.scope, order.target, reason=order.reason, actor=actor, probation=order.probation
        )
    return Switched(scope=order.scope.value, target=order.target, killed=kill, changed=changed)


OPERATIONS = (
    Operation(
        "listKills", "GET", "/kills", Permission.KILLS, "What is stopped or on probation, the newest first", Kills,
        list_kills,
    ),
    Operation(
        "kill", "POST", "/kills", Permission.SWITCH, "Stop a session, key, agent, user, team, tenant, server, or all",
        Switched, stop, body=KillOrder,
    ),
    Operation(
        "revive", "POST", "/kills/revival", Permission.SWITCH, "Let what was stopped go on, or half of it", Switched,
        revive, body=Revival,
    ),
)  # fmt: skip
