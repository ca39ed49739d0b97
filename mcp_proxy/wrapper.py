"""`wicket stdio`: this process stands in an agent's configuration where its MCP server stood.

It joins the agent's pipes to the relay, and the relay to the server: a command given after `--`, or a server of the
configuration. Opening the runtime and reading the command line are the command floor's business.
"""

import contextlib
import logging
import os
import secrets
import sys
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from functools import partial

import anyio
from anyio.abc import TaskGroup

from governance.clock import Clock
from governance.config.models import Limits
from governance.exchange import Principal
from mcp_proxy.bridge.only_child import OnlyChild
from mcp_proxy.bridge.server import BridgedServer, Means
from mcp_proxy.carrier import Carrier
from mcp_proxy.gate import HeaderRules
from mcp_proxy.handover.sender import AGAIN, FORWARDED, LOST
from mcp_proxy.link import Era, Server, UpstreamError
from mcp_proxy.message import MalformedMessageError
from mcp_proxy.pulse import Pulse
from mcp_proxy.tasks.borrowed import Borrowed
from mcp_proxy.transports.piped_front import Pipe, PipedClient, open_client
from mcp_proxy.transports.stdio import StdioServer
from mcp_proxy.transports.stdio_child import Command
from mcp_proxy.transports.stdio_front import InputLines, NoPipeError, Stream, open_streams

log = logging.getLogger(__name__)

PARTING_SECONDS = 3.0
"""How long calls may still be answered when the proxy that serves them is about to end."""
LINGER_SECONDS = 1.0
"""How long calls may still be answered after the agent closed its end. Agents wait about 2 s before they signal."""
CANNOT_START = 127
"""Exit code when the server cannot be started, as shells have it."""
NO_PIPES = 2
"""Exit code when our standard streams are not what an agent gives."""


def no_tasks(_: Mapping[str, Server]) -> AbstractAsyncContextManager[None]:
    """Nobody makes the calls of tasks, so none is given."""
    return contextlib.nullcontext()


@dataclass(frozen=True)
class Organs:
    """What the wrapper acts with."""

    relay: Carrier
    rules: HeaderRules
    principal: Principal
    limits: Limits
    record: Callable[[MalformedMessageError], Awaitable[None]]
    """Writes into the audit log that a message was refused unread."""
    making: Callable[[Mapping[str, Server]], AbstractAsyncContextManager[None]] = no_tasks
    """Makes the calls of tasks while it is open (`mcp_proxy.tasks.runner.Runner.running`)."""


def wrapped_server(name: str, command: Sequence[str], *, limits: Limits, pulse: Pulse) -> StdioServer:
    """The server that an agent's configuration names after `--`. It has one client ever: us."""
    program, *args = command
    return StdioServer(name, Command(program, tuple(args), wrapped=True), limits=limits, pulse=pulse, alone=True)


@dataclass(frozen=True)
class Ends:
    """The agent's side of a wrapper."""

    source: Stream
    """The agent's messages."""
    sink: Stream
    """Our answers. Nothing else may be written there."""
    signalled: Callable[[], Awaitable[int]]
    """Returns the number of the signal that is to end the wrapper, once there is one."""
    leaving: Callable[[], Awaitable[None]]
    """Returns when the process that serves is about to end, although neither agent nor server is."""
    say: Callable[[str], None]
    """Tells the person who reads the wrapper's standard error."""


def own_ends() -> Ends:
    """Those of this process."""
    return Ends(sys.stdin.buffer, sys.stdout.buffer, _signalled, anyio.sleep_forever, partial(log.error, "%s"))


async def _signalled() -> int:
    with anyio.open_signal_receiver(*FORWARDED) as signals:
        async for number in signals:
            return number
    raise AssertionError("signals never end")


@contextlib.asynccontextmanager
async def bridged(
    child: StdioServer, *, limits: Limits, clock: Clock, state_key: bytes, patience: float = 0
) -> AsyncGenerator[Server]:
    """The server that is wrapped, for an agent of either era, while the block is open.

    Args:
        child: the server.
        limits: bound it.
        clock: tells and measures time.
        state_key: 32 bytes that seal what clients carry of suspended calls.
        patience: how long an approval may take from the question to its use.
    """
    async with anyio.create_task_group() as group:
        server = BridgedServer(OnlyChild(child), Means(group, clock, limits, state_key, patience))
        try:
            yield server
        finally:
            with anyio.CancelScope(shield=True):
                await server.aclose()
            group.cancel_scope.cancel()


