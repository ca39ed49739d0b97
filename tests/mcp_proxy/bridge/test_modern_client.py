"""A modern client before a legacy server that a test plays itself: every byte of both sides is looked at."""

import json
from typing import Any

import anyio

from tests.mcp_proxy.bridge.modern_scene import envelope, scene
from tests.mcp_proxy.bridge.stages import MODERN
from tests.mcp_proxy.harness import raw_client
from tests.mcp_proxy.raw_client import RawClient, Stream
from tests.mcp_proxy.raw_upstream import Call
from tests.mcp_proxy.stage import AWKWARD


async def test_a_server_is_asked_for_its_era_once_and_a_call_arrives_as_a_legacy_one() -> None:
    async with scene() as it:

        async def odd(call: Call) -> None:
            await call.reply(call.result({"content": [], "structuredContent": AWKWARD, "vendorKey": AWKWARD}))

        it.on("tools/call", odd)
        meta = envelope({"sampling": {}, "tasks": {}, "x-own": {"a": None}}, traceparent="00-1")
        first = await it.tool(arguments=AWKWARD, more={"vendor": 1.0}, id="a", meta=meta)
        again = await it.tool(arguments=AWKWARD, id=0, meta=meta)
        assert (first["id"], again["id"]) == ("a", 0)
        assert first["result"]["structuredContent"] == first["result"]["vendorKey"] == AWKWARD
        assert first["result"]["resultType"] == "complete"
        assert first["result"]["_meta"]["io.modelcontextprotocol/serverInfo"]["name"] == "raw"
        assert "ttlMs" not in first["result"]
        assert len(it.sent("server/discover")) == len(it.sent("initialize")) == 1
        hello = it.sent("initialize")[0]["params"]
        assert hello["capabilities"] == {"sampling": {}, "x-own": {"a": None}}
        assert hello["clientInfo"] == {"name": "modern-client", "version": "1", "hint": 2**60 + 1}
        call = it.sent("tools/call")[0]
        assert call["params"] == {
            "name": "it",
            "arguments": AWKWARD,
            "vendor": 1.0,
            "_meta": {"traceparent": "00-1"},
        }


async def test_a_discover_request_is_answered_from_the_handshake() -> None:
    async with scene(capabilities={"tools": {}, "tasks": {}, "logging": {}}) as it:
        told = (await it.ask("server/discover"))["result"]
        assert told["supportedVersions"] == [MODERN]
        assert told["capabilities"] == {"tools": {}, "logging": {}}
        assert told["instructions"] == "be kind ü"
        assert (told["resultType"], told["ttlMs"], told["cacheScope"]) == ("complete", 0, "private")
        assert told["extra"] == {"deep": True}


async def test_lists_may_not_be_kept_because_a_legacy_server_does_not_say_for_how_long() -> None:
    async with scene() as it:
        told = (await it.ask("tools/list"))["result"]
        assert (told["ttlMs"], told["cacheScope"]) == (0, "private")


async def test_clients_that_declare_different_things_have_different_sessions() -> None:
    async with scene() as it, raw_client("wk_bob") as bob:
        await it.tool(meta=envelope({}))
        await it.tool(meta=envelope({"roots": {}}))
        await it.tool(meta=envelope({}))
        await it._replace(client=RawClient(bob, it.stage.url)).tool(meta=envelope({}))
        assert [hello["params"]["capabilities"] for hello in it.sent("initialize")] == [{}, {"roots": {}}, {}]


async def test_a_client_that_leaves_cancels_its_call_at_the_server() -> None:
    async with scene() as it:

        async def slow(call: Call) -> None:
            await call.event(b'{"jsonrpc": "2.0", "method": "notifications/vendor"}')
            await call.until_left()

        it.on("tools/call", slow)
        async with it.post("tools/call", {"name": "it", "arguments": {}}) as response:
            await response.content.readany()
            it.leaves()
        await it.session.expect("notifications/cancelled").wait()
        told = it.sent("notifications/cancelled")[0]["params"]
        assert told == {"requestId": it.sent("tools/call")[0]["id"], "reason": "the client has left"}
        assert [outcome.status for _, outcome in it.stage.gate.settled] == ["cancelled"]


async def test_progress_carries_the_clients_own_token_and_log_messages_are_for_who_wants_them() -> None:
    async with scene(capabilities={"logging": {}}) as it:

        async def busy(call: Call) -> None:
            token = call.params["_meta"]["progressToken"]
            told: list[tuple[str, Any]] = [
                ("notifications/progress", {"progressToken": token, "progress": 1, "vendor": 1.0}),
                ("notifications/message", {"level": "info", "data": "quiet"}),
                ("notifications/message", {"level": "error", "data": "loud"}),
                ("notifications/vendor", {"kept": True}),
                ("notifications/elicitation/complete", {"elicitationId": "x"}),
            ]
            for method, params in told:
                await call.event(json.dumps({"jsonrpc": "2.0", "method": method, "params": params}).encode())
            await call.event(call.result({"content": []}))
            await call.end()

        it.on("tools/call", busy)

        async def heard(**meta: Any) -> list[Any]:
            params: dict[str, Any] = {"name": "it", "arguments": {}}
            async with it.post("tools/call", params, meta=envelope(progressToken=0, **meta)) as response:
                return [one.get("params") for one in await Stream(response).rest()][:-1]

        progress = {"progressToken": 0, "progress": 1, "vendor": 1.0}
        loud, kept = {"level": "error", "data": "loud"}, {"kept": True}
        assert await heard() == [progress, kept]
        assert await heard(**{"io.modelcontextprotocol/logLevel": "warning"}) == [progress, loud, kept]
        assert [call["params"] for call in it.sent("logging/setLevel")] == [{"level": "warning"}]


