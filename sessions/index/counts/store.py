"""Reads counts. However long the log is, a plot reads some hundreds of rows."""

from collections.abc import Collection
from dataclasses import dataclass

from sqlalchemy import bindparam, text
from sqlmodel import Session

from governance.store import Store
from sessions.index.reading import Count

MOST_NAMES = 1_000
"""Names of one kind that are told apart: the most frequent."""
_BY_TIME = text(
    "SELECT kind, at, name, count, tokens, micro_usd, flawed FROM tallies "
    "WHERE tenant = :tenant AND kind = :kind AND span = :span AND at >= :since ORDER BY at, name"
)
_BY_NAME = text(
    "SELECT name, sum(count), sum(tokens), sum(micro_usd), sum(flawed) FROM tallies "
    "WHERE tenant = :tenant AND kind = :kind AND span = :span AND at >= :since "
    "GROUP BY name ORDER BY sum(count) DESC, name LIMIT :bound"
)
_LAST_OF = text("SELECT kind, name, last_at FROM facets WHERE kind = :kind AND name IN :names").bindparams(
    bindparam("names", expanding=True)
)


@dataclass(frozen=True, slots=True)
class Counted:
    """How much there was of something in a span of time."""

    at: str
    """Start of the span: `2026-11-21T12:00`, UTC."""
    name: str
    count: int
    tokens: int = 0
    micro_usd: int = 0
    flawed: int = 0


class SqlCounts:
    """The counts."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def by_time(self, kind: Count, span: str, since: str, tenant: str | None) -> list[Counted]:
        """Counts of a kind, span after span, of those that begin at or after `since`.

        Args:
            kind: what is counted.
            span: `minute`, `hour` or `day`.
            since: RFC 3339 in UTC; cut to the minute.
            tenant: whose; None = everybody's.
        """
        asked = {"tenant": tenant or "", "kind": kind.value, "span": span, "since": since[:16]}

        def work(session: Session) -> list[Counted]:
            rows = session.connection().execute(_BY_TIME, asked)
            return [Counted(str(row[1]), str(row[2]), *map(int, row[3:])) for row in rows]

        return await self._store.read(work)

    async def by_name(self, kind: Count, span: str, since: str, tenant: str | None) -> list[Counted]:
        """The same summed over time, the most frequent name first, at most `MOST_NAMES`."""
        asked = {"tenant": tenant or "", "kind": kind.value, "span": span, "since": since[:16], "bound": MOST_NAMES}

        def work(session: Session) -> list[Counted]:
            rows = session.connection().execute(_BY_NAME, asked)
            return [Counted("", str(row[0]), *map(int, row[1:])) for row in rows]

        return await self._store.read(work)

    async def last_seen(self, kind: str, names: Collection[str]) -> dict[str, str]:
        """When things were last seen in the log, by name."""

        def work(session: Session) -> dict[str, str]:
            if not names:
                return {}
            rows = session.connection().execute(_LAST_OF, {"kind": kind, "names": list(names)})
            return {str(row[1]): str(row[2]) for row in rows}

        return await self._store.read(work)
