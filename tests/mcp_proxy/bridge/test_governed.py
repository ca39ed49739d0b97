"""What the bridge translates is judged by the real core: both legs of a call, and what its client answers."""

import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

import anyio
import pytest

from approvals.ticket import State
from governance.clock import Clock, SystemClock
from governance.jsontree import JsonObject
from mcp_proxy.bridge.request_state import STATE_KEY
from mcp_proxy.servers import open_servers
from mcp_proxy.tasks.task import EXTENSION
from sessions.killswitch import Scope
from tests.e2e.stack import eventually
from tests.mcp_proxy.bridge.modern_scene import ACCEPTED, FORM, elicits, envelope
from tests.mcp_proxy.harness import serving
from tests.mcp_proxy.raw_client import RawClient
from tests.mcp_proxy.raw_upstream import Call, RawUpstream
from tests.mcp_proxy.real_core import fronting, keyless
from tests.mcp_proxy.stage import MODERN
from tests.mcp_proxy.tasks.asking import ask, declaring, discovered, given, told
from tests.pipeline.world import World, open_world
from wicket.delivering import delivery_of

POLICY: JsonObject = {
    "version": 1,
    "default": "allow",
    "rules": [{"id": "no-rm", "match": {"tool": "rm"}, "decide": "deny", "reason": "nothing is removed here"}],
}


class Scene(NamedTuple):
    """What a test may look at."""

    world: World
    upstream: RawUpstream
    client: RawClient

    async def tool(self, name: str, arguments: Any, *, id: int, **more: Any) -> Any:  # noqa: A002 - as on the wire
        params = {"name": name, "arguments": arguments, **more, "_meta": envelope()}
        body = {"jsonrpc": "2.0", "id": id, "method": "tools/call", "params": params}
        lines = {"mcp_protocol_version": MODERN, "mcp_method": "tools/call", "mcp_name": name}
        async with self.client.send(body, **lines) as response:
            return json.loads(await response.read())

    @property
    def made(self) -> int:
        """How many calls of a tool reached the server."""
        return sum(call.message.get("method") == "tools/call" for call in self.upstream.calls)

    async def approved(self, asked: Any, *, id: int, **more: Any) -> Any:  # noqa: A002 - as on the wire
        """The call again, once what it waits for was approved and its page opened."""
        desk = self.world.runtime.desk
        for ticket in await desk.tickets([State.PENDING]):
            await desk.approve(ticket.id, by="anna")
        opened = {key: {"action": "accept"} for key in asked.get("inputRequests", {})}
        answers = {"inputResponses": opened, **more}
        return (await self.tool("note", {}, id=id, requestState=asked["requestState"], **answers))["result"]

    @property
    def answered(self) -> list[Any]:
        """What the server was answered to its questions."""
        return [answer for session in self.upstream.sessions.values() for answer in session.answers.values()]


@asynccontextmanager
async def scene(
    folder: Path, policy: JsonObject = POLICY, clock: Clock | None = None, **approvals: Any
) -> AsyncGenerator[Scene]:
    upstream, clock = RawUpstream(), clock or SystemClock()

    async def unknown(call: Call) -> None:
        error = {"code": -32601, "message": "no such method"}
        await call.reply(json.dumps({"jsonrpc": "2.0", "id": call.id, "error": error}).encode())

    upstream.handlers |= {"server/discover": unknown, "tools/call": elicits}

    with anyio.fail_after(30):
        async with serving(upstream) as url:
            settings: dict[str, Any] = {
                "identity": {"anonymous": True},
                "approvals": {"wait_seconds": 0.2, **approvals},
                "detect": {"engine": "re", "actions": {"pii.ssn": "redact"}},
                "mcpServers": {"files": {"url": url, "type": "http", "pins": "off"}},
            }
            database = f"sqlite:///{folder}/wicket.db"
            async with open_world(database, folder, clock, policy, **settings) as world:
                core = world.runtime
                async with (
                    open_servers(core.config, clock, lambda: 0.0, core.key_for(STATE_KEY)) as servers,
                    fronting(core, servers, place=core.roll.place, delivery=delivery_of(core)) as front,
                    keyless(f"{front}/mcp/files") as client,
                ):
                    yield Scene(world, upstream, client)


