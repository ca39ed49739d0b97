"""A stage for the aggregate: servers of all kinds behind it, clients of all kinds before it, real HTTP between them."""

import contextlib
import sys
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import anyio
import httpx2
from mcp import Client
from mcp.client.streamable_http import streamable_http_client
from mcp_types import CallToolResult, TextContent

from governance.clock import SystemClock
from governance.config.models import Config, Limits
from governance.exchange import Principal
from governance.identity.directory import UnknownKeyError
from mcp_proxy.app import Organs, open_app
from mcp_proxy.link import Server
from mcp_proxy.servers import open_servers
from mcp_proxy.transports.streamable_http import HttpServer, open_client
from pipeline.border import BadRequestError
from tests.mcp_proxy.harness import OpenGate, OpenKills, SeenTools, raw_client, serving, steady
from tests.mcp_proxy.joint_servers import make_server
from tests.mcp_proxy.raw_client import RawClient
from tests.mcp_proxy.raw_upstream import Call, RawUpstream

MODERN = "2026-07-28"
ERAS = ["legacy", MODERN]
PROGRAM = str(Path(__file__).with_name("joint_servers.py"))
NOWHERE = "http://127.0.0.1:9"
"""The discard port: nobody listens."""


class Keys:
    """Alice may reach every server, Bob one, Carol none."""

    async def recognise(self, token: str | None, *, peer: str = "", user: str = "") -> Principal:
        known = {"wk_alice": ("*",), "wk_bob": ("beta",), "wk_carol": ("elsewhere",)}
        if token not in known:
            raise UnknownKeyError("no valid key")
        return Principal(token, servers=known[token])


@dataclass
class Joint:
    """A running proxy."""

    url: str
    gate: OpenGate
    kills: OpenKills
    refused: list[BadRequestError]

    @property
    def asked(self) -> list[tuple[str, str]]:
        """Server and name of what was judged."""
        return [(one.resource.server, one.resource.name) for one in self.gate.admitted]


@contextlib.asynccontextmanager
async def joined(servers: Mapping[str, Server], limits: Limits) -> AsyncGenerator[Joint]:
    """The proxy before these servers, for a test of at most 30 seconds."""
    gate, kills, refused = OpenGate(), OpenKills(), list[BadRequestError]()

    async def record(path: str, problem: BadRequestError) -> None:
        refused.append(problem)

    organs = Organs(gate, kills, SeenTools(), Keys(), SystemClock(), limits, ("127.0.0.1",), record)
    with anyio.fail_after(30):
        async with open_app(organs, servers) as app, serving(app) as url:
            yield Joint(url, gate, kills, refused)


@contextlib.asynccontextmanager
async def official(**more: dict[str, Any]) -> AsyncGenerator[Joint]:
    """Server `alpha` over HTTP and server `beta` as a process."""
    async with serving(make_server("alpha").streamable_http_app(), lifespan="on") as url:
        alpha = {"type": "http", "url": f"{url}/mcp"}
        beta = {"command": sys.executable, "args": (PROGRAM, "beta")}
        config = Config.model_validate({"mcpServers": {"alpha": alpha, "beta": beta, **more}})
        async with open_servers(config, SystemClock(), lambda: 0.0) as servers, joined(servers, Limits()) as joint:
            yield joint


@contextlib.asynccontextmanager
async def connected(joint: Joint, mode: Any, key: str = "wk_alice", **options: Any) -> AsyncGenerator[Client]:
    """An official client of the aggregate."""
    async with (
        httpx2.AsyncClient(headers={"authorization": f"Bearer {key}"}, timeout=20) as http,
        Client(streamable_http_client(f"{joint.url}/mcp", http_client=http), mode=mode, **options) as client,
    ):
        yield client


@dataclass
class RawStage:
    """Two servers, `alpha` and `beta`, that do what a test says, and a client that hides nothing."""

    joint: Joint
    alpha: RawUpstream
    beta: RawUpstream
    client: RawClient
    http: aiohttp.ClientSession

    @property
    def both(self) -> tuple[RawUpstream, RawUpstream]:
        """The servers."""
        return self.alpha, self.beta


@contextlib.asynccontextmanager
async def raw(*, limits: Limits | None = None) -> AsyncGenerator[RawStage]:
    """A raw client that has shaken hands with the aggregate of two raw servers, whose eras are not bridged."""
    alpha, beta, limits = RawUpstream(), RawUpstream(), limits or Limits()
    for one in (alpha, beta):
        capabilities: dict[str, Any] = {"tools": {"listChanged": True}, "logging": {}, "prompts": {}, "resources": {}}
        one.initialize = {**one.initialize, "capabilities": capabilities}
    async with serving(alpha) as first, serving(beta) as second, raw_client() as http, open_client() as upstream:
        urls = {"alpha": first, "beta": second}
        servers = {
            name: HttpServer(name, url, client=upstream, limits=limits, pulse=steady(name))
            for name, url in urls.items()
        }
        async with joined(servers, limits) as joint:
            client = RawClient(http, f"{joint.url}/mcp")
            await client.initialize()
            yield RawStage(joint, alpha, beta, client, http)


def lists(server: RawUpstream, method: str, member: str, *pages: list[dict[str, Any]]) -> None:
    """Let a server answer a list in pages; its cursors are the numbers of the pages."""

    async def handler(call: Call) -> None:
        at = int(call.params.get("cursor", "0"))
        result: dict[str, Any] = {member: pages[at]}
        if at + 1 < len(pages):
            result["nextCursor"] = str(at + 1)
        await call.reply(call.result(result))

    server.handlers[method] = handler


def sent(server: RawUpstream, method: str) -> list[dict[str, Any]]:
    """The messages of a method that reached a server."""
    return [call.message for call in server.calls if call.message.get("method") == method]


def text_of(result: CallToolResult) -> str:
    first = result.content[0]
    assert isinstance(first, TextContent)
    return first.text
