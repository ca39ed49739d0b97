"""A child process with lines on its standard streams: started, fed, read, and ended with everything it started.

It knows nothing of JSON-RPC. All of it runs in callbacks of the event loop: no task is needed to watch a child.

No orphans: a child leads a process group of its own, and the whole group is ended with it. Should this process be
killed outright, its ends of the pipes close, and every server that keeps to the protocol ends at the end of its input
(`docs/decisions/children.md` says why nothing stronger is used).
"""

import asyncio
import contextlib
import logging
import os
import signal
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Protocol, cast

from mcp_proxy.link import LinkLostError, UpstreamUnreachableError
from mcp_proxy.transports.lines import LineSplitter, LineTooLongError
from mcp_proxy.transports.stdio_noise import Noise
from mcp_proxy.transports.surroundings import of_configured, of_wrapped

log = logging.getLogger(__name__)

GRACE_SECONDS = 2.0
"""How long a child may take to end after each further push: end of input, SIGTERM, SIGKILL."""


class Program(Protocol):
    """Something that can be run as a child, here or elsewhere."""

    @property
    def secrets(self) -> Iterable[str]:
        """Texts that must not reach our log, whoever says them."""
        ...

    async def run(self, child: asyncio.SubprocessProtocol) -> asyncio.SubprocessTransport:
        """Run it; `child` is told what happens to it.

        Raises:
            FileNotFoundError: there is no such program or working directory.
            OSError, ValueError: it cannot be run.
        """
        ...

    def signal(self, transport: asyncio.SubprocessTransport, number: int) -> None:
        """Pass a signal to its whole group. One that has ended is no mistake."""
        ...


