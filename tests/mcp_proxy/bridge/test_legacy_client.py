"""A legacy client before a modern server that a test plays itself: every byte of both sides is looked at."""

import json
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

import anyio
import pytest

from mcp_proxy.bridge import rounds
from tests.mcp_proxy.bridge.stages import MODERN, Stage, bridged
from tests.mcp_proxy.harness import raw_client, serving
from tests.mcp_proxy.raw_client import INITIALIZE, RawClient, Stream
from tests.mcp_proxy.raw_upstream import Call, RawUpstream
from tests.mcp_proxy.stage import AWKWARD, TOOL

PREFIX = "io.modelcontextprotocol/"
SERVER_INFO = {"name": "modern", "version": "9", "hint": 1.0}
DISCOVERED: dict[str, Any] = {
    "supportedVersions": [MODERN],
    "capabilities": {
        "tools": {"listChanged": True},
        "resources": {"subscribe": True},
        "extensions": {"io.modelcontextprotocol/tasks": {}, "io.modelcontextprotocol/ui": {}},
    },
    "instructions": "be kind ü",
    "extra": {"deep": True},
    "resultType": "complete",
    "ttlMs": 1000,
    "cacheScope": "public",
    "_meta": {PREFIX + "serverInfo": SERVER_INFO},
}
FORM: dict[str, Any] = {"message": "which?", "requestedSchema": {"type": "object", "properties": {}}}
ANSWER = {"action": "accept", "content": {"word": "please"}}


class Scene(NamedTuple):
    """What a test may look at and change."""

    upstream: RawUpstream
    stage: Stage
    client: RawClient

    def on(self, method: str, handler: Callable[[Call], Awaitable[None]]) -> None:
        self.upstream.handlers[method] = handler

    def answers(self, method: str, result: dict[str, Any]) -> None:
        async def handler(call: Call) -> None:
            await call.reply(call.result({"resultType": "complete", **result}))

        self.on(method, handler)

    def fails(self, method: str, error: dict[str, Any], status: int = 400) -> None:
        async def handler(call: Call) -> None:
            await call.reply(json.dumps({"jsonrpc": "2.0", "id": call.id, "error": error}).encode(), status=status)

        self.on(method, handler)

    def sent(self, method: str) -> list[Call]:
        return [call for call in self.upstream.calls if call.message.get("method") == method]


@asynccontextmanager
async def scene(*, shake: bool = True) -> AsyncGenerator[Scene]:
    upstream = RawUpstream(stateful=False)
    async with (
        serving(upstream) as url,
        bridged({"url": url, "type": "http"}) as stage,
        raw_client() as http,
    ):
        it = Scene(upstream, stage, RawClient(http, stage.url))
        refused = {"code": -32022, "message": "no", "data": {"supported": [MODERN], "requested": "2025-11-25"}}
        it.fails("initialize", refused)
        it.answers("server/discover", DISCOVERED)
        it.answers("tools/list", {"tools": [TOOL]})
        if shake:
            await it.client.initialize()
        yield it


async def test_the_handshake_is_answered_from_what_the_server_says_of_itself() -> None:
    async with scene(shake=False) as it:
        told = (await it.client.initialize())["result"]
        assert told == {
            "protocolVersion": "2025-11-25",
            "capabilities": {
                "tools": {"listChanged": True},
                "resources": {"subscribe": True},
                "extensions": {"io.modelcontextprotocol/ui": {}},
            },
            "serverInfo": SERVER_INFO,
            "instructions": "be kind ü",
            "extra": {"deep": True},
        }
        assert it.client.headers["mcp-session-id"]


async def test_a_server_known_to_be_modern_is_not_asked_to_shake_hands_again() -> None:
    async with scene() as it, raw_client("wk_bob") as http:
        await RawClient(http, it.stage.url).initialize()
        assert len(it.sent("initialize")) == 1


@pytest.mark.parametrize(("asked", "told"), [("2024-11-05", "2024-11-05"), ("1999-01-01", "2025-11-25")])
async def test_the_clients_own_version_is_agreed_to(asked: str, told: str) -> None:
    async with scene(shake=False) as it:
        assert (await it.client.initialize(protocolVersion=asked))["result"]["protocolVersion"] == told


