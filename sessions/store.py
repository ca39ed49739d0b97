"""The tables of runs, of what models asked for, of kills and of who carried them out.

Only this file of the room speaks SQL.
"""

from collections.abc import Callable, Iterable, Sequence
from datetime import timedelta
from typing import Any

from sqlalchemy import text
from sqlmodel import Session, col, delete, func, select

from governance.audit.event import AuditLog, Draft
from governance.clock import Clock, rfc3339
from governance.store import Store, Work
from governance.store.tables import ConfirmationRow, KillRow, ProcessRow, SessionRow
from sessions.killswitch import InForce, Kill, Scope
from sessions.proposals import Proposal
from sessions.roll import Run
from sessions.witness import Carried, Confirmation, Process, carried

_NEWEST_KILL = "SELECT max(epoch) FROM kills"
_UPSERT_RUN = text(
    """
    INSERT INTO sessions (id, external_id, key_id, tenant, agent, evidence, rank, source, plane, parent_id,
                          joined_id, verified, first_seen, last_seen)
    VALUES (:id, :external_id, :key_id, :tenant, :agent, :evidence, :rank, :source, :plane, :parent_id,
            '', :verified, :seen, :seen)
    ON CONFLICT (id) DO UPDATE SET
        last_seen = CASE WHEN excluded.last_seen > sessions.last_seen
                         THEN excluded.last_seen ELSE sessions.last_seen END,
        plane = CASE WHEN sessions.plane = excluded.plane OR sessions.plane = 'llm,mcp'
                     THEN sessions.plane ELSE 'llm,mcp' END,
        verified = sessions.verified OR excluded.verified,
        parent_id = CASE WHEN sessions.parent_id = '' THEN excluded.parent_id ELSE sessions.parent_id END
    """
)
_LAST_PROPOSAL = "SELECT max(seq) FROM proposals"
_NEW_PROPOSALS = text(
    """
    SELECT seq, at, key_id, session_id, exchange_id, call_id, name, arguments, subagent FROM proposals
    WHERE seq > :seq AND at >= :at ORDER BY seq DESC LIMIT :limit
    """
)
# Works run one at a time, whatever process they are of, so that numbers are given in the order of commits.
_ADD_PROPOSAL = text(
    """
    INSERT INTO proposals (seq, at, key_id, session_id, exchange_id, call_id, name, arguments, subagent)
    SELECT coalesce(max(seq), 0) + 1, :at, :key_id, :session_id, :exchange_id, :call_id, :name, :arguments,
           :subagent
    FROM proposals
    """
)
# The last one stays, so that the numbers never begin anew.
_FORGET_PROPOSALS = text("DELETE FROM proposals WHERE at < :before AND seq < (SELECT max(seq) FROM proposals)")


MOST_KIN = 200
"""Parts of a run, and runs that one started, that are looked at."""
KEPT = timedelta(days=1)
"""How long a process that ended without a farewell is remembered."""
FRESH_SECONDS = 0.005
"""How old what a gate goes by may be. Between two looks at the table, gates share the last one."""


class SqlKills:
    """The table of kills.

    Its newest epoch is what is looked at, one indexed value however many kills there are; the kills themselves are
    read only when that moved.
    """

    def __init__(
        self, store: Store, audit: AuditLog, clock: Clock, on_lift: Callable[[Scope, str], None] | None = None
    ) -> None:
        self._store = store
        self._audit = audit
        self._clock = clock
        self._on_lift = on_lift
        self._epoch: int | None = None
        self._read_at = -1.0
        self._active: InForce = {}

    async def in_force(self, *, now: bool = False) -> InForce:
        """Every kill in force, as of at most `FRESH_SECONDS` ago; with `now`, as of this moment."""
        if now or self.fresh() is None:
            moment = self._clock.monotonic()
            ((epoch,),) = await self._store.glance(_NEWEST_KILL)
            if epoch != self._epoch:
                before, self._active = self._active, await self._store.read(_in_force)
                self._epoch = epoch
                self._tell_lifted(before)
            self._read_at = moment
        return self._active

    def fresh(self) -> InForce | None:
        """What `in_force` tells, if it was looked at a moment ago."""
        return self._active if 0 <= self._clock.monotonic() - self._read_at < FRESH_SECONDS else None

    def _tell_lifted(self, before: InForce) -> None:
        """Say what was lifted, here or in another process."""
        if self._on_lift is not None:
            for scope, target in before.keys() - self._active.keys():
                self._on_lift(scope, target)

    async def set(self, kill: Kill, draft: Draft) -> bool:
        """Put a kill in force, with its event in the same transaction; false if it was in force already."""
        now = rfc3339(self._clock.now())
        fresh: list[bool] = []

        def work(session: Session) -> None:
            row = session.get(KillRow, (kill.scope.value, kill.target))
            fresh.append(row is None or row.revived_at is not None or row.probation != 0)
            if row is None:
                row = KillRow(scope=kill.scope.value, target=kill.target, at=now, epoch=0)
            if fresh[-1]:
                row.reason, row.actor, row.at, row.revived_at, row.revived_by = kill.reason, kill.actor, now, None, ""
                row.probation = 0
                row.epoch = _next_epoch(session)
                session.add(row)

        await self._audit.append(draft, work)
        await self.in_force(now=True)
        return fresh[-1]

    async def lift(self, scope: Scope, target: str, actor: str, draft: Draft, *, probation: bool = False) -> bool:
        """Lift a kill or put it on probation, with its event in the same transaction; false if that changes nothing."""
        wanted = (scope.value, target)
        standing = (await self.in_force(now=True)).get((scope, target))
        if standing is None or (probation and standing.probation):
            return False
        now = rfc3339(self._clock.now())

        def work(session: Session) -> None:
            row = session.get(KillRow, wanted)
            if row is not None and row.revived_at is None:
                row.epoch = _next_epoch(session)
                if probation:
                    row.at, row.probation = now, 1
                else:
                    row.revived_at, row.revived_by = now, actor
                session.add(row)

        await self._audit.append(draft, work)
        await self.in_force(now=True)
        return True


