"""What the MCP process is made of: the configured servers, and the fronts before them."""

import contextlib
import secrets
from collections.abc import AsyncGenerator
from functools import partial
from pathlib import Path

import anyio

from governance.health.report import Report
from governance.health.store import SqlHealth
from governance.store import StoreError
from mcp_proxy.aggregate_cursor import CURSOR_KEY
from mcp_proxy.app import Organs, open_app
from mcp_proxy.bridge.request_state import STATE_KEY
from mcp_proxy.credentials.opening import open_credentials
from mcp_proxy.errors import render
from mcp_proxy.handover.listener import DeclinedError, Guest, Terms, listening
from mcp_proxy.handover.wire import SOCKET
from mcp_proxy.heartbeat import Heartbeat, told
from mcp_proxy.pinning import Pinning
from mcp_proxy.protected_resource import ProtectedResource
from mcp_proxy.pulse import Pulse
from mcp_proxy.servers import open_servers
from mcp_proxy.transports.stdio import StdioServer
from mcp_proxy.wrapper import Ends, bridged, serve
from mcp_proxy.wrapper import Organs as WrapperOrgans
from pipeline.border import AsgiApp
from pipeline.runtime import Runtime
from wicket.delivering import delivery_of
from wicket.exits import CommandError
from wicket.metrics import with_metrics
from wicket.refusals import record_refused
from wicket.serve import Ending, Service
from wicket.wrapping import organs_for


@contextlib.asynccontextmanager
async def open_front(runtime: Runtime, ending: Ending, *, terms: Terms) -> AsyncGenerator[AsgiApp]:
    """The application of this process, and the place where wrappers may hand over their agents.

    Args:
        runtime: everything that is open.
        ending: returns once the process was asked to end; nobody is taken over from then on.
        terms: what wrappers must have in common with us; others serve by themselves.
    """
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
        listening(Path(config.state) / SOCKET, terms, partial(serve_guest, runtime, state_key), ending),
    ):
        health = SqlHealth(runtime.store, runtime.clock)

        def look() -> list[Report]:
            return told(servers, runtime.catalog.offered.count)

        heart = Heartbeat(secrets.token_hex(8), health, runtime.clock, look)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(heart.run)
            yield with_metrics(app, runtime, render, organs.record, look)
            tasks.cancel_scope.cancel()


async def serve_guest(runtime: Runtime, state_key: bytes, guest: Guest) -> int:
    """Serve the agent of one wrapper; returns the wrapper's exit code.

    Raises:
        DeclinedError: its key is not valid.
    """
    organs = await _organs(runtime, guest)
    limits, clock, patience = runtime.config.limits, runtime.clock, runtime.config.approvals.whole_seconds
    pulse = Pulse(guest.server, clock, secrets.SystemRandom().random)
    child = StdioServer(guest.server, guest.program, limits=limits, pulse=pulse, alone=True)
    ends = Ends(guest.source, guest.sink, guest.signalled, guest.leaving, guest.say)
    async with bridged(child, limits=limits, clock=clock, state_key=state_key, patience=patience) as server:
        return await serve(organs, server, ends)


async def _organs(runtime: Runtime, guest: Guest) -> WrapperOrgans:
    """What an agent is served with. Its key may have been made since the keys were last read, by the same script."""
    try:
        return organs_for(runtime, guest.server, guest.key)
    except CommandError:
        with contextlib.suppress(StoreError):
            await runtime.identity.refresh()
    try:
        return organs_for(runtime, guest.server, guest.key)
    except CommandError as error:
        raise DeclinedError(error.exit_code, f"error: {error}") from None


async def greet(_: Runtime) -> str:
    """Nothing to tell."""
    return ""


def mcp_service(terms: Terms) -> Service:
    """The MCP proxy, with what wrappers must have in common with it."""
    return Service("mcp", "mcp", partial(open_front, terms=terms), render, greet)
