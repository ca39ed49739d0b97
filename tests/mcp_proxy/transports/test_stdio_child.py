"""Child processes at the moments at which things go wrong."""

import os

import anyio
import anyio.lowlevel
import pytest

from governance.config.models import Limits
from mcp_proxy.link import Era
from mcp_proxy.pulse import Pulse
from mcp_proxy.transports.stdio import StdioServer
from mcp_proxy.transports.stdio_child import Command
from tests.conftest import ManualClock
from tests.mcp_proxy.transports.stage_props import ANN


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
