"""What must survive the proxy, legacy era: a client and a server without any SDK on both sides."""

import contextlib
import json
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Any

import anyio
import pytest

from governance import jsontree
from tests.mcp_proxy.harness import Proxy, proxying, raw_client, serving
from tests.mcp_proxy.raw_client import INITIALIZE, RawClient
from tests.mcp_proxy.raw_upstream import Call, RawUpstream, UpstreamSession

AWKWARD: dict[str, Any] = {
    "null": None,
    "big": 2**60 + 1,
    "one": 1.0,
    "small": 1e-7,
    "text": "grüße 🦊 \u2028",
    "empty": "",
    "list": [[], {}],
}
TOOL: dict[str, Any] = {
    "name": "odd",
    "title": "Odd",
    "description": "does odd things",
    "inputSchema": {"type": "object", "$defs": {"a": {"$anchor": "a"}}, "x-thing": [1.0, 2**60 + 1], "not": {}},
    "outputSchema": {"type": "object", "additionalProperties": False},
    "annotations": {"readOnlyHint": True, "vendorHint": "x"},
    "icons": [{"src": "https://example.invalid/i.png", "sizes": ["48x48"]}],
    "execution": {"taskSupport": "optional"},
    "_meta": {"vendor/x": AWKWARD},
    "unknownKey": AWKWARD,
}


@dataclass
class Stage:
    upstream: RawUpstream
    proxy: Proxy
    client: RawClient

    @property
    def session(self) -> UpstreamSession:
        return next(iter(self.upstream.sessions.values()))

    def on(self, method: str, result: Any) -> None:
        async def handler(call: Call) -> None:
            await call.reply(call.result(result))

        self.upstream.handlers[method] = handler

    def last(self, method: str) -> dict[str, Any]:
        return [call.message for call in self.upstream.calls if call.message.get("method") == method][-1]


@contextlib.asynccontextmanager
async def staged() -> AsyncGenerator[Stage]:
    """A server, the proxy before it, and a client that has shaken hands."""
    upstream = RawUpstream()
    async with serving(upstream) as url, proxying({"up": url}) as proxy, raw_client() as http:
        with anyio.fail_after(20):
            client = RawClient(http, proxy.at("up"))
            await client.initialize()
            yield Stage(upstream, proxy, client)


# -- initialize


async def test_the_servers_own_introduction_reaches_the_client_whole() -> None:
    async with staged() as stage:
        fresh = RawClient(stage.client.http, stage.client.url)
        answer = await fresh.initialize()
        assert answer == {"jsonrpc": "2.0", "id": 0, "result": stage.upstream.initialize}


async def test_the_clients_own_capabilities_and_name_reach_the_server() -> None:
    async with staged() as stage:
        assert stage.session.messages[0]["params"] == INITIALIZE
        assert stage.session.messages[1] == {"jsonrpc": "2.0", "method": "notifications/initialized"}


async def test_the_session_id_of_the_server_is_not_shown_to_the_client() -> None:
    async with staged() as stage:
        assert stage.client.headers["mcp-session-id"] not in stage.upstream.sessions


async def test_the_clients_key_never_reaches_the_server() -> None:
    async with staged() as stage:
        await stage.client.call("ping")
        headers = stage.upstream.calls[-1].headers
        assert "authorization" not in headers
        assert not [text for text in headers.values() if "wk_" in text]


async def test_the_protocol_version_header_reaches_the_server() -> None:
    async with staged() as stage:
        await stage.client.call("ping")
        assert stage.upstream.calls[-1].headers["mcp-protocol-version"] == "2025-11-25"


# -- tools


async def test_a_tool_definition_arrives_deep_equal() -> None:
    async with staged() as stage:
        stage.on("tools/list", {"tools": [TOOL], "nextCursor": "", "unknown": 1})
        answer = await stage.client.call("tools/list")
        assert answer["result"] == {"tools": [TOOL], "nextCursor": "", "unknown": 1}
        assert stage.proxy.catalog.seen("up", "odd").definition == jsontree.digest(TOOL)


