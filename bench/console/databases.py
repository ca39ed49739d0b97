"""The two databases of the benchmark, made once and kept: a file under the checkout, and one on a Postgres server.

Indices are taken off while rows come in and put on again, which is what makes it a matter of a minute or two.
"""

import contextlib
import hashlib
import json
import pickle
import sqlite3
from collections.abc import Callable, Generator, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

from bench.console import load, story
from bench.console.load import Gathered, Say, events, others
from bench.console.story import Story
from governance.clock import rfc3339
from governance.store.schema import MIGRATIONS, upgrade
from sessions.index import reading
from sessions.index import store as filling
from sessions.index.follow import KEPT_MINUTES

_EVENTS = (
    "seq", "body", "hash", "mac", "at", "event_type", "tenant_id", "session_id", "exchange_id", "key_id", "model",
    "tool",
)  # fmt: skip
DATABASE = "wicket_bench_console"
_HEAD = "SELECT seq, hash FROM audit_events ORDER BY seq DESC LIMIT 1"


def stamp(size: tuple[int, int], key: bytes) -> str:
    """Changes with all that a made database depends on."""
    texts = [Path(str(one.__file__)).read_bytes() for one in (story, load, reading, filling)]
    texts += [path.read_bytes() for path in sorted((MIGRATIONS / "versions").glob("v*.py"))]
    return hashlib.sha256(b"\0".join([*texts, key, f"{size}".encode()])).hexdigest()


@dataclass
class Workshop:
    """Where the databases are made: one story for both, and what is read out of it kept for the second.

    Args:
        folder: where files are kept.
        size: how many sessions, and about how many events.
        key: seals the events.
        now: when the story ends, if it is told anew.
        say: tells how far it is.
    """

    folder: Path
    size: tuple[int, int]
    key: bytes
    now: datetime
    say: Say

    def story(self) -> Story:
        """The story that is kept, or a new one, for which every database is made anew."""
        note, wanted = self.folder / "story.json", stamp(self.size, self.key)
        with contextlib.suppress(FileNotFoundError):
            found = json.loads(note.read_text())
            if found["stamp"] == wanted:
                return Story(*self.size, datetime.fromisoformat(found["end"]))
        for one in self.folder.glob("*.made"):
            one.unlink()
        (self.folder / "gathered.pickle").unlink(missing_ok=True)
        note.write_text(json.dumps({"stamp": wanted, "end": self.now.isoformat()}))
        return Story(*self.size, self.now)

    @contextlib.contextmanager
    def gathering(self, told: Story) -> Generator[Callable[[], Gathered]]:
        """What goes into other tables, read out of the story by a process of its own meanwhile."""
        kept = self.folder / "gathered.pickle"
        if kept.exists():
            yield lambda: pickle.loads(kept.read_bytes())
            return
        since = rfc3339(told.end - KEPT_MINUTES)
        with ProcessPoolExecutor(1) as pool:
            coming = pool.submit(load.gathered, told, since)
            yield coming.result
            kept.write_bytes(pickle.dumps(coming.result()))

    def sqlite(self) -> tuple[str, Story]:
        """The file, made where it is not there already; its address and its story."""
        told, path, made = self.story(), self.folder / "wicket.db", self.folder / "sqlite.made"
        url = f"sqlite:///{path}"
        if made.exists() and path.exists():
            return url, told
        for one in self.folder.glob("wicket.db*"):
            one.unlink()
        upgrade(url)
        with self.gathering(told) as gathered:
            connection = sqlite3.connect(path, isolation_level=None)
            connection.execute("PRAGMA synchronous = OFF")
            connection.execute("PRAGMA journal_mode = OFF")  # opening it puts it back
            connection.execute("PRAGMA cache_size = -400000")
            again = connection.execute(
                "SELECT name, sql FROM sqlite_master WHERE type = 'index' AND sql <> ''"
            ).fetchall()
            for name, _ in again:
                connection.execute(f'DROP INDEX "{name}"')
            connection.execute("BEGIN")
            _into_sqlite(connection, "audit_events", _EVENTS, events(told, self.key, self.say))
            for table, columns, rows in others(told, gathered()):
                self.say(f"filling {table}")
                _into_sqlite(connection, table, columns, rows)
            end = connection.execute(_HEAD).fetchone()
            connection.execute("UPDATE audit_head SET seq = ?, hash = ?", end)
            connection.execute("UPDATE index_place SET seq = ?", end[:1])
            connection.execute("COMMIT")
            self.say("putting the indices on")
            for _, statement in again:
                connection.execute(statement)
            connection.close()
        made.touch()
        return url, told

    def postgres(self, server: str) -> tuple[str, Story]:
        """The database on a server, made where it is not there already; its address and its story."""
        told, made = self.story(), self.folder / "postgres.made"
        url = f"{server.rpartition('/')[0]}/{DATABASE}"
        with psycopg.connect(server, autocommit=True) as connection:
            there = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", (DATABASE,)).fetchone()
            if made.exists() and there:
                return url, told
            name = sql.Identifier(DATABASE)
            connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(name))
            connection.execute(sql.SQL("CREATE DATABASE {}").format(name))
        upgrade(url)
        with psycopg.connect(url) as connection, self.gathering(told) as gathered:
            connection.execute("SET synchronous_commit = off")
            connection.execute("SET maintenance_work_mem = '512MB'")
            again = _take_indices_off(connection)
            _into_postgres(connection, "audit_events", _EVENTS, events(told, self.key, self.say))
            for table, columns, rows in others(told, gathered()):
                self.say(f"filling {table}")
                _into_postgres(connection, table, columns, rows)
            end = connection.execute(_HEAD).fetchone() or (-1, "")
            connection.execute("UPDATE audit_head SET seq = %s, hash = %s", end)
            connection.execute("UPDATE index_place SET seq = %s", end[:1])
            self.say("putting the indices on")
            for statement in again:
                connection.execute(statement)
            connection.commit()
            connection.autocommit = True
            connection.execute("VACUUM (ANALYZE)")
        made.touch()
        return url, told


