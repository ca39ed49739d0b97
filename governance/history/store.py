"""The tables of the room: the policies there were, and what they were asked. Only this file of it speaks SQL."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson
import sqlalchemy
from sqlalchemy import func, text, tuple_
from sqlmodel import Session, col, delete, select

from governance.clock import rfc3339
from governance.history.ledger import EXAMPLES, Judgement, Spoke, Tally
from governance.history.versions import Version
from governance.policy.load import Source
from governance.store import Store, Work
from governance.store.policy_tables import JudgementRow, PolicyVersionRow, RuleCountRow


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


_KEEP = text(
    """
    INSERT INTO judgements (exchange_id, phase, at, version, decision, rule, scene)
    VALUES (:exchange_id, :phase, :at, :version, :decision, :rule, :scene)
    ON CONFLICT (exchange_id, phase) DO UPDATE
    SET at = excluded.at, version = excluded.version, decision = excluded.decision, rule = excluded.rule,
        scene = excluded.scene
    """
)
"""What was judged again, after a person approved, takes the place of what was judged first."""
_COUNT = text(
    """
    INSERT INTO rule_counts (hour, tenant, rule, part, decision, count, examples)
    VALUES (:hour, :tenant, :rule, :part, :decision, :count, :examples)
    ON CONFLICT (hour, tenant, rule, part, decision) DO UPDATE
    SET count = rule_counts.count + excluded.count,
        examples = CASE WHEN excluded.examples = '[]' THEN rule_counts.examples ELSE excluded.examples END
    """
)
_DELETED_AT_ONCE = 2_000


@dataclass(frozen=True, slots=True)
class Counted:
    """How often a rule spoke in some way, in an hour or in all of a time."""

    spoke: Spoke
    count: int
    examples: tuple[str, ...]
    """The newest exchanges, newest last."""


class SqlShelf:
    """Judgements and counts in the database, shared by all processes."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def add(self, counts: Mapping[Spoke, Tally], judgements: Sequence[Judgement]) -> None:
        """Add what was noted.

        Raises:
            StoreError: the database cannot be written; nothing was.
        """
        # In one order in every process, so that two never wait for one another.
        rows = [
            {**one._asdict(), "count": counts[one].count, "examples": orjson.dumps(list(counts[one].examples)).decode()}
            for one in sorted(counts)
        ]

        def work(session: Session) -> None:
            connection = session.connection()
            if judgements:
                kept = sorted(judgements, key=lambda one: (one.exchange_id, one.phase))
                connection.execute(_KEEP, [one._asdict() for one in kept])
            if rows:
                connection.execute(_COUNT, rows)

        await self._store.write(work)

    async def prune(self, *, counts_before: str, judgements_before: str, most: int) -> int:
        """Delete what is older than a time, and all judgements but the newest `most`; returns how many went.

        Raises:
            StoreError: the database cannot be written.
        """
        at = col(JudgementRow.at)
        beyond = select(JudgementRow.at).order_by(at.desc()).offset(most).limit(1)
        newest_gone = await self._store.read(lambda session: session.exec(beyond).first())
        before = max(judgements_before, newest_gone + "~" if newest_gone else "")
        place = (col(JudgementRow.exchange_id), col(JudgementRow.phase))
        old = select(*place).where(at < before).order_by(at).limit(_DELETED_AT_ONCE)

        def work(session: Session) -> int:
            session.exec(delete(RuleCountRow).where(col(RuleCountRow.hour) < counts_before))
            keys = [tuple(row) for row in session.exec(old)]
            if keys:
                session.exec(delete(JudgementRow).where(tuple_(*place).in_(keys)))
            return len(keys)

        gone = 0
        while True:
            few = await self._store.write(work)
            gone += few
            if few < _DELETED_AT_ONCE:
                return gone

    async def judgements(self, exchange_ids: Sequence[str]) -> dict[tuple[str, str], Judgement]:
        """What is kept of some exchanges, by exchange and phase.

        Raises:
            StoreError: the database cannot be read.
        """
        columns: list[Any] = [col(getattr(JudgementRow, name)) for name in Judgement._fields]
        query: Any = sqlalchemy.select(*columns).where(col(JudgementRow.exchange_id).in_(exchange_ids))

        def work(session: Session) -> dict[tuple[str, str], Judgement]:
            rows: Any = session.connection().execute(query)  # not as objects, which would take most of the time
            found = [Judgement(*row) for row in rows]
            return {(one.exchange_id, one.phase): one for one in found}

        return await self._store.read(work)

    async def counts(self, since: str, *, tenant: str | None = None) -> list[Counted]:
        """How often rules spoke since an hour (`2026-11-21T12`), hour by hour; of one tenant, or of all together.

        Raises:
            StoreError: the database cannot be read.
        """
        query = select(RuleCountRow).where(col(RuleCountRow.hour) >= since).order_by(col(RuleCountRow.hour))
        if tenant is not None:
            query = query.where(col(RuleCountRow.tenant) == tenant)

        def work(session: Session) -> list[Counted]:
            found: dict[Spoke, Counted] = {}
            for row in session.exec(query):
                spoke = Spoke(row.hour, tenant or "", row.rule, row.part, row.decision)
                have = found.get(spoke, Counted(spoke, 0, ()))
                examples = (*have.examples, *orjson.loads(row.examples))[-EXAMPLES:]
                found[spoke] = Counted(spoke, have.count + row.count, examples)
            return list(found.values())

        return await self._store.read(work)

    async def kept(self) -> tuple[int, str]:
        """How many judgements are kept, and since when.

        Raises:
            StoreError: the database cannot be read.
        """
        query = select(func.count(), func.min(JudgementRow.at)).select_from(JudgementRow)

        def work(session: Session) -> tuple[int, str]:
            count, since = session.exec(query).one()
            return int(count), str(since or "")

        return await self._store.read(work)
