"""The table of definitions. Only this file of the room speaks SQL."""

from collections.abc import Sequence

import orjson
from sqlmodel import Session, col, select

from governance.catalog.catalog import Definition
from governance.clock import Clock, rfc3339
from governance.store import Store
from governance.store.tables import DefinitionRow


class SqlDefinitions:
    """Definitions in the database: every one that was ever given, with when it was first and last."""

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
                row.last_seen = max(row.last_seen, now)
                session.add(row)

        await self._store.write(work)


def _definition(row: DefinitionRow) -> Definition:
    return Definition(row.server, row.name, row.digest, orjson.loads(row.definition))