async def test_a_subscription_hears_the_servers_own_stream_under_its_own_name() -> None:
    capabilities = {"tools": {"listChanged": True}, "resources": {"subscribe": True}}
    async with scene(capabilities=capabilities) as it:
        unsubscribed = anyio.Event()

        async def unsubscribe(call: Call) -> None:
            unsubscribed.set()
            await call.reply(call.result({}))

        it.on("resources/unsubscribe", unsubscribe)
        wanted = {"toolsListChanged": True, "promptsListChanged": True, "resourceSubscriptions": ["memo://a"]}
        async with it.post("subscriptions/listen", {"notifications": wanted}, id="sub") as response:
            stream = Stream(response)
            acknowledged = await stream.message()
            assert acknowledged["method"] == "notifications/subscriptions/acknowledged"
            accepted = {"toolsListChanged": True, "resourceSubscriptions": ["memo://a"]}
            assert acknowledged["params"]["notifications"] == accepted
            session = it.session
            await session.listening.wait()
            told: list[tuple[str, Any]] = [
                ("notifications/prompts/list_changed", {}),
                ("notifications/resources/updated", {"uri": "memo://other"}),
                ("notifications/resources/updated", {"uri": "memo://a"}),
                ("notifications/tools/list_changed", {}),
            ]
            for method, params in told:
                await session.stream.event(json.dumps({"jsonrpc": "2.0", "method": method, "params": params}).encode())
            tag = {"io.modelcontextprotocol/subscriptionId": "sub"}
            assert (await stream.message())["params"] == {"uri": "memo://a", "_meta": tag}
            changed = await stream.message()
            assert (changed["method"], changed["params"]) == ("notifications/tools/list_changed", {"_meta": tag})
            it.leaves()
        await unsubscribed.wait()
        assert [call["params"] for call in it.sent("resources/subscribe")] == [{"uri": "memo://a"}]


async def test_a_session_that_the_server_forgot_is_opened_anew_once() -> None:
    async with scene() as it:
        assert "result" in await it.tool(id=1)
        it.upstream.sessions.clear()
        assert "result" in await it.tool(id=2)
        assert len(it.sent("initialize")) == 2


async def test_a_session_that_nobody_uses_ends() -> None:
    async with scene() as it:
        await it.tool()
        pool = it.stage.server._pool  # pyright: ignore[reportPrivateUsage] - what its watch does
        await pool.sweep()
        assert it.upstream.ended == []
        it.clock.advance(301)
        await pool.sweep()
        assert it.upstream.ended == ["up-0"]


async def test_pages_that_must_be_opened_first_are_asked_for_and_the_call_is_made_again() -> None:
    async with scene() as it:
        page = {"mode": "url", "elicitationId": "e", "url": "https://example.invalid/", "message": "log in"}

        async def locked(call: Call) -> None:
            error = {"code": -32042, "message": "log in first", "data": {"elicitations": [page]}}
            done = len(it.sent("tools/call")) > 1
            body = (
                call.result({"content": []}) if done else json.dumps({"jsonrpc": "2.0", "id": call.id, "error": error})
            )
            await call.reply(body if isinstance(body, bytes) else body.encode())

        it.on("tools/call", locked)
        asked = (await it.tool(id=1))["result"]
        (question,) = asked["inputRequests"].values()
        assert question["params"] == {"mode": "url", "url": "https://example.invalid/", "message": "log in"}
        assert "requestState" not in asked
        assert "result" in await it.tool(more={"inputResponses": {"page-0": {"action": "accept"}}}, id=2)
        it.upstream.calls.clear()
        unable = await it.tool(meta=envelope({}))
        assert unable["error"]["code"] == -32021


async def test_a_removed_method_is_not_found() -> None:
    async with scene() as it:
        async with it.post("tasks/get", {"taskId": "x"}) as response:
            told = json.loads(await response.read())
        assert told["error"]["code"] == -32601
        assert it.sent("tasks/get") == []


async def test_a_server_that_became_a_modern_one_is_found_out() -> None:
    async with scene() as it:
        assert "result" in await it.tool(id=1)
        it.upstream.sessions.clear()

        async def modern_now(call: Call) -> None:
            await call.reply(call.result({"supportedVersions": [MODERN], "capabilities": {}, "resultType": "complete"}))

        async def refused(call: Call) -> None:
            error = {"code": -32022, "message": "no", "data": {"supported": [MODERN], "requested": "2025-11-25"}}
            await call.reply(json.dumps({"jsonrpc": "2.0", "id": call.id, "error": error}).encode(), status=400)

        it.on("server/discover", modern_now)
        it.on("initialize", refused)
        assert (await it.tool(id=2))["error"]["data"]["wicket"] == "upstream"
        assert "result" in await it.tool(id=3)
        assert "io.modelcontextprotocol/protocolVersion" in it.sent("tools/call")[-1]["params"]["_meta"]
