"""Child processes at the moments at which things go wrong."""

import os
import sys
import tracemalloc

import anyio
import anyio.lowlevel
import pytest

from governance.config.models import Limits
from mcp_proxy.link import Era, UpstreamUnreachableError
from mcp_proxy.pulse import Pulse
from mcp_proxy.transports import stdio
from mcp_proxy.transports.stdio import StdioServer
from mcp_proxy.transports.stdio_child import Command
from tests.conftest import ManualClock
from tests.mcp_proxy.transports.stage_props import ANN, BEN, ask, plain_server, read_all, tool, words


async def test_a_child_that_ends_at_once_or_is_not_wanted_any_more_takes_nobody_with_it(
    clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended: list[int] = []

    def end(group: int, number: int) -> None:
        ended.append(group)
        real(group, number)

    real = os.killpg
    monkeypatch.setattr(os, "killpg", end)
    with anyio.fail_after(20):
        for turns in range(8):  # it is cancelled at every moment of its start
            server = StdioServer(
                "it", Command("sleep", ("600",)), limits=Limits(), pulse=Pulse("it", clock, lambda: 0.0)
            )
            async with anyio.create_task_group() as group:
                group.start_soon(server.open, ANN, Era.LEGACY)
                for _ in range(turns):
                    await anyio.lowlevel.checkpoint()
                group.cancel_scope.cancel()
            await server.aclose()
            assert server.vitals.failures == 0
        server = StdioServer("it", Command("true"), limits=Limits(), pulse=Pulse("it", clock, lambda: 0.0))
        for _ in range(20):
            await server.open(ANN, Era.LEGACY)
            await server.exited.wait()
            server.exited = anyio.Event()
            clock.advance(60)
        await server.aclose()
    assert 0 not in ended
    assert os.getpgid(0) not in ended


def running(code: str, clock: ManualClock, **limits: float) -> StdioServer:
    """A server that is a few lines of Python."""
    command = Command(sys.executable, ("-c", code))
    return StdioServer(
        "it", command, limits=Limits.model_validate(limits), pulse=Pulse("it", clock, lambda: 0.0), alone=False
    )


async def test_a_call_to_a_child_that_never_reads_is_given_up(clock: ManualClock) -> None:
    server = running("import time; time.sleep(600)", clock, upstream_seconds=0.2)
    with anyio.fail_after(20):
        link = await server.open(ANN, Era.LEGACY)

        async def fill() -> None:
            for number in range(1000):  # far more than the pipe takes
                await link.send(tool(number, "echo", text="x" * 20_000))
                await anyio.lowlevel.checkpoint()

        with pytest.raises(UpstreamUnreachableError, match="has not read its input"):
            await fill()
        await server.aclose()


async def test_a_child_that_asks_and_never_reads_the_answers_does_not_fill_the_memory(clock: ManualClock) -> None:
    ask = 'b\'{"jsonrpc":"2.0","id":1,"method":"roots/list"}\\n\''
    done = 'b\'{"jsonrpc":"2.0","id":1,"result":{}}\\n\''
    code = f"import sys; o=sys.stdout.buffer; sys.stdin.buffer.readline(); o.write({ask}*25000+{done}); o.flush()\n"
    server = running(code + "import time; time.sleep(600)", clock)
    with anyio.fail_after(120):
        link = await server.open(ANN, Era.MODERN)
        tracemalloc.start()
        try:
            await read_all(await link.send(tool(1, "echo")))  # answered after all the asking
            held, _ = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert held < 2 * 2**20
        await server.aclose()


async def test_one_key_cannot_take_every_child(clock: ManualClock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stdio, "MOST_OF_ONE_KEY", 1)
    with anyio.fail_after(10):
        async with plain_server(clock) as server:
            link = await server.open(ANN, Era.LEGACY)
            with pytest.raises(UpstreamUnreachableError, match="1 sessions with this key"):
                await server.open(ANN, Era.MODERN)
            assert words(await ask(await server.open(BEN, Era.LEGACY), tool(0, "echo"))) == "echo"
            await link.close()
            await server.open(ANN, Era.LEGACY)


async def test_a_child_that_does_not_want_to_end_counts_until_it_has(
    clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stdio, "MOST_OF_ONE_KEY", 1)
    monkeypatch.setattr("mcp_proxy.transports.stdio_child.GRACE_SECONDS", 0.5)
    with anyio.fail_after(20):
        async with plain_server(clock) as server:
            link = await server.open(ANN, Era.LEGACY)
            assert words(await ask(link, tool(1, "stubborn"))) == "stubborn"
            async with anyio.create_task_group() as group:
                group.start_soon(link.close)
                await anyio.lowlevel.checkpoint()
                with pytest.raises(UpstreamUnreachableError, match="1 sessions with this key"):
                    await server.open(ANN, Era.LEGACY)
            await server.open(ANN, Era.LEGACY)