async def test_what_a_client_answers_is_redacted_before_the_server_sees_it(tmp_path: Path) -> None:
    async with scene(tmp_path) as it:
        arguments = {"text": "my ssn is 078-05-1121"}
        asked = (await it.tool("note", arguments, id=1))["result"]
        (key,) = asked["inputRequests"]
        answers = {key: {"action": "accept", "content": {"word": "it is 078-05-1121"}}}
        told = await it.tool("note", arguments, id=2, inputResponses=answers, requestState=asked["requestState"])
        assert "078-05-1121" not in json.dumps([call.message for call in it.upstream.calls])
        assert told["result"]["structuredContent"]["content"]["word"].startswith("it is ")
        assert (await it.world.types()).count("exchange.admitted") == 3  # each leg, and the question


async def test_a_refused_tool_opens_no_session_with_the_server(tmp_path: Path) -> None:
    async with scene(tmp_path) as it:
        told = await it.tool("rm", {}, id=1)
        assert "no-rm" in told["result"]["content"][0]["text"]
        assert [call for call in it.upstream.calls if call.message.get("method") == "tools/call"] == []


async def test_a_run_that_was_killed_does_not_take_up_its_suspended_call(tmp_path: Path) -> None:
    async with scene(tmp_path) as it:
        asked = (await it.tool("note", {}, id=1))["result"]
        (key,) = asked["inputRequests"]
        session = str((await it.world.events("exchange.admitted"))[-1]["session_id"])
        await it.world.runtime.kills.kill(Scope.SESSION, session, reason="enough", actor="anna")
        more = {"inputResponses": {key: ACCEPTED}, "requestState": asked["requestState"]}
        told = await it.tool("note", {}, id=2, **more)
        assert "enough" in told["result"]["content"][0]["text"]
        assert it.answered == []


@pytest.mark.parametrize("again", [False, True])
async def test_a_suspended_call_is_cancelled_at_the_server_as_soon_as_its_run_is_killed(
    tmp_path: Path, again: bool
) -> None:
    async with scene(tmp_path) as it:
        asked = (await it.tool("note", {}, id=1))["result"]
        if again:
            await it.tool("note", {}, id=2, requestState=asked["requestState"])
        run = str((await it.world.events("exchange.admitted"))[-1]["session_id"])
        (session,) = it.upstream.sessions.values()
        cancelled = session.expect("notifications/cancelled")
        await it.world.runtime.kills.kill(Scope.SESSION, run, reason="enough", actor="anna")
        await cancelled.wait()
        (told,) = [one.params for one in it.upstream.calls if one.message.get("method") == "notifications/cancelled"]
        (made,) = [one.id for one in it.upstream.calls if one.message.get("method") == "tools/call"]
        assert told == {"requestId": made, "reason": "its run was stopped"}
        assert it.world.runtime.kills.running == set()


async def test_a_suspended_call_whose_question_waits_for_approval_ends_with_its_run(tmp_path: Path) -> None:
    rule: JsonObject = {"id": "ask", "match": {"action": "elicitation.create"}, "decide": "hold"}
    async with scene(tmp_path, {"version": 1, "default": "allow", "rules": [rule]}) as it:
        await it.tool("note", {}, id=1)
        run = str((await it.world.events("exchange.admitted"))[-1]["session_id"])
        (session,) = it.upstream.sessions.values()
        cancelled = session.expect("notifications/cancelled")
        await it.world.runtime.kills.kill(Scope.SESSION, run, reason="enough", actor="anna")
        await cancelled.wait()


