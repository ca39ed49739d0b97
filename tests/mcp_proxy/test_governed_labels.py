"""Labels at the MCP front door: what one server gives decides what may be sent to another."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest

from governance.clock import SystemClock
from governance.jsontree import JsonObject
from mcp_proxy.pinning import Pinning
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
        {"id": "after-web", "match": {"server": "mail", "labels": "untrusted_content"}, "decide": "deny"},
        {"id": "after-pii", "match": {"server": "mail", "labels": "personal_data"}, "decide": "deny"},
    ],
}
TOOLS: list[dict[str, Any]] = [{"name": name, "inputSchema": {}} for name in ("fetch", "get_time", "send")]


@asynccontextmanager
async def governed(folder: Path) -> AsyncGenerator[tuple[World, RawUpstream, RawUpstream, str]]:
    """The servers `web`, whose content is not trusted, and `mail`; yields the address of both together."""
    web, mail = RawUpstream(), RawUpstream()
    for one in (web, mail):
        lists(one, "tools/list", "tools", TOOLS)
    settings: dict[str, Any] = {
        "identity": {"anonymous": True},
        "mcpServers": {
            "web": {"url": "http://127.0.0.1/", "labels": "untrusted_content", "tool_labels": {"get_*": []}},
            "mail": {"url": "http://127.0.0.1/"},
        },
    }
    with anyio.fail_after(60):
        async with (
            open_world(f"sqlite:///{folder}/wicket.db", folder, SystemClock(), POLICY, **settings) as world,
            serving(web) as first,
            serving(mail) as second,
        ):
            core, urls = world.runtime, {"web": first, "mail": second}
            async with fronting_http(core, urls, pins=Pinning(core.pins, core.catalog)) as front:
                yield world, web, mail, f"{front}/mcp"


async def begun(client: RawClient, session: str) -> RawClient:
    """The client, its session begun and named."""
    client.headers["x-wicket-session"] = session
    await client.initialize()
    await client.call("tools/list")
    return client


def says(text: str, *, error: bool = False) -> Any:
    """A handler of tool calls that says `text`."""

    async def handler(call: Call) -> None:
        await call.reply(call.result({"content": [{"type": "text", "text": text}], "isError": error}))

    return handler


@pytest.mark.parametrize("error", [False, True])
async def test_after_words_of_one_server_nothing_goes_to_another(tmp_path: Path, error: bool) -> None:
    async with governed(tmp_path) as (_, web, mail, url), keyless(url) as client:
        web.handlers["tools/call"] = says("all is well", error=error)
        await begun(client, "run-1")
        assert "isError" not in (await client.tool("mail__send"))["result"]
        await client.tool("web__get_time")
        assert "isError" not in (await client.tool("mail__send"))["result"]
        await client.tool("web__fetch")
        refused = (await client.tool("mail__send"))["result"]
        assert refused["isError"] is True
        assert "after-web" in refused["content"][0]["text"]
        assert len(sent(mail, "tools/call")) == 2


async def test_whoever_was_given_a_result_is_judged_by_what_was_found_in_it_and_nobody_else(tmp_path: Path) -> None:
    async with governed(tmp_path) as (world, web, mail, url), keyless(url) as one, keyless(url) as other:
        web.handlers["tools/call"] = says("write to ann@example.com")
        for number in range(10):
            for client in (one, other):
                client.headers.clear()
                await begun(client, f"run-{number}")
            await one.tool("web__get_time")  # what comes back is the same session's, by another connection
            assert (await other.tool("mail__send"))["result"]["isError"] is True
        assert not sent(mail, "tools/call")
        await begun(other, "run-else")
        assert "isError" not in (await other.tool("mail__send"))["result"]
        completed = await world.events("exchange.completed")
        labelled = [one["labels_set"] for one in completed if "labels_set" in one]
        assert labelled == [["personal_data: finding:pii.email"]] * 10
