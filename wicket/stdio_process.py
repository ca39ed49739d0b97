"""`wicket stdio` where the wrapper serves by itself: opens the runtime for one server.

The relaying itself is `mcp_proxy/wrapper.py`.
"""

import contextlib
import os
import secrets as randomness
from collections.abc import AsyncGenerator, Sequence

from governance.clock import Clock
from governance.config.models import Config
from governance.config.secrets import open_secrets
from mcp_proxy.bridge.request_state import STATE_KEY
from mcp_proxy.link import Server
from mcp_proxy.pulse import Pulse
from mcp_proxy.wrapper import bridged, own_ends, serve, wrapped_server
from pipeline.runtime import Runtime, open_runtime
from wicket.addresses import console_address
from wicket.exits import CommandError, Exit
from wicket.handover import key_in
from wicket.loading import load
from wicket.wrapping import organs_for


async def wrap(config: Config, name: str, command: Sequence[str], clock: Clock) -> int:
    """Relay between the agent on our standard streams and one server, until either ends.

    Args:
        config: the configuration.
        name: what policies and the log call the server.
        command: starts the server; empty = the configured server of that name.
        clock: the only source of time.

    Returns:
        The server's own exit code where it ended first.

    Raises:
        CommandError: there is no such server, or no valid key.
    """
    if not command and name not in config.mcp_servers:
        raise CommandError(Exit.ABSENT, f"no server `{name}` is configured: add it, or give its command after `--`")
    console = console_address(config)
    secrets = open_secrets(config)
    async with open_runtime(config, secrets, clock=clock, process="stdio", console=console) as runtime:
        organs = organs_for(runtime, name, key_in(os.environ))
        async with _opened(runtime, name, command, clock) as server:
            return await serve(organs, server, own_ends())


@contextlib.asynccontextmanager
async def _opened(runtime: Runtime, name: str, command: Sequence[str], clock: Clock) -> AsyncGenerator[Server]:
    """The server: the command, or the configured one of that name."""
    jitter, state_key = randomness.SystemRandom().random, runtime.key_for(STATE_KEY)
    limits = runtime.config.limits
    if command:
        child = wrapped_server(name, command, limits=limits, pulse=Pulse(name, clock, jitter))
        patience = runtime.config.approvals.whole_seconds
        opening = bridged(child, limits=limits, clock=clock, state_key=state_key, patience=patience)
    else:
        opening = load("wicket.stdio_configured").open_configured(runtime, name, clock, jitter, state_key)
    async with opening as server:
        yield server
