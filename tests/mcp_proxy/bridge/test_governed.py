"""What the bridge translates is judged by the real core: both legs of a call, and what its client answers."""

import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

import anyio
import pytest

from approvals.ticket import State
from governance.clock import SystemClock
from governance.jsontree import JsonObject
from mcp_proxy.app import Organs, open_app
from mcp_proxy.bridge.request_state import STATE_KEY
from mcp_proxy.servers import open_servers
from pipeline.border import BadRequestError
from sessions.killswitch import Scope
from tests.mcp_proxy.bridge.modern_scene import ACCEPTED, elicits, envelope
from tests.mcp_proxy.harness import raw_client, serving
from tests.mcp_proxy.raw_client import RawClient
from tests.mcp_proxy.raw_upstream import Call, RawUpstream
from tests.mcp_proxy.stage import MODERN
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
async def scene(folder: Path, policy: JsonObject = POLICY) -> AsyncGenerator[Scene]:
    upstream, clock = RawUpstream(), SystemClock()

    async def unknown(call: Call) -> None:
        error = {"code": -32601, "message": "no such method"}
        await call.reply(json.dumps({"jsonrpc": "2.0", "id": call.id, "error": error}).encode())

    upstream.handlers |= {"server/discover": unknown, "tools/call": elicits}

    async def record(path: str, problem: BadRequestError) -> None:
        """Nothing is refused unread here."""

    with anyio.fail_after(30):
        async with serving(upstream) as url:
            settings: dict[str, Any] = {
                "identity": {"anonymous": True},
                "approvals": {"wait_seconds": 0.2},
                "detect": {"engine": "re", "actions": {"pii.ssn": "redact"}},
                "mcpServers": {"files": {"url": url, "type": "http", "pins": "off"}},
            }
            database = f"sqlite:///{folder}/wicket.db"
            async with open_world(database, folder, clock, policy, **settings) as world:
                core = world.runtime
                organs = Organs(
                    gate=core.guard,
                    kills=core.kills,
                    catalog=core.catalog,
                    identity=core.identity,
                    clock=clock,
                    limits=core.config.limits,
                    hosts=core.config.hosts,
                    record=record,
                    place=core.roll.place,
                    delivery=delivery_of(core),
                )
                async with (
                    open_servers(core.config, clock, lambda: 0.0, core.key_for(STATE_KEY)) as servers,
                    open_app(organs, servers) as app,
                    serving(app) as front,
                    raw_client() as outside,
                ):
                    del outside.headers["authorization"]
                    yield Scene(world, upstream, RawClient(outside, f"{front}/mcp/files"))


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
