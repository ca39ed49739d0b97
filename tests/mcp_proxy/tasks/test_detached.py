"""Held calls whose rule lets them run although their client has gone."""

from pathlib import Path

import anyio
import pytest

from approvals.ticket import State
from governance.jsontree import JsonObject
from mcp_proxy.tasks import task as tasks
from tests.e2e.stack import eventually
from tests.mcp_proxy.approving import MODERN, House, approving, write
from tests.mcp_proxy.raw_upstream import RawUpstream
from tests.mcp_proxy.tasks.asking import ask, given, told

HOLD: JsonObject = {"id": "ask", "match": {"tool": "write"}, "decide": "hold", "run_detached": True}
ALSO: JsonObject = {"id": "ask-too", "match": {"action": "tool.call"}, "decide": "hold"}
DETACHED: JsonObject = {"version": 1, "default": "allow", "rules": [HOLD]}
NOT_ALL: JsonObject = {"version": 1, "default": "allow", "rules": [HOLD, ALSO]}


async def waits(house: House) -> None:
    await eventually(lambda: bool(house.world.runtime.desk.waiting))


async def leaves_while_held(house: House, mode: str) -> None:
    """Make a call with the official client, and end it once it waits for a person."""
    async with house.client(mode) as client, anyio.create_task_group() as group:
        group.start_soon(client.call_tool, "write", {"text": "a"})
        await waits(house)
        group.cancel_scope.cancel()


@pytest.mark.parametrize("mode", [MODERN])
async def test_an_approved_call_runs_once_although_its_client_has_gone(tmp_path: Path, mode: str) -> None:
    async with approving(tmp_path, policy=DETACHED, wait_seconds=20) as house:
        await leaves_while_held(house, mode)
        await house.decide()
        await eventually(lambda: house.marks == ["a"])
        async with house.raw() as client:  # its approval is used up: the same call made again asks again
            assert (await given(client, write("a")))["resultType"] == "task"
        assert house.marks == ["a"]


async def test_a_call_of_an_older_client_goes_on_in_its_session(tmp_path: Path) -> None:
    upstream = RawUpstream()
    async with approving(tmp_path, upstream=upstream, policy=DETACHED, wait_seconds=20) as house, house.raw() as client:
        await client.initialize()
        async with anyio.create_task_group() as group:
            group.start_soon(client.tool, "write", {"text": "a"})
            await waits(house)
            group.cancel_scope.cancel()
        await house.decide()

        def made() -> bool:
            return [one.message.get("method") for one in upstream.calls].count("tools/call") == 1

        await eventually(made)


async def test_a_denied_call_of_a_client_that_has_gone_never_runs(tmp_path: Path) -> None:
    async with approving(tmp_path, policy=DETACHED, wait_seconds=20) as house:
        await leaves_while_held(house, MODERN)
        await house.decide(approve=False)
        await eventually(lambda: not house.world.runtime.desk.waiting)
        assert house.marks == []


async def test_every_rule_that_holds_must_let_the_client_go(tmp_path: Path) -> None:
    async with approving(tmp_path, policy=NOT_ALL, wait_seconds=20) as house:
        await leaves_while_held(house, MODERN)
        await eventually(lambda: not house.world.runtime.desk.waiting)
        await house.decide()
        assert [one.state for one in await house.world.runtime.desk.tickets()] == [State.APPROVED]
        assert house.marks == []


async def test_a_call_that_was_called_off_never_runs_whatever_its_rule_says(tmp_path: Path) -> None:
    upstream = RawUpstream()
    async with approving(tmp_path, upstream=upstream, policy=DETACHED, wait_seconds=20) as house, house.raw() as client:
        await client.initialize()
        async with anyio.create_task_group() as group:
            group.start_soon(client.tool, "write", {"text": "a"})
            await waits(house)
            assert await client.notify("notifications/cancelled", {"requestId": 1}) == 202
            group.cancel_scope.cancel()
        await eventually(lambda: not house.world.runtime.desk.waiting)
        await house.decide()
        assert "tools/call" not in [one.message.get("method") for one in upstream.calls]


async def test_a_task_runs_although_nobody_polls_and_keeps_its_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with approving(tmp_path, policy=DETACHED) as house, house.raw() as client:
        task_id = (await given(client, write("a")))["taskId"]
        cancelled = (await given(client, write("b")))["taskId"]
        await ask(client, "cancel", cancelled)
        await waits(house)
        monkeypatch.setattr(tasks, "GONE_AFTER_POLLS", 0)
        await house.decide()
        await eventually(lambda: house.marks == ["a"])

        async def has_ended() -> bool:
            return len(await house.world.events("exchange.completed")) > 0

        await eventually(has_ended)
        found: list[str] = []

        async def fetched() -> bool:
            found.append((await told(client, task_id))["status"])
            return found[-1] == "completed"

        await eventually(fetched)
        assert house.marks == ["a"]
