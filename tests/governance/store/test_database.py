"""Works are durable together and fail alone, on both databases."""

import asyncio
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

import anyio
import pytest
from sqlmodel import Session, col, func, select

from governance.store import ConflictError, Pen, Store, StoreError, open_store
from governance.store.backends import backend
from governance.store.tables import KillRow, SignalRow

COUNT = select(func.count()).select_from(SignalRow)
KILLS = "SELECT max(epoch) FROM kills"


@pytest.fixture
async def store(database_url: str) -> AsyncIterator[Store]:
    async with open_store(database_url) as opened:
        yield opened


def add(topic: str) -> Callable[[Session], str]:
    def work(session: Session) -> str:
        session.add(SignalRow(topic=topic, version=1))
        session.flush()
        return topic

    return work


def count(session: Session) -> int:
    return session.exec(COUNT).one()


def alter(url: str, statement: str) -> None:
    place = backend(url)
    with place.writer() as connection, place.batch(connection):
        connection.exec_driver_sql(statement)
    place.close()


@asynccontextmanager
async def busy_writer(store: Store) -> AsyncGenerator[None]:
    """While the block is open the writer is busy; what is written meanwhile becomes its next batch."""
    entered, go_on = threading.Event(), threading.Event()

    def occupy(_: Session) -> None:
        entered.set()
        assert go_on.wait(10)

    async with anyio.create_task_group() as group:
        group.start_soon(store.write, occupy)
        await anyio.to_thread.run_sync(entered.wait, 10)
        try:
            yield
            await asyncio.sleep(0)  # one turn of the loop: all that was started is queued now
        finally:
            go_on.set()


async def test_a_write_returns_what_the_work_returns_and_readers_see_it(store: Store) -> None:
    assert await store.write(add("kills")) == "kills"
    assert await store.read(count) == 1


async def test_what_was_written_is_there_when_the_database_is_opened_again(database_url: str) -> None:
    async with open_store(database_url) as store:
        await store.write(add("kills"))

    async with open_store(database_url) as store:
        assert await store.read(count) == 1


async def test_a_work_that_raises_undoes_only_itself(store: Store) -> None:
    class OwnError(Exception):
        pass

    def bad(session: Session) -> None:
        add("bad")(session)
        raise OwnError

    caught = 0

    async def fail() -> None:
        nonlocal caught
        with pytest.raises(OwnError):
            await store.write(bad)
        caught += 1

    async with anyio.create_task_group() as group:
        for number in range(10):
            group.start_soon(store.write, add(f"good {number}"))
            group.start_soon(fail)

    assert caught == 10
    assert await store.read(count) == 10


@pytest.mark.parametrize(
    "row",
    [
        KillRow(scope="all", target="", at="now", epoch=1),
        KillRow(scope="moon", target="", at="now", epoch=1),
    ],
    ids=["twice the same", "against a check"],
)
async def test_a_broken_rule_of_the_tables_is_a_conflict_of_that_work_alone(store: Store, row: KillRow) -> None:
    await store.write(lambda session: session.add(KillRow(scope="all", target="", at="now", epoch=1)))

    async with anyio.create_task_group() as group:
        for number in range(5):
            group.start_soon(store.write, add(f"good {number}"))

        async def fail() -> None:
            with pytest.raises(ConflictError, match="the database refused: "):
                await store.write(lambda session: session.add(KillRow(**row.model_dump())))

        group.start_soon(fail)

    assert await store.read(count) == 5


async def test_a_text_that_one_database_refuses_fails_alone(store: Store, database_url: str) -> None:
    async with anyio.create_task_group() as group:

        async def nul() -> None:
            if database_url.startswith("postgresql"):
                with pytest.raises(StoreError, match=r"the database failed: .*NUL"):
                    await store.write(add("a\0b"))
            else:
                await store.write(add("a\0b"))

        group.start_soon(store.write, add("first"))
        group.start_soon(nul)
        group.start_soon(store.write, add("last"))

    def topics(session: Session) -> Sequence[str]:
        return session.exec(select(SignalRow.topic).where(col(SignalRow.topic).in_(["first", "last"]))).all()

    assert len(await store.read(topics)) == 2


