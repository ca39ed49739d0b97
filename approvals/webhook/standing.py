"""How it stands with a route: what is on its way, what arrived, and whether it fails. Pure; read by `store.py`."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

from approvals.webhook.route import Route
from governance.jsontree import JsonObject

WELL, FAILING, GONE, UNUSED = "well", "failing", "switched off", "nothing sent yet"


@dataclass(frozen=True, slots=True)
class Counted:
    """What the table holds of one route. Times are RFC 3339, of when messages were written; empty = none."""

    waiting: int = 0
    retried: int = 0
    """Of those that wait, how many failed at least once."""
    given_up: int = 0
    next_at: str = ""
    """When the next attempt is due."""
    delivered_at: str = ""
    """Of the newest message that was delivered."""
    given_up_at: str = ""
    disabled_at: str = ""
    """When the receiver said that it is gone."""


@dataclass(frozen=True, slots=True)
class Standing:
    """How it stands with one route of the configuration."""

    name: str
    kind: str
    state: str
    """`well`, `failing`, `switched off` or `nothing sent yet`."""
    waiting: int
    given_up: int
    next_at: str
    delivered_at: str

    def as_json(self) -> JsonObject:
        """For programs."""
        return asdict(self)


def standings(routes: Sequence[Route], counted: Mapping[str, Counted]) -> list[Standing]:
    """How it stands with each route, in the order of the configuration."""
    return [_standing(one, counted.get(one.id, Counted())) for one in routes]


def _standing(route: Route, told: Counted) -> Standing:
    state = UNUSED
    if told.disabled_at:
        state = GONE
    elif told.retried or told.given_up_at > told.delivered_at:
        state = FAILING
    elif told.delivered_at:
        state = WELL
    return Standing(
        route.name, route.kind, state, told.waiting, told.given_up, told.next_at if told.waiting else "",
        told.delivered_at,
    )  # fmt: skip
