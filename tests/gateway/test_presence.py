"""Whether the client is still there."""

import asyncio

import anyio
import pytest

from gateway import presence
from gateway.presence import Presence
from pipeline.border import AsgiMessage


async def test_work_is_cancelled_when_its_client_leaves(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(presence, "PATIENCE_SECONDS", 0)
    leaves = asyncio.Event()
    watched = Presence()

    async def receive() -> AsgiMessage:
        leaves.set()
        return {"type": "http.disconnect"}

    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(watched.run)
            with watched.watch(receive) as scope:
                await anyio.sleep_forever()
            assert leaves.is_set()
            assert scope.cancelled_caught
            tasks.cancel_scope.cancel()


async def test_work_that_is_quick_is_never_waited_beside() -> None:
    watched = Presence()

    async def receive() -> AsgiMessage:
        raise AssertionError("nobody should have asked")

    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(watched.run)
            with watched.watch(receive) as scope:
                await anyio.lowlevel.checkpoint()
            assert not scope.cancelled_caught
            tasks.cancel_scope.cancel()


async def test_a_message_that_comes_after_the_work_cancels_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(presence, "PATIENCE_SECONDS", 0)
    watched = Presence()
    asked, over = asyncio.Event(), asyncio.Event()

    async def receive() -> AsgiMessage:
        asked.set()
        await over.wait()
        return {"type": "http.disconnect"}

    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(watched.run)
            with watched.watch(receive) as scope:
                await asked.wait()
            over.set()
            await anyio.wait_all_tasks_blocked()
            assert not scope.cancel_called
            tasks.cancel_scope.cancel()
