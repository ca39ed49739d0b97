"""What must survive the proxy, legacy era: introductions, tools, results, and sessions that are kept apart."""

import json
from typing import Any

import anyio
import pytest

from governance import jsontree
from tests.mcp_proxy.harness import raw_client
from tests.mcp_proxy.raw_client import INITIALIZE, RawClient
from tests.mcp_proxy.raw_upstream import Call
from tests.mcp_proxy.stage import AWKWARD, TOOL, staged

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
