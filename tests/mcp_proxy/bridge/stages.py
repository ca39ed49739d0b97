"""The stage of the bridge's tests: servers of one era behind the whole front, for clients of the other."""

import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
import httpx2
from mcp import Client
from mcp.client.streamable_http import streamable_http_client

from governance.clock import Clock, SystemClock
from governance.config.models import Config, Limits
from mcp_proxy.app import Organs, open_app
from mcp_proxy.bridge.server import BridgedServer
from mcp_proxy.link import Era
from mcp_proxy.servers import open_servers
from tests.mcp_proxy.bridge import one_era
from tests.mcp_proxy.harness import OpenGate, OpenKills, SeenTools, TwoKeys, serving

MODERN = "2026-07-28"
PROGRAM = str(Path(one_era.__file__))
ROOT = str(Path(PROGRAM).parents[3])


@dataclass
class Stage:
    """What a test may look at."""

    url: str
    server: BridgedServer
    gate: OpenGate
    kills: OpenKills


@asynccontextmanager
async def bridged(
    entry: dict[str, Any], clock: Clock | None = None, limits: Limits | None = None, approvals: Any = None
) -> AsyncGenerator[Stage]:
    """The front before one configured server; everything is over within 60 seconds."""
    clock = clock or SystemClock()
    gate, kills = OpenGate(), OpenKills()

    async def record(path: str, problem: Any) -> None:
        """Nothing is refused unread here."""

    settings: dict[str, Any] = {"mcpServers": {"up": entry}}
    if approvals is not None:
        settings["approvals"] = approvals
    if limits is not None:
        settings["limits"] = limits.model_dump()
    config = Config.model_validate(settings)
    organs = Organs(gate, kills, SeenTools(), TwoKeys(), clock, config.limits, ("127.0.0.1",), record)
    with anyio.fail_after(60):
        async with (
            open_servers(config, clock, lambda: 0.0) as servers,
            open_app(organs, servers) as app,
            serving(app) as url,
        ):
            yield Stage(f"{url}/mcp/up", servers["up"], gate, kills)


@asynccontextmanager
async def one_era_stage(era: Era, transport: str) -> AsyncGenerator[Stage]:
    """The official server that speaks only `era`, over `http` or `stdio`."""
    if transport == "stdio":
        entry = {"command": sys.executable, "args": ["-m", "tests.mcp_proxy.bridge.one_era", era.value], "cwd": ROOT}
        async with bridged(entry) as stage:
            yield stage
        return
    app = one_era.only(era, one_era.server_of(era).streamable_http_app())
    async with serving(app, lifespan="on") as url, bridged({"url": f"{url}/mcp", "type": "http"}) as stage:
        yield stage


@asynccontextmanager
async def connected(stage: Stage, mode: Any, *, key: str = "wk_alice", **options: Any) -> AsyncGenerator[Client]:
    """An official client before the stage."""
    async with (
        httpx2.AsyncClient(headers={"authorization": f"Bearer {key}"}, timeout=60) as http,
        Client(streamable_http_client(stage.url, http_client=http), mode=mode, **options) as client,
    ):
        yield client