def _next_epoch(session: Session) -> int:
    return (session.exec(select(func.max(KillRow.epoch))).one() or 0) + 1


def _in_force(session: Session) -> InForce:
    rows = session.exec(select(KillRow).where(col(KillRow.revived_at).is_(None))).all()
    return {(Scope(row.scope), row.target): _kill(row) for row in rows}


def _kill(row: KillRow) -> Kill:
    return Kill(Scope(row.scope), row.target, row.reason, row.actor, row.at, row.epoch, row.probation != 0)


class SqlWitnesses:
    """The tables of processes and of what they said of kills. Implements `sessions.witness.Board`."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    async def beat(self, process_id: str, name: str, *, started: bool) -> None:
        """Note that a process is up; with `started` also forget those that ended long ago."""
        now = self._clock.now()
        old = delete(ProcessRow).where(col(ProcessRow.seen_at) < rfc3339(now - KEPT))

        def work(session: Session) -> None:
            if started:
                session.exec(old)
            row = session.get(ProcessRow, process_id)
            if row is None:
                row = ProcessRow(id=process_id, name=name, started_at=rfc3339(now), seen_at="")
            row.seen_at = rfc3339(now)
            session.add(row)

        await self._store.write(work)

    async def gone(self, process_id: str) -> None:
        """Forget a process that serves no more; what it confirmed stays."""
        farewell = delete(ProcessRow).where(col(ProcessRow.id) == process_id)

        def work(session: Session) -> None:
            session.exec(farewell)

        await self._store.write(work)

    async def confirm(self, kill: Kill, process_id: str, name: str, cut: int) -> None:
        """Note that a process has ended all of a kill."""
        key: dict[str, str] = {"scope": kill.scope.value, "target": kill.target, "process": process_id}
        now = rfc3339(self._clock.now())

        def work(session: Session) -> None:
            session.merge(ConfirmationRow(**key, epoch=kill.epoch, name=name, at=now, cut=cut))

        await self._store.write(work)

    async def carried(self, kills: Iterable[Kill]) -> list[Carried]:
        """How far each of these kills is carried out."""
        wanted = list(kills)
        targets = [one.target for one in wanted]

        def work(session: Session) -> tuple[list[ConfirmationRow], list[ProcessRow]]:
            said = select(ConfirmationRow).where(col(ConfirmationRow.target).in_(targets))
            return list(session.exec(said)), list(session.exec(select(ProcessRow)))

        said, up = await self._store.read(work)
        processes = [Process(row.id, row.name, row.started_at, row.seen_at) for row in up]
        now = self._clock.now()
        return [carried(kill, _of(kill, said), processes, now) for kill in wanted]


def _of(kill: Kill, rows: list[ConfirmationRow]) -> list[Confirmation]:
    return [
        Confirmation(row.process, row.name, row.epoch, row.at, row.cut)
        for row in sorted(rows, key=lambda row: (row.at, row.process))
        if (row.scope, row.target) == (kill.scope.value, kill.target)
    ]


class SqlRuns:
    """The table of runs."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def upsert(self, run: Run) -> Work[None]:
        """The work that writes a run down, or notes that it goes on."""
        values = {
            "id": run.id,
            "external_id": run.source.partition("=")[2],
            "key_id": run.key_id,
            "tenant": run.tenant,
            "agent": run.agent,
            "evidence": run.evidence,
            "rank": run.rank,
            "source": run.source.partition("=")[0],
            "plane": run.plane,
            "parent_id": run.parent_id,
            "verified": run.verified,
            "seen": run.last_seen,
        }

        def work(session: Session) -> None:
            session.connection().execute(_UPSERT_RUN, values)

        return work

    async def get(self, run_id: str) -> Run | None:
        """A run by its id."""

        def work(session: Session) -> Run | None:
            row = session.get(SessionRow, run_id)
            return None if row is None else run_of(row)

        return await self._store.read(work)

    async def write(self, work: Work[None]) -> None:
        """Make a work durable by itself."""
        await self._store.write(work)

    async def join(self, run_id: str, into: str) -> None:
        """Note that a run is part of another; empty = that it is not."""

        def work(session: Session) -> None:
            if row := session.get(SessionRow, run_id):
                row.joined_id = into
                session.add(row)

        await self._store.write(work)

    async def named(self, name: str) -> list[Run]:
        """Runs by their id, or by the id their agent gave them: what a person has at hand when a run must be found.

        A transport that was joined is its run.
        """

        def work(session: Session) -> list[Run]:
            wanted = (col(SessionRow.id) == name) | (col(SessionRow.external_id) == name)
            rows = session.exec(select(SessionRow).where(wanted)).all()
            joined = [session.get(SessionRow, row.joined_id) or row if row.joined_id else row for row in rows]
            return [run_of(row) for row in {row.id: row for row in joined}.values()]

        return await self._store.read(work)

    async def parts(self, run_id: str) -> list[str]:
        """The ids of the runs that turned out to be part of one."""
        # That it is not empty tells SQLite that the index of those that are not will do; so does it below.
        wanted = select(SessionRow.id).where(col(SessionRow.joined_id) == run_id, col(SessionRow.joined_id) != "")
        query = wanted.order_by(SessionRow.first_seen).limit(MOST_KIN)
        return await self._store.read(lambda session: list(session.exec(query).all()))

    async def children(self, run_id: str) -> list[Run]:
        """The runs that a run started, the oldest first."""

        def work(session: Session) -> list[Run]:
            wanted = select(SessionRow).where(col(SessionRow.parent_id) == run_id, col(SessionRow.parent_id) != "")
            rows = session.exec(wanted.order_by(SessionRow.first_seen).limit(MOST_KIN)).all()
            return [run_of(row) for row in rows]

        return await self._store.read(work)

    async def newest(self, limit: int = 200) -> list[Run]:
        """Runs, the last seen first, without those that turned out to be part of another."""

        def work(session: Session) -> list[Run]:
            alone = select(SessionRow).where(col(SessionRow.joined_id) == "")
            rows = session.exec(alone.order_by(col(SessionRow.last_seen).desc()).limit(limit)).all()
            return [run_of(row) for row in rows]

        return await self._store.read(work)


