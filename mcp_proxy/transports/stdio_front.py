"""The agent-facing side of stdio: lines on the standard streams of this process, and nothing else on them.

What the lines mean, and whether they may pass, is not decided here. The process behind us is `stdio_child.py`.
"""

import asyncio
import contextlib
import os
import stat
from collections import deque
from collections.abc import AsyncGenerator
from typing import Protocol, cast

from mcp_proxy.transports.lines import LineSplitter

MOST_WAITING = 256
"""Lines read ahead; beyond that the agent has to wait."""
FLUSH_SECONDS = 2.0
"""How long the last answers may take to leave."""


class NoPipeError(Exception):
    """A standard stream that is not what agents give. The message is for the person who started us."""


class Stream(Protocol):
    """One of the agent's two pipes, as an open file."""

    def fileno(self) -> int:
        """Its number."""
        ...

    def isatty(self) -> bool:
        """Whether it is a terminal."""
        ...

    def close(self) -> None:
        """Close it."""
        ...


class InputLines(asyncio.Protocol):
    """Lines from the agent, for one reader. An empty line stands for one that was too long.

    Args:
        max_bytes: Longest line that is read.
    """

    def __init__(self, max_bytes: int) -> None:
        self._splitter = LineSplitter(max_bytes, skip_overlong=True)
        self._lines: deque[bytes] = deque()
        self._skipped = 0
        self._ended = False
        self._waiter: asyncio.Future[None] | None = None
        self._transport: asyncio.ReadTransport | None = None

    def __aiter__(self) -> "InputLines":
        return self

    async def __anext__(self) -> bytes:
        while not self._lines:
            if self._ended:
                raise StopAsyncIteration
            self._waiter = asyncio.get_running_loop().create_future()
            await self._waiter
        if len(self._lines) == MOST_WAITING and self._transport is not None and not self._ended:
            self._transport.resume_reading()
        return self._lines.popleft()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Reading begins."""
        self._transport = cast("asyncio.ReadTransport", transport)

    def data_received(self, data: bytes) -> None:
        """Bytes from the agent."""
        self._lines.extend(self._splitter.feed(data))
        self._lines.extend([b""] * (self._splitter.skipped - self._skipped))
        self._skipped = self._splitter.skipped
        if len(self._lines) >= MOST_WAITING and self._transport is not None:
            self._transport.pause_reading()
        self._wake()

    def connection_lost(self, exc: Exception | None) -> None:
        """The agent has closed its end."""
        self._ended = True
        self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


class OutputLines(asyncio.BaseProtocol):
    """Lines to the agent, one a message."""

    def __init__(self) -> None:
        self.ended = asyncio.Event()
        """Set when nothing can be written any more."""
        self._room = asyncio.Event()
        self._room.set()
        self._transport: asyncio.WriteTransport | None = None

    async def write(self, raw: bytes) -> None:
        """Write one message; returns when there is room for the next, or nobody reads any more."""
        if self._transport is None or self.ended.is_set():
            return
        if b"\n" in raw or b"\r" in raw:
            raw = raw.replace(b"\n", b" ").replace(b"\r", b" ")  # in JSON they stand only between tokens
        self._transport.write(raw + b"\n")
        await self._room.wait()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Writing may begin."""
        self._transport = cast("asyncio.WriteTransport", transport)

    def connection_lost(self, exc: Exception | None) -> None:
        """The agent has stopped reading."""
        self.ended.set()
        self._room.set()

    def pause_writing(self) -> None:
        """The agent does not read fast enough."""
        self._room.clear()

    def resume_writing(self) -> None:
        """The agent has caught up."""
        self._room.set()


@contextlib.asynccontextmanager
async def open_streams(source: Stream, sink: Stream, max_bytes: int) -> AsyncGenerator[tuple[InputLines, OutputLines]]:
    """The agent's two pipes while the block is open; what was written leaves before they are closed.

    Raises:
        NoPipeError: one of them is something else.
    """
    _check(source, "input")
    _check(sink, "output")
    loop = asyncio.get_running_loop()
    reading, lines = await loop.connect_read_pipe(lambda: InputLines(max_bytes), source)
    try:
        writing, voice = await loop.connect_write_pipe(OutputLines, sink)
        try:
            yield lines, voice
        finally:
            writing.close()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(FLUSH_SECONDS):
                    await voice.ended.wait()
            if not voice.ended.is_set():
                writing.abort()
    finally:
        reading.close()


def _check(stream: Stream, name: str) -> None:
    """Refuse files and the like: the event loop cannot wait for them, and the fast one aborts the process instead."""
    mode = os.fstat(stream.fileno()).st_mode
    if not (stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode) or stream.isatty()):
        raise NoPipeError(f"standard {name} is neither a pipe nor a terminal: let an agent start this, or use `| cat`")