async def test_a_commit_inside_a_work_does_not_end_the_batch(store: Store) -> None:
    def hasty(session: Session) -> None:
        session.add(SignalRow(topic="hasty", version=1))
        session.commit()
        raise ValueError

    with pytest.raises(ValueError):  # noqa: PT011 - that it comes out as it is, is the point
        await store.write(hasty)

    assert await store.read(count) == 0


async def test_a_work_that_reads_and_adds_loses_no_update_between_processes(store: Store, database_url: str) -> None:
    await store.write(lambda session: session.add(SignalRow(topic="kills", version=0)))

    def increase(session: Session) -> None:
        row = session.exec(select(SignalRow)).one()
        row.version += 1
        session.add(row)

    async with open_store(database_url) as other, anyio.create_task_group() as group:
        for _ in range(50):
            group.start_soon(store.write, increase)
            group.start_soon(other.write, increase)

    assert await store.read(lambda session: session.exec(select(SignalRow.version)).one()) == 100


async def test_a_cancelled_write_is_done_all_the_same(store: Store) -> None:
    async with busy_writer(store), anyio.create_task_group() as group:
        for number in range(2):
            group.start_soon(store.write, add(f"{number}"))
        await asyncio.sleep(0)  # one turn of the loop: both wait now
        group.cancel_scope.cancel()
    await store.write(add("later"))

    assert await store.read(count) == 3


async def test_closing_writes_what_is_queued(database_url: str) -> None:
    async with anyio.create_task_group() as group, open_store(database_url) as store:
        for number in range(100):
            group.start_soon(store.write, add(f"{number}"))
        await asyncio.sleep(0)  # one turn of the loop: all of them are queued now

    async with open_store(database_url) as store:
        assert await store.read(count) == 100


async def test_closing_writes_what_is_queued_even_when_it_is_cancelled(database_url: str) -> None:
    async with anyio.create_task_group() as group, open_store(database_url) as store:
        for number in range(100):
            group.start_soon(store.write, add(f"{number}"))
        await asyncio.sleep(0)  # one turn of the loop: all of them are queued now
        group.cancel_scope.cancel()

    async with open_store(database_url) as store:
        assert await store.read(count) == 100


async def test_a_closed_store_refuses(database_url: str) -> None:
    async with open_store(database_url) as store:
        pass
    for use in (store.write(count), store.read(count), store.glance(KILLS)):
        with pytest.raises(StoreError, match="the store is closed"):
            await use


async def test_a_read_cannot_write(store: Store) -> None:
    with pytest.raises(StoreError, match=r"readonly|read-only"):
        await store.read(add("kills"))

    assert await store.read(count) == 0


async def test_a_read_sees_one_moment(store: Store) -> None:
    counted, written = threading.Event(), threading.Event()

    def twice(session: Session) -> tuple[int, int]:
        first = count(session)
        counted.set()
        assert written.wait(10)
        return first, count(session)

    seen: list[tuple[int, int]] = []

    async def look() -> None:
        seen.append(await store.read(twice))

    async with anyio.create_task_group() as group:
        group.start_soon(look)
        await anyio.to_thread.run_sync(counted.wait, 10)
        await store.write(add("kills"))
        written.set()

    assert seen == [(0, 0)]


async def test_what_a_read_raises_reaches_its_caller_alone(store: Store) -> None:
    def bad(session: Session) -> None:
        raise LookupError(count(session))

    async with anyio.create_task_group() as group:

        async def fail() -> None:
            with pytest.raises(LookupError):
                await store.read(bad)

        for _ in range(5):
            group.start_soon(fail)
            group.start_soon(store.read, count)


async def test_a_glance_sees_every_write_that_was_acknowledged(store: Store) -> None:
    for epoch in range(1, 30):
        kill = KillRow(scope="session", target=f"ses_{epoch}", at="now", epoch=epoch)
        await store.write(lambda session, kill=kill: session.add(kill))
        assert list(await store.glance(KILLS)) == [(epoch,)]


