"""The part of a ticket's page on which a person allows more than the call, and what its form asks for."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from approvals.grants.grant import Limits, barred, limits
from approvals.terms import GrantError, Wish, leaves, place_of
from approvals.ticket import Ticket
from approvals.visible import escapes
from console.frame import span
from governance.jsontree import Json
from governance.verdict import Reach

MOST_ROWS = 30
"""Arguments that can be widened on the page, because a form carries no more fields; others through the API."""
MINUTES = (15, 60, 240, 480, 1440, 10_080)
USUAL_USES = 10
EXACTLY, PATTERN, AT_MOST, ANY = "exactly", "pattern", "at_most", "any"


@dataclass(frozen=True, slots=True)
class Row:
    """One argument that can be widened."""

    number: int
    pointer: str
    value: str
    """What the call has, as text that can be edited; empty where it cannot."""
    modes: Sequence[tuple[str, str]]
    """What may be asked of it: the value of the option, and its words."""


@dataclass(frozen=True, slots=True)
class Offer:
    """What can be allowed beyond the call of a ticket."""

    barred: str
    """Why nothing can; empty if something can."""
    limits: Limits | None = None
    rows: Sequence[Row] = ()
    minutes: Sequence[tuple[int, str]] = ()
    uses: int = 0


def offer(ticket: Ticket) -> Offer:
    """What the page of a ticket offers."""
    if why := barred(ticket):
        return Offer(why)
    most = limits(ticket)
    longest = most.seconds // 60
    choices = [one for one in MINUTES if one < longest] + [max(1, longest)]
    rows = _rows(ticket) if most.reach is Reach.PATTERN else []
    return Offer("", most, rows, [(one, span(one * 60)) for one in choices], min(USUAL_USES, most.uses))


def wished(ticket: Ticket, form: Mapping[str, str]) -> Wish | None:
    """What the form of a ticket's page allows beyond the call; None where it allows nothing.

    Raises:
        GrantError: a field cannot be read.
    """
    if form.get("grant") != "1":
        return None
    if form.get("once") == "1":
        raise GrantError("this call alone, or further calls too: tick one of both")
    arguments: dict[str, Json] = {}
    for row in _rows(ticket):
        mode, text = form.get(f"mode.{row.number}", EXACTLY), form.get(f"value.{row.number}", "")
        if mode == PATTERN:
            arguments[row.pointer] = text
        elif mode == AT_MOST:
            arguments[row.pointer] = {"le": _number(text)}
        elif mode == ANY:
            arguments[row.pointer] = {"exists": True}
    try:
        minutes, uses = int(form.get("minutes", "")), int(form.get("uses", ""))
    except ValueError:
        raise GrantError("say for how long and for how many calls, in whole numbers") from None
    return Wish(arguments, session=form.get("session") == "1", seconds=minutes * 60, uses=uses)


def _rows(ticket: Ticket) -> list[Row]:
    found = list(leaves(ticket.arguments))
    if len(found) > MOST_ROWS:
        return []
    return [_row(number, place_of(steps), value) for number, (steps, value) in enumerate(found)]


def _row(number: int, pointer: str, value: Json) -> Row:
    modes = [(EXACTLY, "exactly this")]
    text = ""
    if isinstance(value, str):
        modes.append((PATTERN, "a text like"))
        text = "" if escapes(value) or len(value) > 1000 else value
    elif isinstance(value, int | float) and not isinstance(value, bool):
        modes.append((AT_MOST, "at most"))
        text = str(value)
    return Row(number, pointer, text, [*modes, (ANY, "anything")])


def _number(text: str) -> int | float:
    try:
        return int(text) if text.strip().lstrip("-").isdecimal() else float(text)
    except ValueError:
        raise GrantError("`at most` needs a number") from None
