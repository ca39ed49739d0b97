"""The proxy with the real core behind it: policy, approval, redaction and the kill switch, over real HTTP."""

import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio

from governance.clock import SystemClock
from governance.jsontree import JsonObject
from sessions.killswitch import Scope
from tests.mcp_proxy.harness import serving
from tests.mcp_proxy.raw_client import RawClient
from tests.mcp_proxy.raw_upstream import Call, RawUpstream
from tests.mcp_proxy.real_core import fronting_http, keyless
from tests.pipeline.world import World, open_world

POLICY: JsonObject = {
    "version": 1,
    "default": "allow",
    "rules": [
        {"id": "no-rm", "match": {"tool": "rm"}, "decide": "deny", "reason": "nothing is removed here"},
        {"id": "ask-write", "match": {"tool": "write"}, "decide": "hold", "reason": "writes are approved"},
    ],
}


@asynccontextmanager
async def governed(folder: Path) -> AsyncGenerator[tuple[World, RawUpstream, RawClient]]:
    upstream, clock = RawUpstream(), SystemClock()
    settings: dict[str, Any] = {
        "identity": {"anonymous": True},
        "approvals": {"wait_seconds": 0},
        "detect": {"engine": "re", "actions": {"pii.ssn": "redact"}},
    }
    with anyio.fail_after(30):
        async with (
            open_world(f"sqlite:///{folder}/wicket.db", folder, clock, POLICY, **settings) as world,
            serving(upstream) as url,
        ):
            core, urls = world.runtime, {"files": url}
            async with fronting_http(core, urls, []) as front, keyless(f"{front}/mcp/files") as client:
                await client.initialize()
                yield world, upstream, client


def called(upstream: RawUpstream) -> list[Any]:
    return [call.params for call in upstream.calls if call.message.get("method") == "tools/call"]


async def test_a_rule_refuses_a_tool_and_hides_it(tmp_path: Path) -> None:
    async with governed(tmp_path) as (world, upstream, client):

        async def listing(call: Call) -> None:
            await call.reply(call.result({"tools": [{"name": name, "inputSchema": {}} for name in ("ls", "rm")]}))

        upstream.handlers["tools/list"] = listing
        tools = (await client.call("tools/list"))["result"]["tools"]
        assert [tool["name"] for tool in tools] == ["ls"]
        result = (await client.tool("rm"))["result"]
        assert result["isError"] is True
        assert "no-rm" in result["content"][0]["text"]
        assert called(upstream) == []
        assert "exchange.refused" in await world.types()


async def test_an_approved_call_runs_once_when_it_is_made_again(tmp_path: Path) -> None:
    async with governed(tmp_path) as (world, upstream, client):
        pending = (await client.tool("write", {"path": "a"}, id=1))["result"]
        told = pending["_meta"]["wicket/verdict"]
        assert (pending["isError"], told["decision"]) == (True, "hold")
        assert told["link"] in pending["content"][0]["text"]
        assert called(upstream) == []
        await world.runtime.desk.approve(told["ticket"], by="anna")
        assert "isError" not in (await client.tool("write", {"path": "a"}, id=2))["result"]
        assert called(upstream) == [{"name": "write", "arguments": {"path": "a"}}]
        assert (await client.tool("write", {"path": "a"}, id=3))["result"]["_meta"]["wicket/verdict"][
            "decision"
        ] == "hold"
        assert len(called(upstream)) == 1


async def test_a_number_in_the_arguments_is_redacted_before_it_leaves(tmp_path: Path) -> None:
    async with governed(tmp_path) as (_, upstream, client):
        await client.tool("note", {"text": "my ssn is 078-05-1121", "n": 1})
        assert "078-05-1121" not in json.dumps(called(upstream))
        assert called(upstream)[0]["arguments"]["n"] == 1


async def test_a_number_in_the_result_is_redacted_before_it_arrives(tmp_path: Path) -> None:
    async with governed(tmp_path) as (_, upstream, client):

        async def handler(call: Call) -> None:
            await call.reply(call.result({"content": [{"type": "text", "text": "ssn 078-05-1121 ok"}]}))

        upstream.handlers["tools/call"] = handler
        text = (await client.tool("read"))["result"]["content"][0]["text"]
        assert "078-05-1121" not in text
        assert text.startswith("ssn ")
        assert text.endswith(" ok")


async def test_a_killed_session_is_cut_and_refused(tmp_path: Path) -> None:
    async with governed(tmp_path) as (world, upstream, client):

        async def handler(call: Call) -> None:
            note = {"jsonrpc": "2.0", "method": "notifications/progress", "params": {"progressToken": 1, "progress": 1}}
            await call.event(json.dumps(note).encode())
            await call.until_left()

        upstream.handlers["tools/call"] = handler
        async with client.stream("tools/call", {"name": "t"}) as stream:
            await stream.message()
            session = str((await world.events("exchange.admitted"))[-1]["session_id"])
            await world.runtime.kills.kill(Scope.SESSION, session, reason="enough", actor="anna")
            (last,) = await stream.rest()
        assert "enough" in last["result"]["content"][0]["text"]
        assert "enough" in (await client.tool("t"))["result"]["content"][0]["text"]
        assert "enough" in (await client.call("vendor/x"))["error"]["message"]
