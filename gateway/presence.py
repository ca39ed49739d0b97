"""Whether the client is still there while the gateway works for it.

ASGI tells of a client that left only to somebody who waits for it. A task for every request would cost more than the
rest of the gateway, so the waiting begins only for work that takes longer than a moment.
"""

import asyncio
import contextlib
from collections.abc import Generator
from dataclasses import dataclass

import anyio
from anyio.abc import TaskGroup

from pipeline.border import Receive

PATIENCE_SECONDS = 0.1
"""Work that is done within this time is finished even if its client has left."""


@dataclass
class _Watch:
    scope: anyio.CancelScope
    is_over: bool = False


class Presence:
    """Cancels work whose client has left.

    Args:
        tasks: where the waiting is done; whoever opened it closes it.
    """

    def __init__(self, tasks: TaskGroup) -> None:
        self._tasks = tasks

    @contextlib.contextmanager
    def watch(self, receive: Receive) -> Generator[anyio.CancelScope]:
        """Cancel the block once the client leaves; `cancelled_caught` of the scope tells afterwards."""
        watch = _Watch(anyio.CancelScope())
        timer = asyncio.get_running_loop().call_later(PATIENCE_SECONDS, self._begin, receive, watch)
        try:
            with watch.scope:
                yield watch.scope
        finally:
            watch.is_over = True
            timer.cancel()

    def _begin(self, receive: Receive, watch: _Watch) -> None:
        self._tasks.start_soon(_wait, receive, watch)


async def _wait(receive: Receive, watch: _Watch) -> None:
    while not watch.is_over:
        message = await receive()
        if message["type"] == "http.disconnect":
            if not watch.is_over:
                watch.scope.cancel()
            return
