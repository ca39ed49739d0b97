"""The version of the tables, and how they are brought up to date.

The numbered migrations live in `migrations/`; the tables as classes in `tables.py`.
"""

from pathlib import Path

from alembic.operations import Operations
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, inspect

from governance.store.backends import Backend, Postgres, backend
from governance.store.failure import DATABASE_ERRORS, reason
from governance.store.work import StoreError

MIGRATIONS = Path(__file__).parent / "migrations"
"""The folder of the numbered migrations."""


def upgrade(url: str) -> str:
    """Bring the tables of a database to this version, and tell the version. Safe to run by many at once.

    Raises:
        StoreError: the database cannot be reached, or is newer than this program.
    """
    place = backend(url)
    try:
        return prepare(place, migrate=True)
    finally:
        place.close()


def prepare(place: Backend, *, migrate: bool, migrations: Path = MIGRATIONS) -> str:
    """See to it that the tables are of this version; an empty database gets them, an older one if it may.

    Args:
        place: the database.
        migrate: whether an older database is brought up to date; otherwise it is refused.
        migrations: the folder of the numbered migrations.

    Returns:
        The version.

    Raises:
        StoreError: the database cannot be reached, is newer, or is older and may not be changed.
    """
    scripts = ScriptDirectory(str(migrations))
    needed = str(scripts.get_current_head())
    known = {script.revision for script in scripts.walk_revisions()}
    try:
        with place.alone() as connection:
            current = _version(connection)
            if current and current not in known:
                raise StoreError(
                    f"`{place.name}` is of version `{current}`, newer than this program, which knows `{needed}`: "
                    "update Wicket"
                )
            if current == needed:
                return needed
            if current and not migrate:
                raise StoreError(
                    f"`{place.name}` is of version `{current}`, this program needs `{needed}`: "
                    "back it up and run `wicket db upgrade`"
                )
            _migrate(connection, scripts, current)
            return needed
    except (*DATABASE_ERRORS, OSError) as error:
        raise StoreError(f"`{place.name}` cannot be opened: {reason(error)}") from error


def migrates_itself(place: Backend) -> bool:
    """Whether opening may change an older database: a file is ours alone, a server may be shared."""
    return not isinstance(place, Postgres)


def _migrate(connection: Connection, scripts: ScriptDirectory, current: str) -> None:
    """Apply every migration after `current`, in the transaction that is open: all of them or none."""
    context = MigrationContext.configure(connection)
    missing = [*scripts.iterate_revisions("head", current or "base")]
    with Operations.context(context):
        for script in reversed(missing):
            script.module.upgrade()
            context.stamp(scripts, script.revision)


def _version(connection: Connection) -> str:
    if not inspect(connection).has_table("alembic_version"):
        return ""
    row = connection.exec_driver_sql("SELECT version_num FROM alembic_version").first()
    return str(row[0]) if row else ""