async def test_a_server_of_no_era_gets_its_own_refusal_passed_on() -> None:
    async with scene(shake=False) as it:
        it.fails("server/discover", {"code": -32601, "message": "no"}, 404)
        told = await it.client.initialize()
        assert told["error"]["code"] == -32022


async def test_each_request_is_stamped_with_what_the_client_said_once() -> None:
    async with scene() as it:
        it.answers("tools/call", {"content": [], "structuredContent": AWKWARD, "vendorKey": AWKWARD})
        meta = {"traceparent": "00-1", PREFIX + "logLevel": "debug"}
        told = await it.client.tool("odd", AWKWARD, id=0, vendor=1.0, _meta=meta)
        assert told == {
            "jsonrpc": "2.0",
            "id": 0,
            "result": {"content": [], "structuredContent": AWKWARD, "vendorKey": AWKWARD},
        }
        call = it.sent("tools/call")[0]
        assert call.params["_meta"] == {
            "traceparent": "00-1",
            PREFIX + "protocolVersion": MODERN,
            PREFIX + "clientCapabilities": INITIALIZE["capabilities"],
            PREFIX + "clientInfo": INITIALIZE["clientInfo"],
        }
        assert (call.params["arguments"], call.params["vendor"]) == (AWKWARD, 1.0)
        assert call.headers["mcp-protocol-version"] == MODERN
        assert (call.headers["mcp-method"], call.headers["mcp-name"]) == ("tools/call", "odd")
        assert "mcp-session-id" not in call.headers


async def test_arguments_are_repeated_in_headers_as_the_tool_wants_it() -> None:
    async with scene() as it:
        properties = {"region": {"type": "string", "x-mcp-header": "Region"}}
        bad = {"type": "object", "properties": {"a": {"type": "object", "x-mcp-header": "No Token"}}}
        tools = [{"name": "near", "inputSchema": {"type": "object", "properties": properties}}]
        it.answers("tools/list", {"tools": [*tools, {"name": "broken", "inputSchema": bad}], "ttlMs": 5})
        await it.client.tool("near", {"region": "zürich"})
        assert it.sent("tools/call")[0].headers["mcp-param-region"] == "=?base64?esO8cmljaA==?="
        assert (await it.client.call("tools/list", id=2))["result"] == {"tools": tools}


async def test_headers_that_the_server_finds_wrong_are_made_again_from_its_newest_list() -> None:
    async with scene() as it:
        await it.client.call("tools/list", id=1)
        changed = {"type": "object", "properties": {"a": {"type": "string", "x-mcp-header": "A"}}}
        it.answers("tools/list", {"tools": [{"name": "odd", "inputSchema": changed}]})

        async def strict(call: Call) -> None:
            if call.headers.get("mcp-param-a") == "x":
                await call.reply(call.result({"content": []}))
                return
            error = {"code": -32020, "message": "header mismatch"}
            await call.reply(json.dumps({"jsonrpc": "2.0", "id": call.id, "error": error}).encode(), status=400)

        it.on("tools/call", strict)
        assert (await it.client.tool("odd", {"a": "x"}, id=2)) == {"jsonrpc": "2.0", "id": 2, "result": {"content": []}}
        assert len(it.sent("tools/call")) == 2


async def test_what_the_modern_revision_has_no_request_for_is_answered_here() -> None:
    async with scene() as it:
        assert (await it.client.call("ping"))["result"] == {}
        assert (await it.client.call("logging/setLevel", {"level": "error"}))["result"] == {}
        assert (await it.client.call("logging/setLevel", {"level": "loud"}))["error"]["code"] == -32602
        error = (await it.client.call("tasks/list"))["error"]
        assert (error["code"], "speaks another era" in error["message"]) == (-32601, True)
        await it.client.call("vendor/thing", {"x": 1})
        assert it.sent("vendor/thing")[0].params["_meta"][PREFIX + "logLevel"] == "error"
        assert not it.sent("ping") + it.sent("logging/setLevel") + it.sent("tasks/list")


