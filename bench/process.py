"""Starting what is measured: each process in a group of its own on a core of its own, ended by its id."""

import contextlib
import os
import signal
import socket
import subprocess
import time
from collections.abc import Generator, Mapping, Sequence
from pathlib import Path

PROXY_CORE = "0"


def free_port() -> int:
    """A port that nobody listens on at this moment."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


@contextlib.contextmanager
def running(
    command: Sequence[str],
    *,
    core: str,
    port: int,
    log: Path,
    cwd: Path | None = None,
    environ: Mapping[str, str] | None = None,
    ready_seconds: float = 90,
) -> Generator[subprocess.Popen[bytes]]:
    """A process that listens on `port`, for as long as the block runs.

    Raises:
        TimeoutError: it did not listen in time; the end of its log says why.
    """
    with log.open("wb") as out:
        process = subprocess.Popen(
            ["taskset", "-c", core, *command],
            stdout=out, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, cwd=cwd,
            env={**os.environ, **(environ or {})}, start_new_session=True,
        )  # fmt: skip
    try:
        _wait(process, port, log, ready_seconds)
        yield process
    finally:
        _end(process)


def _wait(process: subprocess.Popen[bytes], port: int, log: Path, seconds: float) -> None:
    deadline = time.monotonic() + seconds  # noqa: TID251 - a benchmark measures real time
    while time.monotonic() < deadline:  # noqa: TID251 - as above
        if process.poll() is not None:
            break
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=2) as connection:
            # A socket may listen before its process serves: only an answer counts.
            connection.sendall(b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")
            if connection.recv(1):
                return
        time.sleep(0.05)  # noqa: TID251 - nothing to wait on but the port
    tail = log.read_text(errors="replace")[-800:]
    raise TimeoutError(f"{process.args} does not listen on {port}:\n{tail}")


def _end(process: subprocess.Popen[bytes]) -> None:
    for step in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, step)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(5)
            break
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


def resident_megabytes(process: subprocess.Popen[bytes]) -> float:
    """Resident memory of a process and all below it, in MB."""
    total = 0
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            with contextlib.suppress(OSError, ValueError, IndexError):
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
                if int(fields[2]) == os.getpgid(process.pid):
                    total += int((entry / "statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    return total / 1e6