async def test_a_cursor_is_opaque_even_when_it_is_empty() -> None:
    async with staged() as stage:
        await stage.client.call("tools/list", {"cursor": ""})
        assert stage.last("tools/list")["params"] == {"cursor": ""}


async def test_arguments_arrive_byte_for_byte() -> None:
    async with staged() as stage:
        raw = (
            b'{ "jsonrpc":"2.0", "id":"s-1","method":"tools/call","vendorTop":1.0,'
            b'"params":{"name":"t","arguments":{"a":null,"b":1152921504606846977,"c":1.0,"d":"\\u00fc","e":1e2},'
            b'"_meta":{"progressToken":0,"vendor/x":[]},"unknownParam":{"y":-0.0}}}'
        )
        async with stage.client.send(raw) as response:
            answer = json.loads(await response.read())
        assert stage.upstream.calls[-1].raw == raw
        assert answer["id"] == "s-1"


async def test_a_result_arrives_byte_for_byte() -> None:
    async with staged() as stage:
        raw = (
            b'{"result" : {"content":[{"type":"hologram","x":1.0,"y":1152921504606846977}],'
            b'"structuredContent":[null],"zz":"\\u00fc"},"id":1,"jsonrpc":"2.0","top":{}}\n'
        )

        async def handler(call: Call) -> None:
            await call.reply(raw)

        stage.upstream.handlers["tools/call"] = handler
        async with stage.client.post("tools/call", {"name": "t"}) as response:
            assert await response.read() == raw


async def test_an_error_keeps_its_code_and_data() -> None:
    async with staged() as stage:
        error = {"code": -32042, "message": "open a page", "data": {"elicitations": [AWKWARD]}, "more": 1}

        async def handler(call: Call) -> None:
            await call.reply(json.dumps({"jsonrpc": "2.0", "id": call.id, "error": error}).encode())

        stage.upstream.handlers["tools/call"] = handler
        assert (await stage.client.tool("t"))["error"] == error


@pytest.mark.parametrize("request_id", [0, -1, 2**53 - 1, "", "0", "ü"])
async def test_every_id_comes_back_as_it_went(request_id: int | str) -> None:
    async with staged() as stage:
        assert (await stage.client.tool("t", id=request_id))["id"] == request_id
        assert stage.last("tools/call")["id"] == request_id


# -- streams


async def test_progress_arrives_live_with_its_token() -> None:
    async with staged() as stage:
        goes_on = [anyio.Event() for _ in range(3)]

        async def handler(call: Call) -> None:
            token = call.params["_meta"]["progressToken"]
            for step, event in enumerate(goes_on):
                note = {"progressToken": token, "progress": step, "message": "half way"}
                await call.event(
                    json.dumps({"jsonrpc": "2.0", "method": "notifications/progress", "params": note}).encode()
                )
                await event.wait()
            await call.event(call.result({"content": []}))
            await call.end()

        stage.upstream.handlers["tools/call"] = handler
        async with stage.client.stream("tools/call", {"name": "t", "_meta": {"progressToken": 0}}) as stream:
            for step, event in enumerate(goes_on):
                message = await stream.message()
                assert message["params"] == {"progressToken": 0, "progress": step, "message": "half way"}
                event.set()
            assert await stream.rest() == [{"jsonrpc": "2.0", "id": 1, "result": {"content": []}}]


async def test_a_log_message_arrives_before_the_result() -> None:
    async with staged() as stage:
        note = {"jsonrpc": "2.0", "method": "notifications/message", "params": {"level": "info", "data": AWKWARD}}

        async def handler(call: Call) -> None:
            await call.event(json.dumps(note).encode())
            await call.event(call.result({}))
            await call.end()

        stage.upstream.handlers["tools/call"] = handler
        async with stage.client.stream("tools/call", {"name": "t"}) as stream:
            assert [await stream.message(), *(await stream.rest())] == [note, {"jsonrpc": "2.0", "id": 1, "result": {}}]


@pytest.mark.parametrize(
    "method",
    ["logging/setLevel", "completion/complete", "prompts/list", "resources/templates/list", "vendor/Request", "ping"],
)
async def test_every_other_request_is_relayed_untouched(method: str) -> None:
    async with staged() as stage:
        answer = await stage.client.call(method, AWKWARD)
        assert stage.upstream.calls[-1].message == {"jsonrpc": "2.0", "id": 1, "method": method, "params": AWKWARD}
        assert answer["result"] == {"echo": AWKWARD}


