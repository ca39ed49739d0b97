"""The tables of the index, as the one who fills them sees them. How they are asked is `runs/` and `events/`.

Rows travel as one JSON text a statement: a statement a row would keep the turn to write ten times as long.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson
from sqlalchemy import Connection, text
from sqlmodel import Session, select

from governance.audit.query import head
from governance.store import Store
from governance.store.index_tables import IndexPlaceRow
from sessions.index.reading import OF_DAY, Amount, Count, Facet, Strand, Sums

_TOTALS = (
    "events", "model_calls", "tool_calls", "calls", "input_tokens", "output_tokens", "micro_usd", "unpriced",
    "findings", "approvals", "allowed", "warned", "redacted", "held", "denied", "killed",
)  # fmt: skip
_LATER = (
    "last_at = CASE WHEN excluded.last_at > session_totals.last_at "
    "THEN excluded.last_at ELSE session_totals.last_at END"
)
_TABLES: Mapping[str, tuple[str, tuple[str, ...], str]] = {
    "facets": (
        "kind, name",
        ("id bigint", "kind text", "name text", "events bigint", "sessions bigint", "last_at text"),
        (
            "events = facets.events + excluded.events, sessions = facets.sessions + excluded.sessions, "
            "last_at = excluded.last_at"
        ),
    ),
    "event_facets": ("facet, seq", ("facet bigint", "seq bigint"), ""),
    "session_facets": (
        "facet, began, session_id",
        ("facet bigint", "began text", "session_id text", "count bigint"),
        "count = session_facets.count + excluded.count",
    ),
    "session_totals": (
        "session_id",
        ("session_id text", "began text", "last_at text", *(f"{name} bigint" for name in _TOTALS)),
        ", ".join([_LATER, *(f"{name} = session_totals.{name} + excluded.{name}" for name in _TOTALS)]),
    ),
    "tallies": (
        "tenant, kind, span, at, name",
        ("tenant text", "kind text", "span text", "at text", "name text", "count bigint", "tokens bigint",
         "micro_usd bigint", "flawed bigint"),
        ", ".join(f"{name} = tallies.{name} + excluded.{name}" for name in ("count", "tokens", "micro_usd", "flawed")),
    ),
}  # fmt: skip
"""Of each table its key, its columns, and what becomes of a row that is there already."""
_MOVE = text("UPDATE index_place SET seq = :last WHERE id = 1 AND seq = :place")
_PLACE = "SELECT seq FROM index_place WHERE id = 1"
_NEXT = text("SELECT seq, body FROM audit_events WHERE seq > :place ORDER BY seq LIMIT :most")
_FORGET = text("DELETE FROM tallies WHERE tenant = :tenant AND kind = :kind AND span = 'minute' AND at < :before")
_ALL = ("event_facets", "session_facets", "session_totals", "tallies", "facets")


class SqlIndex:
    """The tables of the index."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def behind(self) -> tuple[int, int]:
        """Place of the last event in the index, and how many events of the log are not in it yet.

        Raises:
            StoreError: the database cannot be read.
        """
        ((place,),) = await self._store.glance(_PLACE)
        end = await head(self._store)
        return place, (end.seq if end else -1) - place

    async def read_on(self, most: int) -> int:
        """Take the next events of the log in, at most `most`; returns how many.

        It does nothing where another process was faster. All is read and added up before the turn to write is taken:
        while the index stands at the same place, nobody has changed it.

        Raises:
            StoreError: the database cannot be read or written.
        """
        batch = await self._store.read(lambda session: _summed(session, most))
        if batch is None:
            return 0
        return batch.events if await self._store.write(batch.written) else 0

    async def forget_minutes(self, before: str) -> None:
        """Drop the counts by the minute of what was before; those by the hour stay."""

        def work(session: Session) -> None:
            connection = session.connection()
            for tenant in connection.execute(text("SELECT name FROM facets WHERE kind = 'tenant'")).scalars().all():
                for kind in Count:
                    asked = {"tenant": tenant, "kind": kind.value, "before": before}
                    connection.execute(_FORGET, asked)
            for kind in Count:
                connection.execute(_FORGET, {"tenant": "", "kind": kind.value, "before": before})

        await self._store.write(work)

    async def clear(self) -> None:
        """Forget the whole index, so that the log is read anew from its first event."""

        def work(session: Session) -> None:
            connection = session.connection()
            for table in _ALL:
                # Row by row it would take minutes; SQLite, too, drops a whole table's rows at once.
                whole = "TRUNCATE" if connection.dialect.name == "postgresql" else "DELETE FROM"
                connection.execute(text(f"{whole} {table}"))
            place = session.exec(select(IndexPlaceRow)).one()
            place.seq = -1
            session.add(place)

        await self._store.write(work)


