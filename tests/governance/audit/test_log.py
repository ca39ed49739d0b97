"""Events are durable and chained when `append` returns, or it raises; the same on both databases."""

import asyncio
import subprocess
import sys
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import anyio
import pytest
from anyio.abc import Process
from anyio.streams.text import TextReceiveStream
from sqlmodel import Session, select

from governance.audit import chain, keys
from governance.audit.event import AuditError, Draft, Receipt, Tag, Value
from governance.audit.log import Journal
from governance.audit.query import Wanted, find
from governance.audit.sources import verify_database
from governance.audit.verify import Report
from governance.store import ConflictError, Store, StoreError, open_store
from governance.store.backends import backend
from governance.store.tables import EventRow, KillRow, SignalRow
from tests.conftest import ManualClock
from tests.governance.audit.appender import MASTER

KEY = keys.derive(MASTER, keys.AUDIT_MAC)
ROOT = Path(__file__).parents[3]


def draft(**fields: Value) -> Draft:
    return Draft(Tag.EXCHANGE_ADMITTED, fields)


def alter(url: str, *statements: str) -> None:
    """Change the database behind the back of everybody."""
    place = backend(url)
    with place.writer() as connection, place.batch(connection):
        for statement in statements:
            connection.exec_driver_sql(statement)
    place.close()


def verified(url: str) -> Report:
    return verify_database(url, key=KEY)


async def test_an_event_is_stored_canonical_with_its_time_its_tag_and_its_writer(
    journal: Journal, store: Store, clock: ManualClock
) -> None:
    clock.advance(1.5)

    receipt = await journal.append(draft(tool="write", tenant_id="acme", tokens=7, team=None))

    (record,) = await find(store, Wanted())
    assert record.body == (
        '{"at":"2026-11-21T12:00:01.500000Z","event_type":"exchange.admitted","tenant_id":"acme","tokens":7,'
        '"tool":"write","writer":"gateway"}'
    )
    assert receipt == Receipt(0, chain.link(chain.GENESIS, 0, record.body.encode()).hex()) == Receipt(0, record.hash)


async def test_events_of_many_waiters_stand_in_one_chain(journal: Journal, database_url: str) -> None:
    receipts: list[Receipt] = []

    async def append(number: int) -> None:
        receipts.append(await journal.append(draft(exchange_id=f"exc_{number}")))

    async with anyio.create_task_group() as group:
        for number in range(200):
            group.start_soon(append, number)

    assert sorted(receipt.seq for receipt in receipts) == list(range(200))
    assert (report := verified(database_url)).exit_code == 0
    assert report.checked == 200
    assert report.head in receipts


async def test_two_logs_on_one_database_continue_one_chain(
    journal: Journal, database_url: str, clock: ManualClock
) -> None:
    async with open_store(database_url) as another:
        other = Journal(another, MASTER, clock, writer="mcp")
        for _ in range(5):
            await journal.append(draft())
            await other.append(draft())

    assert verified(database_url).checked == 10


async def test_what_happens_within_is_durable_with_the_event(journal: Journal, store: Store) -> None:
    await journal.append(draft(), within=lambda session: session.add(SignalRow(topic="kills", version=1)))

    assert len(await store.read(lambda session: session.exec(select(SignalRow)).all())) == 1


async def test_when_what_happens_within_raises_the_event_is_not_written(
    journal: Journal, store: Store, database_url: str
) -> None:
    class AlreadyUsedError(Exception):
        pass

    def use_again(session: Session) -> None:
        session.add(SignalRow(topic="kills", version=1))
        session.flush()
        raise AlreadyUsedError

    refusals = 0

    async def fail() -> None:
        nonlocal refusals
        with pytest.raises(AlreadyUsedError):
            await journal.append(draft(tool="bad"), within=use_again)
        refusals += 1

    async with anyio.create_task_group() as group:
        for number in range(10):
            group.start_soon(fail)
            group.start_soon(journal.append, draft(tool=f"good {number}"))

    assert refusals == 10
    assert verified(database_url).checked == 10
    assert not await find(store, Wanted(tool="bad"))
    assert not await store.read(lambda session: session.exec(select(SignalRow)).all())


