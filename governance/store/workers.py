"""A thread that serves jobs in batches, and how an event loop hands them in and gets the answers.

It knows nothing of databases. Whoever waits may be cancelled: the job is done all the same, only nobody is told.
"""

import asyncio
from collections.abc import Callable, Sequence
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Any, Generic, TypeVar

J = TypeVar("J", bound="Job")

BATCH = 1_000
"""Most jobs in one batch: bounds how long one process keeps its turn."""


class Job:
    """Something to be done by a worker, then the place where its result stands."""

    __slots__ = ("error", "result", "waiter")

    def __init__(self) -> None:
        self.waiter: asyncio.Future[Any] | None = None
        self.result: Any = None
        self.error: BaseException | None = None


class Worker(Generic[J]):
    """One thread. Everything that is queued when it is free becomes its next batch.

    What is submitted in one turn of the event loop is handed over together: a thread that is woken by the first of
    many jobs would serve it alone, and the loop and the thread would pass the interpreter lock to and fro for each.

    `serve` gets a batch, in the order of submission, and gives each job its `result` or its `error`; it runs in the
    thread and must not raise. `stopped` runs in the thread at the end.
    """

    def __init__(
        self, name: str, serve: Callable[[Sequence[J]], None], stopped: Callable[[], None], *, most: int = BATCH
    ) -> None:
        self._submitted: list[J] = []
        """Jobs of this turn of the loop, not yet handed over."""
        self._queue: SimpleQueue[list[J] | None] = SimpleQueue()
        self._serve = serve
        self._stopped = stopped
        self._most = most
        self._loop = asyncio.get_running_loop()
        self._ended = self._loop.create_future()
        self.closed = False
        self._thread = Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def submit(self, job: J) -> asyncio.Future[Any]:
        """Queue a job. To be called in the loop that the worker was made in, and not after `close`."""
        job.waiter = waiter = self._loop.create_future()
        if not self._submitted:
            self._loop.call_soon(self._hand_over)
        self._submitted.append(job)
        return waiter

    async def close(self) -> None:
        """Serve what is queued, then end. The thread is gone when this returns."""
        if not self.closed:
            self.closed = True
            self._hand_over()
            self._queue.put(None)
        await asyncio.shield(self._ended)
        self._thread.join()

    def _hand_over(self) -> None:
        if self._submitted:
            self._queue.put(self._submitted)
            self._submitted = []

    def _run(self) -> None:
        last = False
        while not last:
            jobs, last = self._take()
            for start in range(0, len(jobs), self._most):
                batch = jobs[start : start + self._most]
                self._serve(batch)
                self._tell(_settle, batch)
        self._stopped()
        self._tell(self._ended.set_result, None)

    def _take(self) -> tuple[list[J], bool]:
        """Everything that is queued, and whether nothing comes after it."""
        jobs = self._queue.get()
        if jobs is None:
            return [], True
        try:
            while more := self._queue.get_nowait():
                jobs += more
        except Empty:
            return jobs, False
        return jobs, True

    def _tell(self, what: Callable[[Any], None], about: Any) -> None:
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(what, about)


def _settle(batch: Sequence[Job]) -> None:
    """Wake all who wait for a batch; one call into the loop for all of them."""
    for job in batch:
        waiter = job.waiter
        if waiter is None or waiter.done():
            continue
        if job.error is None:
            waiter.set_result(job.result)
        else:
            waiter.set_exception(job.error)