async def test_errors_come_with_a_status_that_does_not_end_the_session() -> None:
    async with scene() as it:
        data = {"uri": "memo://x", "vendor": [1.0]}
        it.fails("resources/read", {"code": -32602, "message": "Resource not found", "data": data})
        it.fails("vendor/thing", {"code": -32601, "message": "unknown", "data": {"x": None}}, 404)
        async with it.client.post("resources/read", {"uri": "memo://x"}) as response:
            assert response.status == 200
            told = json.loads(await response.read())
        assert told["error"] == {"code": -32002, "message": "Resource not found", "data": data}
        async with it.client.post("vendor/thing") as response:
            assert response.status == 200
            assert json.loads(await response.read())["error"]["data"] == {"x": None}


async def test_questions_become_requests_of_the_server_on_the_calls_own_stream() -> None:
    async with scene() as it:

        async def curious(call: Call) -> None:
            given = call.params.get("inputResponses")
            if given is not None:
                await call.reply(call.result({"resultType": "complete", "content": [], "given": given}))
                return
            page = {"mode": "url", "url": "https://example.invalid/", "message": "open"}
            wanted = {
                "form": {"method": "elicitation/create", "params": FORM},
                "page": {"method": "elicitation/create", "params": page},
                "roots": {"method": "roots/list"},
            }
            told = {"resultType": "input_required", "inputRequests": wanted, "requestState": "opaque"}
            await call.reply(call.result(told))

        answers: list[Any] = [ANSWER, {"action": "accept"}, {"roots": []}]
        it.on("tools/call", curious)
        async with it.client.stream("tools/call", {"name": "odd", "arguments": AWKWARD}, id="c") as stream:
            asked = [await stream.message() for _ in range(3)]
            assert [one["method"] for one in asked] == ["elicitation/create", "elicitation/create", "roots/list"]
            assert asked[0]["params"] == FORM
            assert asked[1]["params"]["elicitationId"]
            for one, result in zip(asked, answers, strict=True):
                async with it.client.send({"jsonrpc": "2.0", "id": one["id"], "result": result}) as response:
                    assert response.status == 202
            (told,) = await stream.rest()
        assert told["id"] == "c"
        given = dict(zip(("form", "page", "roots"), answers, strict=True))
        assert told["result"] == {"content": [], "given": given}
        first, second = it.sent("tools/call")
        assert first.id != second.id
        assert (second.params["requestState"], second.params["arguments"]) == ("opaque", AWKWARD)


@pytest.mark.parametrize("asks", [True, False])
async def test_a_server_that_never_has_enough_is_given_up(asks: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rounds, "STATE_ONLY_SECONDS", 0)
    async with scene() as it:

        async def greedy(call: Call) -> None:
            wanted: Any = {"inputRequests": {"r": {"method": "roots/list"}}} if asks else {"requestState": "again"}
            await call.reply(call.result({"resultType": "input_required", **wanted}))

        it.on("tools/call", greedy)
        async with it.client.post("tools/call", {"name": "odd", "arguments": {}}, id=1) as response:
            if asks:
                stream = Stream(response)
                for _ in range(rounds.MOST_ROUNDS):
                    one = await stream.message()
                    async with it.client.send({"jsonrpc": "2.0", "id": one["id"], "result": {"roots": []}}):
                        pass
                told = await stream.message()
            else:
                told = json.loads(await response.read())
        assert "more than 10 times" in told["error"]["message"]
        assert len(it.sent("tools/call")) == rounds.MOST_ROUNDS + 1


async def test_a_client_that_refuses_a_question_ends_its_call_with_that_error() -> None:
    async with scene() as it:

        async def curious(call: Call) -> None:
            wanted = {"r": {"method": "roots/list"}}
            await call.reply(call.result({"resultType": "input_required", "inputRequests": wanted}))

        it.on("tools/call", curious)
        async with it.client.stream("tools/call", {"name": "odd", "arguments": {}}, id=1) as stream:
            one = await stream.message()
            error = {"code": -1, "message": "no", "data": [1.0]}
            async with it.client.send({"jsonrpc": "2.0", "id": one["id"], "error": error}):
                pass
            assert (await stream.rest()) == [{"jsonrpc": "2.0", "id": 1, "error": error}]
        assert len(it.sent("tools/call")) == 1


async def test_a_server_that_asks_what_was_not_declared_is_not_obeyed() -> None:
    async with scene() as it:

        async def curious(call: Call) -> None:
            wanted: Any = {"s": {"method": "sampling/createMessage", "params": {"messages": [], "maxTokens": 1}}}
            await call.reply(call.result({"resultType": "input_required", "inputRequests": wanted}))

        it.on("tools/call", curious)
        told = await it.client.tool("odd")
        assert "has not declared" in told["error"]["message"]