def _into_sqlite(connection: sqlite3.Connection, table: str, columns: Sequence[str], rows: Iterable[Any]) -> None:
    names, marks = ", ".join(f'"{name}"' for name in columns), ", ".join("?" * len(columns))
    connection.executemany(f"INSERT INTO {table} ({names}) VALUES ({marks})", rows)


def _take_indices_off(connection: psycopg.Connection[Any]) -> list[bytes]:
    """Drop every index; returns the statements that make them again."""
    again: list[bytes] = []
    keys = connection.execute(
        "SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid) FROM pg_constraint WHERE contype IN "
        "('p', 'u') AND connamespace = 'public'::regnamespace AND conrelid::regclass::text <> 'alembic_version'"
    ).fetchall()
    for table, name, definition in keys:
        connection.execute(f"ALTER TABLE {table} DROP CONSTRAINT {name}".encode())
        again.append(f"ALTER TABLE {table} ADD CONSTRAINT {name} {definition}".encode())
    rest = "SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = 'public' AND tablename <> 'alembic_version'"
    for name, definition in connection.execute(rest).fetchall():
        connection.execute(f"DROP INDEX {name}".encode())
        again.append(definition.encode())
    return again


def _into_postgres(
    connection: psycopg.Connection[Any], table: str, columns: Sequence[str], rows: Iterable[Any]
) -> None:
    names = ", ".join(f'"{name}"' for name in columns)
    given = iter(rows)
    with connection.cursor() as cursor, cursor.copy(f"COPY {table} ({names}) FROM STDIN".encode()) as copy:
        while some := list(islice(given, 2_000)):
            copy.write("".join(_line(row) for row in some))


def _line(row: Sequence[Any]) -> str:
    return "\t".join([_cell(value) for value in row]) + "\n"


def _cell(value: Any) -> str:
    if isinstance(value, str):
        return value.replace("\\", "\\\\").replace("\t", "\\t").replace("\n", "\\n") if "\\" in value else value
    return "\\N" if value is None else str(value)
