"""The table of definitions. Only this file of the room speaks SQL."""

from collections.abc import Sequence

import orjson
from sqlmodel import Session, col, delete, select

from governance.catalog.catalog import Definition
from governance.clock import Clock, rfc3339
from governance.store import Store
from governance.store.tables import DefinitionRow

KEPT = 20
"""Definitions of one tool that are kept, newest first: a server that changes its words with every listing, be it only a
time of day, must not fill the database, all of which is read at the start. Digests of others stay in the audit log."""


class SqlDefinitions:
    """Definitions in the database: the newest of each tool, with when each was given first and last."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    async def newest(self) -> Sequence[Definition]:
        """The definition of each tool that was given last."""

        def work(session: Session) -> list[Definition]:
            rows = session.exec(
                select(DefinitionRow).order_by(col(DefinitionRow.last_seen), col(DefinitionRow.digest))
            ).all()
            return list({(row.server, row.name): _definition(row) for row in rows}.values())

        return await self._store.read(work)

    async def keep(self, definitions: Sequence[Definition]) -> None:
        """Note that these definitions were given now."""
        now = rfc3339(self._clock.now())

        def work(session: Session) -> None:
            for one in definitions:
                row = session.get(DefinitionRow, (one.server, one.name, one.digest))
                if row is None:
                    text = orjson.dumps(one.value).decode()
                    row = DefinitionRow(
                        server=one.server,
                        name=one.name,
                        digest=one.digest,
                        definition=text,
                        first_seen=now,
                        last_seen=now,
                    )
                    _make_room(session, one)
                row.last_seen = max(row.last_seen, now)
                session.add(row)

        await self._store.write(work)


def _make_room(session: Session, fresh: Definition) -> None:
    """Forget the oldest definitions of a tool that gets one more."""
    its = (col(DefinitionRow.server) == fresh.server, col(DefinitionRow.name) == fresh.name)
    newest_first = (col(DefinitionRow.last_seen).desc(), col(DefinitionRow.digest))
    old = session.exec(select(DefinitionRow.digest).where(*its).order_by(*newest_first).offset(KEPT - 1)).all()
    if old:
        session.exec(delete(DefinitionRow).where(col(DefinitionRow.digest).in_(old), *its))


def _definition(row: DefinitionRow) -> Definition:
    return Definition(row.server, row.name, row.digest, orjson.loads(row.definition))