async def test_a_vendor_notification_reaches_the_server() -> None:
    async with staged() as stage:
        assert await stage.client.notify("vendor/note", AWKWARD) == 202
        assert stage.session.messages[-1] == {"jsonrpc": "2.0", "method": "vendor/note", "params": AWKWARD}


@pytest.mark.parametrize(
    "note",
    [
        "notifications/tools/list_changed",
        "notifications/resources/updated",
        "notifications/elicitation/complete",
        "x/y",
    ],
)
async def test_what_the_server_says_of_its_own_accord_arrives_on_the_stream(note: str) -> None:
    async with staged() as stage:
        message = {"jsonrpc": "2.0", "method": note, "params": {"uri": "x://y", "_meta": AWKWARD}}
        async with stage.client.listen() as stream:
            await stage.session.listening.wait()
            await stage.session.stream.event(json.dumps(message).encode(), event_id="e-7", retry=250)
            event = await stream.event()
            assert json.loads(event.data or b"") == message
            assert (event.id, event.retry) == ("e-7", 250)


async def test_the_place_to_resume_from_reaches_the_server() -> None:
    async with staged() as stage:
        async with stage.client.listen(last_event_id="e-7"):
            await stage.session.listening.wait()
        assert stage.upstream.calls[-1].headers["last-event-id"] == "e-7"


async def test_a_subscription_is_relayed() -> None:
    async with staged() as stage:
        await stage.client.call("resources/subscribe", {"uri": "x://y"})
        assert stage.session.messages[-1]["params"] == {"uri": "x://y"}


async def test_a_cancellation_reaches_the_server_with_its_reason() -> None:
    async with staged() as stage:

        async def handler(call: Call) -> None:
            assert call.session is not None
            await call.session.expect("notifications/cancelled").wait()
            await call.reply(call.result({"content": []}))

        stage.upstream.handlers["tools/call"] = handler
        async with anyio.create_task_group() as group:
            group.start_soon(stage.client.tool, "t")
            while not stage.proxy.gate.ways:
                await anyio.lowlevel.checkpoint()
            await stage.client.notify("notifications/cancelled", {"requestId": 1, "reason": "bored"})
        assert stage.session.messages[-1]["params"] == {"requestId": 1, "reason": "bored"}


# -- from the server to the client


@pytest.mark.parametrize(
    ("method", "params"),
    [
        ("sampling/createMessage", {"messages": [], "tools": [TOOL], "toolChoice": {"mode": "auto"}, "maxTokens": 1}),
        ("elicitation/create", {"mode": "form", "message": "?", "requestedSchema": {"type": "object"}}),
        (
            "elicitation/create",
            {"mode": "url", "message": "?", "url": "https://example.invalid/", "elicitationId": "1"},
        ),
        ("roots/list", {}),
    ],
)
@pytest.mark.parametrize("server_id", ["srv", 1, 0])
async def test_a_servers_request_goes_to_the_call_it_belongs_to(method: str, params: Any, server_id: Any) -> None:
    async with staged() as stage:
        request = {"jsonrpc": "2.0", "id": server_id, "method": method, "params": params}
        reply = {"jsonrpc": "2.0", "id": server_id, "result": {"action": "accept", "content": AWKWARD, "vendor": 1}}

        async def handler(call: Call) -> None:
            answer = await call.ask(request)
            await call.event(call.result({"content": [], "structuredContent": answer}))
            await call.end()

        stage.upstream.handlers["tools/call"] = handler
        async with stage.client.stream("tools/call", {"name": "t"}) as stream:
            assert await stream.message() == request
            async with stage.client.send(reply) as response:
                assert response.status == 202
            assert (await stream.message())["result"]["structuredContent"] == reply


async def test_changed_roots_reach_the_server() -> None:
    async with staged() as stage:
        await stage.client.notify("notifications/roots/list_changed")
        assert stage.session.messages[-1] == {"jsonrpc": "2.0", "method": "notifications/roots/list_changed"}


