"""Processes that listen on a port: started, waited for, ended by their id. And the runs of commands that end."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncGenerator, Mapping, Sequence
from pathlib import Path

import anyio
import anyio.abc

ROOT = Path(__file__).resolve().parents[2]
PYTHON = sys.executable
READY_SECONDS = 120
END_SECONDS = 15
LOOK_SECONDS = 0.05


class RunError(Exception):
    """Something could not be started, or did not do what it was started for."""


def free_port() -> int:
    """A port that nobody listens on at this moment."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


@contextlib.asynccontextmanager
async def listening(
    command: Sequence[str], *, port: int, log: Path, environ: Mapping[str, str] | None = None
) -> AsyncGenerator[None]:
    """A process that answers HTTP on `port`, for as long as the block runs.

    Raises:
        RunError: it does not answer in time; the end of its log is told.
    """
    with log.open("ab") as out:
        process = await anyio.open_process(
            command, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT, cwd=ROOT,
            env={**os.environ, **(environ or {})}, start_new_session=True,
        )  # fmt: skip
    try:
        await _answers(process, port, log)
        yield
    finally:
        with anyio.CancelScope(shield=True):
            await _end(process)


async def _answers(process: anyio.abc.Process, port: int, log: Path) -> None:
    with anyio.move_on_after(READY_SECONDS):
        while process.returncode is None:
            with contextlib.suppress(OSError, anyio.EndOfStream, anyio.BrokenResourceError):
                async with await anyio.connect_tcp("127.0.0.1", port) as connection:
                    await connection.send(b"GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
                    await connection.receive()
                    return
            await anyio.sleep(LOOK_SECONDS)
    raise RunError(f"`{log.stem}` does not answer on port {port}:\n{_tail(log)}")


def _tail(log: Path) -> str:
    return log.read_text(errors="replace")[-2000:]


async def _end(process: anyio.abc.Process) -> None:
    for step in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, step)
        with anyio.move_on_after(END_SECONDS):
            await process.wait()
            break
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)  # what it started and left behind
    await process.aclose()


async def output(
    command: Sequence[str], *, environ: Mapping[str, str] | None = None, cwd: Path = ROOT, may_fail: bool = False
) -> str:
    """What a command says, when it has ended.

    Raises:
        RunError: it failed, with the end of what it said; not with `may_fail`.
    """
    done = await anyio.run_process(
        command, stderr=subprocess.STDOUT, cwd=cwd, env={**os.environ, **(environ or {})}, check=False
    )
    said = done.stdout.decode(errors="replace")
    if done.returncode and not may_fail:
        raise RunError(f"`{' '.join(command)}` failed:\n{said[-3000:]}")
    return said
