"""The wrapper's side: gives the agent's pipes and the child's to the proxy, and stays to hold the child.

The child is started here, with the agent's environment, and ends with this process: nothing that the agent says
reaches it but through the proxy, because its input is in nobody else's hands. Blocking, in one thread, and loads next
to nothing.
"""

import contextlib
import errno
import os
import selectors
import signal
import socket
import struct
import subprocess
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from mcp_proxy.handover import wire
from mcp_proxy.transports.surroundings import of_wrapped

ANSWER_SECONDS = 5.0
"""How long the proxy may take to say that it takes the pipes; then the wrapper serves by itself."""
GRACE_SECONDS = 2.0
"""How long the child may take to end after each further push, once the proxy is gone."""
HURRIED_SECONDS = 1.0
"""How long if we are told to end meanwhile: agents kill us two seconds later."""
LOST = 1
"""Exit code when the proxy went away. Started again, we serve by ourselves if need be."""
AGAIN = "start this server again in your agent"
"""What a person can do then: few agents start a server again by themselves."""
FORWARDED = frozenset({signal.SIGTERM, signal.SIGINT, signal.SIGHUP})


@dataclass(frozen=True, slots=True)
class Hello:
    """Who we are. The proxy takes us only if it runs the same program with the same configuration."""

    home: str
    """Where our packages lie."""
    config: str
    """Digest of the configuration file."""
    values: Mapping[str, str | None]
    """Digest of what each `${NAME}` in it means here; None where it means nothing."""
    server: str
    key: str | None = field(repr=False)
    """The agent's gateway key."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How it ended."""

    code: int
    say: tuple[str, ...] = ()
    """What to tell the person who reads our standard error."""


def hand_over(place: Path, hello: Hello, command: Sequence[str], environ: Mapping[str, str]) -> Outcome | None:
    """Let the proxy that listens at `place` serve the agent on our standard streams.

    Returns:
        How it ended; None where nobody took it and nothing was read yet, so that we have to serve by ourselves.
    """
    line = _connected(place)
    if line is None:
        return None
    with line:
        reader = wire.Reader(line)
        try:
            if not _is_taken(line, reader, hello):
                return None
            line.settimeout(None)
            with _signals() as signals:
                return _Run(line, reader, signals, command, of_wrapped(environ)).until_ended()
        finally:
            reader.close()


def _connected(place: Path) -> socket.socket | None:
    """A connection to a process of our own user, if there is one."""
    line = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    line.settimeout(ANSWER_SECONDS)
    try:
        line.connect(str(place))
        if peer_of(line) in (os.geteuid(), None) and is_private(place.parent):
            return line
    except OSError:
        pass  # nobody listens there
    line.close()
    return None


def peer_of(line: socket.socket) -> int | None:
    """The user at the other end, where the system tells (unix(7), `SO_PEERCRED`)."""
    option = getattr(socket, "SO_PEERCRED", None)
    if option is None:
        return None
    _, user, _ = struct.unpack("3i", line.getsockopt(socket.SOL_SOCKET, option, struct.calcsize("3i")))
    return int(user)


def is_private(folder: Path) -> bool:
    """Whether nobody but us can put anything into a directory."""
    status = folder.stat()
    return status.st_uid == os.geteuid() and not status.st_mode & 0o077


def _is_taken(line: socket.socket, reader: wire.Reader, hello: Hello) -> bool:
    """Whether the proxy takes the agent's pipes, which it then has."""
    words = {"wicket": wire.REVISION, "home": hello.home, "config": hello.config, "values": dict(hello.values)}
    try:
        wire.send(line, {**words, "server": hello.server, "key": hello.key})
        messages = reader.read()
        if not messages or "taken" not in messages[0].words:
            return False
        wire.send(line, {"ends": True}, (0, 1))
    except (OSError, wire.WireError):
        return False
    return True


