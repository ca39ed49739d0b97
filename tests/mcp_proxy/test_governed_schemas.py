"""Schemas of tools held by the running proxy: a model reads what to mend, and a wrong result does not reach it."""

from pathlib import Path
from typing import Any

from tests.mcp_proxy.raw_upstream import Call, RawUpstream
from tests.mcp_proxy.test_governed import called, governed

TOOL: dict[str, Any] = {
    "name": "count",
    "inputSchema": {
        "type": "object",
        "properties": {"path": {"type": "string"}, "most": {"type": "integer", "maximum": 9}},
        "required": ["path"],
        "additionalProperties": False,
    },
    "outputSchema": {"type": "object", "properties": {"lines": {"type": "integer"}}, "required": ["lines"]},
}


def on(upstream: RawUpstream, method: str, result: Any) -> None:
    """Let the server answer every request of `method` with `result`."""

    async def handler(call: Call) -> None:
        await call.reply(call.result(result))

    upstream.handlers[method] = handler


async def test_arguments_that_do_not_fit_come_back_as_a_result_that_says_what_would(tmp_path: Path) -> None:
    async with governed(tmp_path) as (world, upstream, client):
        on(upstream, "tools/list", {"tools": [TOOL]})
        on(upstream, "tools/call", {"content": [], "structuredContent": {"lines": 3}})
        await client.call("tools/list")
        result = (await client.tool("count", {"most": 4711, "s3cret": "x"}))["result"]
        assert result["isError"] is True
        text = result["content"][0]["text"]
        assert "schema.arguments" in text
        assert "`/most` must be at most 9" in text
        assert "must have the member `path`" in text
        assert "must have no other members than `path`, `most`" in text
        assert "4711" not in text
        assert "s3cret" not in text
        assert called(upstream) == []
        assert "exchange.refused" in await world.types()
        assert (await client.tool("count", {"path": "a"}))["result"]["structuredContent"] == {"lines": 3}


async def test_a_result_that_does_not_fit_is_withheld(tmp_path: Path) -> None:
    async with governed(tmp_path) as (world, upstream, client):
        on(upstream, "tools/list", {"tools": [TOOL]})
        await client.call("tools/list")
        on(upstream, "tools/call", {"content": [], "structuredContent": {"lines": "many"}})
        result = (await client.tool("count", {"path": "a"}))["result"]
        assert result["isError"] is True
        assert "schema.result" in result["content"][0]["text"]
        assert "many" not in result["content"][0]["text"]
        assert len(called(upstream)) == 1
        assert (await world.events("exchange.withheld"))[0]["rule"] == "schema.result"


async def test_arguments_are_held_to_the_schema_as_they_will_be_sent(tmp_path: Path) -> None:
    """A redaction may leave less than the schema wants; then the server is not bothered with it."""
    async with governed(tmp_path) as (_, upstream, client):
        tool = {"name": "find", "inputSchema": {"properties": {"ssn": {"type": "string", "pattern": "^[0-9-]+$"}}}}
        on(upstream, "tools/list", {"tools": [tool]})
        await client.call("tools/list")
        text = (await client.tool("find", {"ssn": "078-05-1121"}))["result"]["content"][0]["text"]
        assert "`/ssn` must match the pattern" in text
        assert called(upstream) == []
