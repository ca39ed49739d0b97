"""A worker serves everything that is queued at once, in order, and wakes all who wait."""

import asyncio
import threading
from collections.abc import Sequence

import anyio
import pytest

from governance.store.workers import Job, Worker


class Number(Job):
    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number


class Doubler:
    """Doubles numbers, refuses 13, and remembers its batches."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.free = threading.Event()
        self.free.set()
        self.stopped = 0

    def serve(self, batch: Sequence[Number]) -> None:
        assert self.free.wait(10)
        self.batches.append([job.number for job in batch])
        for job in batch:
            job.result = job.number * 2
            if job.number == 13:
                job.error = ValueError("13")

    def stop(self) -> None:
        self.stopped += 1


async def test_what_queues_while_the_worker_is_busy_becomes_one_batch() -> None:
    doubler = Doubler()
    worker = Worker("doubler", doubler.serve, doubler.stop)
    doubler.free.clear()
    first = worker.submit(Number(0))
    rest = [worker.submit(Number(number)) for number in range(1, 10)]
    doubler.free.set()

    assert await asyncio.gather(first, *rest) == list(range(0, 20, 2))
    assert [number for batch in doubler.batches for number in batch] == list(range(10))
    assert len(doubler.batches) <= 2
    await worker.close()


async def test_a_batch_is_bounded() -> None:
    doubler = Doubler()
    worker = Worker("doubler", doubler.serve, doubler.stop, most=4)
    await asyncio.gather(*(worker.submit(Number(number)) for number in range(10)))

    assert max(len(batch) for batch in doubler.batches) <= 4
    await worker.close()


async def test_each_waiter_gets_its_own_end() -> None:
    doubler = Doubler()
    worker = Worker("doubler", doubler.serve, doubler.stop)
    good, bad, left = (worker.submit(Number(number)) for number in (1, 13, 2))
    left.cancel()

    assert await good == 2
    with pytest.raises(ValueError, match="13"):
        await bad
    assert left.cancelled()
    await worker.close()


async def test_closing_serves_what_is_queued_and_ends_the_thread() -> None:
    doubler = Doubler()
    worker = Worker("doubler", doubler.serve, doubler.stop)
    doubler.free.clear()
    waiting = [worker.submit(Number(number)) for number in range(5)]
    async with anyio.create_task_group() as group:
        group.start_soon(worker.close)
        group.start_soon(worker.close)
        await asyncio.sleep(0)
        doubler.free.set()

    assert [waiter.result() for waiter in waiting] == [0, 2, 4, 6, 8]
    assert doubler.stopped == 1
    assert "doubler" not in {thread.name for thread in threading.enumerate()}
