"""Official clients and servers meet through the proxy, in every revision and every way an answer may come."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import httpx2
import pytest
from mcp import Client
from mcp.client.streamable_http import streamable_http_client
from mcp.server.mcpserver import Context, MCPServer
from mcp_types import CallToolResult, ElicitRequestParams, ElicitResult, TextContent
from pydantic import BaseModel

from tests.mcp_proxy.harness import Proxy, proxying, serving

MODERN = "2026-07-28"


class Name(BaseModel):
    """What the server asks a person for."""

    name: str


def official_server() -> MCPServer:
    server = MCPServer("official", instructions="hello")

    @server.tool()
    async def add(a: int, b: int) -> int:  # pyright: ignore[reportUnusedFunction] - the decorator registers it
        return a + b

    @server.tool()
    async def slow(steps: int, context: Context) -> str:  # pyright: ignore[reportUnusedFunction] - as above
        for step in range(steps):
            await context.report_progress(step, steps, "working")
        return "done"

    @server.tool()
    async def greet(context: Context) -> str:  # pyright: ignore[reportUnusedFunction] - as above
        answer = await context.elicit("who are you?", Name)
        return f"hello {answer.data.name}" if answer.action == "accept" else "nobody"

    return server


@asynccontextmanager
async def official(**app: Any) -> AsyncGenerator[Proxy]:
    async with (
        serving(official_server().streamable_http_app(**app), lifespan="on") as url,
        proxying({"up": f"{url}/mcp"}) as proxy,
    ):
        with anyio.fail_after(30):
            yield proxy


@asynccontextmanager
async def connected(proxy: Proxy, mode: Any, **options: Any) -> AsyncGenerator[Client]:
    async with (
        httpx2.AsyncClient(headers={"authorization": "Bearer wk_alice"}, timeout=20) as http,
        Client(streamable_http_client(proxy.at("up"), http_client=http), mode=mode, **options) as client,
    ):
        yield client


def text_of(result: CallToolResult) -> str:
    first = result.content[0]
    assert isinstance(first, TextContent)
    return first.text


@pytest.mark.parametrize("mode", ["legacy", "auto", MODERN])
@pytest.mark.parametrize("app", [{}, {"json_response": True}, {"stateless_http": True}])
async def test_official_clients_and_servers_meet_through_the_proxy(mode: str, app: dict[str, Any]) -> None:
    async with official(**app) as proxy, connected(proxy, mode) as client:
        if mode != MODERN:  # a client that is sure of the revision asks for no introduction
            assert client.server_info is not None
            assert client.server_info.name == "official"
        assert {tool.name for tool in (await client.list_tools()).tools} == {"add", "slow", "greet"}
        assert text_of(await client.call_tool("add", {"a": 2, "b": 3})) == "5"
        era = "legacy" if mode == "legacy" else "modern"
        assert all(exchange.facts["era"] == era for exchange in proxy.gate.admitted)


@pytest.mark.parametrize("mode", ["legacy", MODERN])
async def test_progress_reaches_an_official_client(mode: str) -> None:
    seen: list[float] = []

    async def note(progress: float, total: float | None, message: str | None) -> None:
        seen.append(progress)

    async with official() as proxy, connected(proxy, mode) as client:
        assert text_of(await client.call_tool("slow", {"steps": 3}, progress_callback=note)) == "done"
    assert seen == [0, 1, 2]


async def test_a_person_is_asked_through_the_proxy() -> None:
    async def answer(context: Any, params: ElicitRequestParams) -> ElicitResult:
        return ElicitResult(action="accept", content={"name": "Ada"})

    async with official() as proxy, connected(proxy, "legacy", elicitation_callback=answer) as client:
        assert text_of(await client.call_tool("greet", {})) == "hello Ada"