@contextlib.contextmanager
def _signals() -> Generator[socket.socket]:
    """A socket from which the numbers of the signals that concern us can be read, one byte each."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.setblocking(False)
        theirs.setblocking(False)
        before = signal.set_wakeup_fd(theirs.fileno())
        handlers = {number: signal.signal(number, _come) for number in (*FORWARDED, signal.SIGCHLD)}
        try:
            yield ours
        finally:
            signal.set_wakeup_fd(before)
            for number, handler in handlers.items():
                signal.signal(number, handler)


def _come(_number: int, _frame: object) -> None:
    """That it came is written to the socket by the interpreter itself."""


class _Run:
    """From the moment on at which the proxy has the agent's pipes."""

    def __init__(
        self,
        line: socket.socket,
        reader: wire.Reader,
        signals: socket.socket,
        command: Sequence[str],
        environ: Mapping[str, str],
    ) -> None:
        self._line = line
        self._reader = reader
        self._signals = signals
        self._command = command
        self._environ = environ
        self._child: subprocess.Popen[bytes] | None = None
        self._grace = GRACE_SECONDS
        self._is_told = False
        """Whether the proxy knows that the child has ended."""

    def until_ended(self) -> Outcome:
        try:
            with selectors.DefaultSelector() as selector:
                selector.register(self._signals, selectors.EVENT_READ)
                selector.register(self._line, selectors.EVENT_READ)
                while True:
                    for key, _ in selector.select():
                        if key.fileobj is self._signals:
                            self._note(self._signals.recv(256))
                        elif (outcome := self._obey(self._reader.read())) is not None:
                            return outcome
        except (OSError, wire.WireError):
            return Outcome(LOST, (f"the MCP proxy that served this has ended: {AGAIN}",))
        finally:
            self._end()

    def _obey(self, messages: Sequence[wire.Message] | None) -> Outcome | None:
        if messages is None:
            raise OSError(errno.EPIPE, "the proxy is gone")
        for message in messages:
            if "end" in message.words:
                return Outcome(message.number("end"), tuple(map(str, message.words.get("say", ()))))
            if "start" in message.words:
                self._start()
            elif "signal" in message.words:
                self._signal(message.number("signal"))
        return None

    def _start(self) -> None:
        """Run the command, and give both its pipes away. It is run once."""
        if self._child is not None:
            raise wire.WireError("it runs already")
        given, taken = os.pipe(), os.pipe()
        try:
            self._child = subprocess.Popen(  # noqa: S603 - the agent's configuration says what to run
                self._command, stdin=given[0], stdout=taken[1], env=self._environ, start_new_session=True
            )
            wire.send(self._line, {"started": self._child.pid}, (given[1], taken[0]))
        except (OSError, ValueError) as error:
            if self._child is not None:
                raise
            wire.send(self._line, {"failed": getattr(error, "errno", None) or errno.EINVAL})
        finally:
            for end in (*given, *taken):
                os.close(end)
        self._reap()

    def _note(self, numbers: bytes) -> None:
        """Pass on what came, and say it."""
        for number in numbers:
            if number == signal.SIGCHLD:
                self._reap()
            elif number in FORWARDED:
                self._signal(number)
                wire.send(self._line, {"signalled": number})

    def _reap(self) -> None:
        if self._child is not None and not self._is_told and self._child.poll() is not None:
            self._is_told = True
            wire.send(self._line, {"exited": self._child.returncode})

    def _signal(self, number: int) -> None:
        if self._child is not None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._child.pid, number)

    def _end(self) -> None:
        """No child outlives us. Its input has closed with the proxy's end of it, so most have ended by themselves."""
        if self._child is None:
            return
        for number in (signal.SIGTERM, signal.SIGKILL):
            while self._child.poll() is None and not self._is_time():
                pass
            if self._child.returncode is None:
                self._signal(number)
        self._child.wait()
        self._signal(signal.SIGKILL)  # what it left behind in its group

    def _is_time(self) -> bool:
        """Wait for a signal. Whether the child has had its time, or whoever started us is in a hurry."""
        self._signals.settimeout(self._grace)
        try:
            is_hurried = not FORWARDED.isdisjoint(self._signals.recv(256))
        except TimeoutError:
            return True
        if is_hurried:
            self._grace = HURRIED_SECONDS
        return is_hurried