async def test_a_call_that_was_answered_is_not_followed_any_more(tmp_path: Path) -> None:
    async with scene(tmp_path) as it:
        asked = (await it.tool("note", {}, id=1))["result"]
        assert len(it.world.runtime.kills.running) == 1
        (key,) = asked["inputRequests"]
        more = {"inputResponses": {key: ACCEPTED}, "requestState": asked["requestState"]}
        await it.tool("note", {}, id=2, **more)
        assert it.world.runtime.kills.running == set()


async def test_a_call_that_waits_for_approval_before_and_after_a_question_is_made_once(tmp_path: Path) -> None:
    policy: JsonObject = {"version": 1, "rules": [{"id": "ask", "match": {"tool": "note"}, "decide": "hold"}]}
    async with scene(tmp_path, {**policy, "default": "allow"}) as it:
        asked = await it.approved((await it.tool("note", {}, id=1))["result"], id=2)
        (key,) = asked["inputRequests"]
        answers = {"inputResponses": {key: ACCEPTED}}
        held = await it.tool("note", {}, id=3, requestState=asked["requestState"], **answers)
        told = await it.approved(held["result"], id=4)
        assert told["structuredContent"] == ACCEPTED
        assert it.made == 1


async def test_a_question_that_waits_for_approval_does_not_make_the_call_anew(tmp_path: Path) -> None:
    rule: JsonObject = {"id": "ask", "match": {"action": "elicitation.create"}, "decide": "hold"}
    async with scene(tmp_path, {"version": 1, "default": "allow", "rules": [rule]}) as it:
        held = (await it.tool("note", {}, id=1))["result"]
        assert "which?" not in json.dumps(held)
        asked = await it.approved(held, id=2)
        assert asked["inputRequests"]["input-1"]["params"]["message"] == "which?"
        answers = {"inputResponses": {"input-1": ACCEPTED}}
        told = await it.tool("note", {}, id=3, requestState=asked["requestState"], **answers)
        assert told["result"]["structuredContent"] == ACCEPTED
        assert it.made == 1


async def asks_two_things(call: Call) -> None:
    """A tool that asks its client for two words at once."""
    assert call.session is not None
    waiting = [call.session.expect(number) for number in (1, 2)]
    for number in (1, 2):
        question = {**FORM, "message": f"which {number}?"}
        asked = {"jsonrpc": "2.0", "id": number, "method": "elicitation/create", "params": question}
        await call.event(json.dumps(asked).encode())
    for one in waiting:
        await one.wait()
    await call.event(call.result({"content": []}))
    await call.end()


@pytest.mark.parametrize("at_once", [False, True])
async def test_two_questions_that_wait_for_approval_need_one_approval_each(tmp_path: Path, at_once: bool) -> None:
    rule: JsonObject = {"id": "ask", "match": {"action": "elicitation.create"}, "decide": "hold"}
    async with scene(tmp_path, {"version": 1, "default": "allow", "rules": [rule]}) as it:
        it.upstream.handlers["tools/call"] = asks_two_things
        held = (await it.tool("note", {}, id=1))["result"]
        desk = it.world.runtime.desk
        waiting = await desk.tickets([State.PENDING])
        assert len(waiting) == 2
        if not at_once:
            await desk.approve(waiting[0].id, by="anna")
            opened = {key: {"action": "accept"} for key in held.get("inputRequests", {})}
            state = {"requestState": held["requestState"], "inputResponses": opened}
            held = (await it.tool("note", {}, id=2, **state))["result"]
            assert "which" not in json.dumps(held)
        asked = await it.approved(held, id=3)
        assert [one["params"]["message"] for one in asked["inputRequests"].values()] == ["which 1?", "which 2?"]
        told = [one["event_type"] for one in await it.world.events("approval.requested", "approval.consumed")]
        assert told == ["approval.requested"] * 2 + ["approval.consumed"] * 2
        assert it.made == 1


