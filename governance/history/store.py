"""The tables of the room: policies that were in force. Only this file of the room speaks SQL."""

from collections.abc import Sequence
from datetime import datetime

import orjson
from sqlmodel import Session, col, select

from governance.clock import rfc3339
from governance.history.versions import Version
from governance.policy.load import Source
from governance.store import Store, Work
from governance.store.policy_tables import PolicyVersionRow


class SqlVersions:
    """Versions in the database, shared by all processes."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def taken_up(self, version: str, sources: Sequence[Source], *, rules: int, by: str, at: datetime) -> Work[None]:
        """The work that notes that a process took a policy up, to be done with the event that says so."""
        files, now = orjson.dumps([list(one) for one in sources]).decode(), rfc3339(at)

        def work(session: Session) -> None:
            row = session.get(PolicyVersionRow, version)
            if row is None:
                row = PolicyVersionRow(
                    version=version, files=files, rules=rules, first_at=now, first_by=by, last_at=now, last_by=by
                )
            row.files, row.last_at, row.last_by, row.loads = files, max(row.last_at, now), by, row.loads + 1
            session.add(row)

        return work

    def brought_back(self, version: str, *, actor: str, reason: str, at: datetime) -> Work[None]:
        """The work that notes that a person brought a version back, to be done with the event that says so."""

        def work(session: Session) -> None:
            row = session.get(PolicyVersionRow, version)
            if row is not None:
                row.actor, row.reason, row.rolled_back_at = actor, reason, rfc3339(at)
                session.add(row)

        return work

    async def listed(self, limit: int = 100) -> list[Version]:
        """The versions, the one that was taken up last first.

        Raises:
            StoreError: the database cannot be read.
        """
        order = (col(PolicyVersionRow.last_at).desc(), col(PolicyVersionRow.version))
        query = select(PolicyVersionRow).order_by(*order).limit(limit)
        return await self._store.read(lambda session: [_version(row) for row in session.exec(query)])

    async def named(self, name: str) -> list[Version]:
        """The versions whose digest begins with `name`, at most two.

        Raises:
            StoreError: the database cannot be read.
        """
        version = col(PolicyVersionRow.version)
        # A range, for `LIKE` would take `%` and `_` of a name for patterns; `g` stands behind every hexadecimal digit.
        query = select(PolicyVersionRow).where(version >= name, version < name + "g").order_by(version).limit(2)
        return await self._store.read(lambda session: [_version(row) for row in session.exec(query)])


def _version(row: PolicyVersionRow) -> Version:
    sources: list[tuple[str, str]] = [(name, text) for name, text in orjson.loads(row.files)]
    return Version(
        row.version,
        tuple(sources),
        row.rules,
        row.loads,
        row.first_at,
        row.first_by,
        row.last_at,
        row.last_by,
        row.reason,
        row.actor,
        row.rolled_back_at,
    )
