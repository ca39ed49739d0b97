"""What rules let people allow beyond a call, as the form of the call holds it: so it cannot be changed behind them."""

from collections.abc import Collection, Mapping

from governance import jsontree
from governance.jsontree import Json, JsonObject
from governance.verdict import Leave, Reach


def form_of(leaves: Collection[Leave]) -> list[Json]:
    """Leaves as a form holds them (`approvals.ticket.binding`)."""
    return [
        {"rule": one.rule, "digest": one.digest, "reach": one.reach.value, "seconds": one.seconds, "uses": one.uses}
        for one in leaves
    ]


def leaves_in(form: Mapping[str, Json]) -> tuple[Leave, ...]:
    """The leaves of a form; where one cannot be read nothing can be granted."""
    found = [_leave(jsontree.as_object(one)) for one in jsontree.as_list(form.get("leaves"))]
    return tuple(one for one in found if one is not None) if None not in found else ()


def _leave(told: JsonObject) -> Leave | None:
    reach, seconds, uses = told.get("reach"), told.get("seconds"), told.get("uses")
    if reach not in list(Reach) or not isinstance(seconds, int) or not isinstance(uses, int):
        return None
    rule, digest = jsontree.as_text(told.get("rule")), jsontree.as_text(told.get("digest"))
    return Leave(rule, digest, Reach(str(reach)), seconds, uses)
