"""A child that a wrapper holds for us: its pipes are ours, its process is the wrapper's.

To the rest it is a child like any other (`transports/stdio_child.py`). All of it runs in callbacks of the event loop,
because a child is still ended, and waited for, while the task that used it is cancelled.
"""

import asyncio
import contextlib
import os
import signal
import socket
from collections.abc import Callable
from typing import Any, cast

from mcp_proxy.handover import wire
from mcp_proxy.handover.descriptor import Descriptor

START_SECONDS = 30.0
"""How long a wrapper may take to run its command."""
GRACE_SECONDS = 2.0
"""How long after SIGKILL the wrapper may take to say that the child has ended."""


class Line:
    """The connection to one wrapper.

    Args:
        connection: a socket that does not block; closed by `close`.
        on_message: called with each message.
        on_lost: called once, when the wrapper is gone or says what cannot be understood.
    """

    def __init__(
        self, connection: socket.socket, on_message: Callable[[wire.Message], None], on_lost: Callable[[], None]
    ) -> None:
        self._connection = connection
        self._reader = wire.Reader(connection)
        self._on_message = on_message
        self._on_lost = on_lost
        self._loop = asyncio.get_running_loop()
        self._is_open = True
        self._loop.add_reader(connection, self._readable)

    def send(self, words: dict[str, Any]) -> None:
        """Say something. If nobody listens any more that will be noticed by itself."""
        if self._is_open:
            with contextlib.suppress(OSError):
                wire.send(self._connection, words)

    def close(self) -> None:
        """Hang up."""
        if self._is_open:
            self._is_open = False
            self._loop.remove_reader(self._connection)
            self._reader.close()
            self._connection.close()

    def _readable(self) -> None:
        try:
            messages = self._reader.read()
            for message in messages or ():
                self._on_message(message)
        except BlockingIOError:
            return
        except (OSError, wire.WireError):
            messages = None
        if messages is None:
            self.close()
            self._on_lost()


class LentProgram:
    """The command of one wrapper, which that wrapper runs (a `Program`). Once, as it has one agent.

    Args:
        send: says something to the wrapper.
    """

    secrets: tuple[str, ...] = ()

    def __init__(self, send: Callable[[dict[str, Any]], None]) -> None:
        self._send = send
        self._started: asyncio.Future[wire.Message] | None = None
        self._transport: LentTransport | None = None
        self._is_lost = False
        self._has_exited = False
        self._code: int | None = None

    async def run(self, child: asyncio.SubprocessProtocol) -> asyncio.SubprocessTransport:
        """Let the wrapper run it; see `Program`.

        Raises:
            FileNotFoundError: there is no such program.
            OSError: it cannot be run.
        """
        if self._started is not None or self._is_lost:
            raise ConnectionError("it has had its one run")
        self._started = asyncio.get_running_loop().create_future()
        self._send({"start": True})
        async with asyncio.timeout(START_SECONDS):
            message = await self._started
        if "failed" in message.words:
            number = message.number("failed")
            raise OSError(number, os.strerror(number))
        self._transport = LentTransport(child, message.number("started"))
        await self._transport.connect(*message.files)
        if self._has_exited:
            self._transport.exited(self._code)
        return self._transport

    def signal(self, transport: asyncio.SubprocessTransport, number: int) -> None:
        """Let the wrapper pass a signal to its whole group."""
        self._send({"signal": number})
        if number == signal.SIGKILL:
            cast("LentTransport", transport).give_up_after(GRACE_SECONDS)

    def heard(self, message: wire.Message) -> None:
        """Something that the wrapper says of it.

        Raises:
            WireError: it makes no sense.
        """
        if self._started is not None and not self._started.done() and {"started", "failed"} & message.words.keys():
            if len(message.files) != (2 if "started" in message.words else 0):
                message.close()
                raise wire.WireError("a child has two pipes")
            self._started.set_result(message)
            return
        message.close()
        if "exited" in message.words:
            self._ended(message.number("exited"))

    def lost(self) -> None:
        """The wrapper is gone, and its child is ending or has ended."""
        self._is_lost = True
        if self._started is not None and not self._started.done():
            self._started.set_exception(ConnectionError("the wrapper is gone"))
        self._ended(None)

    def close(self) -> None:
        """Close the pipes that came when nobody wanted them any more."""
        if self._transport is None and self._started is not None and self._started.done():
            with contextlib.suppress(asyncio.CancelledError, OSError):
                self._started.result().close()

    def _ended(self, code: int | None) -> None:
        """It may have ended before `run` has its pipes."""
        if not self._has_exited:
            self._has_exited, self._code = True, code
            if self._transport is not None:
                self._transport.exited(code)


