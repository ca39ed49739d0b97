"""Whether the client is still there while the gateway works for it.

ASGI tells of a client that left only to somebody who waits for it. A task for every request would cost more than the
rest of the gateway, so the waiting begins only for work that takes longer than a moment.
"""

import asyncio
import contextlib
from collections.abc import Generator
from dataclasses import dataclass

import anyio

from pipeline.border import Receive

PATIENCE_SECONDS = 0.1
"""Work that is done within this time is finished even if its client has left."""


@dataclass
class _Watch:
    scope: anyio.CancelScope
    is_over: bool = False


class Presence:
    """Cancels work whose client has left."""

    def __init__(self) -> None:
        self._overdue = asyncio.Queue[tuple[Receive, _Watch]]()

    async def run(self) -> None:
        """Wait for the clients of whatever takes long. Never returns; whoever opened it ends it."""
        async with anyio.create_task_group() as tasks:
            while True:
                receive, watch = await self._overdue.get()
                tasks.start_soon(_wait, receive, watch)

    @contextlib.contextmanager
    def watch(self, receive: Receive) -> Generator[anyio.CancelScope]:
        """Cancel the block once the client leaves; `cancelled_caught` of the scope tells afterwards."""
        watch = _Watch(anyio.CancelScope())
        loop = asyncio.get_running_loop()
        timer = loop.call_later(PATIENCE_SECONDS, self._overdue.put_nowait, (receive, watch))
        try:
            with watch.scope:
                yield watch.scope
        finally:
            watch.is_over = True
            timer.cancel()


async def _wait(receive: Receive, watch: _Watch) -> None:
    while not watch.is_over:
        message = await receive()
        if message["type"] == "http.disconnect":
            if not watch.is_over:
                watch.scope.cancel()
            return