@dataclass(frozen=True, slots=True)
class _Batch:
    """Some events, summed up, as rows of the tables."""

    place: int
    """Where the index stood when they were read."""
    last: int
    events: int
    facets: list[dict[str, Any]]
    tables: dict[str, list[dict[str, Any]]]

    def written(self, session: Session) -> bool:
        """Write the rows and move on, unless somebody else did meanwhile."""
        connection = session.connection()
        if connection.execute(_MOVE, {"place": self.place, "last": self.last}).rowcount != 1:
            return False
        put(connection, "facets", self.facets)
        for table, rows in self.tables.items():
            put(connection, table, rows)
        return True


def _summed(session: Session, most: int) -> _Batch | None:
    """The next events, added up; nothing where there is none."""
    connection = session.connection()
    place = int(connection.execute(text(_PLACE)).scalar_one())
    rows = connection.execute(_NEXT, {"place": place, "most": most}).all()
    if not rows:
        return None
    sums = Sums()
    for seq, body in rows:
        # Postgres keeps no NUL in a text, and no name that is looked for has one.
        sums.add(int(seq), orjson.loads(str(body).replace("\\u0000", "\\ufffd")))
    sums.waited(_asked_at(connection, [ticket for ticket, _, _ in sums.settled]))
    known, numbers = _known(connection, sums.sessions), _numbers(connection, sums.seen)
    for session_id, strand in sums.sessions.items():
        strand.began, last_at = known.get(session_id, (strand.began, ""))
        sums.active(strand, last_at)
    tables = {
        "event_facets": [{"facet": numbers[facet], "seq": seq} for facet, seq in sums.events],
        "session_totals": [total_row(one, strand) for one, strand in sums.sessions.items()],
        "session_facets": session_facet_rows(sums, numbers),
        "tallies": tally_rows(sums.tallies),
    }
    there = _there(connection, sums.sessions)
    fresh = Counter(row["facet"] for row in tables["session_facets"] if (row["facet"], row["session_id"]) not in there)
    return _Batch(place, sums.last, len(rows), facet_rows(sums, numbers, fresh), tables)


def session_facet_rows(sums: Sums, numbers: Mapping[Facet, int]) -> list[dict[str, Any]]:
    """Rows of `session_facets`."""
    return [
        {"facet": numbers[facet], "began": strand.began, "session_id": one, "count": count}
        for one, strand in sums.sessions.items()
        for facet, count in strand.facets.items()
    ]


def facet_rows(sums: Sums, numbers: Mapping[Facet, int], fresh: Mapping[int, int]) -> list[dict[str, Any]]:
    """Rows of `facets`; `fresh` is how many sessions are new to each number."""
    counts = Counter(facet for facet, _ in sums.events)
    return [
        {
            "id": numbers[facet],
            "kind": facet[0],
            "name": facet[1],
            "events": counts[facet],
            "sessions": fresh.get(numbers[facet], 0),
            "last_at": at,
        }
        for facet, at in sums.seen.items()
    ]


def total_row(session_id: str, strand: Strand) -> dict[str, Any]:
    """A row of `session_totals`."""
    sums = {name: strand.sums[name] for name in _TOTALS}
    return {"session_id": session_id, "began": strand.began, "last_at": strand.last_at, **sums}


def tally_rows(tallies: Mapping[tuple[str, str, str, str], Amount]) -> list[dict[str, Any]]:
    """Rows of `tallies`: each amount in its minute, its hour and its day.

    A session counts once in a span: in an hour, or a day, it is counted by the first of its minutes there.
    """
    summed: dict[tuple[str, str, str, str, str], Amount] = {}
    for (tenant, kind, minute, name), one in tallies.items():
        active = kind == Count.SESSION
        spans = [("minute", minute)]
        if not active or name:
            spans.append(("hour", f"{minute[:13]}:00"))
        if not active or name == OF_DAY:
            spans.append(("day", f"{minute[:10]}T00:00"))
        for span, at in spans:
            whole = summed.setdefault((tenant, kind, span, at, "" if active else name), Amount())
            whole.add(one.count, one.tokens, one.micro_usd, one.flawed)
    names = ("tenant", "kind", "span", "at", "name")
    return [
        {**dict(zip(names, key, strict=True)), "count": one.count, "tokens": one.tokens,
         "micro_usd": one.micro_usd, "flawed": one.flawed}
        for key, one in summed.items()
    ]  # fmt: skip