@dataclass(frozen=True, slots=True)
class Command:
    """What to run. Comes from the configuration file or, wrapped, from our own command line; never from a message."""

    program: str
    args: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    """What it gets besides the inherited variables. References are filled in already."""
    cwd: str = ""
    wrapped: bool = False
    """Whether we stand in for it in an agent's configuration: it then gets our environment and our stderr."""

    def environment(self, ours: Mapping[str, str]) -> dict[str, str]:
        """The child's environment, given our own."""
        return {**(of_wrapped(ours) if self.wrapped else of_configured(ours)), **self.env}

    @property
    def secrets(self) -> Iterable[str]:
        """What it was given by name."""
        return self.env.values()

    async def run(self, child: asyncio.SubprocessProtocol) -> asyncio.SubprocessTransport:
        """A process of ours that leads a group of its own; see `Program`.

        Raises:
            FileNotFoundError: there is no such program or working directory.
            OSError, ValueError: it cannot be run.
        """
        transport, _ = await asyncio.get_running_loop().subprocess_exec(
            lambda: child,
            self.program,
            *self.args,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=None if self.wrapped else asyncio.subprocess.PIPE,
            env=self.environment(os.environ),
            cwd=self.cwd or None,
            start_new_session=True,
        )
        return transport

    def signal(self, transport: asyncio.SubprocessTransport, number: int) -> None:
        """Pass a signal to its whole group."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(transport.get_pid(), number)


class Child(asyncio.SubprocessProtocol):
    """One running child.

    Args:
        name: The server's name, for the log.
        program: What it runs.
        max_bytes: Longest line that is read.
        on_line: Called with each line of its standard output.
        on_gone: Called once when it has ended and its output was read, with our own words on how.
    """

    def __init__(
        self,
        name: str,
        program: Program,
        max_bytes: int,
        on_line: Callable[[bytes], None],
        on_gone: Callable[[str], None],
    ) -> None:
        self._name = name
        self._program = program
        self._on_line = on_line
        self._on_gone = on_gone
        self._lines = LineSplitter(max_bytes)
        self._noise = Noise(name, program.secrets)
        self._transport: asyncio.SubprocessTransport | None = None
        self._stdin: asyncio.WriteTransport | None = None
        self._unwritten: list[bytes] = []
        self._room: asyncio.Future[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._gone = asyncio.Event()
        self._how = ""
        self._stopping = False
        self._is_held = False
        """Whether nothing more of its output is taken for now."""
        self._ended_early = False
        """Whether it was found to have ended while its output was held."""
        self._is_known = False
        """Whether `start` has returned it. One that nobody got is ended without a word."""

    @classmethod
    async def start(
        cls,
        name: str,
        program: Program,
        max_bytes: int,
        on_line: Callable[[bytes], None],
        on_gone: Callable[[str], None],
    ) -> "Child":
        """Run `program`.

        Raises:
            UpstreamUnreachableError: it cannot be started.
        """
        loop = asyncio.get_running_loop()
        child = cls(name, program, max_bytes, on_line, on_gone)
        try:
            transport = await program.run(child)
        except FileNotFoundError:
            missing = "its command or working directory does not exist"
            raise UpstreamUnreachableError(f"server `{name}` cannot be started: {missing}") from None
        except (OSError, ValueError) as error:
            log.warning("server %s cannot be started: %s", name, getattr(error, "strerror", "") or "bad command")
            raise UpstreamUnreachableError(f"server `{name}` cannot be started: its command does not run") from None
        except BaseException:
            child.send_signal(signal.SIGKILL)  # cancelled, although it may run already
            raise
        child._stdin = cast("asyncio.WriteTransport", transport.get_pipe_transport(0))
        child._is_known = True
        if child._gone.is_set():
            loop.call_soon(child._tell)
        return child

    @property
    def is_running(self) -> bool:
        """Whether it can still be written to."""
        return not self._stopping and not self._gone.is_set()

    @property
    def pid(self) -> int:
        """Its process id, which is also that of its process group."""
        return self._transport.get_pid() if self._transport else 0

    @property
    def exit_code(self) -> int | None:
        """As of `subprocess`: None while it runs, the negative signal number if one ended it."""
        return self._transport.get_returncode() if self._transport else None

    def write(self, raw: bytes) -> None:
        """Write one line; `raw` has no line end.

        Raises:
            LinkLostError: the child has ended.
        """
        if not self.is_running or self._stdin is None or self._stdin.is_closing():
            raise LinkLostError(f"server `{self._name}` has stopped: start a new session")
        if not self._unwritten:
            # What is written in one turn of the loop goes out at once: a write that wakes a process is dear.
            asyncio.get_running_loop().call_soon(self._flush)
        self._unwritten += (raw, b"\n")

    @property
    def is_full(self) -> bool:
        """Whether it has not taken enough of what was written, so that nothing more should be."""
        return self._room is not None

    async def drain(self, seconds: float) -> None:
        """Wait until the child has taken enough of what was written.

        Raises:
            TimeoutError: it did not in `seconds`.
        """
        if self._room is not None:
            async with asyncio.timeout(seconds):
                await asyncio.shield(self._room)

    def stop(self) -> None:
        """Ask it to end: end of input now, signals to its whole group later. Safe to call twice."""
        if self._stopping or self._gone.is_set():
            return
        self._stopping = True
        self._flush()
        if self._stdin is not None:
            self._stdin.close()
        self._push(signal.SIGTERM)

    async def wait(self) -> None:
        """Wait until it is gone."""
        await self._gone.wait()

    def send_signal(self, number: int) -> None:
        """Pass a signal to its whole group."""
        if self._transport is not None:  # group 0 would be our own
            self._program.signal(self._transport, number)

    def hold_output(self, held: bool) -> None:
        """Take nothing more of its output for now, or go on. It counts as running until its output was read."""
        self._is_held = held
        pipe = self._transport.get_pipe_transport(1) if self._transport is not None else None
        if pipe is not None and not pipe.is_closing():
            with contextlib.suppress(RuntimeError):  # it has closed meanwhile
                reading = cast("asyncio.ReadTransport", pipe)
                (reading.pause_reading if held else reading.resume_reading)()
        if not held and self._ended_early:
            self._ended_early = False
            self._timer = asyncio.get_running_loop().call_later(GRACE_SECONDS, self.connection_lost, None)

    def _tell(self) -> None:
        """Say how it ended, if whoever started it has it by now."""
        if not self._is_known:
            return
        code = self.exit_code
        how = (
            "it stopped"
            if code is None
            else f"it was ended by signal {-code}"
            if code < 0
            else f"it exited with {code}"
        )
        self._on_gone(self._how or how)

    def _flush(self) -> None:
        if self._unwritten and self._stdin is not None and not self._stdin.is_closing():
            self._stdin.write(b"".join(self._unwritten))
        self._unwritten = []

    def _push(self, number: signal.Signals) -> None:
        self._timer = asyncio.get_running_loop().call_later(GRACE_SECONDS, self._escalate, number)

    def _escalate(self, number: signal.Signals) -> None:
        self.send_signal(number)
        if number is signal.SIGTERM:
            self._push(signal.SIGKILL)

    # -- called by the event loop -------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """It runs. It may have ended again before `start` goes on."""
        self._transport = cast("asyncio.SubprocessTransport", transport)

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        """Bytes of standard output (1) or standard error (2)."""
        if fd == 2:
            self._noise.feed(data)
            return
        if self._how:
            return
        try:
            lines = self._lines.feed(data)
        except LineTooLongError as error:
            log.warning("server %s: %s; it is stopped", self._name, error)
            self._how = f"it sent a message that is too large: {error}"
            self._stopping = True
            self.send_signal(signal.SIGKILL)
            return
        for line in lines:
            self._on_line(line)

    def pipe_connection_lost(self, fd: int, exc: Exception | None) -> None:
        """A pipe has closed. A server without its output is of no use any more."""
        self._make_room()
        if fd == 1:
            self.stop()

    def process_exited(self) -> None:
        """The child has ended. What it left behind in its group is ended too, which also closes the pipes."""
        self.send_signal(signal.SIGKILL)
        if self._timer is not None:
            self._timer.cancel()
        # Something that left the group may still hold the pipes open: do not wait for it.
        self._timer = asyncio.get_running_loop().call_later(GRACE_SECONDS, self.connection_lost, None)

    def connection_lost(self, exc: Exception | None) -> None:
        """Ended, and everything was read."""
        if self._gone.is_set():
            return
        if self._is_held:
            self._ended_early = True
            return
        if self._timer is not None:
            self._timer.cancel()
        self._gone.set()
        self._make_room()
        self._noise.close()
        if self._transport is not None:
            self._transport.close()
        self._tell()

    def pause_writing(self) -> None:
        """The child does not read fast enough."""
        self._room = self._room or asyncio.get_running_loop().create_future()

    def resume_writing(self) -> None:
        """The child has caught up."""
        self._make_room()

    def _make_room(self) -> None:
        if self._room is not None and not self._room.done():
            self._room.set_result(None)
        self._room = None
