"""What servers say of themselves, what of it changed, and what is trusted."""

from pydantic import Field

from console.roles import Permission
from console.v1 import cursor
from console.v1.operation import Call, Operation, Paged
from console.v1.problems import ProblemError
from console.v1.shapes import Difference, Pin, PinDecision, Pins, PinWhole
from governance.pins import pin as pinned
from governance.pins.reviews import differences

ABSENT = ProblemError(404, "unknown", "there is no review with this id, or what it names was changed again")


class PinQuery(Paged):
    """Which pins."""

    waiting: bool = Field(default=False, description="Only what waits for a person.")


async def list_pins(call: Call) -> Pins:
    """Those that wait first, then by server, kind and name."""
    asked: PinQuery = call.query
    found = await call.frame.core.reviews.pins(waiting=asked.waiting)
    after = cursor.opened(asked.cursor)
    # The list is one of the configuration's size and is read whole; a place in it is the pin that stood there.
    begin = 0 if after is None else next((n + 1 for n, one in enumerate(found) if one.id == after[1]), len(found))
    shown = found[begin : begin + asked.limit]
    more = cursor.close(shown[-1].server, shown[-1].id) if len(found) > begin + asked.limit else None
    return Pins(items=[_pin(one) for one in shown], next=more)


async def show_pin(call: Call) -> PinWhole:
    """One with what differs."""
    found = await call.frame.core.reviews.get(call.path["pin"])
    if found is None:
        raise ABSENT
    changes = [Difference(path=one.path, before=one.before, after=one.after) for one in differences(found)]
    return PinWhole(**_pin(found).model_dump(), differences=changes)


async def decide(call: Call) -> Pin:
    """Trust exactly what the id names, or keep it from agents."""
    asked, reviews = call.body, call.frame.core.reviews
    assert isinstance(asked, PinDecision)  # noqa: S101 - the door has read it by this shape
    move = reviews.approve if asked.decision == "approve" else reviews.reject
    decided = await move(call.path["pin"], by=call.visitor.name, reason=asked.reason)
    if decided is None:
        raise ABSENT
    if not decided.made:
        raise ProblemError(409, "settled", "nothing was changed: it was decided before, or changed meanwhile")
    return _pin(decided.pin)


def _pin(one: pinned.Pin) -> Pin:
    return Pin(
        id=one.id,
        state=one.state.value,
        server=one.server,
        kind=one.kind.value,
        name=one.name,
        rule=one.rule,
        reason=one.reason,
        trusted=one.digest,
        trusted_at=one.trusted_at,
        trusted_by=one.trusted_by,
        given=one.live,
        given_at=one.live_at,
        decided_by=one.decided_by,
        decision_reason=one.decision_reason,
    )


_GONE = {404: "there is none, or it changed again"}
OPERATIONS = (
    Operation(
        "listPins", "GET", "/pins", Permission.PINS, "What servers say of themselves; what waits first", Pins,
        list_pins, PinQuery,
    ),
    Operation(
        "showPin", "GET", "/pins/{pin}", Permission.PINS, "One, with what differs", PinWhole, show_pin,
        refusals=_GONE,
    ),
    Operation(
        "decidePin", "POST", "/pins/{pin}/decision", Permission.PINS_DECIDE,
        "Trust exactly what the id names, or keep it from agents", Pin, decide, body=PinDecision,
        refusals={**_GONE, 409: "it was decided before"},
    ),
)  # fmt: skip
