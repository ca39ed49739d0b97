"""Asks the tables for a page of sessions. Nothing here walks through all of them.

Candidates come along an index, newest first: of the rarest facet that is asked for, of a state, or of all sessions.
They are read by their ids, a handful at a time, and held against the rest of the filter.
"""

from collections.abc import AsyncGenerator, Callable, Iterable, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, bindparam, text
from sqlmodel import Session

from governance.clock import rfc3339
from governance.store import Store
from sessions.index.facets import MOST_ALIKE, SHORTEST, Group, Known, besides, pattern, rarest
from sessions.index.lists.wanted import IDLE, TOTALS, Listed, Page, State, Totals, Wanted, state_of
from sessions.index.reading import Facet, Kind
from sessions.killswitch import InForce, Scope
from sessions.roll import Run
from sessions.store import run_of

LIMIT = 50
CHUNK = 100
"""Candidates read first, and twice as many each further time."""
MOST_LOOKED_AT = 2_500
"""Candidates looked at for one page."""
MOST_OF_STATE = 5_000
"""Sessions of a state that are looked among: those seen last."""
MOST_NAMES = 4_000
_SHOWN = (Kind.MODEL, Kind.TOOL, Kind.SERVER, Kind.LABEL, Kind.FINDING, Kind.RULE, Kind.SUBAGENT)

Key = tuple[str, str]
"""When a session began, and its id."""
Source = Callable[[Connection, Key, int], Sequence[Key]]
"""Keys before one, newest first, at most so many."""

_FROM_ALL = text(
    "SELECT first_seen, id FROM sessions WHERE (first_seen, id) < (:began, :id) "
    "ORDER BY first_seen DESC, id DESC LIMIT :most"
)
_FROM_FACET = text(
    "SELECT began, session_id FROM session_facets WHERE facet = :facet AND (began, session_id) < (:began, :id) "
    "ORDER BY began DESC, session_id DESC LIMIT :most"
)
_FROM_ACTIVE = text(
    "SELECT first_seen, id FROM (SELECT first_seen, id FROM sessions WHERE last_seen >= :cut "
    "ORDER BY last_seen DESC LIMIT :bound) AS seen "
    "WHERE (first_seen, id) < (:began, :id) ORDER BY first_seen DESC, id DESC LIMIT :most"
)
_KEYS_OF = text("SELECT first_seen, id FROM sessions WHERE id IN :ids").bindparams(bindparam("ids", expanding=True))
_NAMED = text(
    "SELECT id FROM sessions WHERE id = :name UNION SELECT id FROM sessions WHERE external_id = :name LIMIT 200"
)
_WAITING = text("SELECT DISTINCT session_id FROM tickets WHERE state = 'pending' LIMIT :bound")
_WAITING_AMONG = text(
    "SELECT DISTINCT session_id FROM tickets WHERE session_id IN :ids AND state = 'pending'"
).bindparams(bindparam("ids", expanding=True))
_ROWS = text(
    "SELECT id, external_id, key_id, tenant, agent, evidence, rank, source, plane, parent_id, joined_id, verified, "
    "first_seen, last_seen FROM sessions WHERE id IN :ids AND joined_id = ''"
).bindparams(bindparam("ids", expanding=True))
_CARRYING = text(
    "SELECT DISTINCT session_id FROM session_facets WHERE session_id IN :ids AND facet IN :facets"
).bindparams(bindparam("ids", expanding=True), bindparam("facets", expanding=True))
_PARTS = text("SELECT id, joined_id FROM sessions WHERE joined_id IN :ids AND joined_id <> ''").bindparams(
    bindparam("ids", expanding=True)
)
_TOTALS = text(
    f"SELECT session_id, {', '.join(TOTALS)} FROM session_totals WHERE session_id IN :ids"  # noqa: S608 - our own names
).bindparams(bindparam("ids", expanding=True))
_NAMES = text(
    # `CROSS` keeps SQLite from walking through every session of each facet.
    "SELECT session_facets.session_id, facets.kind, facets.name, session_facets.count FROM session_facets "
    "CROSS JOIN facets WHERE facets.id = session_facets.facet "
    "AND session_facets.session_id IN :ids AND facets.kind IN :kinds LIMIT :bound"
).bindparams(bindparam("ids", expanding=True), bindparam("kinds", expanding=True))
_CHILDREN = text(
    "SELECT parent_id, count(*) FROM sessions WHERE parent_id IN :ids AND parent_id <> '' GROUP BY parent_id"
).bindparams(bindparam("ids", expanding=True))
_FACET = text("SELECT id, sessions FROM facets WHERE kind = :kind AND name = :name")
_ALIKE = text(
    "SELECT id, sessions FROM facets WHERE lower(name) LIKE :pattern ESCAPE '!' AND sessions > 0 "
    "AND kind NOT IN ('has', 'event') ORDER BY sessions DESC, id LIMIT :bound"
)


