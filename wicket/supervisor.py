"""Runs the processes of one installation and keeps them running.

It binds their sockets and hands them down, so that a taken port is told at once, and requests that come while a
process is started again wait instead of failing. It knows nothing of what the processes do.
"""

import contextlib
import errno
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

import anyio
from anyio.abc import Process

from governance.clock import Clock
from wicket.exits import CommandError, Exit

HOPELESS = frozenset({Exit.USAGE, Exit.CONFIG})
"""Exit codes after which starting again cannot help: a person has to mend something."""
BACKLOG = 2048


@dataclass(frozen=True)
class Front:
    """One process to run."""

    name: str
    socket: socket.socket
    command: Sequence[str]
    """Its command line, without the arguments that hand the socket down."""
    host: str
    """`Host` header to ask it with."""
    health: str
    """Path on which it says that it is well."""

    @property
    def port(self) -> int:
        """The port it answers on."""
        return int(self.socket.getsockname()[1])


@dataclass(frozen=True)
class Patience:
    """How long things may take, in seconds."""

    first_delay: float = 0.2
    """Before a process that died is started again; doubles each time."""
    longest_delay: float = 30.0
    settled: float = 60.0
    """A process that ran this long is thought well, and its delay begins anew."""
    probe: float = 0.05
    grace: float = 20.0
    """For a process to end by itself once it was asked to."""


@dataclass(eq=False)
class Supervisor:
    """Keeps `fronts` running until a signal comes.

    Args:
        say: told of every death and new start.
        ready: called once, when all of them answer.
        heard: told the name and the text of each line that a process writes to its standard output.
    """

    fronts: Sequence[Front]
    clock: Clock
    say: Callable[[str], None]
    ready: Callable[[], Awaitable[None]]
    heard: Callable[[str, str], None]
    patience: Patience = Patience()
    _stopping: bool = field(default=False, init=False)
    _code: Exit = field(default=Exit.DONE, init=False)

    async def run(self) -> Exit:
        """Run until a signal comes or a process cannot be helped. No process outlives this."""
        with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
            async with anyio.create_task_group() as tasks:
                scope = tasks.cancel_scope
                for front in self.fronts:
                    tasks.start_soon(self._keep, front, scope)
                tasks.start_soon(self._announce)
                async for _ in signals:
                    break
                scope.cancel()
        return self._code

    async def _announce(self) -> None:
        for front in self.fronts:
            while not await is_well(front):  # noqa: ASYNC110 - another process tells, so there is no event to wait for
                await anyio.sleep(self.patience.probe)
        await self.ready()

    async def _keep(self, front: Front, everything: anyio.CancelScope) -> None:
        delay = self.patience.first_delay
        while True:
            began = self.clock.monotonic()
            code = await self._run_once(front)
            if code in HOPELESS:
                self._code = Exit(code)
                everything.cancel()
                return
            if self.clock.monotonic() - began >= self.patience.settled:
                delay = self.patience.first_delay
            self.say(f"{front.name} ended ({_how(code)}); starting it again in {delay:g} s")
            await anyio.sleep(delay)
            delay = min(delay * 2, self.patience.longest_delay)

    async def _run_once(self, front: Front) -> int:
        """Run a process to its end; when this is cancelled, ask it to end and wait for it."""
        handle = front.socket.fileno()
        process = await anyio.open_process(
            [*front.command, "--socket", str(handle), "--supervised"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=None,
            pass_fds=(handle,),
            start_new_session=True,  # a Ctrl-C goes to us alone, and we end them in order
        )
        try:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._listen, front.name, process)
                await process.wait()
                tasks.cancel_scope.cancel()
            return -1 if process.returncode is None else process.returncode
        finally:
            with anyio.CancelScope(shield=True):
                await self._end(process)

    async def _listen(self, name: str, process: Process) -> None:
        if process.stdout is None:
            return
        rest = b""
        async for chunk in process.stdout:
            *lines, rest = (rest + chunk).split(b"\n")
            for line in lines:
                self.heard(name, line.decode("utf-8", "replace"))

    async def _end(self, process: Process) -> None:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.terminate()
            with anyio.move_on_after(self.patience.grace):
                await process.wait()
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()
        await process.aclose()


def bind(host: str, port: int, setting: str) -> socket.socket:
    """A listening socket.

    Args:
        host: address or name to bind.
        port: 0 lets the system choose.
        setting: what to name in the error, for example `gateway.port`.

    Raises:
        CommandError: the address cannot be bound.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host.strip("[]"), port))
        listener.listen(BACKLOG)
    except (OSError, OverflowError) as error:
        listener.close()
        why = (
            "is taken by another program"
            if getattr(error, "errno", 0) == errno.EADDRINUSE
            else f"cannot be bound ({error})"
        )
        raise CommandError(
            Exit.UNAVAILABLE, f"`{host}:{port}` {why}: stop that program, or change `{setting}`"
        ) from None
    return listener


async def is_well(front: Front) -> bool:
    """Whether a front says of itself that it serves."""
    host = str(front.socket.getsockname()[0])
    address = "127.0.0.1" if host == "0.0.0.0" else "::1" if host == "::" else host  # noqa: S104 - read, not bound
    request = f"GET {front.health} HTTP/1.1\r\nHost: {front.host}\r\nConnection: close\r\n\r\n"
    with anyio.move_on_after(1):
        try:
            async with await anyio.connect_tcp(address, front.port) as stream:
                await stream.send(request.encode())
                return (await stream.receive()).split(b" ")[1:2] == [b"200"]
        except (OSError, anyio.EndOfStream, anyio.BrokenResourceError):
            return False
    return False


def command_of(name: str, config: str) -> list[str]:
    """The command line that runs one of our own processes with this very interpreter."""
    return [sys.executable, "-m", "wicket", name, "--config", config]


def _how(code: int) -> str:
    if code >= 0:
        return f"exit code {code}"
    try:
        return f"signal {signal.Signals(-code).name}"
    except ValueError:
        return f"signal {-code}"


async def wait_for_parent_to_leave(handle: int = 0) -> None:
    """Return when the pipe from the supervisor ends, which it does however the supervisor died."""
    while True:
        await anyio.wait_readable(handle)
        if not os.read(handle, 1024):
            return
