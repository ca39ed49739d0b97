"""The configured servers, through the HTTP front and through the wrapper."""

import sys
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import httpx2
import mcp_types as types
import pytest
from mcp.client import Client
from mcp.client.session import ClientRequestContext
from mcp.client.streamable_http import streamable_http_client

from governance.clock import SystemClock
from governance.config.models import Config, Limits, McpServer
from mcp_proxy.app import Organs, open_app
from mcp_proxy.bridge.server import BridgedServer
from mcp_proxy.link import Era, Health, UpstreamUnreachableError
from mcp_proxy.servers import AnyHttpServer, open_servers, reports
from mcp_proxy.transports.sse import SseServer
from mcp_proxy.transports.stdio import StdioServer
from mcp_proxy.transports.streamable_http import HttpServer
from pipeline.border import AsgiScope, Receive, Send
from tests.mcp_proxy.harness import OpenGate, OpenKills, SeenTools, TwoKeys, serving
from tests.mcp_proxy.transports.stage_props import ANN, PLAIN_SERVER

SDK_SERVER = str(Path(PLAIN_SERVER).with_name("sdk_server.py"))
ENTRIES = {
    "sdk": McpServer(command=sys.executable, args=(SDK_SERVER, "stdio")),
    "plain": McpServer(command=sys.executable, args=(PLAIN_SERVER,)),
}


def configured(entries: Mapping[str, McpServer]) -> Config:
    return Config.model_validate({"mcpServers": {name: entry.model_dump() for name, entry in entries.items()}})


@asynccontextmanager
async def proxying(entries: Mapping[str, McpServer] = ENTRIES) -> AsyncGenerator[str]:
    async with watching(entries) as (url, _):
        yield url


@asynccontextmanager
async def watching(entries: Mapping[str, McpServer]) -> AsyncGenerator[tuple[str, Mapping[str, BridgedServer]]]:
    clock = SystemClock()

    async def record(path: str, problem: Any) -> None:
        """Nothing is refused unread here."""

    organs = Organs(OpenGate(), OpenKills(), SeenTools(), TwoKeys(), clock, Limits(), ("127.0.0.1",), record)
    config = configured(entries)
    async with (
        open_servers(config, clock, lambda: 0.0) as servers,
        open_app(organs, servers) as app,
        serving(app) as url,
    ):
        yield f"{url}/mcp", servers


@asynccontextmanager
async def connected(url: str, key: str = "wk_alice", **options: Any) -> AsyncGenerator[Client]:
    async with (
        httpx2.AsyncClient(headers={"authorization": f"Bearer {key}"}) as http,
        Client(streamable_http_client(url, http_client=http), **options) as client,
    ):
        yield client


@pytest.mark.parametrize("mode", ["auto", "legacy", "2026-07-28"])
async def test_an_official_http_client_reaches_an_official_stdio_server_in_every_era(mode: Any) -> None:
    steps: list[float] = []

    async def on_progress(progress: float, total: float | None, message: str | None) -> None:
        steps.append(progress)

    with anyio.fail_after(30):
        async with proxying() as url, connected(f"{url}/sdk", mode=mode) as client:
            assert (await client.call_tool("add", {"a": 2, "b": 3})).structured_content == {"result": 5}
            await client.call_tool("count", {}, progress_callback=on_progress)
            assert steps == [1, 2, 3]


async def test_a_person_is_asked_over_http_for_a_legacy_stdio_server() -> None:
    async def answer(context: ClientRequestContext, params: types.ElicitRequestParams) -> types.ElicitResult:
        return types.ElicitResult(action="accept", content={"word": "please"})

    with anyio.fail_after(30):
        async with (
            proxying() as url,
            connected(f"{url}/sdk", mode="legacy", elicitation_callback=answer) as client,
        ):
            said = (await client.call_tool("ask", {})).content[0]
            assert isinstance(said, types.TextContent)
            assert said.text == "please"


async def test_modern_clients_side_by_side_keep_their_own_answers() -> None:
    with anyio.fail_after(30):
        async with proxying() as url:

            async def client(number: int) -> None:
                async with connected(f"{url}/sdk", mode="2026-07-28") as here:
                    for step in range(20):
                        result = await here.call_tool("add", {"a": number, "b": step})
                        assert result.structured_content == {"result": number + step}

            async with anyio.create_task_group() as group:
                for number in range(4):
                    group.start_soon(client, number * 1000)


