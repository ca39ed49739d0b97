"""The proxy's side: takes the pipes of wrappers on a Unix socket in the state directory, and serves their agents.

Who may knock is decided by the directory, which only its owner can enter, and by what the system says of the other
end. Which key the agent has, and whether it holds, is the business of what is handed in as `serve`.
"""

import asyncio
import contextlib
import logging
import os
import resource
import socket
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias, cast

import anyio
from anyio.abc import TaskGroup

from mcp_proxy.handover import wire
from mcp_proxy.handover.descriptor import Descriptor
from mcp_proxy.handover.lent import LentProgram, Line
from mcp_proxy.handover.sender import LOST, is_private, peer_of

log = logging.getLogger(__name__)

MOST_WRAPPERS = 200
"""Most agents served at a time; further wrappers serve theirs by themselves."""
FILES_OF_ONE = 5
"""Open files for one agent: the connection, its pipes, and its server's."""
HELLO_SECONDS = 5.0
"""How long a wrapper may take to say each of its two first words."""
PARTING_SECONDS = 5.0
"""How long agents that are served may take to be done with, once we are about to end."""
LONGEST_PATH = 100
"""Addresses of Unix sockets are short (sun(7): 104 bytes on some systems, with the null byte)."""


class DeclinedError(Exception):
    """Why an agent is not served: the wrapper ends with this code and these words."""

    def __init__(self, code: int, text: str) -> None:
        self.code = code
        super().__init__(text)


@dataclass(frozen=True, slots=True)
class Guest:
    """An agent whose pipes we have."""

    server: str
    """What its wrapper calls the server that it wraps."""
    key: str | None = field(repr=False)
    program: LentProgram
    """Runs the wrapped command."""
    source: Descriptor
    sink: Descriptor
    signalled: Callable[[], Awaitable[int]]
    """Returns the number of the signal that is to end the wrapper, once there is one."""
    leaving: Callable[[], Awaitable[None]]
    """Returns when we are about to end."""
    say: Callable[[str], None]
    """Tells the person who reads the wrapper's standard error."""


Serve: TypeAlias = Callable[[Guest], Awaitable[int]]
"""Serves one agent until it or its server ends; returns the wrapper's exit code. May raise `DeclinedError`."""


@dataclass(frozen=True, slots=True)
class Terms:
    """What a wrapper must have in common with us, as it would else do something other than we do."""

    home: str
    """Where the packages of the program lie."""
    config: str
    """Digest of the configuration file."""
    values: Mapping[str, str | None] = field(default_factory=dict[str, str | None])
    """Digest of what each `${NAME}` that matters in it means here. Where one means nothing to a wrapper, ours holds."""

    def are_those_of(self, hello: Mapping[str, Any]) -> bool:
        """Whether a wrapper that introduces itself so is the same."""
        said = hello.get("values")
        if not isinstance(said, dict):
            return False
        theirs = cast("dict[str, Any]", said)
        return (
            (hello.get("wicket"), hello.get("home"), hello.get("config")) == (wire.REVISION, self.home, self.config)
        ) and all(theirs.get(name, "") in (None, value) for name, value in self.values.items())


@contextlib.asynccontextmanager
async def listening(
    place: Path, terms: Terms, serve: Serve, ending: Callable[[], Awaitable[None]] = anyio.sleep_forever
) -> AsyncGenerator[None]:
    """Serve wrappers while the block is open. Where that cannot be, they serve by themselves, and the log says so.

    Args:
        place: the socket.
        terms: what wrappers must have in common with us.
        serve: serves one agent.
        ending: returns once we were asked to end, which may be well before the block is left. From then on nobody is
            taken, as whoever came would be sent away in the middle of its first words; those who are here finish.
    """
    listener = _listener(place)
    if listener is None:
        yield
        return
    with listener, _removed_afterwards(place):
        async with anyio.create_task_group() as group:
            desk = _Desk(terms, serve, group)
            group.start_soon(_receive, listener, desk, ending)
            yield
            await desk.close()
            group.cancel_scope.cancel()


@contextlib.contextmanager
def _removed_afterwards(place: Path) -> Generator[None]:
    """Remove our socket at the end, unless another process has put its own there."""
    inode = place.stat().st_ino
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            if place.stat().st_ino == inode:
                place.unlink()


def _listener(place: Path) -> socket.socket | None:
    if len(os.fsencode(place)) > LONGEST_PATH:
        log.warning("wrapped servers are served by their wrappers: `%s` is too long an address", place)
        return None
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.setblocking(False)
    try:
        _clear(place)
        listener.bind(str(place))
        place.chmod(0o600)
        listener.listen(MOST_WRAPPERS)
    except OSError as error:
        listener.close()
        log.warning("wrapped servers are served by their wrappers: `%s` cannot be opened: %s", place, error)
        return None
    return listener


def _clear(place: Path) -> None:
    """Remove what a process left that was killed. One that is alive keeps its socket.

    Raises:
        OSError: somebody listens there, or others could.
    """
    if not is_private(place.parent):
        raise PermissionError(f"`{place.parent}` is open to others")
    if not place.is_socket():
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as knock:
        knock.settimeout(1)
        try:
            knock.connect(str(place))
        except ConnectionRefusedError:
            place.unlink(missing_ok=True)
            return
    raise FileExistsError("another process of this installation listens there")


