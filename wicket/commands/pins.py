"""`wicket pins`: see what servers say of themselves, what of it changed, and decide what is trusted."""

from governance.jsontree import Json
from governance.pins.manifest import written
from governance.pins.pin import Pin, State
from governance.pins.reviews import Difference, differences, page
from wicket.addresses import console_address
from wicket.command import Command, Situation, argument
from wicket.exits import CommandError, Exit
from wicket.office import Office, actor, in_office
from wicket.terminal import reveal, table

_COLUMNS = ("id", "state", "server", "kind", "name", "rule", "since")


def list_pins(situation: Situation) -> Exit:
    """List pins, those that wait first."""
    waiting = bool(situation.options.waiting)

    async def work(office: Office) -> list[Pin]:
        return await office.reviews.pins(waiting=waiting)

    rows = [_summary(pin) for pin in in_office(situation, work)]
    situation.terminal.show(list(rows), table(rows, _COLUMNS, "nothing waits" if waiting else "nothing is pinned yet"))
    return Exit.DONE


def diff(situation: Situation) -> Exit:
    """Show what differs between what is trusted and what was given last, invisible characters made visible."""
    pin_id = str(situation.options.id)

    async def work(office: Office) -> tuple[Pin, str]:
        pin = await office.reviews.get(pin_id)
        if pin is None:
            raise _absent(pin_id)
        return pin, page(console_address(office.config), pin_id)

    pin, link = in_office(situation, work)
    found = differences(pin)
    shown: dict[str, Json] = {
        **_summary(pin),
        "reason": pin.reason,
        "trusted": pin.digest,
        "given": pin.live,
        "link": link,
    }
    lines = [f"{name:<10}{reveal(str(value) or '-')}" for name, value in shown.items()]
    changes: list[Json] = [{"path": one.path, "before": one.before, "after": one.after} for one in found]
    situation.terminal.show(
        {**shown, "differences": changes}, [*lines, *(line for one in found for line in _lines(one))]
    )
    return Exit.FOUND if found else Exit.DONE


def approve(situation: Situation) -> Exit:
    """Trust exactly what a review names."""
    return _decide(situation, trust=True)


def reject(situation: Situation) -> Exit:
    """Keep what a review names from every agent."""
    return _decide(situation, trust=False)


def export(situation: Situation) -> Exit:
    """Print a manifest of what is trusted now, for `pin_manifest`."""

    async def work(office: Office) -> list[Pin]:
        return await office.reviews.pins()

    trusted = [pin for pin in in_office(situation, work) if pin.state is State.TRUSTED]
    entries: list[Json] = [
        {"server": pin.server, "kind": pin.kind.value, "name": pin.name, "digest": pin.digest} for pin in trusted
    ]
    situation.terminal.show({"version": 1, "pins": entries}, written(trusted).decode().rstrip("\n").split("\n"))
    return Exit.DONE


def _decide(situation: Situation, *, trust: bool) -> Exit:
    pin_id, reason = str(situation.options.id), str(situation.options.reason)

    async def work(office: Office) -> Pin:
        move = office.reviews.approve if trust else office.reviews.reject
        decided = await move(pin_id, by=actor(), reason=reason)
        if decided is None:
            raise _absent(pin_id)
        if not decided.made:
            raise CommandError(
                Exit.ABSENT, f"`{pin_id}` is `{decided.pin.state}` already, or changed meanwhile: nothing was changed"
            )
        return decided.pin

    pin = in_office(situation, work)
    situation.terminal.show(_summary(pin), f"{pin.state}: {reveal(pin.what)} of server `{pin.server}`")
    return Exit.DONE


def _summary(pin: Pin) -> dict[str, Json]:
    return {
        "id": pin.id,
        "state": pin.state.value,
        "server": pin.server,
        "kind": pin.kind.value,
        "name": pin.name,
        "rule": pin.rule,
        "since": pin.live_at,
    }


def _lines(one: Difference) -> list[str]:
    lines = [reveal(one.path or "(all)")]
    for mark, text in (("-", one.before), ("+", one.after)):
        lines += [f"  {mark} {reveal(line)}" for line in text.split("\n")] if text is not None else []
    return lines


def _absent(pin_id: str) -> CommandError:
    return CommandError(
        Exit.ABSENT, f"there is no review `{pin_id}`, or what it names was changed again: `wicket pins list` shows all"
    )


_ID = argument("id", help="id of the review")
_REASON = argument("--reason", default="", help="why; kept in the audit log")
_TAKEN = {Exit.ABSENT: "there is no such review, what it names was changed again, or it was decided before"}

COMMANDS = (
    Command(
        "pins list",
        "list what servers say of themselves, and what of it waits for a person",
        list_pins,
        (argument("--waiting", action="store_true", help="only what waits"),),
    ),
    Command(
        "pins diff",
        "show what changed in a definition",
        diff,
        (_ID,),
        {Exit.DONE: "nothing differs", Exit.FOUND: "something differs"},
    ),
    Command("pins approve", "trust exactly what a review names", approve, (_ID, _REASON), _TAKEN),
    Command("pins reject", "keep what a review names from agents", reject, (_ID, _REASON), _TAKEN),
    Command("pins export", "print a manifest of what is trusted", export),
)
