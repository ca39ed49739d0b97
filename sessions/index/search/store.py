"""Asks the tables for a page of events. Nothing here walks through the whole log.

Candidates come along an index, newest first: of the rarest facet that is asked for, of a session or an exchange, or
the log itself. They are read by their places, a handful at a time, and held against the rest of the filter.
"""

from collections.abc import Callable, Sequence
from typing import Any

from sqlalchemy import Connection, bindparam, text
from sqlmodel import Session

from governance.audit.query import Record
from governance.store import Store
from sessions.index.facets import MOST_ALIKE, SHORTEST, Group, Known, besides, pattern, rarest
from sessions.index.reading import Kind
from sessions.index.search.wanted import Page, Sought

LIMIT = 50
CHUNK = 100
"""Candidates read first, and twice as many each further time."""
MOST_LOOKED_AT = 12_000
"""Candidates looked at for one page."""
SLACK = 2_000
"""Places by which events may stand out of the order of their times: processes write at the same moment."""

_MOST_OF_EXCHANGE = 4_000

Source = Callable[[Connection, int, int], Sequence[int]]
"""Places before one, newest first, at most so many."""

_FROM_FACET = text("SELECT seq FROM event_facets WHERE facet = :facet AND seq < :before ORDER BY seq DESC LIMIT :most")
_FROM_SESSION = text(
    "SELECT seq FROM audit_events WHERE session_id = :name AND session_id <> '' AND seq < :before "
    "ORDER BY seq DESC LIMIT :most"
)
_FROM_EXCHANGE = text(
    "SELECT seq FROM audit_events WHERE exchange_id = :name AND exchange_id <> '' ORDER BY seq DESC LIMIT :bound"
)
_FROM_LOG = text("SELECT seq FROM audit_events WHERE seq < :before ORDER BY seq DESC LIMIT :most")
_IS_SESSION = text("SELECT 1 FROM audit_events WHERE session_id = :name AND session_id <> '' LIMIT 1")
_IS_EXCHANGE = text("SELECT 1 FROM audit_events WHERE exchange_id = :name AND exchange_id <> '' LIMIT 1")
_FIRST_AT = text("SELECT seq FROM audit_events WHERE at >= :moment ORDER BY at, event_type LIMIT 1")
_LAST = text("SELECT seq FROM audit_head WHERE id = 1")
_CARRYING = text("SELECT DISTINCT seq FROM event_facets WHERE facet IN :facets AND seq IN :places").bindparams(
    bindparam("facets", expanding=True), bindparam("places", expanding=True)
)
_ROWS = "SELECT seq, hash, mac, body FROM audit_events WHERE seq IN :places"
_EQUAL = ("event_type", "session_id", "exchange_id", "tenant_id")
_FACET = text("SELECT id, events FROM facets WHERE kind = :kind AND name = :name")
_ALIKE = text(
    "SELECT id, events FROM facets WHERE lower(name) LIKE :pattern ESCAPE '!' AND kind <> 'has' "
    "ORDER BY events DESC, id LIMIT :bound"
)
_ALLOWED = '%"policy_decision":"allow"%'
"""As canonical JSON has it; inside of a text the quotation marks would be escaped."""