async def test_a_legacy_client_whose_server_crashed_is_told_to_start_again() -> None:
    with anyio.fail_after(30):
        async with proxying() as url:
            async with connected(f"{url}/plain", mode="legacy") as client:
                with pytest.raises(Exception, match="exited with 7"):
                    await client.call_tool("crash", {})
                with pytest.raises(Exception, match=r"(?i)session|404"):
                    await client.call_tool("echo", {})
            async with connected(f"{url}/plain", mode="legacy") as client:
                assert not (await client.call_tool("echo", {})).is_error


async def test_clients_of_every_era_and_key_share_one_process_where_the_configuration_says_so() -> None:
    entry = ENTRIES["sdk"].model_copy(update={"start": "eager", "process": "shared"})
    with anyio.fail_after(90):
        async with watching({"sdk": entry}) as (url, servers):
            for key, mode in (("wk_alice", "legacy"), ("wk_bob", "2026-07-28"), ("wk_bob", "legacy")):
                async with connected(f"{url}/sdk", key, mode=mode) as client:
                    assert (await client.call_tool("add", {"a": 2, "b": 3})).structured_content == {"result": 5}
            (one,) = reports(servers)
            assert (one.vitals.starts, one.condition.health) == (1, Health.READY)


async def test_a_server_of_older_revisions_is_not_shared_and_its_health_says_why() -> None:
    entry = ENTRIES["plain"].model_copy(update={"process": "shared"})
    with anyio.fail_after(60):
        async with open_servers(configured({"plain": entry}), SystemClock(), lambda: 0.0) as servers:
            for era in (Era.LEGACY, Era.MODERN, Era.LEGACY):
                with pytest.raises(UpstreamUnreachableError, match="its process cannot be shared"):
                    await servers["plain"].open(ANN, era)
            (one,) = reports(servers)
            assert one.condition.health is Health.FAILING
            assert "leave out `process`" in one.vitals.last_error


async def test_the_configuration_chooses_the_transport() -> None:
    config = configured(
        {
            "command": McpServer(command="x"),
            "address": McpServer(url="http://127.0.0.1:9/"),
            "http": McpServer(type="http", url="http://127.0.0.1:9/"),
            "streamable": McpServer(type="streamable-http", url="http://127.0.0.1:9/"),
            "sse": McpServer(type="sse", url="http://127.0.0.1:9/"),
        }
    )
    async with open_servers(config, SystemClock(), lambda: 0.0) as servers:
        assert {name: type(server.inner) for name, server in servers.items()} == {
            "command": StdioServer,
            "address": AnyHttpServer,
            "http": HttpServer,
            "streamable": HttpServer,
            "sse": SseServer,
        }
        assert {one.name: one.condition.health for one in reports(servers)} == dict.fromkeys(servers, Health.UNKNOWN)
    assert {one.condition.health for one in reports(servers)} == {Health.STOPPED}


async def test_an_old_server_that_is_only_slow_is_still_found_out() -> None:
    """What is found out is never asked again, so a server that needs longer than a connection must not be mistaken."""
    slow = {"POST", "GET"}

    async def app(scope: AsgiScope, receive: Receive, send: Send) -> None:
        method = scope["method"]
        if method in slow:
            slow.discard(method)
            with anyio.move_on_after(0.6):
                await anyio.sleep_forever()
        stream = method == "GET"
        headers = [(b"content-type", b"text/event-stream" if stream else b"text/plain")]
        await send({"type": "http.response.start", "status": 200 if stream else 405, "headers": headers})
        body = b"event: endpoint\ndata: /messages\n\n" if stream else b""
        await send({"type": "http.response.body", "body": body, "more_body": stream})
        while stream and (await receive())["type"] != "http.disconnect":
            pass

    async with serving(app) as url:
        entries = {"old": {"url": f"{url}/sse"}}
        config = Config.model_validate({"mcpServers": entries, "limits": {"connect_seconds": 0.3}})
        async with open_servers(config, SystemClock(), lambda: 0.0) as servers:
            link = await servers["old"].inner.open(ANN, Era.LEGACY)
            assert servers["old"].transport == "sse"
            await link.close()
    assert not slow
