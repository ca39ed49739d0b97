"""Sessions with a legacy server are bounded, and each belongs to one client as it describes itself."""

import json
from typing import Any

import anyio
import pytest

from governance.exchange import Principal
from mcp_proxy.bridge import pool
from mcp_proxy.bridge.upward import Guest
from mcp_proxy.message import Message
from tests.mcp_proxy.bridge.modern_scene import ACCEPTED, elicits, envelope, scene
from tests.mcp_proxy.raw_upstream import Call


def named(name: str) -> dict[str, Any]:
    return envelope(**{"io.modelcontextprotocol/clientInfo": {"name": name, "version": "1"}})


async def test_the_longest_unused_session_makes_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool, "MOST_OF_ONE", 2)
    async with scene() as it:
        for name in ("a", "b", "c", "b"):
            it.clock.advance(1)
            assert "result" in await it.tool(meta=named(name))
        hellos = [hello["params"]["clientInfo"]["name"] for hello in it.sent("initialize")]
        assert hellos == ["a", "b", "c"]
        assert it.upstream.ended == ["up-0"]


async def test_a_session_in_use_makes_no_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool, "MOST_OF_ONE", 1)
    async with scene() as it:
        it.on("tools/call", elicits)
        asked = await it.tool(meta=named("a"), id=1)
        async with it.post("tools/call", {"name": "it", "arguments": {}}, meta=named("b"), id=2) as response:
            assert response.status == 503
            assert "too many sessions" in json.loads(await response.read())["error"]["message"]
        (key,) = asked["result"]["inputRequests"]
        told = await it.retry(asked, {key: ACCEPTED}, meta=named("a"), id=3)
        assert told["result"]["structuredContent"] == ACCEPTED


async def test_over_http_calls_of_one_client_share_a_session_when_there_are_no_more(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(pool, "MOST_OF_ONE", 1)
    async with scene() as it:
        it.on("tools/call", elicits)
        first, second = await it.tool(id=1), await it.tool(id=2)
        assert len(it.sent("initialize")) == 1
        for number, asked in ((3, second), (4, first)):
            (key,) = asked["result"]["inputRequests"]
            answer = {"action": "accept", "content": {"word": str(number)}}
            told = await it.retry(asked, {key: answer}, id=number)
            assert told["result"]["structuredContent"] is not None


async def test_what_a_client_tells_of_itself_is_bounded() -> None:
    async with scene() as it:
        told = await it.tool(meta=envelope({"x": "y" * 70_000}))
        assert told["error"]["code"] == -32602
        assert it.sent("initialize") == []


async def test_many_first_requests_ask_for_the_era_once_and_open_one_session() -> None:
    async with scene() as it:

        async def call(number: int) -> None:
            assert "result" in await it.tool(id=number, meta=envelope({}))

        async with anyio.create_task_group() as group:
            for number in range(8):
                group.start_soon(call, number)
        assert len(it.sent("server/discover")) == len(it.sent("initialize")) == 1
        assert len({call["id"] for call in it.sent("tools/call")}) == 8


async def test_a_server_over_http_is_asked_again_after_a_while() -> None:
    async with scene() as it:
        await it.tool(id=1)
        it.clock.advance(601)
        await it.tool(id=2)
        assert len(it.sent("server/discover")) == 2


async def test_a_stream_that_the_server_ended_is_gone_on_with() -> None:
    async with scene() as it:

        async def polled(call: Call) -> None:
            it.upstream.resumed = call.result({"content": [], "structuredContent": {"late": True}})
            await call.event(b'{"jsonrpc":"2.0","method":"notifications/vendor"}', event_id="place-1", retry=1)
            await call.end()

        it.on("tools/call", polled)
        async with it.post("tools/call", {"name": "it", "arguments": {}}) as response:
            assert b'"late":true' in await response.read()


def test_a_session_that_a_wider_token_opened_is_none_for_a_lesser_one() -> None:
    asked = Message.build({"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {"_meta": envelope()}})
    wide, lesser = (Guest.of(Principal("ann", rights=rights), asked) for rights in ("wide", "lesser"))
    assert wide != lesser
