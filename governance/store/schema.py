"""The version of the tables: whether a database has it, and what follows if not.

The numbered migrations live in `migrations/` and are applied by `migrating.py`; the tables as classes in `tables.py`.
"""

import importlib
from pathlib import Path

from sqlalchemy import Connection, inspect

from governance.store.backends import Backend, backend
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
    known = _numbers(migrations)
    needed = max(known)
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
            # Not at the top of the file: Alembic takes a tenth of a second to load, and a proxy that starts on a
            # database that is up to date does not need it.
            importlib.import_module("governance.store.migrating").migrate(connection, migrations, current)
            return needed
    except (*DATABASE_ERRORS, OSError) as error:
        raise StoreError(f"`{place.name}` cannot be opened: {reason(error)}") from error


def migrates_itself(place: Backend) -> bool:
    """Whether opening may change an older database: a file is ours alone, a server may be shared."""
    return place.migrates_itself


def _numbers(migrations: Path) -> frozenset[str]:
    """The versions that a folder of migrations knows, by the names of its files: `v0001_ground.py` makes `0001`."""
    files = (migrations / "versions").glob("v[0-9]*_*.py")
    return frozenset(file.name.removeprefix("v").partition("_")[0] for file in files)


def _version(connection: Connection) -> str:
    if not inspect(connection).has_table("alembic_version"):
        return ""
    row = connection.exec_driver_sql("SELECT version_num FROM alembic_version").first()
    return str(row[0]) if row else ""