# -- the rest


async def test_a_binary_resource_arrives_whole() -> None:
    async with staged() as stage:
        contents = [{"uri": "x://y", "mimeType": "image/png", "blob": "AAECAw==", "_meta": AWKWARD}]
        stage.on("resources/read", {"contents": contents, "_meta": AWKWARD})
        answer = await stage.client.call("resources/read", {"uri": "x://y"})
        assert answer["result"] == {"contents": contents, "_meta": AWKWARD}


async def test_tasks_of_the_2025_revision_are_relayed() -> None:
    async with staged() as stage:
        await stage.client.tool("t", task={"ttl": 1})
        assert stage.last("tools/call")["params"]["task"] == {"ttl": 1}
        for method in ("tasks/get", "tasks/result", "tasks/list", "tasks/cancel"):
            assert (await stage.client.call(method, {"taskId": "1"}))["result"] == {"echo": {"taskId": "1"}}


async def test_eight_calls_at_once_are_not_mixed() -> None:
    async with staged() as stage:
        waiting = anyio.Event()
        count = 0

        async def handler(call: Call) -> None:
            nonlocal count
            count += 1
            if count == 8:
                waiting.set()
            await waiting.wait()
            await call.reply(call.result(call.params["arguments"]))

        stage.upstream.handlers["tools/call"] = handler
        answers: dict[int, Any] = {}

        async def one(number: int) -> None:
            answers[number] = await stage.client.tool("t", {"n": number}, id=number)

        async with anyio.create_task_group() as group:
            for number in range(8):
                group.start_soon(one, number)
        assert answers == {n: {"jsonrpc": "2.0", "id": n, "result": {"n": n}} for n in range(8)}


async def test_eight_megabytes_pass_both_ways() -> None:
    async with staged() as stage:
        text = "ab" * (4 * 1024 * 1024)
        stage.on("tools/call", {"content": [{"type": "text", "text": text}]})
        answer = await stage.client.tool("t", {"text": text})
        assert answer["result"]["content"][0]["text"] == text
        assert stage.last("tools/call")["params"]["arguments"]["text"] == text


async def test_each_client_has_an_upstream_session_of_its_own() -> None:
    async with staged() as stage, raw_client("wk_bob") as http:
        bob = RawClient(http, stage.client.url)
        await bob.initialize()
        assert len(stage.upstream.sessions) == 2
        assert bob.headers["mcp-session-id"] != stage.client.headers["mcp-session-id"]


async def test_the_same_id_from_two_clients_is_kept_apart() -> None:
    async with staged() as stage:
        both = anyio.Event()

        async def handler(call: Call) -> None:
            if call.params["arguments"]["who"] == "bob":
                both.set()
            await both.wait()
            await call.reply(call.result(call.params["arguments"]))

        stage.upstream.handlers["tools/call"] = handler
        answers: dict[str, Any] = {}

        async def one(client: RawClient, who: str) -> None:
            answers[who] = (await client.tool("t", {"who": who}, id=7))["result"]

        async with raw_client("wk_bob") as http, anyio.create_task_group() as group:
            bob = RawClient(http, stage.client.url)
            await bob.initialize()
            group.start_soon(one, stage.client, "alice")
            group.start_soon(one, bob, "bob")
            await both.wait()
        assert answers == {"alice": {"who": "alice"}, "bob": {"who": "bob"}}


async def test_an_ended_session_is_ended_upstream_and_unknown_afterwards() -> None:
    async with staged() as stage:
        upstream_id = stage.session.id
        assert await stage.client.delete() == 200
        assert stage.upstream.ended == [upstream_id]
        async with stage.client.post("ping") as response:
            assert response.status == 404


async def test_a_session_that_the_server_lost_is_lost_for_the_client_too() -> None:
    async with staged() as stage:
        stage.upstream.sessions.clear()
        async with stage.client.post("tools/call", {"name": "t"}) as response:
            assert response.status == 404
        async with stage.client.post("ping") as response:
            assert response.status == 404
        await stage.client.initialize() if stage.client.headers.pop("mcp-session-id") else None
        assert (await stage.client.tool("t"))["result"]["echo"]["name"] == "t"
