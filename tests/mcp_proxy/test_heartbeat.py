"""What a process says of its servers, while it lives."""

from collections.abc import Sequence

import anyio
import pytest

from governance.health.report import BEAT_SECONDS, Report
from governance.store import StoreError
from mcp_proxy.heartbeat import Heartbeat, told
from mcp_proxy.link import Era, UpstreamError
from tests.conftest import ManualClock
from tests.mcp_proxy.transports.stage_props import ANN, ask, plain_server, tool


class Board:
    """A board in memory."""

    def __init__(self) -> None:
        self.said: list[list[Report]] = []
        self.changed = anyio.Event()
        self.is_broken = False

    async def say(self, process: str, reports: Sequence[Report]) -> None:
        if self.is_broken:
            raise StoreError("the disk is full")
        self.said.append(list(reports))
        self.changed.set()


async def test_a_change_is_said_at_once_and_what_did_not_change_now_and_then(clock: ManualClock) -> None:
    board, now = Board(), [Report("files")]
    heart = Heartbeat("one", board, clock, lambda: list(now))
    await heart.beat()
    await heart.beat()
    assert len(board.said) == 1
    now[0] = Report("files", state="ready")
    await heart.beat()
    clock.advance(BEAT_SECONDS)
    await heart.beat()
    assert [reports[0].state for reports in board.said] == ["unknown", "ready", "ready"]


async def test_a_database_that_fails_stops_nothing_and_is_told_again_later(clock: ManualClock) -> None:
    board = Board()
    heart = Heartbeat("one", board, clock, lambda: [Report("files")])
    board.is_broken = True
    await heart.beat()
    board.is_broken = False
    await heart.beat()
    assert len(board.said) == 1


async def test_a_process_that_ends_takes_back_what_it_said(clock: ManualClock) -> None:
    board = Board()
    async with anyio.create_task_group() as group:
        group.start_soon(Heartbeat("one", board, clock, lambda: [Report("files")]).run)
        await board.changed.wait()
        group.cancel_scope.cancel()
    assert board.said == [[Report("files")], []]


async def test_a_child_that_crashed_and_was_started_again_is_told_with_its_last_error(clock: ManualClock) -> None:
    with anyio.fail_after(30):
        async with plain_server(clock) as server:
            link = await server.open(ANN, Era.MODERN)
            with pytest.raises(UpstreamError):
                await ask(link, tool(1, "crash"))
            (one,) = told({"plain": server}, {"plain": 2}.__getitem__)
            assert (one.state, one.restarts, one.failures, one.tools) == ("failing", 0, 1, 2)
            clock.advance(5)
            await ask(link, tool(3, "echo"))
            (one,) = told({"plain": server}, lambda _: 0)
    assert (one.state, one.starts, one.restarts, one.last_error) == ("ready", 2, 1, "it exited with 7")
    assert one.since > one.last_error_at
