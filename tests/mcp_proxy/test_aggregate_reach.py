"""How single servers behind the aggregate are reached, and what their troubles look like to the client."""

from typing import Any

import anyio
import mcp_types as types
from mcp import Client
from mcp.client.sse import sse_client

from governance.config.models import Limits
from mcp_proxy.aggregate import MISSING_KEY
from tests.mcp_proxy.joint import MODERN, RawStage, connected, raw, sent
from tests.mcp_proxy.raw_client import RawClient
from tests.mcp_proxy.raw_upstream import Call


async def _bob(stage: RawStage) -> RawClient:
    """A client whose key reaches `beta` only."""
    stage.http.headers["authorization"] = "Bearer wk_bob"
    bob = RawClient(stage.http, stage.client.url)
    await bob.initialize()
    return bob


async def test_what_only_one_server_can_mean_goes_to_it() -> None:
    async with raw() as stage:
        bob = await _bob(stage)
        assert (await bob.call("vendor/x", {"a": 1}))["result"]["echo"] == {"a": 1}
        assert (await bob.call("resources/read", {"uri": "un://listed"}))["result"]["echo"] == {"uri": "un://listed"}
        assert (await bob.call("resources/subscribe", {"uri": "un://listed"}))["result"]
        assert not any(sent(stage.alpha, method) for method in ("vendor/x", "resources/read", "resources/subscribe"))


async def test_a_client_session_of_one_key_is_nothing_to_another() -> None:
    async with raw() as stage:
        stage.http.headers["authorization"] = "Bearer wk_bob"
        async with stage.client.post("tools/list") as response:
            assert response.status == 404


async def test_a_list_that_ends_without_an_answer_is_missing() -> None:
    async with raw() as stage:

        async def nothing(call: Call) -> None:
            await call.event(b'{"jsonrpc":"2.0","method":"notifications/message","params":{"level":"info","data":1}}')
            await call.end()

        stage.alpha.handlers["prompts/list"] = nothing
        async with stage.client.stream("prompts/list") as stream:
            said, answer = await stream.rest()
        assert said["method"] == "notifications/message"
        assert answer["result"]["_meta"][MISSING_KEY] == {"alpha": "the server ended its answer without a response"}


async def test_a_session_that_ends_while_a_server_is_opened_leaves_nothing_open() -> None:
    async with raw() as stage:
        stage.alpha.sessions.clear()
        await stage.client.tool("alpha__x")
        begun, go = anyio.Event(), anyio.Event()

        async def slow(call: Call) -> None:
            begun.set()
            await go.wait()
            await call.reply(call.result(stage.alpha.initialize), headers={"mcp-session-id": "late"})

        stage.alpha.handlers["initialize"] = slow
        answers: list[Any] = []

        async def call() -> None:
            async with stage.client.post("tools/call", {"name": "alpha__x"}) as response:
                answers.append(await response.json())

        async with anyio.create_task_group() as group:
            group.start_soon(call)
            await begun.wait()
            assert await stage.client.delete() == 200
            go.set()
        assert "the session has ended" in answers[0]["error"]["message"]
        assert not sent(stage.alpha, "tools/call")[1:]


async def test_a_notification_that_one_server_misses_is_taken_all_the_same() -> None:
    async with raw() as stage:
        stage.alpha.sessions.clear()
        assert await stage.client.notify("notifications/roots/list_changed") == 202
        assert len(sent(stage.beta, "notifications/roots/list_changed")) == 1
        assert "result" in await stage.client.tool("alpha__x")


async def test_an_answer_that_never_comes_is_given_up() -> None:
    async with raw(limits=Limits(upstream_seconds=0.3)) as stage:

        async def leave(call: Call) -> None:
            note = b'{"jsonrpc":"2.0","method":"notifications/message","params":{"level":"info","data":1}}'
            await call.event(note, event_id="1", retry=1)
            await call.end()

        stage.beta.handlers["tools/call"] = leave
        async with stage.client.stream("tools/call", {"name": "beta__x"}) as stream:
            _, answer = await stream.rest()
        assert answer["error"]["data"]["wicket"] == "upstream"


async def test_servers_without_sessions_work_as_well() -> None:
    async with raw() as stage:
        stage.beta.stateful = False
        other = RawClient(stage.http, stage.client.url)
        await other.initialize()
        async with other.listen() as stream:
            await list(stage.alpha.sessions.values())[-1].listening.wait()
            assert stream.response.status == 200
            assert "result" in await other.tool("beta__x")


async def test_a_modern_client_on_a_pipe_is_given_the_headers_it_cannot_send() -> None:
    async with raw() as stage:

        async def found(call: Call) -> None:
            await call.reply(call.result({"content": [], "resultType": "complete"}))

        for one in stage.both:
            one.handlers["tools/call"] = found
        headers = {"authorization": "Bearer wk_alice"}
        async with Client(sse_client(f"{stage.joint.url}/mcp/sse", headers=headers), mode=MODERN) as client:
            await client.session.call_tool("beta__x", {})
        (call,) = [call for call in stage.beta.calls if call.message.get("method") == "tools/call"]
        assert (call.headers["mcp-name"], call.headers["mcp-method"]) == ("x", "tools/call")


async def test_a_modern_question_and_its_answers_go_to_the_server_of_the_tool() -> None:
    async with raw() as stage:

        async def handler(call: Call) -> None:
            if "requestState" in call.params:
                result: dict[str, Any] = {"content": [{"type": "text", "text": call.params["requestState"]}]}
                result["resultType"] = "complete"
            else:
                ask = {"method": "roots/list"}
                result = {"resultType": "input_required", "inputRequests": {"r": ask}, "requestState": "of beta"}
            await call.reply(call.result(result))

        async def roots(context: Any) -> Any:
            return types.ListRootsResult(roots=[])

        stage.beta.handlers["tools/call"] = handler
        async with connected(stage.joint, MODERN, list_roots_callback=roots) as client:
            result = await client.call_tool("beta__x", {})
        assert [item.text for item in result.content if isinstance(item, types.TextContent)] == ["of beta"]
        assert not sent(stage.alpha, "tools/call")