async def test_a_cancelled_call_closes_its_stream_at_the_server() -> None:
    async with scene() as it:
        left = anyio.Event()

        async def slow(call: Call) -> None:
            token = call.params["_meta"]["progressToken"]
            params = {"progressToken": token, "progress": 1}
            await call.event(
                json.dumps({"jsonrpc": "2.0", "method": "notifications/progress", "params": params}).encode()
            )
            await call.until_left()
            left.set()

        it.on("tools/call", slow)
        params = {"name": "odd", "arguments": {}, "_meta": {"progressToken": "p"}}
        async with it.client.stream("tools/call", params, id=7) as stream:
            assert (await stream.message())["params"] == {"progressToken": "p", "progress": 1}
            assert await it.client.notify("notifications/cancelled", {"requestId": 7, "reason": "enough"}) == 202
            await left.wait()
            assert "error" in (await stream.rest())[-1]
        assert not it.sent("notifications/cancelled")


async def test_a_cancelled_call_that_waits_for_its_client_ends() -> None:
    async with scene() as it:

        async def curious(call: Call) -> None:
            wanted = {"r": {"method": "roots/list"}}
            await call.reply(call.result({"resultType": "input_required", "inputRequests": wanted}))

        it.on("tools/call", curious)
        async with it.client.stream("tools/call", {"name": "odd", "arguments": {}}, id=7) as stream:
            await stream.message()
            await it.client.notify("notifications/cancelled", {"requestId": 7})
            assert "cancelled" in (await stream.rest())[-1]["error"]["message"]


async def test_one_subscription_stands_for_the_session_and_is_made_anew_when_it_changes() -> None:
    async with scene() as it:
        streams: list[Call] = []
        opened = anyio.Event()

        async def listen(call: Call) -> None:
            nonlocal opened
            streams.append(call)
            tag = {PREFIX + "subscriptionId": call.id}
            params = {"notifications": call.params["notifications"], "_meta": tag}
            name = "notifications/subscriptions/acknowledged"
            await call.event(json.dumps({"jsonrpc": "2.0", "method": name, "params": params}).encode())
            opened.set()
            opened = anyio.Event()
            await call.until_left()

        async def tell(call: Call, method: str, **params: Any) -> None:
            params["_meta"] = {PREFIX + "subscriptionId": call.id}
            await call.event(json.dumps({"jsonrpc": "2.0", "method": method, "params": params}).encode())

        it.on("subscriptions/listen", listen)
        first = opened
        async with it.client.listen() as stream:
            await first.wait()
            assert streams[0].params["notifications"] == {"toolsListChanged": True}
            await tell(streams[0], "notifications/tools/list_changed")
            changed = await stream.message()
            assert (changed["method"], changed["params"]) == ("notifications/tools/list_changed", {})
            assert (await it.client.call("resources/subscribe", {"uri": "memo://a"}))["result"] == {}
            wanted = {"toolsListChanged": True, "resourceSubscriptions": ["memo://a"]}
            assert streams[1].params["notifications"] == wanted
            await tell(streams[1], "notifications/resources/updated", uri="memo://a")
            assert (await stream.message())["params"] == {"uri": "memo://a"}
            await streams[0].left.wait()
            assert (await it.client.call("resources/unsubscribe", {"uri": "memo://a"}))["result"] == {}
            assert streams[2].params["notifications"] == {"toolsListChanged": True}
            async with it.client.http.get(
                it.client.url, headers={**it.client.headers, "accept": "text/event-stream"}
            ) as second:
                assert second.status == 409
        await it.client.delete()
        await streams[2].left.wait()


async def test_a_session_that_ended_is_told_as_such() -> None:
    async with scene() as it:
        assert await it.client.delete() == 200
        async with it.client.post("tools/list") as response:
            assert response.status == 404


async def test_a_request_without_a_session_is_told_to_shake_hands_first() -> None:
    async with scene() as it:
        stranger = RawClient(it.client.http, it.stage.url)
        async with stranger.post("tools/list") as response:
            assert response.status == 404
        assert not it.sent("tools/list")
