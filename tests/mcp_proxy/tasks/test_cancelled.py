"""Tasks that their client cancels: whatever they were about to do is not done, and nobody waits for them any more."""

import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import anyio
import pytest

from approvals.store import SqlTickets
from approvals.ticket import State
from tests.e2e.stack import eventually
from tests.mcp_proxy.approving import approving, post, result, retry, write
from tests.mcp_proxy.bridge.modern_scene import ACCEPTED
from tests.mcp_proxy.bridge.test_governed import Scene, scene
from tests.mcp_proxy.raw_upstream import Call, RawUpstream
from tests.mcp_proxy.tasks.asking import ask, declaring, given, told

HELD: dict[str, Any] = {"id": "ask", "match": {"tool": "note"}, "decide": "hold"}
POLICY: dict[str, Any] = {"version": 1, "default": "allow", "rules": [HELD]}
OPEN: dict[str, Any] = {"version": 1, "default": "allow", "rules": []}


async def asked_in(it: Scene) -> tuple[str, str]:
    """A task in which the server asks something, and the key of the question."""
    task_id = (await given(it.client, {"name": "note", "arguments": {}}, "form"))["taskId"]
    found: dict[str, Any] = {}

    async def is_asked() -> bool:
        for ticket in await it.world.runtime.desk.tickets([State.PENDING]):
            await it.world.runtime.desk.approve(ticket.id, by="anna")
        found.update(await told(it.client, task_id))
        return "inputRequests" in found

    await eventually(is_asked)
    return task_id, next(iter(found["inputRequests"]))


async def test_a_call_is_not_made_that_is_cancelled_after_its_approval_was_used_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with approving(tmp_path) as house, house.raw() as client:
        task_id = (await given(client, write("a")))["taskId"]
        consume: Callable[..., Awaitable[bool]] = SqlTickets.consume

        async def cancelled_meanwhile(store: SqlTickets, *args: Any, **more: Any) -> bool:
            used = await consume(store, *args, **more)
            await ask(client, "cancel", task_id)
            return used

        monkeypatch.setattr(SqlTickets, "consume", cancelled_meanwhile)
        await house.decide()

        async def is_over() -> bool:
            return bool(await house.world.events("exchange.completed"))

        await eventually(is_over)
        assert (await told(client, task_id))["status"] == "cancelled"
        assert house.marks == []


async def test_answers_that_come_after_the_cancelling_make_no_call(tmp_path: Path) -> None:
    rounds: list[Any] = []

    async def asks(call: Call) -> None:
        rounds.append(call.params.get("inputResponses"))
        question: Any = {"method": "elicitation/create", "params": {"message": "which?", "requestedSchema": {}}}
        result: Any = {"resultType": "input_required", "inputRequests": {"word": question}, "requestState": "s"}
        await call.reply(call.result(result))

    upstream = RawUpstream({"tools/call": asks})
    async with approving(tmp_path, upstream=upstream) as house, house.raw() as client:
        capabilities = declaring("form")
        _, message = await post(client, write("a"), capabilities=capabilities)
        task_id = message["result"]["taskId"]
        await house.decide()

        async def is_made() -> bool:
            return bool(rounds)

        await eventually(is_made)  # rules that change before that would make the approval stale
        (tmp_path / "policy.yaml").write_text(json.dumps(OPEN))
        await house.world.runtime.policies.reload()  # what goes on is held no more
        found: dict[str, Any] = {}

        async def is_asked() -> bool:
            found.update(await told(client, task_id))
            return "inputRequests" in found

        await eventually(is_asked)
        await ask(client, "cancel", task_id)
        answers = dict.fromkeys(found["inputRequests"], ACCEPTED)
        await ask(client, "update", task_id, inputResponses=answers, capabilities=capabilities)
        assert (await told(client, task_id))["status"] == "cancelled"
        assert rounds == [None]


async def test_a_server_that_waits_for_answers_is_told_that_the_task_was_cancelled(tmp_path: Path) -> None:
    async with scene(tmp_path, POLICY) as it:
        task_id, _ = await asked_in(it)
        (session,) = it.upstream.sessions.values()
        cancelled = session.expect("notifications/cancelled")
        await ask(it.client, "cancel", task_id)
        await cancelled.wait()
        assert it.answered == []


async def test_a_ticket_stays_open_that_the_same_call_still_waits_for(tmp_path: Path) -> None:
    """Made as another task, held, or told to come back: who cancels a task speaks for that task alone."""
    async with approving(tmp_path, wait_seconds=20) as house, house.raw() as client:
        cancelled, other = [(await given(client, write("a")))["taskId"] for _ in range(2)]
        await ask(client, "cancel", cancelled)
        assert (await told(client, cancelled))["status"] == "cancelled"
        assert (await told(client, other))["status"] == "working"
        answers: list[Any] = []

        async def held() -> None:
            answers.append(await post(client, write("a")))

        desk, ticket = house.world.runtime.desk, await house.pending()
        async with anyio.create_task_group() as group:
            group.start_soon(held)
            await eventually(lambda: desk.waiters(ticket.id) > 1)
            await ask(client, "cancel", other)
            await eventually(lambda: desk.waiters(ticket.id) == 1)
            await house.decide()
        assert answers[0][1]["result"]["content"][0]["text"] == "wrote a"
        assert house.marks == ["a"]


async def test_a_ticket_stays_open_for_which_a_client_was_told_to_come_back(tmp_path: Path) -> None:
    async with approving(tmp_path) as house, house.raw() as client:
        asked = await result(client, write("a"), "url")
        task_id = (await given(client, write("a")))["taskId"]
        await ask(client, "cancel", task_id)
        await house.decide()
        answer = await result(client, retry("a", asked, action="accept"), "url")
        assert answer["content"][0]["text"] == "wrote a"