class SqlProposals:
    """The table of what models asked for."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def last(self) -> int:
        """The highest `seq`, as of now; 0 where there is none."""
        ((seq,),) = await self._store.glance(_LAST_PROPOSAL)
        return seq or 0

    async def after(self, seq: int, at: str, limit: int) -> list[Proposal]:
        """The newest proposals with a higher `seq` that were made since `at`, oldest first."""
        asked = {"seq": seq, "at": at, "limit": limit}
        newest = await self._store.read(lambda session: session.connection().execute(_NEW_PROPOSALS, asked).all())
        return [Proposal(*one) for one in reversed(newest)]

    def add(self, proposals: Sequence[Proposal], forget_before: str) -> Work[None]:
        """The work that writes proposals, whose `seq` it gives itself, and drops those made before a moment."""
        rows = [
            {
                "at": one.at,
                "key_id": one.key_id,
                "session_id": one.run,
                "exchange_id": one.exchange,
                "call_id": one.call_id,
                "name": one.name,
                "arguments": one.arguments,
                "subagent": one.subagent,
            }
            for one in proposals
        ]

        def work(session: Session) -> None:
            connection = session.connection()
            for row in rows:
                connection.execute(_ADD_PROPOSAL, row)
            if forget_before:
                connection.execute(_FORGET_PROPOSALS, {"before": forget_before})

        return work


def run_of(row: Any) -> Run:
    """The run of a row of `sessions`: an object of its class, or what a query of its columns returned."""
    return Run(
        id=row.id,
        key_id=row.key_id,
        tenant=row.tenant,
        agent=row.agent,
        evidence=row.evidence,
        rank=row.rank,
        source=f"{row.source}={row.external_id}" if row.external_id else row.source,
        plane=row.plane,
        first_seen=row.first_seen,
        last_seen=row.last_seen,
        verified=bool(row.verified),
        parent_id=row.parent_id,
        joined_id=row.joined_id,
    )
