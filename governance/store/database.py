"""The store: one database, one writer thread in each process, and readers that never wait for it.

What is written belongs to the rooms (their `store.py`); the tables are `tables.py`. A write that was awaited is
durable. All that is queued while the disk is busy goes into the next transaction together (group commit), so that
many callers share the price of one sync.
"""

import asyncio
import sqlite3
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager, nullcontext
from functools import partial
from typing import Any, TypeAlias, TypeVar, cast

from anyio import CancelScope, to_thread
from sqlalchemy import Connection
from sqlalchemy.exc import SQLAlchemyError
from sqlmodel import Session

from governance.store import schema
from governance.store.backends import Backend, Sqlite, backend
from governance.store.failure import DATABASE_ERRORS, failure, reason
from governance.store.work import Pen, Sink, StoreError, Work
from governance.store.workers import Job, Worker

T = TypeVar("T")
Item = TypeVar("Item")
Proof = TypeVar("Proof")

Row: TypeAlias = tuple[Any, ...]


class _Write(Job):
    """A work, an item for a sink, or both; then both happen or neither."""

    __slots__ = ("item", "sink", "work")

    def __init__(self, work: Work[Any] | None, sink: Sink[Any, Any] | None = None, item: Any = None) -> None:
        super().__init__()
        self.work = work
        self.sink = sink
        self.item = item


class _Read(Job):
    __slots__ = ("work",)

    def __init__(self, work: Work[Any]) -> None:
        super().__init__()
        self.work = work


class _Look(Job):
    __slots__ = ("sql",)

    def __init__(self, sql: str) -> None:
        super().__init__()
        self.sql = sql


class Store:
    """An open database. Made by `open_store`; belongs to the event loop that opened it."""

    def __init__(self, place: Backend) -> None:
        self.name = place.name
        self._place = place
        self._glass = place.raw_reader() if isinstance(place, Sqlite) else None
        self._glanced: dict[str, Sequence[Row]] = {}
        """What was glanced at in this turn of the event loop."""
        self._writer = Worker("wicket-writer", *_serving(place.writer, partial(_commit, place)))
        self._reader = Worker("wicket-reader", *_serving(place.reader, _read))
        self._looker = Worker("wicket-looker", *_serving(place.looker, _look))

    async def write(self, work: Work[T]) -> T:
        """Run a work in the writer's next transaction, and return when that is durable.

        What the work raises undoes the work alone and reaches the caller. A caller that is cancelled while it waits
        leaves the work in its place: it is done, and nobody is told.

        Raises:
            ConflictError: the work broke a rule of the tables.
            StoreError: the database failed; nothing was written.
        """
        return cast("T", await self._submit(_Write(work)))

    async def append(self, sink: Sink[Item, Proof], item: Item, within: Work[Any] | None = None) -> Proof:
        """Hand an item to a sink in the writer's next transaction, together with what `within` does there.

        Raises:
            ConflictError: `within` broke a rule of the tables; the item was not written either.
            StoreError: the database failed; nothing was written.
        """
        return cast("Proof", await self._submit(_Write(within, sink, item)))

    async def read(self, work: Work[T]) -> T:
        """Run a work that only reads, on a connection that cannot write. It sees one moment of the database.

        Raises:
            StoreError: the database failed, or the work tried to write.
        """
        if self._reader.closed:
            raise StoreError(_CLOSED)
        return cast("T", await self._reader.submit(_Read(work)))

    async def glance(self, sql: str) -> Sequence[Row]:
        """The rows of one small constant query, as cheaply as can be: for what is looked up several times a request.

        It sees all that was durable before whatever woke the caller: a request that came in, an answer to what it
        awaited. On SQLite the query runs in place and takes microseconds, and all who ask the same in one turn of the
        event loop share it; on Postgres all who ask while a query is on its way share the next one.

        Args:
            sql: a `SELECT` in the words of both databases, without parameters. A few rows by an index, no more.

        Raises:
            StoreError: the database failed.
        """
        if self._writer.closed:
            raise StoreError(_CLOSED)
        if self._glass is None:
            return cast("Sequence[Row]", await self._looker.submit(_Look(sql)))
        if (shared := self._glanced.get(sql)) is not None:
            return shared
        # Whoever is woken after this was called runs after what is called soon here, and so looks anew.
        asyncio.get_running_loop().call_soon(self._glanced.pop, sql, None)
        try:
            rows = self._glanced[sql] = self._glass.execute(sql).fetchall()
        except sqlite3.Error as error:
            raise StoreError(f"the database could not be read: {reason(error)}") from error
        return rows

    async def close(self) -> None:
        """Write what is queued, then let go of the database."""
        for worker in (self._writer, self._reader, self._looker):
            await worker.close()
        if self._glass is not None:
            self._glass.close()
        self._place.close()

    async def _submit(self, job: _Write) -> Any:
        if self._writer.closed:
            raise StoreError(_CLOSED)
        return await self._writer.submit(job)


