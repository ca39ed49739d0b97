"""Applies numbered migrations with Alembic. Whether any is needed is decided before, in `schema.py`.

It is loaded only then, because Alembic takes longer to load than a database to open.
"""

from pathlib import Path

from alembic.operations import Operations
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection


def migrate(connection: Connection, migrations: Path, current: str) -> None:
    """Apply every migration after `current`, in the transaction that is open: all of them or none.

    Args:
        connection: a connection in a transaction that nobody else shares.
        migrations: the folder of the numbered migrations.
        current: the version of the tables; empty where there are none.
    """
    scripts = ScriptDirectory(str(migrations))
    context = MigrationContext.configure(connection)
    missing = [*scripts.iterate_revisions("head", current or "base")]
    with Operations.context(context):
        for script in reversed(missing):
            script.module.upgrade()
            context.stamp(scripts, script.revision)
