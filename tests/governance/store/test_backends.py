"""What is particular to each database: modes of files, settings of durability, turns."""

import fcntl
import os
import sqlite3
import stat
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from governance.store.backends import Sqlite, backend
from governance.store.schema import upgrade
from governance.store.turn import Turns
from governance.store.work import StoreError


def test_the_file_and_those_beside_it_are_for_their_owner_only(tmp_path: Path) -> None:
    upgrade(f"sqlite:///{tmp_path}/deep/wicket.db")
    place = Sqlite(tmp_path / "deep" / "wicket.db")
    with place.writer() as connection, place.batch(connection):
        connection.exec_driver_sql("INSERT INTO signals VALUES ('a', 1)")
        modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in (tmp_path / "deep").iterdir()}
    place.close()

    assert set(modes) == {"wicket.db", "wicket.db-lock", "wicket.db-turn", "wicket.db-wal", "wicket.db-shm"}
    assert set(modes.values()) == {0o600}
    assert stat.S_IMODE((tmp_path / "deep").stat().st_mode) == 0o700


def test_a_file_that_others_could_read_is_closed_to_them(tmp_path: Path) -> None:
    file = tmp_path / "wicket.db"
    sqlite3.connect(file).close()
    file.touch()
    file.chmod(0o644)

    upgrade(f"sqlite:///{file}")

    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_every_sqlite_commit_is_synced(sqlite_url: str) -> None:
    upgrade(sqlite_url)
    place = backend(sqlite_url)
    with place.writer() as connection:
        settings = [
            connection.exec_driver_sql(f"PRAGMA {name}").scalar()
            for name in ("journal_mode", "synchronous", "foreign_keys")
        ]
    place.close()

    assert settings == ["wal", 2, 1]


def test_postgres_commits_are_durable_even_where_the_server_says_otherwise(postgres_url: str) -> None:
    place = backend(f"{postgres_url}?options=-csynchronous_commit%3Doff")
    with place.writer() as connection:
        assert connection.exec_driver_sql("SHOW synchronous_commit").scalar() == "on"
    place.close()


def test_a_postgres_batch_sees_what_was_committed_before_its_turn_whatever_the_server_prefers(
    postgres_url: str,
) -> None:
    with psycopg.connect(postgres_url, autocommit=True) as server:
        name = sql.Identifier(server.info.dbname)
        server.execute(sql.SQL("ALTER DATABASE {} SET default_transaction_isolation = 'repeatable read'").format(name))
    place = backend(postgres_url)
    with place.writer() as connection:
        assert connection.exec_driver_sql("SHOW transaction_isolation").scalar() == "read committed"
    place.close()


def test_nothing_is_written_into_a_transaction_that_was_left_open(database_url: str) -> None:
    """It would be told as durable, and never committed."""
    upgrade(database_url)
    place = backend(database_url)
    with place.writer() as connection:
        connection.exec_driver_sql("INSERT INTO signals VALUES ('left', 1)")
        with pytest.raises((StoreError, sqlite3.OperationalError), match="transaction"), place.plain_batch(connection):
            pytest.fail("the batch was opened")
    place.close()


def test_turns_do_not_overlap(database_url: str) -> None:
    upgrade(database_url)
    inside: list[int] = []
    overlaps: list[int] = []

    def take_turns(_: int) -> None:
        place = backend(database_url)
        with place.writer() as connection:
            for _turn in range(25):
                with place.batch(connection):
                    inside.append(1)
                    overlaps.append(len(inside))
                    connection.exec_driver_sql("UPDATE audit_head SET seq = seq + 1")
                    inside.pop()
        place.close()

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(take_turns, range(4)))

    assert overlaps == [1] * 100


@pytest.fixture
def stuck(tmp_path: Path) -> Generator[tuple[Sqlite, int]]:
    """A database whose turn another process took and does not end."""
    upgrade(f"sqlite:///{tmp_path}/wicket.db")
    place = Sqlite(tmp_path / "wicket.db", patience=0.01)
    other = os.open(tmp_path / "wicket.db-lock", os.O_RDWR)
    fcntl.flock(other, fcntl.LOCK_EX)
    yield place, other
    place.close()
    os.close(other)


def test_a_turn_that_does_not_come_is_not_waited_for_for_ever(stuck: tuple[Sqlite, int]) -> None:
    place, other = stuck
    with place.writer() as connection:
        for _ in range(3):
            with pytest.raises(StoreError, match="did not end its turn"), place.batch(connection):
                pytest.fail("it wrote without its turn")
        fcntl.flock(other, fcntl.LOCK_UN)
        patient = Sqlite(place.path)
        with patient.writer() as another, patient.batch(another):
            another.exec_driver_sql("INSERT INTO signals VALUES ('patient', 1)")
        patient.close()


def test_a_turn_that_came_too_late_is_given_back_and_the_next_one_taken(stuck: tuple[Sqlite, int]) -> None:
    place, other = stuck
    turns = Turns(place.path, patience=0.01)
    for _ in range(2):
        with pytest.raises(StoreError), turns.turn():
            pytest.fail("it came")
    fcntl.flock(other, fcntl.LOCK_UN)
    turns.patience = 60
    for _ in range(2):
        with turns.turn(), pytest.raises(BlockingIOError):
            fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
    turns.close()
    fcntl.flock(other, fcntl.LOCK_EX)


@pytest.mark.parametrize("name", ["with space.db", "100%.db", "wh?y#.db", "größe.db"])
def test_a_path_may_hold_any_letters(tmp_path: Path, name: str) -> None:
    place = Sqlite(tmp_path / name)
    with place.alone() as connection:
        connection.exec_driver_sql("CREATE TABLE t (x)")
    place.close()

    assert (tmp_path / name).stat().st_size > 0