async def test_a_conflict_within_is_told_as_a_conflict(journal: Journal, database_url: str) -> None:
    def kill(session: Session) -> None:
        session.add(KillRow(scope="all", target="", at="now", epoch=1))

    await journal.append(draft(), within=kill)
    with pytest.raises(ConflictError):
        await journal.append(draft(), within=kill)

    assert verified(database_url).checked == 1


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"cost": 0.5}, "field `cost` holds neither text"),
        ({"tokens": 2**53}, "field `tokens` holds a number beyond"),
        ({"reason": "\ud800"}, "field `reason` holds half a character"),
        ({"Tool": "x"}, "a field has a name that is not"),
        ({"at": "yesterday"}, "field `at` of the event `exchange.admitted` is written by the log itself"),
        ({"event_type": "other"}, "field `event_type` of the event"),
    ],
)
async def test_a_field_that_cannot_stand_in_the_log_is_refused_alone(
    journal: Journal, database_url: str, fields: dict[str, Value], why: str
) -> None:
    with pytest.raises(AuditError, match=why):
        await journal.append(Draft(Tag.EXCHANGE_ADMITTED, fields))

    await journal.append(draft())
    assert verified(database_url).checked == 1


async def test_texts_that_databases_dislike_are_kept_exactly(journal: Journal, store: Store, database_url: str) -> None:
    nasty = 'nul \0, quote ", backslash \\, snowman ☃, rocket 🚀, separator \u2028, bidi \u202e, %s %(a)s :b ? {c}'

    await journal.append(draft(tool=nasty, reason=nasty * 100, texts=[nasty, ""]))

    (record,) = await find(store, Wanted())
    assert record.fields["tool"] == nasty
    assert verified(database_url).exit_code == 0


async def test_a_waiter_that_is_cancelled_leaves_its_event_in_the_log(
    journal: Journal, store: Store, database_url: str
) -> None:
    async with anyio.create_task_group() as group:
        for number in range(50):
            group.start_soon(journal.append, draft(exchange_id=f"exc_{number}"))
        await asyncio.sleep(0)  # one turn of the loop: all of them wait now
        group.cancel_scope.cancel()
    await journal.append(draft(exchange_id="exc_last"))

    assert [record.fields["exchange_id"] for record in await find(store, Wanted())] == [
        *(f"exc_{number}" for number in range(50)),
        "exc_last",
    ]
    assert verified(database_url).checked == 51


async def test_a_log_that_cannot_be_written_refuses_every_waiter_and_recovers(
    journal: Journal, database_url: str
) -> None:
    await journal.append(draft())
    alter(database_url, "ALTER TABLE audit_events RENAME TO elsewhere")
    refused = 0

    async def fail() -> None:
        nonlocal refused
        with pytest.raises(AuditError, match=r"could not be written: the database failed: .*audit_events"):
            await journal.append(draft())
        refused += 1

    async with anyio.create_task_group() as group:
        for _ in range(20):
            group.start_soon(fail)
    alter(database_url, "ALTER TABLE elsewhere RENAME TO audit_events")
    await journal.append(draft())

    assert refused == 20
    assert verified(database_url).checked == 2


async def test_a_log_without_its_head_refuses(journal: Journal, database_url: str) -> None:
    alter(database_url, "DELETE FROM audit_head")

    with pytest.raises(AuditError, match="the table `audit_head` is empty"):
        await journal.append(draft())


async def test_a_server_that_breaks_the_connection_costs_no_event(
    journal: Journal, store: Store, postgres_url: str, clock: ManualClock
) -> None:
    async with open_store(postgres_url) as victim:
        log = Journal(victim, MASTER, clock)
        await log.append(draft())
        name = postgres_url.rpartition("/")[2]
        alter(
            postgres_url,
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            f"WHERE datname = '{name}' AND pid <> pg_backend_pid()",
        )
        with pytest.raises(AuditError):
            await log.append(draft())
        await log.append(draft())

    assert verified(postgres_url).checked == 2


async def test_an_event_after_closing_is_refused(sqlite_url: str, clock: ManualClock) -> None:
    async with open_store(sqlite_url) as store:
        journal = Journal(store, MASTER, clock)
    with pytest.raises(AuditError, match="the store is closed"):
        await journal.append(draft())


async def test_a_replaced_database_file_is_refused_until_the_next_start(sqlite_url: str, clock: ManualClock) -> None:
    file = anyio.Path(sqlite_url.removeprefix("sqlite:///"))
    away = file.with_name("away.db")
    replaced = "was replaced or removed while in use: start again"
    async with open_store(sqlite_url) as store:
        journal = Journal(store, MASTER, clock)
        await journal.append(draft())
        await file.rename(away)
        with pytest.raises(AuditError, match=replaced):
            await journal.append(draft())
        await away.rename(file)
        with pytest.raises(AuditError, match=replaced):
            await journal.append(draft())

    async with open_store(sqlite_url) as store:
        await Journal(store, MASTER, clock).append(draft())
    assert verified(sqlite_url).checked == 2


