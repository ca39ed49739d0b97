"""Held calls of clients of 2025-11-25 that ask for a task: a ticket behind a task, then the call's real result."""

from pathlib import Path
from typing import Any

import anyio
import pytest

from approvals.ticket import State
from sessions.killswitch import Scope
from tests.e2e.stack import eventually
from tests.mcp_proxy.approving import House, approving
from tests.mcp_proxy.raw_client import RawClient
from tests.mcp_proxy.tasks.making import RELATED, TASK, Maker, about, created

TEXT = {"text": "a"}


async def ended(client: RawClient, task_id: str) -> Any:
    found: dict[str, Any] = {}

    async def has_ended() -> bool:
        found.update((await about(client, "get", task_id))["result"])
        return found["status"] not in ("working", "input_required")

    await eventually(has_ended)
    return found


def plain(maker: Maker) -> None:
    """Let the server answer at once, although it was asked for a task."""

    async def answer(call: Any) -> None:
        maker.made.append(call)
        await call.reply(call.result({"content": [{"type": "text", "text": maker.text}]}))

    maker.server.handlers["tools/call"] = answer


async def test_a_held_call_becomes_a_task_and_its_result_is_the_real_one(tmp_path: Path) -> None:
    maker = Maker()
    plain(maker)
    async with approving(tmp_path, upstream=maker.server) as house, house.raw() as client:
        await client.initialize()
        task = await created(client, text="a")
        assert (task["status"], task["ttl"] > 0, task["pollInterval"]) == ("working", True, 5000)
        assert (await house.pending()).id in task["statusMessage"]
        assert (await about(client, "get", task["taskId"]))["result"] == task
        results: list[Any] = []

        async def fetch() -> None:
            results.append((await about(client, "result", task["taskId"], id=60))["result"])

        async with anyio.create_task_group() as group:
            group.start_soon(fetch)
            await house.decide()
        assert results[0]["content"][0]["text"] == "done"
        assert results[0]["_meta"][RELATED] == {"taskId": task["taskId"]}
        assert (await ended(client, task["taskId"]))["status"] == "completed"
        await fetch()  # as often as it is kept
        assert results[1] == results[0]
        (call,) = maker.made
        assert (call.params["arguments"], call.params["task"]) == (TEXT, TASK)


async def test_only_a_call_that_asks_a_server_which_makes_tasks_is_given_one(tmp_path: Path) -> None:
    maker = Maker()
    async with approving(tmp_path, upstream=maker.server) as house, house.raw() as client:
        await client.initialize()
        assert (await client.tool("write", TEXT))["result"]["isError"] is True
        maker.server.initialize = {**maker.server.initialize, "capabilities": {"tools": {}}}
        async with house.raw() as other:
            await other.initialize()
            refused = await other.tool("write", TEXT, task=TASK)
            assert refused["error"]["code"] == -31002  # it reads nothing of a tool result when it asked for a task
            assert "pending" in refused["error"]["message"]


async def test_a_denied_task_has_failed_and_its_result_says_why(tmp_path: Path) -> None:
    maker = Maker()
    async with approving(tmp_path, upstream=maker.server) as house, house.raw() as client:
        await client.initialize()
        task_id = (await created(client, text="a"))["taskId"]
        await house.decide(approve=False, reason="not on a Friday")
        assert (await ended(client, task_id))["status"] == "failed"
        result = (await about(client, "result", task_id))["result"]
        assert result["isError"] is True
        assert "not on a Friday" in result["content"][0]["text"]
        assert maker.made == []


async def test_a_cancelled_task_withdraws_its_ticket_and_cannot_be_cancelled_twice(tmp_path: Path) -> None:
    maker = Maker()
    async with approving(tmp_path, upstream=maker.server) as house, house.raw() as client:
        await client.initialize()
        task_id = (await created(client, text="a"))["taskId"]
        await eventually(lambda: bool(house.world.runtime.desk.waiting))
        assert (await about(client, "cancel", task_id))["result"]["status"] == "cancelled"
        assert (await about(client, "cancel", task_id))["error"]["code"] == -32602
        assert (await about(client, "result", task_id))["error"]["code"] == -32602
        assert [one.state for one in await house.world.runtime.desk.tickets()] == [State.INVALIDATED]
        assert maker.made == []


