"""The two databases of the benchmark, made once and kept: a file under the checkout, and one on a Postgres server.

Indices are taken off while rows come in and put on again, which is what makes it a matter of a minute or two.
"""

import hashlib
import json
import sqlite3
from collections.abc import Iterable, Sequence
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
from sessions.index.follow import KEPT_MINUTES

_EVENTS = (
    "seq", "body", "hash", "mac", "at", "event_type", "tenant_id", "session_id", "exchange_id", "key_id", "model",
    "tool",
)  # fmt: skip
DATABASE = "wicket_bench_console"


def stamp(sessions: int, wanted: int) -> str:
    """Changes with all that a made database depends on."""
    texts = [Path(one.__file__).read_bytes() for one in (story, load)]
    texts += [path.read_bytes() for path in sorted((MIGRATIONS / "versions").glob("v*.py"))]
    return hashlib.sha256(b"\0".join([*texts, f"{sessions} {wanted}".encode()])).hexdigest()


def sqlite(folder: Path, size: tuple[int, int], key: bytes, now: datetime, say: Say) -> tuple[str, Story]:
    """The file, made where it is not there already; its address and its story."""
    path, note = folder / "wicket.db", folder / "sqlite.json"
    made = _noted(note, stamp(*size))
    url = f"sqlite:///{path}"
    if made is not None and path.exists():
        return url, Story(*size, made)
    for one in folder.glob("wicket.db*"):
        one.unlink()
    note.unlink(missing_ok=True)
    upgrade(url)
    told = Story(*size, now)
    with sqlite3.connect(path, isolation_level=None) as connection:
        connection.execute("PRAGMA synchronous = OFF")
        connection.execute("PRAGMA cache_size = -400000")
        indices = connection.execute(
            "SELECT name, sql FROM sqlite_master WHERE type = 'index' AND sql <> ''"
        ).fetchall()
        for name, _ in indices:
            connection.execute(f'DROP INDEX "{name}"')
        connection.execute("BEGIN")
        gathered = Gathered(minutes_since=rfc3339(now - KEPT_MINUTES))
        _into_sqlite(connection, "audit_events", _EVENTS, events(told, key, gathered, say))
        for table, columns, rows in others(told, gathered):
            _into_sqlite(connection, table, columns, rows)
        connection.execute("UPDATE audit_head SET seq = ?, hash = ?", gathered.end)
        connection.execute("UPDATE index_place SET seq = ?", gathered.end[:1])
        connection.execute("COMMIT")
        for _, statement in indices:
            connection.execute(statement)
    connection.close()
    note.write_text(json.dumps({"stamp": stamp(*size), "end": now.isoformat()}))
    return url, told


def _into_sqlite(connection: sqlite3.Connection, table: str, columns: Sequence[str], rows: Iterable[Any]) -> None:
    names, marks = ", ".join(f'"{name}"' for name in columns), ", ".join("?" * len(columns))
    connection.executemany(f"INSERT INTO {table} ({names}) VALUES ({marks})", rows)


def postgres(
    server: str, folder: Path, size: tuple[int, int], key: bytes, now: datetime, say: Say
) -> tuple[str, Story]:
    """The database on a server, made where it is not there already; its address and its story."""
    url, note = f"{server.rpartition('/')[0]}/{DATABASE}", folder / "postgres.json"
    made = _noted(note, stamp(*size))
    with psycopg.connect(server, autocommit=True) as connection:
        there = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", (DATABASE,)).fetchone()
        if made is not None and there:
            return url, Story(*size, made)
        note.unlink(missing_ok=True)
        connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(DATABASE)))
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(DATABASE)))
    upgrade(url)
    told = Story(*size, now)
    with psycopg.connect(url) as connection:
        connection.execute("SET synchronous_commit = off")
        connection.execute("SET maintenance_work_mem = '512MB'")
        again = _take_indices_off(connection)
        gathered = Gathered(minutes_since=rfc3339(now - KEPT_MINUTES))
        _into_postgres(connection, "audit_events", _EVENTS, events(told, key, gathered, say))
        for table, columns, rows in others(told, gathered):
            _into_postgres(connection, table, columns, rows)
        connection.execute("UPDATE audit_head SET seq = %s, hash = %s", gathered.end)
        connection.execute("UPDATE index_place SET seq = %s", gathered.end[:1])
        say("putting the indices on")
        for statement in again:
            connection.execute(statement)
        connection.commit()
        connection.autocommit = True
        say("vacuum")
        connection.execute("VACUUM (ANALYZE)")
    note.write_text(json.dumps({"stamp": stamp(*size), "end": now.isoformat()}))
    return url, told


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


def _noted(note: Path, wanted: str) -> datetime | None:
    """When the story ends that a database was made of, if it is the wanted one."""
    try:
        found = json.loads(note.read_text())
    except FileNotFoundError:
        return None
    return datetime.fromisoformat(found["end"]) if found["stamp"] == wanted else None
