"""What the MCP process is made of: the configured servers, and the fronts before them."""

import contextlib
import secrets
from collections.abc import AsyncGenerator

import anyio

from governance.health.report import Report
from governance.health.store import SqlHealth
from mcp_proxy.aggregate_cursor import CURSOR_KEY
from mcp_proxy.app import Organs, open_app
from mcp_proxy.bridge.request_state import STATE_KEY
from mcp_proxy.credentials.opening import open_credentials
from mcp_proxy.errors import render
from mcp_proxy.heartbeat import Heartbeat, told
from mcp_proxy.pinning import Pinning
from mcp_proxy.protected_resource import ProtectedResource
from mcp_proxy.servers import open_servers
from pipeline.border import AsgiApp
from pipeline.runtime import Runtime
from wicket.delivering import delivery_of
from wicket.metrics import with_metrics
from wicket.serve import Service, record_refused


@contextlib.asynccontextmanager
async def open_front(runtime: Runtime) -> AsyncGenerator[AsgiApp]:
    """The application of this process."""
    config = runtime.config
    organs = Organs(
        gate=runtime.guard,
        kills=runtime.kills,
        catalog=runtime.catalog,
        identity=runtime.identity,
        clock=runtime.clock,
        limits=config.limits,
        hosts=config.hosts,
        record=record_refused(runtime, "mcp"),
        header_user=config.identity.header_user,
        resource=ProtectedResource(config.identity.oauth),
        place=runtime.roll.place,
        pins=Pinning(runtime.pins, runtime.catalog),
        delivery=delivery_of(runtime),
        cursor_key=runtime.key_for(CURSOR_KEY),
    )
    jitter = secrets.SystemRandom().random
    state_key = runtime.key_for(STATE_KEY)
    async with (
        open_credentials(config, runtime.clock, runtime.vault, runtime.identity.tokens) as credentials,
        open_servers(config, runtime.clock, jitter, state_key, credentials) as servers,
        open_app(organs, servers) as app,
    ):
        health = SqlHealth(runtime.store, runtime.clock)

        def look() -> list[Report]:
            return told(servers, runtime.catalog.count)

        heart = Heartbeat(secrets.token_hex(8), health, runtime.clock, look)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(heart.run)
            yield with_metrics(app, runtime, render, organs.record, look)
            tasks.cancel_scope.cancel()


async def greet(_: Runtime) -> str:
    """Nothing to tell."""
    return ""


MCP = Service("mcp", "mcp", open_front, render, greet)
