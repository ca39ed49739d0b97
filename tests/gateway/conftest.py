"""A provider and a gateway in front of it."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator
from contextlib import AbstractAsyncContextManager
from typing import TypeVar

import pytest

from tests.gateway.house import House, config_for, running_gateway
from tests.gateway.provider import Provider, running_provider

T = TypeVar("T")


@contextlib.asynccontextmanager
async def hosted(manager: AbstractAsyncContextManager[T]) -> AsyncGenerator[T]:
    """`manager` in a task of its own: pytest enters and leaves a fixture in two tasks, task groups allow only one."""
    loop = asyncio.get_running_loop()
    opened: asyncio.Future[T] = loop.create_future()
    closing = asyncio.Event()

    async def host() -> None:
        async with manager as value:
            opened.set_result(value)
            await closing.wait()

    task = loop.create_task(host())
    await asyncio.wait((task, opened), return_when=asyncio.FIRST_COMPLETED)
    if task.done():
        await task
    try:
        yield await opened
    finally:
        closing.set()
        await task


@pytest.fixture
async def provider() -> AsyncGenerator[Provider]:
    async with running_provider() as provider:
        yield provider


@pytest.fixture
async def house(provider: Provider) -> AsyncGenerator[House]:
    async with hosted(running_gateway(House(config_for(provider.url, body_bytes=100_000)))) as house:
        yield house