class SqlLists:
    """The list of sessions."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def page(
        self,
        wanted: Wanted,
        kills: InForce,
        now: datetime,
        *,
        before: str = "",
        limit: int = LIMIT,
        tenant: str | None = None,
    ) -> Page:
        """A page of the sessions that are wanted, by when they began, newest first.

        Args:
            wanted: the filter.
            kills: what is stopped now.
            now: the time, which says who is active.
            before: `next` of the page before; empty for the first.
            limit: most sessions.
            tenant: only sessions of this one, whatever the filter says.

        Raises:
            StoreError: the database cannot be read.
        """
        asked = _Search(wanted, kills, now, limit, tenant)
        return await self._store.read(lambda session: asked.page(session, _key(before)))

    async def one(self, run: Run, kills: InForce, now: datetime) -> Listed:
        """One session as the list would show it."""

        def work(session: Session) -> Listed:
            connection = session.connection()
            waiting = bool(_column(connection, _WAITING_AMONG, [run.id]))
            state = state_of(run, kills, waiting=waiting, now=now)
            return _dressed(connection, [(run, state)])[0]

        return await self._store.read(work)

    async def every(
        self, wanted: Wanted, kills: InForce, now: datetime, *, tenant: str | None = None
    ) -> AsyncGenerator[Listed]:
        """All that are wanted, one after another, page by page."""
        before = ""
        while True:
            page = await self.page(wanted, kills, now, before=before, limit=CHUNK, tenant=tenant)
            for one in page.sessions:
                yield one
            if not page.next:
                return
            before = page.next


class _Search:
    """One search for a page."""

    def __init__(self, wanted: Wanted, kills: InForce, now: datetime, limit: int, tenant: str | None) -> None:
        self._wanted = wanted
        self._kills = kills
        self._now = now
        self._limit = limit
        self._tenant = tenant
        self._began: dict[str, str] = {}
        """When sessions began, by the index that is walked along."""

    def page(self, session: Session, before: Key | None) -> Page:
        """The page that begins behind a key."""
        connection = session.connection()
        groups = [[_known(connection, one) for one in group] for group in self._wanted.groups]
        needed: list[Group] = [[one for one in group if one is not None] for group in groups]
        if self._tenant is not None:
            needed.append([one for one in [_known(connection, (Kind.TENANT.value, self._tenant))] if one])
        sources = self._sources(connection, needed)
        until = self._wanted.until or "9"
        key = min(before, (until, "")) if before else (until, "")
        found: list[tuple[Run, State]] = []
        looked, whole, size = 0, False, CHUNK
        while len(found) <= self._limit and looked < MOST_LOOKED_AT and not whole:
            keys = _merged(connection, sources, key, size)
            whole = len(keys) < size
            inside = [one for one in keys if one[0] >= self._wanted.since]
            whole = whole or len(inside) < len(keys)
            found += self._fitting(connection, inside, needed)
            looked += len(keys)
            key = keys[-1] if keys else key
            size = min(2 * size, 8 * CHUNK, MOST_LOOKED_AT - looked)
        shown = _dressed(connection, found[: self._limit])
        if len(found) > self._limit:
            last = found[self._limit - 1][0]
            return Page(shown, _cursor((self._began[last.id], last.id)))
        return Page(shown) if whole else Page(shown, _cursor(key), key[0])

    def _sources(self, connection: Connection, needed: list[Group]) -> list[Source]:
        wanted = self._wanted
        if len(wanted.text) >= SHORTEST:
            if ids := list(connection.execute(_NAMED, {"name": wanted.text}).scalars()):
                return [_of_ids(ids)]
            rows = connection.execute(_ALIKE, {"pattern": pattern(wanted.text), "bound": MOST_ALIKE})
            needed.append([Known(int(row[0]), int(row[1])) for row in rows])
        if wanted.state in (State.KILLED, State.PROBATION):
            return self._of_kills(connection)
        if wanted.state == State.WAITING:
            return [_of_ids(list(connection.execute(_WAITING, {"bound": MOST_OF_STATE}).scalars()))]
        if wanted.state == State.ACTIVE:
            return [_of_active(rfc3339(self._now - IDLE))]
        along = rarest(needed)
        if along is None:
            return [_of_all]
        needed[:] = besides(needed, along)
        return [_of_facet(one.id) for one in along]

    def _of_kills(self, connection: Connection) -> list[Source]:
        kinds = {Scope.KEY: Kind.KEY, Scope.AGENT: Kind.AGENT, Scope.TENANT: Kind.TENANT}
        probation = self._wanted.state == State.PROBATION
        fitting = [one for one, kill in self._kills.items() if bool(kill.probation) is probation]
        if (Scope.ALL, "") in fitting:
            return [_of_all]
        ids = [target for scope, target in fitting if scope is Scope.SESSION][:MOST_OF_STATE]
        wide = [_known(connection, (kinds[scope].value, name)) for scope, name in fitting if scope in kinds]
        return [_of_ids(ids), *(_of_facet(one.id) for one in wide if one is not None)]

    def _fitting(self, connection: Connection, keys: Sequence[Key], needed: list[Group]) -> list[tuple[Run, State]]:
        """Those that are all that is asked for, in the same order."""
        self._began.update({name: began for began, name in keys})
        left = [name for _, name in keys]
        for group in needed:
            carrying = {"ids": left, "facets": [one.id for one in group]}
            kept = set(connection.execute(_CARRYING, carrying).scalars()) if left and group else set[str]()
            left = [one for one in left if one in kept]
        if not left:
            return []
        runs = {row.id: run_of(row) for row in connection.execute(_ROWS, {"ids": left})}
        waiting = set(_column(connection, _WAITING_AMONG, left))
        found: list[tuple[Run, State]] = []
        for name in left:
            run = runs.get(name)
            if run is None or (self._tenant is not None and run.tenant != self._tenant):
                continue
            state = state_of(run, self._kills, waiting=name in waiting, now=self._now)
            if self._wanted.state in ("", state):
                found.append((run, state))
        return found


def _merged(connection: Connection, sources: Sequence[Source], before: Key, most: int) -> list[Key]:
    """What the sources yield together, each session once."""
    keys = sorted({key for source in sources for key in source(connection, before, most)}, reverse=True)
    return keys[:most]


def _of_all(connection: Connection, before: Key, most: int) -> Sequence[Key]:
    return _keys(connection.execute(_FROM_ALL, {"began": before[0], "id": before[1], "most": most}))


def _of_facet(facet: int) -> Source:
    def source(connection: Connection, before: Key, most: int) -> Sequence[Key]:
        asked = {"facet": facet, "began": before[0], "id": before[1], "most": most}
        return _keys(connection.execute(_FROM_FACET, asked))

    return source


def _of_active(cut: str) -> Source:
    def source(connection: Connection, before: Key, most: int) -> Sequence[Key]:
        asked = {"bound": MOST_OF_STATE, "cut": cut, "began": before[0], "id": before[1], "most": most}
        return _keys(connection.execute(_FROM_ACTIVE, asked))

    return source


def _of_ids(ids: Sequence[str]) -> Source:
    def source(connection: Connection, before: Key, most: int) -> Sequence[Key]:
        found: list[Key] = []
        for start in range(0, len(ids), 500):
            found += _keys(connection.execute(_KEYS_OF, {"ids": ids[start : start + 500]}))
        return sorted((key for key in found if key < before), reverse=True)[:most]

    return source


def _dressed(connection: Connection, found: Sequence[tuple[Run, State]]) -> tuple[Listed, ...]:
    """Sessions with what they have come to, together with what turned out to be part of them."""
    ids = [run.id for run, _ in found]
    if not ids:
        return ()
    whole = {one: one for one in ids} | {str(row[0]): str(row[1]) for row in connection.execute(_PARTS, {"ids": ids})}
    totals: dict[str, Totals] = {}
    for row in connection.execute(_TOTALS, {"ids": list(whole)}):
        totals[whole[row[0]]] = Totals(*map(int, row[1:])).plus(totals.get(whole[row[0]], Totals()))
    named: dict[str, dict[str, dict[str, int]]] = {}
    shown = {"ids": list(whole), "kinds": [*map(str, _SHOWN)], "bound": MOST_NAMES}
    for one, kind, name, count in connection.execute(_NAMES, shown):
        names = named.setdefault(whole[one], {}).setdefault(kind, {})
        names[name] = names.get(name, 0) + int(count)
    children = {str(row[0]): int(row[1]) for row in connection.execute(_CHILDREN, {"ids": ids})}
    return tuple(
        Listed(run, state, totals.get(run.id, Totals()), _ordered(named.get(run.id, {})), children.get(run.id, 0))
        for run, state in found
    )


def _ordered(named: dict[str, dict[str, int]]) -> dict[str, dict[str, int]]:
    return {kind: dict(sorted(some.items(), key=lambda one: (-one[1], one[0]))) for kind, some in named.items()}


def _known(connection: Connection, facet: Facet) -> Known | None:
    row = connection.execute(_FACET, {"kind": facet[0], "name": facet[1]}).first()
    return None if row is None else Known(int(row[0]), int(row[1]))


def _column(connection: Connection, query: Any, ids: Sequence[str]) -> list[str]:
    return list(connection.execute(query, {"ids": list(ids)}).scalars())


def _keys(rows: Iterable[Any]) -> list[Key]:
    return [(str(row[0]), str(row[1])) for row in rows]


def _cursor(key: Key) -> str:
    return f"{key[0]}~{key[1]}"


def _key(cursor: str) -> Key | None:
    """The key of a cursor; None for nothing, and for what is no cursor of ours."""
    began, _, name = cursor[:400].partition("~")
    return (began, name) if began and name else None