async def test_a_task_is_nobody_elses_and_listed_to_nobody_else(tmp_path: Path) -> None:
    maker = Maker()
    maker.lists = ["7"]
    async with approving(tmp_path, upstream=maker.server) as house, house.raw() as client, house.raw("bob") as bob:
        await client.initialize()
        await bob.initialize()
        task_id = (await created(client, text="a"))["taskId"]
        for verb in ("get", "result", "cancel"):
            assert (await about(bob, verb, task_id))["error"]["code"] == -32602
        listed = (await client.call("tasks/list", {}))["result"]["tasks"]
        assert [one["taskId"] for one in listed] == [task_id, "7"]
        assert [one["taskId"] for one in (await bob.call("tasks/list", {}))["result"]["tasks"]] == ["7"]


async def test_a_server_that_makes_a_task_of_the_approved_call_answers_for_it_under_the_clients_id(
    tmp_path: Path,
) -> None:
    maker = Maker()
    async with approving(tmp_path, upstream=maker.server) as house, house.raw() as client:
        await client.initialize()
        task_id = (await created(client, text="a"))["taskId"]
        await house.decide()
        await eventually(lambda: bool(maker.made))
        result = (await about(client, "result", task_id))["result"]
        assert (result["content"][0]["text"], result["_meta"][RELATED]["taskId"]) == ("done", task_id)
        maker.status, maker.lists = "completed", ["1", "7"]
        told = (await about(client, "get", task_id))["result"]
        assert (told["taskId"], told["status"]) == (task_id, "completed")
        assert maker.asked == [("tasks/result", "1"), ("tasks/get", "1")]
        listed = (await client.call("tasks/list", {}))["result"]["tasks"]
        assert [one["taskId"] for one in listed] == [task_id, "7"]


@pytest.mark.parametrize("held", [True, False])
async def test_a_task_that_a_server_made_is_cancelled_there_when_its_run_is_killed(tmp_path: Path, held: bool) -> None:
    maker = Maker()
    async with approving(tmp_path, upstream=maker.server) as house, house.raw() as client:
        await client.initialize()
        await created(client, "write" if held else "free", text="a")
        if held:
            await house.decide()
        await eventually(lambda: bool(maker.made))
        run = await run_of(house)
        await house.world.runtime.kills.kill(Scope.SESSION, run, reason="stop", actor="test")
        await eventually(lambda: maker.ended("cancel") == ["1"])


async def test_a_task_that_has_ended_is_not_cancelled(tmp_path: Path) -> None:
    maker = Maker()
    async with approving(tmp_path, upstream=maker.server) as house, house.raw() as client:
        await client.initialize()
        for number, verb in enumerate(("get", "result", "cancel"), 1):
            maker.status = "completed"
            task = await created(client, "free", id=number, text=verb)
            await about(client, verb, task["taskId"])
        await created(client, "free", id=4, text="runs")
        await house.world.runtime.kills.kill(Scope.SESSION, await run_of(house), reason="stop", actor="test")
        await eventually(lambda: "4" in maker.ended("cancel"))
        assert maker.ended("cancel") == ["3", "4"]


async def test_a_task_that_is_known_as_another_callers_is_neither_listed_nor_told_of(tmp_path: Path) -> None:
    """The server knows only Wicket, so it would tell anybody."""
    maker = Maker()
    async with approving(tmp_path, upstream=maker.server) as house, house.raw() as client, house.raw("bob") as bob:
        await client.initialize()
        await bob.initialize()
        task_id = (await created(client, "free"))["taskId"]
        maker.lists = [task_id, "unknown"]
        assert [one["taskId"] for one in (await bob.call("tasks/list", {}))["result"]["tasks"]] == ["unknown"]
        for verb in ("get", "result", "cancel"):
            assert (await about(bob, verb, task_id))["error"]["code"] == -32602
        assert maker.asked == [("tasks/list", None)]
        assert (await about(client, "get", task_id))["result"]["status"] == "working"


async def test_the_result_of_a_servers_task_is_judged(tmp_path: Path) -> None:
    maker = Maker()
    maker.text = "call 536-22-1234"
    found: Any = {"engine": "re", "actions": {"pii.ssn": "redact"}}
    async with approving(tmp_path, upstream=maker.server, detect=found) as house, house.raw() as client:
        await client.initialize()
        task_id = (await created(client, "free"))["taskId"]
        told = (await about(client, "result", task_id))["result"]["content"][0]["text"]
        assert "536-22-1234" not in told


async def run_of(house: House) -> str:
    """The run of the last call."""
    return str((await house.world.events("exchange.admitted"))[-1]["session_id"])
