"""`wicket db`: the tables."""

from pathlib import Path

from governance.config.load import load
from governance.store import StoreError
from governance.store.schema import upgrade as upgrade_tables
from sessions.index.store import SqlIndex
from wicket.command import Command, Situation, argument
from wicket.exits import CommandError, Exit
from wicket.office import Office, in_office
from wicket.session_lists import caught_up


def upgrade(situation: Situation) -> Exit:
    """Bring the tables to this version."""
    config = load(Path(situation.options.config))
    with situation.terminal.progress("bringing the tables up to date"):
        try:
            version = upgrade_tables(config.database)
        except StoreError as error:
            raise CommandError(Exit.UNAVAILABLE, str(error)) from error
    situation.terminal.show({"version": version}, f"the tables are of version `{version}`")
    return Exit.DONE


def index(situation: Situation) -> Exit:
    """Read the log into the index that lists, searches and plots are made of."""

    async def work(office: Office) -> int:
        table = SqlIndex(office.store)
        if situation.options.anew:
            await table.clear()
        await caught_up(office, situation.terminal)
        return (await table.behind())[0] + 1

    events = in_office(situation, work)
    situation.terminal.show({"events": events}, f"{events:,} events are in the index")
    return Exit.DONE


COMMANDS = (
    Command("db upgrade", "bring the tables of the database to this version", upgrade),
    Command(
        "db index",
        "read the log into the index that lists, searches and plots are made of",
        index,
        (argument("--anew", action="store_true", help="forget the index first, and read the whole log"),),
    ),
)
