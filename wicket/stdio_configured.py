"""`wicket stdio` for a configured server, which may be anywhere: loads every transport, and how to sign in."""

import contextlib
from collections.abc import AsyncGenerator, Callable

from governance.clock import Clock
from mcp_proxy.credentials.opening import open_credentials
from mcp_proxy.link import Server
from mcp_proxy.servers import open_servers
from pipeline.runtime import Runtime


@contextlib.asynccontextmanager
async def open_configured(
    runtime: Runtime, name: str, clock: Clock, jitter: Callable[[], float], state_key: bytes
) -> AsyncGenerator[Server]:
    """The server of that name. Nothing is opened for the others."""
    config = runtime.config
    config = config.model_copy(update={"mcp_servers": {name: config.mcp_servers[name]}})
    async with (
        open_credentials(config, clock, runtime.vault, None) as credentials,
        open_servers(config, clock, jitter, state_key, credentials, alone=True) as servers,
    ):
        yield servers[name]
