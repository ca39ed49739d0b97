"""Tables are made and brought up to date by whoever comes first, and never by a program too old."""

import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from alembic.script import ScriptDirectory
from sqlalchemy import inspect
from sqlmodel import SQLModel

from governance.store import Store, StoreError, approval_tables, index_tables, open_store, policy_tables, tables
from governance.store.backends import Backend, backend
from governance.store.schema import MIGRATIONS, migrates_itself, prepare, upgrade

HEAD = max(path.name[1:5] for path in (MIGRATIONS / "versions").glob("v[0-9]*_*.py"))
"""The version that this program needs."""
FOLLOWING = f"{int(HEAD) + 1:04}"


def alter(url: str, statement: str) -> None:
    place = backend(url)
    with place.writer() as connection, place.batch(connection):
        connection.exec_driver_sql(statement)
    place.close()


async def opens(url: str, **options: bool) -> Store:
    async with open_store(url, **options) as store:
        return store


def test_an_empty_database_gets_its_tables_once(database_url: str) -> None:
    assert upgrade(database_url) == upgrade(database_url) == HEAD


def test_the_name_of_a_migration_tells_its_version(next_migrations: Path) -> None:
    scripts = ScriptDirectory(str(next_migrations))

    for script in scripts.walk_revisions():
        assert Path(script.path).name.startswith(f"v{script.revision}_")
    place = backend(f"sqlite:///{next_migrations.parent / 'new.db'}")
    assert prepare(place, migrate=True, migrations=next_migrations) == scripts.get_current_head() == FOLLOWING
    place.close()


OPENING = """
import sys
from governance.store.schema import upgrade

print(upgrade(sys.argv[1]), "alembic" in sys.modules)
"""


def test_alembic_is_loaded_only_where_there_is_something_to_migrate(database_url: str) -> None:
    def opened() -> str:
        command = [sys.executable, "-c", OPENING, database_url]
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout.strip()

    assert [opened(), opened()] == [f"{HEAD} True", f"{HEAD} False"]


def test_many_openers_of_an_empty_database_do_not_race(database_url: str) -> None:
    with ThreadPoolExecutor(6) as pool:
        assert set(pool.map(upgrade, [database_url] * 6)) == {HEAD}


def test_the_migrations_make_what_the_classes_say(database_url: str) -> None:
    upgrade(database_url)
    place = backend(database_url)
    with place.reader() as connection:
        found = inspect(connection)
        names = set(found.get_table_names())
        made = {name: {c["name"]: c["nullable"] for c in found.get_columns(name)} for name in names}
        keys = {name: found.get_pk_constraint(name)["constrained_columns"] for name in names}

    ours = {name: table for name, table in SQLModel.metadata.tables.items() if name in names}
    assert names == {*ours, "alembic_version"}
    for name, table in ours.items():
        assert made[name] == {column.name: bool(column.nullable) for column in table.columns}, name
        assert keys[name] == [column.name for column in table.primary_key.columns], name


def test_every_column_is_explained() -> None:
    known = vars(tables) | vars(approval_tables) | vars(policy_tables) | vars(index_tables)
    rows = [row for row in known.values() if isinstance(row, type) and row.__name__.endswith("Row")]

    assert len(rows) >= 11
    for row in rows:
        assert issubclass(row, SQLModel)
        assert row.__doc__
        assert all(field.description for field in row.model_fields.values()), row


async def test_a_database_of_a_newer_version_is_refused(database_url: str) -> None:
    upgrade(database_url)
    alter(database_url, "UPDATE alembic_version SET version_num = '9999'")

    for options in ({}, {"upgrade": True}):
        with pytest.raises(StoreError, match=r"is of version `9999`, newer than this program, .* update Wicket"):
            await opens(database_url, **options)


async def test_a_lost_version_is_not_taken_for_an_empty_database(database_url: str) -> None:
    upgrade(database_url)
    alter(database_url, "DELETE FROM alembic_version")

    with pytest.raises(StoreError, match=r"cannot be opened: .*audit_events"):
        await opens(database_url)


NEXT = f"""
from alembic import op

revision = "{FOLLOWING}"
down_revision = "{HEAD}"


def upgrade():
    op.execute("ALTER TABLE signals ADD COLUMN note TEXT NOT NULL DEFAULT ''")
"""