async def test_no_approval_is_used_up_for_questions_of_which_another_is_refused(tmp_path: Path) -> None:
    hold: JsonObject = {"id": "ask", "match": {"action": "elicitation.create"}, "decide": "hold"}
    async with scene(tmp_path, {"version": 1, "default": "allow", "rules": [hold]}) as it:
        it.upstream.handlers["tools/call"] = asks_two_things
        held = (await it.tool("note", {}, id=1))["result"]
        desk = it.world.runtime.desk
        first, second = await desk.tickets([State.PENDING])
        await desk.deny(second.id, by="anna", reason="not that one")
        told = json.dumps(await it.approved(held, id=2))
        assert "not that one" in told
        kept = await desk.get(first.id)
        assert kept is not None
        assert kept.state is State.APPROVED
        (session,) = it.upstream.sessions.values()
        await session.expect("notifications/cancelled").wait()


@pytest.mark.parametrize(
    ("action", "answer"),
    [
        ("elicitation.create", ACCEPTED),
        ("sampling.create", {"role": "assistant", "model": "m", "content": {"type": "text", "text": "yes"}}),
        ("sampling.create", {"role": "assistant", **ACCEPTED}),
        ("roots.list", {"roots": []}),
    ],
)
async def test_an_answer_in_a_retry_is_judged_as_the_response_that_it_is(
    tmp_path: Path, action: str, answer: Any
) -> None:
    rule: JsonObject = {"id": "no-answer", "phase": "response", "match": {"action": action}, "decide": "deny"}
    async with scene(tmp_path, {"version": 1, "default": "allow", "rules": [rule]}) as it:
        asked = (await it.tool("note", {}, id=1))["result"]
        (key,) = asked["inputRequests"]
        state = asked["requestState"]
        told = await it.tool("note", {}, id=2, inputResponses={key: answer}, requestState=state)
        assert "no-answer" in told["result"]["content"][0]["text"]
        assert it.answered == []
        (withheld,) = await it.world.events("message.withheld")
        assert (withheld["action"], withheld["direction"]) == (action, "to_server")


@pytest.mark.parametrize("again", [False, True])
async def test_a_call_whose_question_is_refused_is_called_off_at_the_server(tmp_path: Path, again: bool) -> None:
    rule: JsonObject = {"id": "no-ask", "match": {"action": "elicitation.create"}, "decide": "deny"}
    async with scene(tmp_path, {"version": 1, "default": "allow", "rules": [] if again else [rule]}) as it:
        if again:
            asked = (await it.tool("note", {}, id=1))["result"]
            (tmp_path / "policy.yaml").write_text(json.dumps({"version": 1, "default": "allow", "rules": [rule]}))
            await it.world.runtime.policies.reload()
            told = await it.tool("note", {}, id=2, requestState=asked["requestState"])
        else:
            told = await it.tool("note", {}, id=1)
        assert "no-ask" in told["result"]["content"][0]["text"]
        (session,) = it.upstream.sessions.values()
        await session.expect("notifications/cancelled").wait()


async def test_a_held_call_becomes_a_task_of_wickets_whatever_era_the_server_speaks(tmp_path: Path) -> None:
    rule: JsonObject = {"id": "ask", "match": {"tool": "note"}, "decide": "hold"}
    async with scene(tmp_path, {"version": 1, "rules": [rule]}) as it:
        assert EXTENSION in (await discovered(it.client))["capabilities"]["extensions"]
        task_id = (await given(it.client, {"name": "note", "arguments": {}}, "form"))["taskId"]
        assert it.made == 0
        found: dict[str, Any] = {}

        async def shows(member: str) -> bool:
            for ticket in await it.world.runtime.desk.tickets([State.PENDING]):
                await it.world.runtime.desk.approve(ticket.id, by="anna")
            found.update(await told(it.client, task_id))
            return member in found

        await eventually(lambda: shows("inputRequests"))
        ((key, _),) = found["inputRequests"].items()
        await ask(it.client, "update", task_id, inputResponses={key: ACCEPTED}, capabilities=declaring("form"))
        await eventually(lambda: shows("result"))
        assert found["result"]["structuredContent"] == ACCEPTED
        assert (it.made, it.answered) == (1, [{"jsonrpc": "2.0", "id": 77, "result": ACCEPTED}])