class LentTransport(asyncio.SubprocessTransport):
    """The running child, as the event loop has its own (`asyncio.SubprocessTransport`)."""

    def __init__(self, child: asyncio.SubprocessProtocol, pid: int) -> None:
        super().__init__()
        self._child = child
        self._pid = pid
        self._code: int | None = None
        self._has_exited = False
        self._is_read = False
        self._input: asyncio.WriteTransport | None = None
        self._output: asyncio.ReadTransport | None = None

    async def connect(self, given: int, taken: int) -> None:
        """Take both pipes: where it reads, and where it writes."""
        loop = asyncio.get_running_loop()
        source, sink = Descriptor(taken), Descriptor(given)
        try:
            self._input, _ = await loop.connect_write_pipe(lambda: _Input(self._child), sink)
        except BaseException:
            sink.close()
            source.close()
            raise
        self._child.connection_made(self)
        try:
            self._output, _ = await loop.connect_read_pipe(lambda: _Output(self._child, self._read), source)
        except BaseException:
            source.close()
            self.close()
            raise

    def get_pid(self) -> int:
        """Its process id, in the wrapper's eyes."""
        return self._pid

    def get_returncode(self) -> int | None:
        """As of `subprocess`; None while it runs, and where nobody knows."""
        return self._code

    def get_pipe_transport(self, fd: int) -> asyncio.BaseTransport | None:
        """Its input (0) or its output (1)."""
        return (self._input, self._output)[fd] if fd in (0, 1) else None

    def close(self) -> None:
        """Let go of the pipes."""
        for pipe in (self._input, self._output):
            if pipe is not None:
                pipe.close()

    def is_closing(self) -> bool:
        """Whether it has ended."""
        return self._has_exited

    def exited(self, code: int | None) -> None:
        """It has ended; what it wrote may not have been read yet."""
        if self._has_exited:
            return
        self._has_exited, self._code = True, code
        if self._input is not None:
            self._input.close()
        self._child.process_exited()
        self._settle()

    def give_up_after(self, seconds: float) -> None:
        """Believe it gone if the wrapper does not say so by then."""
        asyncio.get_running_loop().call_later(seconds, self.exited, None)

    def _read(self) -> None:
        self._is_read = True
        self._settle()

    def _settle(self) -> None:
        if self._has_exited and self._is_read:
            self._child.connection_lost(None)


class _Input(asyncio.BaseProtocol):
    """Where the child reads."""

    def __init__(self, child: asyncio.SubprocessProtocol) -> None:
        self._child = child

    def pause_writing(self) -> None:
        self._child.pause_writing()

    def resume_writing(self) -> None:
        self._child.resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        self._child.pipe_connection_lost(0, exc)


class _Output(asyncio.Protocol):
    """Where the child writes."""

    def __init__(self, child: asyncio.SubprocessProtocol, on_end: Callable[[], None]) -> None:
        self._child = child
        self._on_end = on_end

    def data_received(self, data: bytes) -> None:
        self._child.pipe_data_received(1, data)

    def connection_lost(self, exc: Exception | None) -> None:
        self._child.pipe_connection_lost(1, exc)
        self._on_end()