def test_a_full_disk_refuses_and_the_chain_goes_on_when_there_is_room(sqlite_url: str) -> None:
    command = [sys.executable, "-m", "tests.governance.audit.cramped", sqlite_url]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)

    assert (done.stdout, done.stderr) == ("refused 5\nrecovered 3\n", "")
    assert verified(sqlite_url).checked == 4


class Appender:
    """A process of `appender.py`, and what it acknowledged."""

    def __init__(self, process: Process) -> None:
        assert process.stdout is not None
        self.process = process
        self.acknowledged: list[Receipt] = []
        self.microseconds: list[int] = []
        self._output = TextReceiveStream(process.stdout)
        self._rest = ""

    async def read(self) -> bool:
        """Take in some of its output; false when it has ended."""
        try:
            self._rest += await self._output.receive()
        except anyio.EndOfStream:
            return False
        *lines, self._rest = self._rest.split("\n")
        for line in lines:
            if line != "ready":
                seq, shown, took = line.split()
                self.acknowledged.append(Receipt(int(seq), shown))
                self.microseconds.append(int(took))
        return True

    async def read_until(self, count: int) -> None:
        while len(self.acknowledged) < count and await self.read():
            pass

    async def stop(self) -> None:
        """Let it end by itself."""
        assert self.process.stdin is not None
        await self.process.stdin.aclose()
        await self.read_to_the_end()
        assert await self.process.wait() == 0

    async def read_to_the_end(self) -> None:
        while await self.read():
            pass


@asynccontextmanager
async def appending(url: str, name: str, tasks: int = 16) -> AsyncGenerator[Appender]:
    command = [sys.executable, "-m", "tests.governance.audit.appender", url, name, str(tasks)]
    async with await anyio.open_process(command, cwd=ROOT, stderr=None) as process:
        try:
            yield Appender(process)
        finally:
            if process.returncode is None:
                process.kill()


@contextmanager
def in_the_log(url: str) -> Generator[set[Receipt]]:
    place = backend(url)
    with place.reader() as connection, Session(connection) as session:
        yield {Receipt(seq, shown) for seq, shown in session.exec(select(EventRow.seq, EventRow.hash))}
    place.close()


async def test_two_processes_that_write_as_fast_as_they_can_do_not_starve_each_other(database_url: str) -> None:
    async with appending(database_url, "gateway") as one, appending(database_url, "mcp") as two:
        await one.read_until(1)
        await two.read_until(1)
        begin = max(one.acknowledged[-1].seq, two.acknowledged[-1].seq)
        async with anyio.create_task_group() as group:
            group.start_soon(one.read_until, 2000)
            group.start_soon(two.read_until, 2000)
        end = min(one.acknowledged[-1].seq, two.acknowledged[-1].seq)
        for each in (one, two):
            await each.stop()

    shares = [sum(begin < receipt.seq <= end for receipt in each.acknowledged) for each in (one, two)]
    assert min(shares) * 4 > max(shares)
    report = verified(database_url)
    with in_the_log(database_url) as kept:
        assert {*one.acknowledged, *two.acknowledged} <= kept
        assert report.checked == len(kept)


async def test_no_acknowledged_event_is_lost_when_writers_are_killed(database_url: str) -> None:
    acknowledged: set[Receipt] = set()

    async def live_and_die(round_: int, writer: int) -> None:
        async with appending(database_url, f"w{writer}", tasks=1 + 4 * writer) as appender:
            await appender.read_until(1 + 37 * round_ * (1 + writer))
            appender.process.kill()
            await appender.read_to_the_end()
            acknowledged.update(appender.acknowledged)

    for round_ in range(5):
        async with anyio.create_task_group() as group:
            for writer in range(4):
                group.start_soon(live_and_die, round_, writer)

    assert len(acknowledged) > 100
    report = verified(database_url)
    assert report.exit_code == 0
    assert report.checked >= len(acknowledged)
    with in_the_log(database_url) as kept:
        assert acknowledged <= kept


async def test_a_log_may_be_verified_while_it_grows(database_url: str) -> None:
    async with appending(database_url, "gateway") as appender:
        for count in (50, 100, 150):
            await appender.read_until(count)
            report = await anyio.to_thread.run_sync(verified, database_url)
            assert report.exit_code == 0
            assert report.checked >= count


def test_a_database_that_is_not_there_is_told_as_such(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="cannot be read: unable to open database file"):
        verified(f"sqlite:///{tmp_path}/nothing.db")

    assert not list(tmp_path.iterdir())
