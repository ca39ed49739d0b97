"""The proxy ends before the agent does: what is under way is answered, the wrapper says why, and no child is left."""

import os
import signal
import socket
import sys
import tempfile
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import asynccontextmanager
from pathlib import Path
from subprocess import PIPE

import anyio
import pytest
from anyio.abc import Process, TaskStatus
from anyio.streams.buffered import BufferedByteReceiveStream

from mcp_proxy.handover import wire
from mcp_proxy.handover.listener import Terms, listening
from mcp_proxy.handover.sender import Hello, hand_over
from tests.mcp_proxy.handover.host import serve_guest
from tests.mcp_proxy.test_wrapper import PLAIN, ROOT, Agent

STUBBORN = """
import os, signal, sys
def say(*_):
    print("asked to end", file=sys.stderr, flush=True)
signal.signal(signal.SIGTERM, say)
while True:
    signal.pause()
"""


@pytest.fixture
def place() -> Generator[Path]:
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder) / wire.SOCKET


@asynccontextmanager
async def wrapped(place: Path, command: list[str]) -> AsyncGenerator[Process]:
    words = [sys.executable, "-m", "tests.mcp_proxy.handover.sender_program", str(place), *command]
    async with await anyio.open_process(words, stdin=PIPE, stdout=PIPE, stderr=PIPE, cwd=ROOT) as process:
        try:
            yield process
        finally:
            if process.returncode is None:
                process.kill()


@asynccontextmanager
async def proxy(place: Path) -> AsyncGenerator[Callable[[], None]]:
    """A proxy that serves until what is yielded is called."""
    stopped = anyio.Event()

    async def serve(*, task_status: TaskStatus[None]) -> None:
        async with listening(place, Terms("home", "digest"), serve_guest):
            task_status.started()
            await stopped.wait()

    async with anyio.create_task_group() as group:
        await group.start(serve)
        yield stopped.set
        stopped.set()


async def test_a_call_under_way_is_answered_before_a_proxy_that_is_stopped_ends(place: Path) -> None:
    fifo = place.with_name("fifo")
    os.mkfifo(fifo)
    with anyio.fail_after(30):
        async with proxy(place) as stop, wrapped(place, PLAIN) as process:
            assert process.stdout is not None
            here = Agent(process, BufferedByteReceiveStream(process.stdout))
            await here.call(1, "fifo", path=str(fifo))
            under_way = await anyio.to_thread.run_sync(os.open, fifo, os.O_WRONLY)
            stop()
            await anyio.wait_all_tasks_blocked()
            os.close(under_way)
            assert (await here.receive())["id"] == 1
            assert await process.wait() == 1
            assert "was stopped: start this server again in your agent" in await here.errors()


async def test_a_call_that_takes_longer_is_answered_by_an_error_and_not_by_silence(place: Path) -> None:
    fifo = place.with_name("fifo")
    os.mkfifo(fifo)
    with anyio.fail_after(30):
        async with proxy(place) as stop, wrapped(place, PLAIN) as process:
            assert process.stdout is not None
            here = Agent(process, BufferedByteReceiveStream(process.stdout))
            await here.call(1, "fifo", path=str(fifo))
            under_way = await anyio.to_thread.run_sync(os.open, fifo, os.O_WRONLY)
            stop()
            told = await here.receive()
            assert told["id"] == 1
            assert "start this server again in your agent" in told["error"]["message"]
            assert await process.wait() == 1
            os.close(under_way)


def take_and_hang_up(listener: socket.socket) -> int:
    """A proxy that dies as soon as the wrapper has started the child; returns the child's process id."""
    connection, _ = listener.accept()
    with connection:
        reader = wire.Reader(connection)
        answers = {"wicket": {"taken": True}, "ends": {"start": True}}
        while True:
            for message in reader.read() or ():
                message.close()
                if "started" in message.words:
                    return message.number("started")
                wire.send(connection, answers[next(iter(message.words))])


async def test_a_wrapper_without_its_proxy_ends_no_sooner_than_its_child_whatever_it_is_told(place: Path) -> None:
    with anyio.fail_after(30), socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind(str(place))
        listener.listen()
        async with wrapped(place, [sys.executable, "-c", STUBBORN]) as process:
            pid = await anyio.to_thread.run_sync(take_and_hang_up, listener)
            assert process.stderr is not None
            said = BufferedByteReceiveStream(process.stderr)
            await said.receive_until(b"asked to end\n", 1000)
            process.terminate()
            assert await process.wait() == 1
            with pytest.raises(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)
            assert b"has ended: start this server again in your agent" in await said.receive()


async def test_nobody_is_taken_any_more_once_the_proxy_was_asked_to_end(place: Path) -> None:
    """Although it goes on for as long as its requests under way take."""
    asked = anyio.Event()
    with anyio.fail_after(30):
        async with listening(place, Terms("home", "digest"), serve_guest, asked.wait):
            async with wrapped(place, PLAIN) as process:
                assert process.stdout is not None
                here = Agent(process, BufferedByteReceiveStream(process.stdout))
                await here.call(1, "echo", text="before")
                assert (await here.receive())["id"] == 1
                asked.set()
                assert await process.wait() == 1
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as late, pytest.raises(ConnectionRefusedError):
                late.connect(str(place))
            hello = Hello("home", "digest", {}, "files", None)
            assert await anyio.to_thread.run_sync(hand_over, place, hello, ["true"], os.environ) is None
