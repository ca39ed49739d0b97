"""The aggregate with the real core behind it: rules, approvals and the log speak of real servers and tools."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio

from governance.clock import SystemClock
from governance.jsontree import JsonObject
from mcp_proxy.pinning import Pinning
from sessions.killswitch import Scope
from tests.mcp_proxy.harness import serving
from tests.mcp_proxy.joint import lists, sent
from tests.mcp_proxy.raw_client import RawClient
from tests.mcp_proxy.raw_upstream import Call, RawUpstream
from tests.mcp_proxy.real_core import fronting_http, keyless
from tests.pipeline.world import World, open_world

POLICY: JsonObject = {
    "version": 1,
    "default": "allow",
    "rules": [
        {
            "id": "no-rm-on-beta",
            "match": {"server": "beta", "tool": "rm"},
            "decide": "deny",
            "reason": "nothing is removed there",
        },
        {"id": "ask-write", "match": {"tool": "write"}, "decide": "hold", "reason": "writes are approved"},
        {"id": "prefixed", "match": {"tool": "*__*"}, "decide": "deny", "reason": "no rule sees such a name"},
    ],
}
TOOLS: list[dict[str, Any]] = [{"name": name, "inputSchema": {}} for name in ("ls", "rm", "write")]


@asynccontextmanager
async def governed(folder: Path) -> AsyncGenerator[tuple[World, RawUpstream, RawUpstream, RawClient]]:
    alpha, beta, clock = RawUpstream(), RawUpstream(), SystemClock()
    for one in (alpha, beta):
        lists(one, "tools/list", "tools", TOOLS)
        one.initialize = {**one.initialize, "capabilities": {"tools": {}, "prompts": {}}}

    settings: dict[str, Any] = {
        "identity": {"anonymous": True},
        "approvals": {"wait_seconds": 0},
        "detect": {"engine": "re", "actions": {"pii.ssn": "redact"}},
    }
    with anyio.fail_after(30):
        async with (
            open_world(f"sqlite:///{folder}/wicket.db", folder, clock, POLICY, **settings) as world,
            serving(alpha) as first,
            serving(beta) as second,
        ):
            core, urls = world.runtime, {"alpha": first, "beta": second}
            pins = Pinning(core.pins, core.catalog)
            async with fronting_http(core, urls, pins=pins) as front, keyless(f"{front}/mcp") as client:
                await client.initialize()
                yield world, alpha, beta, client


async def test_a_rule_about_one_server_hides_and_refuses_its_tool_and_not_the_others(tmp_path: Path) -> None:
    async with governed(tmp_path) as (world, alpha, beta, client):
        listed = (await client.call("tools/list"))["result"]["tools"]
        assert [tool["name"] for tool in listed] == [
            "alpha__ls",
            "alpha__rm",
            "alpha__write",
            "beta__ls",
            "beta__write",
        ]
        refused = (await client.tool("beta__rm"))["result"]
        assert refused["isError"] is True
        assert "no-rm-on-beta" in refused["content"][0]["text"]
        assert not sent(beta, "tools/call")
        assert "result" in await client.tool("alpha__rm")
        assert [call["params"]["name"] for call in sent(alpha, "tools/call")] == ["rm"]
        (event,) = await world.events("exchange.refused")
        assert (event["server"], event["tool"]) == ("beta", "rm")
        admitted = [(one["server"], one["tool"]) for one in await world.events("exchange.admitted") if one.get("tool")]
        assert admitted == [("alpha", "rm")]


async def test_an_approval_is_for_the_tool_of_one_server_and_holds_at_both_endpoints(tmp_path: Path) -> None:
    async with governed(tmp_path) as (world, alpha, beta, client):
        told = (await client.tool("beta__write", {"path": "a"}, id=1))["result"]["_meta"]["wicket/verdict"]
        assert told["decision"] == "hold"
        await world.runtime.desk.approve(told["ticket"], by="anna")
        other = (await client.tool("alpha__write", {"path": "a"}, id=2))["result"]
        assert other["_meta"]["wicket/verdict"]["decision"] == "hold"
        assert "isError" not in (await client.tool("beta__write", {"path": "a"}, id=3))["result"]
        assert [call["params"] for call in sent(beta, "tools/call")] == [{"name": "write", "arguments": {"path": "a"}}]
        assert not sent(alpha, "tools/call")


async def test_arguments_and_results_are_redacted_as_at_the_servers_own_endpoint(tmp_path: Path) -> None:
    async with governed(tmp_path) as (_, _, beta, client):

        async def handler(call: Call) -> None:
            await call.reply(call.result({"content": [{"type": "text", "text": "ssn 078-05-1121 ok"}]}))

        beta.handlers["tools/call"] = handler
        answer = await client.tool("beta__ls", {"text": "my ssn is 078-05-1121"})
        assert "078-05-1121" not in str(answer)
        assert "078-05-1121" not in str(sent(beta, "tools/call"))


async def test_a_killed_run_is_cut_at_every_server(tmp_path: Path) -> None:
    async with governed(tmp_path) as (world, alpha, beta, client):

        async def handler(call: Call) -> None:
            note = b'{"jsonrpc":"2.0","method":"notifications/message","params":{"level":"info","data":"x"}}'
            await call.event(note)
            await call.until_left()

        beta.handlers["tools/call"] = handler
        async with client.stream("tools/call", {"name": "beta__ls"}) as stream:
            await stream.message()
            session = str((await world.events("exchange.admitted"))[-1]["session_id"])
            await world.runtime.kills.kill(Scope.SESSION, session, reason="enough", actor="anna")
            (last,) = await stream.rest()
        assert "enough" in last["result"]["content"][0]["text"]
        for method in ("tools/list", "prompts/list"):
            assert "enough" in (await client.call(method))["error"]["message"]
        assert not sent(alpha, "prompts/list")