async def _receive(listener: socket.socket, desk: "_Desk", ending: Callable[[], Awaitable[None]]) -> None:
    """Let wrappers in until we are asked to end. Those who come later find nobody, and serve by themselves."""
    async with anyio.create_task_group() as group:
        group.start_soon(_accept, listener, desk)
        await ending()
        group.cancel_scope.cancel()
    listener.close()
    desk.leave()


async def _accept(listener: socket.socket, desk: "_Desk") -> None:
    while True:
        await anyio.wait_readable(listener)
        try:
            connection, _ = listener.accept()
        except OSError as error:  # it hung up already, or there are no descriptors left for now
            log.warning("a wrapper could not be let in: %s", error)
            await anyio.sleep(0.1)
            continue
        connection.setblocking(False)
        desk.welcome(connection)


class _Desk:
    """Everybody who is here."""

    def __init__(self, terms: Terms, serve: Serve, group: TaskGroup) -> None:
        self._terms = terms
        self._serve = serve
        self._group = group
        self._count = 0
        self._most = _most()
        self._leaving = anyio.Event()
        self._parted = anyio.Event()

    def leave(self) -> None:
        """Nobody is taken any more, and everybody who is here finishes."""
        self._leaving.set()

    async def close(self) -> None:
        """Let everybody finish, within reason. Nobody is taken any more."""
        self.leave()
        with anyio.move_on_after(PARTING_SECONDS):
            while self._count:
                self._parted = anyio.Event()
                await self._parted.wait()

    def welcome(self, connection: socket.socket) -> None:
        """See to one wrapper, beside the others."""
        self._count += 1
        self._group.start_soon(self._see_to, connection)

    async def _see_to(self, connection: socket.socket) -> None:
        visit = _Visit(connection)
        try:
            await self._talk(visit, peer_of(connection) in (os.geteuid(), None))
        except (TimeoutError, wire.WireError, ConnectionError) as error:
            log.info("a wrapper went away before it was served: %s", error)
        except Exception:
            log.exception("the agent of a wrapper could not be served")
            visit.line.send({"end": LOST, "say": ["the MCP proxy could not serve this: its log says why"]})
        finally:
            visit.close()
            self._count -= 1
            self._parted.set()

    async def _talk(self, visit: "_Visit", is_ours: bool) -> None:
        hello = await visit.next()
        hello.close()
        has_room = self._count <= self._most and not self._leaving.is_set()
        if not (is_ours and has_room and self._terms.are_those_of(hello.words)):
            visit.line.send({"elsewhere": True})
            return
        key = hello.text("key") if hello.words.get("key") is not None else None
        server = hello.text("server")
        visit.line.send({"taken": True})
        ends = await visit.next()
        if len(ends.files) != 2:
            ends.close()
            raise wire.WireError("an agent has two pipes")
        visit.is_served = True
        with Descriptor(ends.files[0]) as source, Descriptor(ends.files[1]) as sink:
            guest = Guest(
                server, key, visit.program, source, sink, visit.signalled, self._leaving.wait, visit.words.append
            )
            try:
                code = await self._serve(guest)
            except DeclinedError as declined:
                code = declined.code
                visit.words.append(str(declined))
        visit.line.send({"end": code, "say": visit.words})


def _most() -> int:
    """How many agents may be here: half of the files that we may open are for everybody else."""
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return MOST_WRAPPERS if files == resource.RLIM_INFINITY else min(MOST_WRAPPERS, files // 2 // FILES_OF_ONE)


class _Visit:
    """One connection."""

    def __init__(self, connection: socket.socket) -> None:
        self.line = Line(connection, self._heard, self._lost)
        self.program = LentProgram(self.line.send)
        self.words: list[str] = []
        self.is_served = False
        """Whether what comes is about the child; before, it is the wrapper's introduction."""
        self._next: asyncio.Queue[wire.Message | None] = asyncio.Queue()
        self._signal: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    async def next(self) -> wire.Message:
        """The next message of the introduction.

        Raises:
            TimeoutError: none came in time.
            ConnectionError: none will come.
        """
        async with asyncio.timeout(HELLO_SECONDS):
            message = await self._next.get()
        if message is None:
            raise ConnectionError("it hung up")
        return message

    async def signalled(self) -> int:
        """The number of the signal that is to end the wrapper."""
        return await asyncio.shield(self._signal)

    def close(self) -> None:
        """Hang up. Closes the files of what was not asked for."""
        while not self._next.empty():
            if (message := self._next.get_nowait()) is not None:
                message.close()
        self.program.close()
        self._signal.cancel()
        self.line.close()

    def _heard(self, message: wire.Message) -> None:
        if "signalled" in message.words:
            message.close()
            if not self._signal.done():
                self._signal.set_result(message.number("signalled"))
        elif not self.is_served:
            self._next.put_nowait(message)
        else:
            self.program.heard(message)

    def _lost(self) -> None:
        self._next.put_nowait(None)
        self.program.lost()