@pytest.fixture
def next_migrations(tmp_path: Path) -> Path:
    """The migrations as the next version of the program will have them."""
    folder = tmp_path / "migrations"
    shutil.copytree(MIGRATIONS, folder)
    (folder / "versions" / f"v{FOLLOWING}_next.py").write_text(NEXT)
    return folder


def test_an_older_database_is_brought_up_to_date_and_keeps_its_data(database_url: str, next_migrations: Path) -> None:
    upgrade(database_url)
    alter(database_url, "INSERT INTO signals VALUES ('kills', 7)")

    place = backend(database_url)
    assert prepare(place, migrate=True, migrations=next_migrations) == FOLLOWING
    with place.reader() as connection:
        assert connection.exec_driver_sql("SELECT topic, version, note FROM signals").all() == [("kills", 7, "")]
    place.close()


def test_an_older_database_that_may_not_be_changed_is_refused(database_url: str, next_migrations: Path) -> None:
    upgrade(database_url)

    place = backend(database_url)
    with pytest.raises(StoreError, match=f"needs `{FOLLOWING}`: back it up and run `wicket db upgrade`"):
        prepare(place, migrate=False, migrations=next_migrations)
    place.close()


def test_only_a_file_is_brought_up_to_date_without_being_told(sqlite_url: str) -> None:
    assert migrates_itself(backend(sqlite_url))
    assert not migrates_itself(backend("postgresql://127.0.0.1/x"))


def test_a_migration_that_fails_changes_nothing(database_url: str, next_migrations: Path) -> None:
    upgrade(database_url)
    broken = NEXT + '    op.execute("ALTER TABLE nowhere ADD COLUMN x TEXT")\n'
    (next_migrations / "versions" / f"v{FOLLOWING}_next.py").write_text(broken)

    place = backend(database_url)
    with pytest.raises(StoreError, match=r"cannot be opened: .*nowhere"):
        prepare(place, migrate=True, migrations=next_migrations)
    with place.reader() as connection:
        assert "note" not in {column["name"] for column in inspect(connection).get_columns("signals")}
    place.close()
    assert upgrade(database_url) == HEAD


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("mysql://localhost/x", "`database` begins with `mysql`"),
        ("sqlite://", "`database` begins with `sqlite`: write `sqlite:///PATH`"),
        ("sqlite:///:memory:", "`database` begins with `sqlite`: write"),
        ("nonsense", "`database` is not an address"),
        ("", "`database` is not an address"),
    ],
)
def test_another_address_is_refused(url: str, why: str) -> None:
    with pytest.raises(StoreError, match=why):
        upgrade(url)


def test_a_server_that_is_not_there_is_told_without_the_password() -> None:
    with pytest.raises(StoreError, match="cannot be opened") as caught:
        upgrade("postgresql://me:hidden-word@127.0.0.1:1/x")

    assert "hidden-word" not in str(caught.value)


TICKET = """
INSERT INTO tickets (id, digest, state, action, server, tool, definition, key_id, tenant, agent, "user", session_id,
    exchange_id, policy_version, rule, reason, findings, form, created_at, expires_at, decided_by, decision_reason,
    consumed_by)
VALUES ('tkt_1', 'd', 'approved', 'tool.call', '', '', '', 'key_1', '', '', '', '', '', '', '', '', '', '{}', '', '',
    '', '', '')
"""


def before(database_url: str, folder: Path, name: str) -> Backend:
    """A database with one ticket, of the version before the migration of that name."""
    older = folder / "migrations"
    shutil.copytree(MIGRATIONS, older)
    (added,) = (older / "versions").glob(f"v*_{name}.py")
    for path in (older / "versions").glob("v[0-9]*_*.py"):
        if path.name >= added.name:
            path.unlink()
    place = backend(database_url)
    prepare(place, migrate=True, migrations=older)
    alter(database_url, TICKET)
    return place


@pytest.mark.parametrize(
    ("name", "column", "value"),
    [("relief", "relief", ""), ("votes", "votes", 0), ("votes", "edited_digest", ""), ("votes", "remind_at", None)],
)
def test_what_was_approved_before_a_migration_is_one_call_that_one_person_approved(
    database_url: str, tmp_path: Path, name: str, column: str, value: str | int | None
) -> None:
    place = before(database_url, tmp_path, name)

    assert prepare(place, migrate=True) == HEAD
    with place.reader() as connection:
        assert connection.exec_driver_sql(f"SELECT {column} FROM tickets").scalar_one() == value
    place.close()