async def test_many_who_glance_at_once_all_see_it(store: Store) -> None:
    await store.write(lambda session: session.add(KillRow(scope="all", target="", at="now", epoch=7)))
    seen: list[object] = []

    async def look(sql: str) -> None:
        seen.append((await store.glance(sql))[0][0])

    async with anyio.create_task_group() as group:
        for _ in range(50):
            group.start_soon(look, KILLS)
            group.start_soon(look, "SELECT min(epoch) FROM kills")

    assert seen == [7] * 100


async def test_those_who_glance_in_one_turn_of_the_loop_share_one_look(store: Store) -> None:
    sql = "SELECT random()"
    first, second = await asyncio.gather(store.glance(sql), store.glance(sql))
    assert list(first) == list(second)
    assert list(await store.glance(sql)) != list(first)


async def test_a_glance_at_a_broken_database_raises_and_recovers(store: Store, database_url: str) -> None:
    alter(database_url, "ALTER TABLE kills RENAME TO elsewhere")
    with pytest.raises(StoreError, match=r"the database (failed|could not be read): .*kills"):
        await store.glance(KILLS)

    alter(database_url, "ALTER TABLE elsewhere RENAME TO kills")
    assert list(await store.glance(KILLS)) == [(None,)]


async def test_a_broken_database_fails_writers_and_readers_and_recovers(store: Store, database_url: str) -> None:
    alter(database_url, "ALTER TABLE signals RENAME TO elsewhere")
    for use in (store.write(add("kills")), store.read(count)):
        with pytest.raises(StoreError, match=r"the database failed: .*signals"):
            await use

    alter(database_url, "ALTER TABLE elsewhere RENAME TO signals")
    await store.write(add("kills"))
    assert await store.read(count) == 1


class Words:
    """A sink that keeps the batches it was given as signals, and fails for the word `fail`."""

    def __init__(self) -> None:
        self.batches: list[Sequence[str]] = []

    def flush(self, pen: Pen, items: Sequence[str]) -> Sequence[str]:
        self.batches.append(items)
        for item in items:
            pen.cursor.execute(f"INSERT INTO signals (topic, version) VALUES ('{item}', 1)")
        if "fail" in items:
            raise OSError(28, "No space left on device")
        return [item.upper() for item in items]


async def test_a_sink_gets_the_items_of_a_batch_at_once_and_in_order(store: Store) -> None:
    words = Words()
    proofs: list[str] = []

    async def append(word: str) -> None:
        proofs.append(await store.append(words, word))

    async with anyio.create_task_group() as group, busy_writer(store):
        for word in "abcde":
            group.start_soon(append, word)

    assert words.batches == [["a", "b", "c", "d", "e"]]
    assert proofs == ["A", "B", "C", "D", "E"]


async def test_an_item_whose_work_fails_is_kept_from_the_sink(store: Store) -> None:
    words = Words()

    with pytest.raises(ZeroDivisionError):
        await store.append(words, "bad", within=lambda _: 1 // 0)

    assert words.batches == []


async def test_a_sink_that_fails_takes_its_whole_batch_along(store: Store) -> None:
    words = Words()

    with pytest.raises(StoreError, match="the database failed: No space left on device"):
        await store.append(words, "fail", within=add("with it"))

    assert await store.read(count) == 0


async def test_when_the_database_gives_up_its_transaction_nobody_is_told_success(store: Store) -> None:
    refused = 0

    def give_up(session: Session) -> None:
        driver = session.connection().connection.driver_connection
        assert driver is not None
        driver.execute("ROLLBACK")
        raise LookupError

    async def fail(work: Callable[[Session], object]) -> None:
        nonlocal refused
        with pytest.raises((StoreError, LookupError)):
            await store.write(work)
        refused += 1

    async with anyio.create_task_group() as group, busy_writer(store):
        for work in (add("before"), give_up, add("after")):
            group.start_soon(fail, work)

    assert refused == 3
    assert await store.read(count) == 0
    await store.write(add("later"))
