"""Children that stand ready before anybody asks, and children that several clients share."""

import os
import signal
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import anyio
import pytest

from governance.config.models import Limits
from mcp_proxy.link import Era, Health, UpstreamError, UpstreamUnreachableError
from mcp_proxy.pulse import Pulse
from mcp_proxy.transports import stdio
from mcp_proxy.transports.stdio import StdioServer
from mcp_proxy.transports.stdio_child import Command
from tests.conftest import ManualClock
from tests.e2e.stack import eventually
from tests.mcp_proxy.transports.stage_props import ANN, BEN, ask, plain_server, read_all, tool, words
from tests.mcp_proxy.transports.test_stdio import has_ended, is_alive


@asynccontextmanager
async def ready(clock: ManualClock, *, common: bool = False) -> AsyncGenerator[StdioServer]:
    """A server of which a child stands ready."""
    with anyio.fail_after(30):
        async with anyio.create_task_group() as group:
            async with plain_server(clock, common=common) as server:
                group.start_soon(server.keep_ready)
                await started(server, 1)
                yield server
            group.cancel_scope.cancel()


async def started(server: StdioServer, times: int) -> None:
    """Wait until children were started so often, and the last one stands ready."""
    await eventually(lambda: server.vitals.starts >= times and server.is_ready)


def standing(server: StdioServer) -> int:
    """The process that stands ready."""
    assert server._spare is not None  # pyright: ignore[reportPrivateUsage]
    return server._spare.child.pid  # pyright: ignore[reportPrivateUsage]


async def pid_of(server: StdioServer, era: Era) -> int:
    return int(words(await ask(await server.open(ANN, era), tool(1, "pid"))))


async def test_a_child_runs_before_anybody_asks_and_serves_the_first_session(clock: ManualClock) -> None:
    async with ready(clock) as server:
        assert server.condition.health is Health.READY
        waiting = standing(server)
        assert await pid_of(server, Era.LEGACY) == waiting
        await started(server, 2)
        assert await pid_of(server, Era.LEGACY) != waiting
        assert await pid_of(server, Era.MODERN) != waiting


async def test_a_child_that_dies_while_it_waits_is_started_again_with_a_pause(clock: ManualClock) -> None:
    async with ready(clock) as server:
        for times in (2, 3):
            os.kill(standing(server), signal.SIGKILL)
            if times == 3:
                await eventually(lambda: server.pulse.wait > 0)
                assert server.vitals.last_error == "it was ended by signal 9"
                assert server.vitals.starts == 2
                clock.advance(1)
            await started(server, times)
        assert server.vitals.restarts == 2
        assert await pid_of(server, Era.LEGACY) > 0


async def test_a_command_that_does_not_run_is_tried_less_and_less_often(clock: ManualClock) -> None:
    server = StdioServer("gone", Command("/nonexistent/x"), limits=Limits(), pulse=Pulse("gone", clock, lambda: 0.0))
    with anyio.fail_after(30):
        async with anyio.create_task_group() as group:
            group.start_soon(server.keep_ready)
            await eventually(lambda: server.vitals.failures == 2)
            with pytest.raises(UpstreamUnreachableError, match="tried again in"):
                server.pulse.check()
            await server.aclose()


async def test_a_child_that_nobody_took_ends_with_the_server(clock: ManualClock) -> None:
    async with ready(clock) as server:
        pid = standing(server)
        await server.aclose()
        await has_ended(pid)
        assert not is_alive(pid)
        assert server.condition.health is Health.STOPPED


async def test_all_principals_share_the_one_child_and_equal_ids_never_mix(clock: ManualClock) -> None:
    async with ready(clock, common=True) as server:
        links = [await server.open(one, Era.MODERN) for one in (ANN, BEN) * 3]
        pids: set[str] = set()

        async def client(number: int) -> None:
            answered = await ask(links[number], tool(0, "echo", who=number))
            result = answered.value["result"]
            assert isinstance(result, dict)
            assert (answered.id, result["structuredContent"]) == (0, {"who": number})
            pids.add(words(await ask(links[number], tool(1, "pid"))))

        async with anyio.create_task_group() as group:
            for number in range(6):
                group.start_soon(client, number)
        assert len(pids) == 1
        assert server.vitals.starts == 1


async def test_what_belongs_to_no_call_reaches_no_stranger_on_the_one_child(clock: ManualClock) -> None:
    async with ready(clock, common=True) as server:
        link = await server.open(ANN, Era.MODERN)
        assert [message.method for message in await read_all(await link.send(tool(1, "log")))] == [""]


async def test_a_crash_of_the_one_child_fails_the_calls_of_all_and_it_comes_back_by_itself(clock: ManualClock) -> None:
    async with ready(clock, common=True) as server:
        ann, ben = await server.open(ANN, Era.MODERN), await server.open(BEN, Era.MODERN)
        waits = await ben.send(tool(1, "slow"))
        with pytest.raises(UpstreamError, match="stopped before it answered: it exited with 7"):
            await ask(ann, tool(1, "crash"))
        with pytest.raises(UpstreamError, match="exited with 7"):
            await read_all(waits)
        await started(server, 2)
        assert words(await ask(ben, tool(2, "echo"))) == "echo"


async def test_a_session_of_an_older_revision_never_gets_the_one_child(clock: ManualClock) -> None:
    async with ready(clock, common=True) as server:
        with pytest.raises(UpstreamUnreachableError, match="older revisions do not allow"):
            await server.open(ANN, Era.LEGACY)


async def shares(server: StdioServer, count: int) -> list[stdio.SharedLink]:
    """Shares of the one child of Ann."""
    links = [await server.open(ANN, Era.MODERN) for _ in range(count)]
    return [link for link in links if isinstance(link, stdio.SharedLink)]


async def test_a_child_that_was_given_up_and_started_again_ends_with_its_last_user(clock: ManualClock) -> None:
    with anyio.fail_after(10):
        async with plain_server(clock) as server:
            one, other = await shares(server, 2)
            one.retire("of no use")
            await one.close()
            pid = int(words(await ask(other, tool(1, "pid"))))
            await other.close()
            await has_ended(pid)


async def test_giving_up_a_child_twice_leaves_the_next_one_alone(clock: ManualClock) -> None:
    with anyio.fail_after(10):
        async with plain_server(clock) as server:
            one, other = await shares(server, 2)
            one.retire("of no use")
            pid = await pid_of(server, Era.MODERN)
            other.retire("of no use")
            assert await pid_of(server, Era.MODERN) == pid


async def test_closing_waits_for_a_child_that_was_let_go_before(
    clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stdio, "IDLE_SECONDS", 0.0)
    monkeypatch.setattr("mcp_proxy.transports.stdio_child.GRACE_SECONDS", 0.05)
    retired = anyio.Event()
    retire = stdio.SharedChild.retire

    def told(child: stdio.SharedChild, why: str) -> None:
        retire(child, why)
        retired.set()

    monkeypatch.setattr(stdio.SharedChild, "retire", told)
    with anyio.fail_after(10):
        async with plain_server(clock) as server:
            link = await server.open(ANN, Era.MODERN)
            pid = int(words(await ask(link, tool(0, "pid"))))
            await ask(link, tool(1, "stubborn"))
            await link.close()
            await retired.wait()
            assert is_alive(pid)
        assert not is_alive(pid)
