"""`wicket approvals delegate`, `delegations`, `undelegate`: who decides for whom."""

from datetime import UTC, datetime

from approvals.delegation.delegation import Delegation, DelegationError, shown
from approvals.desk import plain
from governance.identity.directory import ADMINISTRATOR
from governance.jsontree import Json
from wicket.command import Command, Situation, argument
from wicket.exits import CommandError, Exit
from wicket.office import Office, actor, approver, in_office
from wicket.terminal import table

_COLUMNS = ("id", "active", "from", "to", "until", "reason")


def delegate(situation: Situation) -> Exit:
    """Let somebody decide in the place of whoever runs the command, who is an administrator."""
    options, until = situation.options, _moment(str(situation.options.until))

    async def work(office: Office) -> Delegation:
        now = office.clock.now()
        return await office.delegations.give(
            approver(), ADMINISTRATOR, "", to=str(options.to), reason=plain(str(options.reason)), until=until, now=now
        )

    try:
        made = in_office(situation, work)
    except DelegationError as error:
        raise CommandError(Exit.USAGE, str(error)) from None
    told = shown(made, situation.clock.now())
    situation.terminal.show(told, f"`{made.to}` decides for `{made.giver.name}` until {told['until']}: `{made.id}`")
    return Exit.DONE


def list_delegations(situation: Situation) -> Exit:
    """List who decides for whom."""

    async def work(office: Office) -> list[Delegation]:
        return await office.delegations.listed(office.clock.now(), active=not situation.options.all)

    now = situation.clock.now()
    rows = [shown(one, now) for one in in_office(situation, work)]
    situation.terminal.show(list[Json](rows), table(rows, _COLUMNS, "nobody decides for anybody else"))
    return Exit.DONE


def undelegate(situation: Situation) -> Exit:
    """End a delegation."""
    delegation_id = str(situation.options.id)

    async def work(office: Office) -> bool:
        found = await office.delegations.get(delegation_id)
        if found is None:
            every = "`wicket approvals delegations --all` shows all"
            raise CommandError(Exit.ABSENT, f"there is no delegation `{delegation_id}`: {every}")
        return await office.delegations.end(found, by=actor(), now=office.clock.now())

    if not in_office(situation, work):
        raise CommandError(Exit.ABSENT, f"the delegation `{delegation_id}` had ended before, so nothing was changed")
    situation.terminal.show({"id": delegation_id, "active": False}, f"ended `{delegation_id}`")
    return Exit.DONE


def _moment(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise CommandError(Exit.USAGE, "`--until` is a time with its zone: `2026-11-21T12:00:00Z`")
    return moment.astimezone(UTC)


COMMANDS = (
    Command(
        "approvals delegate",
        "let somebody decide in your place",
        delegate,
        (
            argument("--to", required=True, metavar="NAME", help="user of a key of an approver or administrator"),
            argument("--until", required=True, metavar="TIME", help="`2026-11-21T12:00:00Z`, at most 90 days from now"),
            argument("--reason", required=True, help="why; kept in the audit log"),
        ),
    ),
    Command(
        "approvals delegations",
        "list who decides for whom",
        list_delegations,
        (argument("--all", action="store_true", help="those too that do not hold any more"),),
    ),
    Command(
        "approvals undelegate",
        "end a delegation",
        undelegate,
        (argument("id", help="id of the delegation"),),
        {Exit.ABSENT: "there is no such delegation, or it had ended before"},
    ),
)
