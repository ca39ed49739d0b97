"""`wicket grants`: see what people allowed beyond one call, and end it."""

import orjson

from approvals.desk import plain
from approvals.grants.grant import Grant, shown
from governance.jsontree import Json, JsonObject
from wicket.command import Command, Situation, argument
from wicket.exits import CommandError, Exit
from wicket.office import Office, actor, in_office
from wicket.terminal import reveal, table

_COLUMNS = ("id", "state", "server", "tool", "agent", "used", "uses", "until", "given_by")


def list_grants(situation: Situation) -> Exit:
    """List grants, those that can be used unless asked otherwise."""

    async def work(office: Office) -> list[Grant]:
        active = not situation.options.all
        return await office.grants.listed(office.clock.now(), active=active, limit=situation.options.limit)

    now = situation.clock.now()
    rows = [shown(grant, now) for grant in in_office(situation, work)]
    situation.terminal.show(list[Json](rows), table([_row(one) for one in rows], _COLUMNS, "nothing is granted"))
    return Exit.DONE


def show(situation: Situation) -> Exit:
    """Show one grant whole."""
    told = shown(_found(situation), situation.clock.now())
    lines = [f"{name.replace('_', ' '):<16}{reveal(_text(value) or '-')}" for name, value in told.items()]
    situation.terminal.show(told, lines)
    return Exit.DONE


def revoke(situation: Situation) -> Exit:
    """End a grant: the next such call is asked about."""
    grant_id, reason = str(situation.options.id), plain(str(situation.options.reason))

    async def work(office: Office) -> bool:
        return await office.grants.revoke(grant_id, by=actor(), reason=reason, now=office.clock.now())

    if not in_office(situation, work):
        grant = _found(situation)
        state = grant.standing(situation.clock.now()).value.replace("_", " ")
        raise CommandError(Exit.ABSENT, f"the grant `{grant_id}` is {state} already, so nothing was changed")
    situation.terminal.show({"id": grant_id, "state": "ended"}, f"revoked `{grant_id}`")
    return Exit.DONE


def _found(situation: Situation) -> Grant:
    grant_id = str(situation.options.id)

    async def work(office: Office) -> Grant | None:
        return await office.grants.get(grant_id)

    grant = in_office(situation, work)
    if grant is None:
        raise CommandError(Exit.ABSENT, f"there is no grant `{grant_id}`: `wicket grants list --all` shows all")
    return grant


def _row(told: JsonObject) -> dict[str, Json]:
    return {name: told[name] for name in _COLUMNS}


def _text(value: Json) -> str:
    return value if isinstance(value, str) else orjson.dumps(value).decode()


_ID = argument("id", help="id of the grant")

COMMANDS = (
    Command(
        "grants list",
        "list what people allowed beyond one call",
        list_grants,
        (
            argument("--all", action="store_true", help="those too that cannot be used any more"),
            argument("--limit", type=int, default=200, help="most grants to show (default 200)"),
        ),
    ),
    Command("grants show", "show a grant with all that it covers", show, (_ID,)),
    Command(
        "grants revoke",
        "end a grant, so that a person is asked again",
        revoke,
        (_ID, argument("--reason", default="", help="why; kept in the audit log")),
        {Exit.ABSENT: "there is no such grant, or it could not be used any more"},
    ),
)