async def serve(organs: Organs, server: Server, ends: Ends) -> int:
    """Relay between the agent and `server` until one of them ends.

    Args:
        organs: what the wrapper acts with.
        server: where the messages go. It is not closed here.
        ends: the agent.

    Returns:
        The exit code: that of the child where it ended first or was signalled, else 0.
    """
    session = f"stdio-{os.getpid()}-{secrets.token_hex(6)}"
    try:
        async with open_streams(ends.source, ends.sink, organs.limits.body_bytes) as (lines, voice):
            pipe = Pipe(organs.principal, "stdio", session, voice.write, organs.record)
            async with (
                open_client(organs.relay, server, pipe, organs.rules) as client,
                organs.making({server.name: Borrowed(server, client.link)}),
            ):
                return await _Run(client, server, lines, organs.limits, ends).until_ended()
    except NoPipeError as error:
        ends.say(str(error))
        return NO_PIPES


class _Run:
    """One run of the wrapper."""

    def __init__(self, client: PipedClient, server: Server, lines: InputLines, limits: Limits, ends: Ends) -> None:
        self._client = client
        self._server = server
        self._child = _child_of(server)
        self._lines = lines
        self._limits = limits
        self._ends = ends
        self._code = 0
        self._reading = anyio.CancelScope()

    async def until_ended(self) -> int:
        if self._child is not None:
            try:
                await self._client.link(
                    Era.LEGACY
                )  # a server that cannot start is an error of the configuration: say so now
            except UpstreamError as error:
                self._ends.say(str(error))
                return CANNOT_START
        async with anyio.create_task_group() as group:
            group.start_soon(self._read, group)
            group.start_soon(self._forward_signals, group)
            group.start_soon(self._watch, group)
            group.start_soon(self._leave, group)
        return self._code

    async def _read(self, group: TaskGroup) -> None:
        """Take the agent's messages until it closes its end."""
        with self._reading:
            async for line in self._lines:
                if line:
                    await self._client.take(line)
                else:
                    await self._client.refuse(
                        MalformedMessageError(f"a message is larger than {self._limits.body_bytes} bytes")
                    )
        if not self._reading.cancel_called:
            await self._client.finish(LINGER_SECONDS)
            group.cancel_scope.cancel()

    async def _watch(self, group: TaskGroup) -> None:
        """End with the server: the agent starts us again when it needs us."""
        await (self._child.exited if self._child is not None else self._client.lost).wait()
        await self._client.finish(LINGER_SECONDS)
        self._code = _exit_code(self._child) or 1
        group.cancel_scope.cancel()

    async def _leave(self, group: TaskGroup) -> None:
        """End with the proxy, which can go on serving neither: take nothing more, and answer what was taken."""
        await self._ends.leaving()
        self._reading.cancel()
        await self._client.finish(PARTING_SECONDS)
        await self._client.give_up(UpstreamError(f"the MCP proxy was stopped before this was answered: {AGAIN}"))
        self._ends.say(f"the MCP proxy that served this was stopped: {AGAIN}")
        self._code = LOST
        group.cancel_scope.cancel()

    async def _forward_signals(self, group: TaskGroup) -> None:
        """What ends us ends the child, by the same signal."""
        number = await self._ends.signalled()
        self._code = 128 + number
        if self._child is not None:
            self._child.send_signal(number)
        group.cancel_scope.cancel()


def _child_of(server: Server) -> StdioServer | None:
    """What starts the server's process, if it is one of ours."""
    inner = server.inner if isinstance(server, BridgedServer) else server
    inner = inner.child if isinstance(inner, OnlyChild) else inner
    return inner if isinstance(inner, StdioServer) else None


def _exit_code(child: StdioServer | None) -> int:
    """The last child's exit code as a shell would report it."""
    code = child.exit_code if child is not None else 0
    return 128 - code if code < 0 else code
