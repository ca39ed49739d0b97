"""What one client may have under way on its pipe, and what it is told of requests that nobody answers any more."""

from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import anyio
import orjson
import pytest

from mcp_proxy.calls import Calls
from mcp_proxy.eras import ParamHeaders
from mcp_proxy.lens import Caller
from mcp_proxy.link import NO_HEADERS, Condition, Era, Event, Link, Outlet, UpstreamError
from mcp_proxy.message import MalformedMessageError, Message
from mcp_proxy.transports import piped_front
from mcp_proxy.transports.piped_front import Pipe, PipedClient, open_client
from tests.mcp_proxy.harness import SeenTools
from tests.mcp_proxy.transports.stage_props import ANN, notification, request


@dataclass
class Slow:
    """A relay that answers requests when it is told to, and takes everything else at once."""

    carried: list[str] = field(default_factory=list[str])
    answers: anyio.Event = field(default_factory=anyio.Event)

    async def carry(
        self,
        message: Message,
        link: Link,
        caller: Caller,
        outlet: Outlet,
        calls: Calls,
        headers: Mapping[str, str] = NO_HEADERS,
    ) -> Exception | None:
        self.carried.append(message.method)
        if message.is_request:
            await self.answers.wait()
            await outlet.put(Event(Message.build({"jsonrpc": "2.0", "id": message.id, "result": {}})))
        return None

    async def listen(
        self, link: Link, caller: Caller, outlet: Outlet, calls: Calls, headers: Mapping[str, str] = NO_HEADERS
    ) -> None:
        await anyio.sleep_forever()


class Nowhere:
    """A server to which nothing leads: the relay does not ask it."""

    name, transport, condition = "files", "stdio", Condition()

    async def open(self, principal: Any, era: Era) -> Any:
        return self

    async def close(self) -> None:
        pass

    async def aclose(self) -> None:
        pass


@asynccontextmanager
async def client(relay: Slow, told: list[dict[str, Any]]) -> AsyncGenerator[PipedClient]:
    async def write(raw: bytes) -> None:
        told.append(orjson.loads(raw))

    async def record(error: MalformedMessageError) -> None:
        raise AssertionError(str(error))

    pipe = Pipe(ANN, "stdio", "s1", write, record)
    async with open_client(relay, Nowhere(), pipe, ParamHeaders(SeenTools())) as opened:
        yield opened


async def test_a_request_beyond_the_bytes_that_may_be_under_way_is_refused_and_nothing_else_waits(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(piped_front, "MOST_BYTES", 1000)
    relay, told = Slow(), list[dict[str, Any]]()
    with anyio.fail_after(5):
        async with client(relay, told) as pipe:
            await pipe.carry(request(1, "tools/list", pad="x" * 2000))  # alone it may be as large as it likes
            await pipe.carry(request(2, "tools/list"))
            await pipe.carry(notification("notifications/cancelled", requestId=7))
            await anyio.wait_all_tasks_blocked()
            assert [one["id"] for one in told] == [2]
            assert "wait for answers first" in told[0]["error"]["message"]
            assert relay.carried == ["tools/list", "notifications/cancelled"]
            relay.answers.set()
            await pipe.finish(5)
            await pipe.carry(request(3, "tools/list"))
            await pipe.finish(5)
    assert [one["id"] for one in told] == [2, 1, 3]


async def test_who_is_told_that_no_answer_comes_is_told_nothing_else() -> None:
    relay, told = Slow(), list[dict[str, Any]]()
    with anyio.fail_after(5):
        async with client(relay, told) as pipe:
            await pipe.carry(request(1, "tools/list"))
            await anyio.wait_all_tasks_blocked()
            await pipe.give_up(UpstreamError("we are stopped"))
            relay.answers.set()
            await pipe.finish(5)
    assert [(one["id"], one["error"]["message"]) for one in told] == [(1, "we are stopped")]