@asynccontextmanager
async def open_store(url: str, *, upgrade: bool = False) -> AsyncGenerator[Store]:
    """Open a database, and close it in the end with everything written that was queued.

    An empty database gets its tables. An older SQLite file is brought up to date; an older Postgres database only
    when `upgrade` says so, because other processes of an older version may still be using it.

    Args:
        url: `sqlite:///PATH` or `postgresql://...`.
        upgrade: whether an older Postgres database may be changed.

    Raises:
        StoreError: the database cannot be reached, or its version does not fit.
    """
    place = backend(url)
    await to_thread.run_sync(partial(schema.prepare, place, migrate=upgrade or schema.migrates_itself(place)))
    store = Store(place)
    try:
        yield store
    finally:
        with CancelScope(shield=True):
            await store.close()


_CLOSED = "the store is closed"


def _serving(
    connect: Callable[[], Connection], serve: Callable[[Connection, Sequence[Any]], None]
) -> tuple[Callable[[Sequence[Any]], None], Callable[[], None]]:
    """`serve` with a connection that is made when it is needed, and made anew after a failure."""
    held: list[Connection] = []

    def run(batch: Sequence[Job]) -> None:
        try:
            if not held:
                held.append(connect())
            serve(held[0], batch)
        except BaseException as error:  # noqa: BLE001 - the thread must outlive whatever a batch raised
            for job in batch:
                job.error = job.error or failure(error)
            let_go()

    def let_go() -> None:
        while held:
            connection = held.pop()
            try:
                connection.invalidate()
                connection.close()
            except SQLAlchemyError:
                continue  # it was broken already

    return run, let_go


def _commit(place: Backend, connection: Connection, batch: Sequence[_Write]) -> None:
    has_works = any(job.work is not None for job in batch)
    with place.batch(connection) if has_works else place.plain_batch(connection):
        for job in batch:
            if job.work is not None:
                _run(connection, job, job.work)
                if not place.intact(connection):
                    # Some errors (a full disk) roll back everything: what earlier works did is gone as well.
                    raise StoreError("the database gave up a transaction")
        pen = Pen(connection.dialect.name, connection.connection.cursor())
        for sink in dict.fromkeys(job.sink for job in batch if job.sink is not None):
            appended = [job for job in batch if job.sink is sink and job.error is None]
            if not appended:
                continue
            for job, proof in zip(appended, sink.flush(pen, [job.item for job in appended]), strict=True):
                job.result = proof
        pen.cursor.close()


def _read(connection: Connection, batch: Sequence[_Read]) -> None:
    for job in batch:
        with connection.begin() as transaction:
            _run(connection, job, job.work)  # alone in its transaction, so it needs no savepoint
            transaction.rollback()


def _look(connection: Connection, batch: Sequence[_Look]) -> None:
    seen: dict[str, list[Row]] = {}
    for job in batch:
        if job.sql not in seen:
            seen[job.sql] = [tuple(row) for row in connection.exec_driver_sql(job.sql)]
        job.result = seen[job.sql]


def _run(connection: Connection, job: _Write | _Read, work: Work[Any]) -> None:
    """Run a work; a write in a savepoint of its own, so that what it raises undoes only what it did."""
    try:
        session = Session(connection, join_transaction_mode="rollback_only", expire_on_commit=False)
        with connection.begin_nested() if isinstance(job, _Write) else nullcontext(), session:
            job.result = work(session)
            session.flush()
    except BaseException as error:  # noqa: BLE001 - whatever a work raises belongs to the one who awaits it
        job.error = failure(error) if isinstance(error, DATABASE_ERRORS) else error