def put(connection: Connection, table: str, rows: Sequence[Mapping[str, Any]]) -> None:
    """Add rows to a table of the index; what is there already is summed up."""
    if not rows:
        return
    key, columns, merged = _TABLES[table]
    names = ", ".join(one.split()[0] for one in columns)
    if connection.dialect.name == "postgresql":
        given = f"SELECT {names} FROM json_to_recordset(CAST(:rows AS json)) AS given ({', '.join(columns)})"  # noqa: S608 - own
    else:
        picked = ", ".join(f"json_extract(value, '$.{one.split()[0]}')" for one in columns)
        given = f"SELECT {picked} FROM json_each(:rows)"  # noqa: S608 - our own names
    clash = f"DO UPDATE SET {merged}" if merged else "DO NOTHING"
    statement = f"INSERT INTO {table} ({names}) {given} WHERE true ON CONFLICT ({key}) {clash}"
    connection.execute(text(statement), {"rows": orjson.dumps(list(rows)).decode()})


def _numbers(connection: Connection, wanted: Iterable[Facet]) -> dict[Facet, int]:
    """The number of each facet; new ones come behind the last."""
    facets = list(wanted)
    found = {(kind, name): number for number, kind, name in _among(connection, facets)}
    last = int(connection.execute(text("SELECT coalesce(max(id), 0) FROM facets")).scalar_one())
    found.update({facet: last + index for index, facet in enumerate((f for f in facets if f not in found), 1)})
    return found


def _among(connection: Connection, facets: Iterable[Facet]) -> list[tuple[int, str, str]]:
    rows = orjson.dumps([{"kind": kind, "name": name} for kind, name in facets]).decode()
    if connection.dialect.name == "postgresql":
        given = "json_to_recordset(CAST(:rows AS json)) AS given (kind text, name text)"
    else:
        given = (
            "(SELECT json_extract(value, '$.kind') AS kind, json_extract(value, '$.name') AS name "
            "FROM json_each(:rows)) AS given"
        )
    asked = text(
        f"SELECT facets.id, facets.kind, facets.name FROM {given} "  # noqa: S608 - our own names
        "JOIN facets ON facets.kind = given.kind AND facets.name = given.name"
    )
    return [(int(row[0]), str(row[1]), str(row[2])) for row in connection.execute(asked, {"rows": rows})]


def _there(connection: Connection, sessions: Iterable[str]) -> set[tuple[int, str]]:
    """The facets that sessions have."""
    given = orjson.dumps(list(sessions)).decode()
    asked = text(
        f"SELECT facet, session_id FROM session_facets WHERE {_given(connection, 'session_id')}"  # noqa: S608
    )
    return {(int(row[0]), str(row[1])) for row in connection.execute(asked, {"given": given})}


def _known(connection: Connection, sessions: Iterable[str]) -> dict[str, tuple[str, str]]:
    """When sessions that are known began, and their last events."""
    given = orjson.dumps(list(sessions)).decode()
    asked = text(
        f"SELECT session_id, began, last_at FROM session_totals WHERE {_given(connection, 'session_id')}"  # noqa: S608
    )
    return {str(row[0]): (str(row[1]), str(row[2])) for row in connection.execute(asked, {"given": given})}


def _asked_at(connection: Connection, tickets: Iterable[str]) -> dict[str, str]:
    given = orjson.dumps(list(tickets)).decode()
    asked = text(f"SELECT id, created_at FROM tickets WHERE {_given(connection, 'id')}")  # noqa: S608 - our own names
    return {str(row[0]): str(row[1]) for row in connection.execute(asked, {"given": given})}


def _given(connection: Connection, column: str) -> str:
    """The condition that a column is one of the texts of the JSON list `given`."""
    if connection.dialect.name == "postgresql":
        # An array is there before the rows are looked for; of a query inside it would be guessed how many it yields.
        return f"{column} = ANY(ARRAY(SELECT json_array_elements_text(CAST(:given AS json))))"
    return f"{column} IN (SELECT value FROM json_each(:given))"  # noqa: S608 - our own names
