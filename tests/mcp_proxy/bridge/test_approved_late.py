"""Approvals that come late: none is used up in vain, and none has to be given twice while it waits for others."""

import json
from pathlib import Path
from typing import Any

import pytest

from approvals.ticket import State
from governance.jsontree import JsonObject
from mcp_proxy.bridge.conversation import Conversation
from mcp_proxy.link import Reply, UpstreamError
from mcp_proxy.message import Message
from mcp_proxy.transports.mailbox import Mailbox
from mcp_proxy.transports.piped import CallReply
from tests.conftest import ManualClock
from tests.e2e.stack import eventually
from tests.mcp_proxy.bridge.modern_scene import ACCEPTED
from tests.mcp_proxy.bridge.test_governed import Scene, asks_two_things, scene
from tests.mcp_proxy.tasks.asking import ask, given, told

CALLS: JsonObject = {"id": "ask", "match": {"tool": "note"}, "decide": "hold"}
QUESTIONS: JsonObject = {"id": "ask-question", "match": {"action": "elicitation.create"}, "decide": "hold"}


def rules(*rules: JsonObject) -> JsonObject:
    return {"version": 1, "default": "allow", "rules": [*rules]}


async def states(it: Scene) -> list[State]:
    """Of all tickets, the oldest first."""
    return [one.state for one in reversed(await it.world.runtime.desk.tickets())]


async def passes(it: Scene, clock: ManualClock, seconds: float) -> None:
    """Time goes by, and the process keeps up."""
    clock.advance(seconds)
    await it.world.runtime.identity.refresh()


async def test_an_approval_is_not_used_up_for_a_call_that_the_server_gave_up(tmp_path: Path) -> None:
    clock = ManualClock()
    async with scene(tmp_path, rules(CALLS), clock) as it:
        asked = await it.approved((await it.tool("note", {}, id=1))["result"], id=2)
        (key,) = asked["inputRequests"]
        await passes(it, clock, 500)
        answers = {"inputResponses": {key: ACCEPTED}}
        held = (await it.tool("note", {}, id=3, requestState=asked["requestState"], **answers))["result"]
        await passes(it, clock, 200)  # longer than `limits.upstream_seconds` after the question
        late = await it.approved(held, id=4)
        assert "approval.late" in json.dumps(late)
        assert "make that call anew" in late["content"][0]["text"]
        assert await states(it) == [State.CONSUMED, State.APPROVED]
        assert it.made == 1


async def test_two_questions_approved_far_apart_need_one_approval_each(tmp_path: Path) -> None:
    clock = ManualClock()
    async with scene(tmp_path, rules(QUESTIONS), clock) as it:
        it.upstream.handlers["tools/call"] = asks_two_things
        held = (await it.tool("note", {}, id=1))["result"]
        desk = it.world.runtime.desk
        first, second = await desk.tickets([State.PENDING])
        await passes(it, clock, 10)
        await desk.approve(first.id, by="anna")
        opened = {key: {"action": "accept"} for key in held.get("inputRequests", {})}
        state = {"requestState": held["requestState"], "inputResponses": opened}
        held = (await it.tool("note", {}, id=2, **state))["result"]
        await passes(it, clock, 280)
        await desk.approve(second.id, by="anna")
        await passes(it, clock, 210)  # the first was approved longer ago than `timeout_seconds`
        asked = await it.approved(held, id=3)
        assert len(asked["inputRequests"]) == 2
        assert await states(it) == [State.CONSUMED] * 2
        (prolonged,) = await it.world.events("approval.prolonged")
        assert prolonged["approval_id"] == first.id


async def test_a_question_that_waits_for_approval_in_a_task_is_waited_for(tmp_path: Path) -> None:
    async with scene(tmp_path, rules(CALLS, QUESTIONS), wait_seconds=0) as it:
        task_id = (await given(it.client, {"name": "note", "arguments": {}}, "form"))["taskId"]
        desk, found = it.world.runtime.desk, dict[str, Any]()

        async def approve(action: str) -> None:
            async def waits() -> bool:
                return [one.field("action") for one in await desk.tickets([State.PENDING])] == [action]

            await eventually(waits)
            (ticket,) = await desk.tickets([State.PENDING])
            await eventually(lambda: ticket.id in desk.waiting)
            found.update(await told(it.client, task_id))
            assert (found["status"], ticket.id in found["statusMessage"]) == ("working", True)
            await desk.approve(ticket.id, by="anna")

        await approve("tool.call")
        await approve("elicitation.create")

        async def shows() -> bool:
            found.update(await told(it.client, task_id))
            return found["status"] == "input_required"

        await eventually(shows)
        assert [one["params"]["message"] for one in found["inputRequests"].values()] == ["which?"]
        assert it.made == 1


async def test_a_task_that_is_cancelled_asks_nobody_about_the_questions_of_its_server(tmp_path: Path) -> None:
    async with scene(tmp_path, rules(QUESTIONS, CALLS), wait_seconds=0) as it:
        task_id = (await given(it.client, {"name": "note", "arguments": {}}, "form"))["taskId"]
        desk = it.world.runtime.desk
        (call,) = await desk.tickets([State.PENDING])
        it.upstream.handlers["tools/call"] = asks_two_things
        await desk.approve(call.id, by="anna")

        async def waits() -> bool:
            return len(await desk.tickets([State.PENDING])) == 2 == len(desk.waiting)

        await eventually(waits)
        (session,) = it.upstream.sessions.values()
        cancelled = session.expect("notifications/cancelled")
        await ask(it.client, "cancel", task_id)
        await cancelled.wait()
        assert await desk.tickets([State.PENDING]) == []
        assert (await told(it.client, task_id))["status"] == "cancelled"


# -- whether a server still listens ------------------------------------------------------------------------------------


class Up:
    """A session with a server whose one answer is a mailbox."""

    def __init__(self) -> None:
        self.initialized: JsonObject = {}
        self.mailbox = Mailbox(max_bytes=1000)

    async def send(self, message: Message) -> Reply:
        return CallReply(self.mailbox, lambda: None)

    async def resume(self, place: str) -> Reply:
        raise AssertionError(place)

    def enter(self, talk: Conversation) -> int:
        return 1

    def leave(self, talk: Conversation) -> None:
        """Nothing is kept."""

    def tell(self, message: Message, /) -> None:
        raise AssertionError(message)


@pytest.mark.parametrize("error", [None, UpstreamError("it was silent")])
async def test_a_server_whose_stream_has_ended_waits_no_longer(error: UpstreamError | None) -> None:
    up = Up()
    talk = Conversation(up, Message.build({"jsonrpc": "2.0", "id": 7, "method": "tools/call", "params": {}}))
    await talk.start()
    said = Message.build({"jsonrpc": "2.0", "method": "notifications/message", "params": {}})
    assert await talk.waits()
    up.mailbox.put(said)
    assert await talk.waits()
    assert await talk.next() is said  # nothing is lost by looking
    assert await talk.waits()
    up.mailbox.end(error)
    assert not await talk.waits()
    assert not await talk.waits()
    await talk.cancel()
    assert not await talk.waits()
