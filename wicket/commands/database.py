"""`wicket db`: the tables."""

from pathlib import Path

from governance.config.load import load
from governance.store import StoreError
from governance.store.schema import upgrade as upgrade_tables
from wicket.command import Command, Situation
from wicket.exits import CommandError, Exit


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


COMMANDS = (Command("db upgrade", "bring the tables of the database to this version", upgrade),)