class SqlSearch:
    """The search in the log."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def page(
        self, sought: Sought, *, before: int | None = None, limit: int = LIMIT, tenant: str | None = None
    ) -> Page:
        """A page of the events that are sought, newest first.

        Args:
            sought: the filter.
            before: `next` of the page before; None for the first.
            limit: most events.
            tenant: only events of this one.

        Raises:
            StoreError: the database cannot be read.
        """

        def work(session: Session) -> Page:
            return _Search(session.connection(), sought, limit, tenant).page(before)

        return await self._store.read(work)


class _Search:
    """One search for a page."""

    def __init__(self, connection: Connection, sought: Sought, limit: int, tenant: str | None) -> None:
        self._connection = connection
        self._sought = sought
        self._limit = limit
        self._tenant = tenant
        self._needed: list[Group] = []

    def page(self, before: int | None) -> Page:
        """The page of the events before a place."""
        first, end = self._bounds()
        sources = self._sources()
        place = end if before is None else min(before, end)
        found: list[Record] = []
        looked, whole, size = 0, False, CHUNK
        while len(found) <= self._limit and looked < MOST_LOOKED_AT and not whole:
            places = self._merged(sources, place, size)
            whole = len(places) < size or places[-1] < first
            found += self._fitting([one for one in places if one >= first])
            looked += len(places)
            place = places[-1] if places else place
            size = min(2 * size, 20 * CHUNK, MOST_LOOKED_AT - looked)
        shown = tuple(found[: self._limit])
        if len(found) > self._limit:
            return Page(shown, shown[-1].seq)
        return Page(shown) if whole else Page(shown, place, place)

    def _bounds(self) -> tuple[int, int]:
        """The places between which events of the time that is asked for stand, and some beside."""
        sought, end = self._sought, int(self._connection.execute(_LAST).scalar_one()) + 1
        first = 0
        if sought.since:
            row = self._connection.execute(_FIRST_AT, {"moment": sought.since}).first()
            first = end if row is None else max(0, int(row[0]) - SLACK)
        if sought.until:
            row = self._connection.execute(_FIRST_AT, {"moment": sought.until}).first()
            end = end if row is None else min(end, int(row[0]) + SLACK)
        return first, end

    def _sources(self) -> list[Source]:
        sought = self._sought
        for group in sought.groups:
            known = [self._known(*one) for one in group]
            self._needed.append([one for one in known if one is not None])
        if self._tenant is not None:
            one = self._known(Kind.TENANT.value, self._tenant)
            self._needed.append([one] if one else [])
        if len(sought.text) >= SHORTEST:
            for query, source in ((_IS_SESSION, _of_session), (_IS_EXCHANGE, _of_exchange)):
                if self._connection.execute(query, {"name": sought.text}).first():
                    return [source(sought.text)]
            rows = self._connection.execute(_ALIKE, {"pattern": pattern(sought.text), "bound": MOST_ALIKE})
            self._needed.append([Known(int(row[0]), int(row[1])) for row in rows])
        if sought.exchange:
            return [_of_exchange(sought.exchange)]
        if sought.session:
            return [_of_session(sought.session)]
        along = rarest(self._needed)
        if along is None:
            return [_of_log]
        self._needed = besides(self._needed, along)
        return [_of_facet(one.id) for one in along]

    def _merged(self, sources: Sequence[Source], before: int, most: int) -> list[int]:
        found = {place for source in sources for place in source(self._connection, before, most)}
        return sorted(found, reverse=True)[:most]

    def _fitting(self, places: Sequence[int]) -> list[Record]:
        """Those that are all that is asked for, newest first."""
        left = list(places)
        for group in self._needed:
            carrying = {"places": left, "facets": [one.id for one in group]}
            kept = set(self._connection.execute(_CARRYING, carrying).scalars()) if left and group else set[int]()
            left = [one for one in left if one in kept]
        if not left:
            return []
        conditions, values = self._conditions()
        query = text(" AND ".join([_ROWS, *conditions])).bindparams(bindparam("places", expanding=True))
        rows = self._connection.execute(query, {"places": left, **values})
        return sorted((Record(int(row[0]), *map(str, row[1:])) for row in rows), key=lambda one: -one.seq)

    def _conditions(self) -> tuple[list[str], dict[str, Any]]:
        sought = self._sought
        wanted = dict(zip(_EQUAL, (sought.kind, sought.session, sought.exchange, self._tenant), strict=True))
        values: dict[str, Any] = {name: value for name, value in wanted.items() if value}
        conditions = [f"{name} = :{name}" for name in values]
        for name, sign, value in (("since", ">=", sought.since), ("until", "<", sought.until)):
            if value:
                conditions.append(f"at {sign} :{name}")
                values[name] = value
        if sought.allowed:
            conditions.append("body LIKE :allowed")
            values["allowed"] = _ALLOWED
        return conditions, values

    def _known(self, kind: str, name: str) -> Known | None:
        row = self._connection.execute(_FACET, {"kind": kind, "name": name}).first()
        return None if row is None else Known(int(row[0]), int(row[1]))


def _of_log(connection: Connection, before: int, most: int) -> Sequence[int]:
    return list(connection.execute(_FROM_LOG, {"before": before, "most": most}).scalars())


def _of_facet(facet: int) -> Source:
    def source(connection: Connection, before: int, most: int) -> Sequence[int]:
        return list(connection.execute(_FROM_FACET, {"facet": facet, "before": before, "most": most}).scalars())

    return source


def _of_session(name: str) -> Source:
    def source(connection: Connection, before: int, most: int) -> Sequence[int]:
        return list(connection.execute(_FROM_SESSION, {"name": name, "before": before, "most": most}).scalars())

    return source


def _of_exchange(name: str) -> Source:
    """An exchange has a handful of events."""

    def source(connection: Connection, before: int, most: int) -> Sequence[int]:
        found = connection.execute(_FROM_EXCHANGE, {"name": name, "bound": _MOST_OF_EXCHANGE}).scalars()
        return [place for place in found if place < before][:most]

    return source
