"""One serving process: opens the runtime, mounts its front, and serves it until it is asked to end.

What each process is made of is `gateway_process.py` and `mcp_process.py`, so that neither loads what only the other
needs. How processes are kept running is `supervisor.py`.
"""

import contextlib
import gc
import signal
import socket
from collections.abc import Awaitable, Callable, Generator
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import TypeAlias

import anyio
import uvicorn
from anyio.streams.memory import MemoryObjectSendStream

from governance.clock import Clock
from governance.config.models import Config, Limits
from governance.config.secrets import open_secrets
from pipeline.border import AsgiApp, BadRequestError, Render
from pipeline.protocol import governed_protocol
from pipeline.runtime import Runtime, open_runtime
from wicket.addresses import console_address
from wicket.refusals import record_refused
from wicket.supervisor import wait_for_parent_to_leave

DRAIN_SECONDS = 10
"""How long requests under way may take once the process was asked to end."""
KEEP_ALIVE_SECONDS = 75
BACKLOG = 2048
_COLLECT_AFTER = 10_000
"""Containers made and not yet freed after which the youngest are looked through: those of some dozen requests."""
_UNREADABLE = 100
"""Most unreadable requests that wait to be written down; more are dropped, so that nobody can fill the memory."""

Ending: TypeAlias = Callable[[], Awaitable[None]]
"""Returns once the process was asked to end: requests under way are finished then, and nothing new should be begun."""
OpenFront: TypeAlias = Callable[[Runtime, Ending], AbstractAsyncContextManager[AsgiApp]]


@dataclass(frozen=True)
class Service:
    """What one process serves."""

    name: str
    plane: str
    open: OpenFront
    render: Render
    """A request that is not even HTTP, in the words of this front's protocol."""
    greet: Callable[[Runtime], Awaitable[str]]
    """What the supervisor is told when the process is about to serve; empty = nothing."""
    console: Callable[[Config], str] = console_address
    """The address of the console, for links in answers."""


async def serve(
    service: Service,
    config: Config,
    listener: socket.socket,
    clock: Clock,
    hand_up: Callable[[str], None] | None = None,
) -> None:
    """Serve until a signal comes, or until the supervisor is gone; requests under way are finished first.

    Args:
        service: what to serve.
        config: the configuration, with the ports that are really used.
        listener: a bound socket; closed in the end.
        clock: the only source of time.
        hand_up: gives the supervisor a line of text; None where there is none, and standard input is not its pipe.

    Raises:
        SecretsError, StoreError, PolicyError, AuditError: nothing was served.
    """
    secrets, ending = open_secrets(config), anyio.Event()
    async with (
        open_runtime(config, secrets, clock=clock, process=service.name, console=service.console(config)) as runtime,
        service.open(runtime, ending.wait) as app,
        anyio.create_task_group() as tasks,
    ):
        unreadable, waiting = anyio.create_memory_object_stream[BadRequestError](_UNREADABLE)
        record = record_refused(runtime, service.plane)

        async def write_down() -> None:
            async for problem in waiting:
                await record("/", problem)

        tasks.start_soon(write_down)
        server = _Server(_settings(app, service.render, unreadable, config.limits))

        def end() -> None:
            server.should_exit = True
            ending.set()

        tasks.start_soon(_end_on_signal, end)
        if hand_up is not None:
            tasks.start_soon(_end_with_parent, end)
            if line := await service.greet(runtime):
                hand_up(line)
        _keep_for_good()
        await server.serve(sockets=[listener])
        tasks.cancel_scope.cancel()


def _keep_for_good() -> None:
    """Tell the garbage collector that what is open now stays.

    Otherwise it goes through all of it (modules, patterns, policies) again and again, and every request under way
    waits a tenth of a second for it.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(_COLLECT_AFTER)


class _Server(uvicorn.Server):
    """uvicorn without its own signal handling, which would end the process before the runtime is closed."""

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None]:
        """Leave signals to `_end_on_signal`."""
        yield


def _settings(
    app: AsgiApp, render: Render, unreadable: MemoryObjectSendStream[BadRequestError], limits: Limits
) -> uvicorn.Config:
    def note(problem: BadRequestError) -> None:
        with contextlib.suppress(anyio.WouldBlock, anyio.BrokenResourceError, anyio.ClosedResourceError):
            unreadable.send_nowait(problem)

    return uvicorn.Config(
        app,
        http=governed_protocol(render, note, limits),
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        date_header=True,
        proxy_headers=False,
        backlog=BACKLOG,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=DRAIN_SECONDS,
    )


async def _end_on_signal(end: Callable[[], None]) -> None:
    with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        async for _ in signals:
            end()


async def _end_with_parent(end: Callable[[], None]) -> None:
    await wait_for_parent_to_leave()
    end()
