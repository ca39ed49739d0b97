"""Keeping processes running, tried with small real ones."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import anyio
import pytest

from governance.clock import SystemClock
from wicket.exits import CommandError, Exit
from wicket.supervisor import Front, Patience, Supervisor, bind, is_well, wait_for_parent_to_leave

HASTE = Patience(first_delay=0.01, longest_delay=0.05, probe=0.01, grace=5)
SERVER = """
import os, socket, sys
listener = socket.socket(fileno=int(sys.argv[sys.argv.index("--socket") + 1]))
print("pid", os.getpid(), flush=True)
while True:
    peer, _ = listener.accept()
    asked = peer.recv(4096)
    if b"/die" in asked:
        os._exit(7)
    if b"/hopeless" in asked:
        os._exit(3)
    status = b"200 OK" if b"Host: here" in asked and b"/well" in asked else b"421 No"
    peer.sendall(b"HTTP/1.1 " + status + b"\\r\\ncontent-length: 0\\r\\n\\r\\n")
    peer.close()
"""
STUBBORN = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)\n" + SERVER


@dataclass
class Watched:
    """A supervisor of one small server, with all that it says."""

    supervisor: Supervisor
    front: Front
    said: list[str] = field(default_factory=list[str])
    pids: list[int] = field(default_factory=list[int])
    ready: anyio.Event = field(default_factory=anyio.Event)
    started: anyio.Event = field(default_factory=anyio.Event)
    died_five_times: anyio.Event = field(default_factory=anyio.Event)

    async def next_start(self) -> None:
        await self.started.wait()
        self.started = anyio.Event()

    async def ask(self, path: str) -> None:
        async with await anyio.connect_tcp("127.0.0.1", self.front.port) as stream:
            await stream.send(f"GET {path} HTTP/1.1\r\nHost: here\r\n\r\n".encode())


@pytest.fixture
def watch(request: pytest.FixtureRequest) -> Callable[..., Watched]:
    def make(code: str = SERVER, patience: Patience = HASTE) -> Watched:
        listener = bind("127.0.0.1", 0, "gateway.port")
        request.addfinalizer(listener.close)
        front = Front("gateway", listener, [sys.executable, "-c", code], "here", "/well")

        async def ready() -> None:
            watched.ready.set()

        def heard(name: str, line: str) -> None:
            assert name == "gateway"
            watched.pids.append(int(line.removeprefix("pid ")))
            watched.started.set()

        def say(text: str) -> None:
            watched.said.append(text)
            if len(watched.said) == 5:
                watched.died_five_times.set()

        watched = Watched(Supervisor([front], SystemClock(), say, ready, heard, patience), front)
        return watched

    return make


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


async def test_a_process_that_died_is_started_again_on_the_same_socket(watch: Callable[..., Watched]):
    watched = watch()
    with anyio.fail_after(20):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(watched.supervisor.run)
            await watched.ready.wait()
            await watched.next_start()
            os.kill(watched.pids[0], signal.SIGKILL)
            await watched.next_start()
            assert await is_well(watched.front)
            await watched.ask("/die")
            await watched.next_start()
            assert await is_well(watched.front)
            tasks.cancel_scope.cancel()
    assert watched.said == [
        "gateway ended (signal SIGKILL); starting it again in 0.01 s",
        "gateway ended (exit code 7); starting it again in 0.02 s",
    ]
    assert not any(map(is_alive, watched.pids))


async def test_the_delay_grows_to_its_longest_and_begins_anew_after_a_settled_run(watch: Callable[..., Watched]):
    failing = watch("raise SystemExit(1)")
    settled = watch("raise SystemExit(1)", Patience(first_delay=0.01, settled=0))
    with anyio.fail_after(20):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(failing.supervisor.run)
            tasks.start_soon(settled.supervisor.run)
            await failing.died_five_times.wait()
            await settled.died_five_times.wait()
            tasks.cancel_scope.cancel()
    assert [text.split()[-2] for text in failing.said[:5]] == ["0.01", "0.02", "0.04", "0.05", "0.05"]
    assert {text.split()[-2] for text in settled.said[:5]} == {"0.01"}


async def test_a_process_that_cannot_be_helped_ends_everything_with_its_code(watch: Callable[..., Watched]):
    watched = watch()
    codes: list[Exit] = []

    async def run() -> None:
        codes.append(await watched.supervisor.run())

    with anyio.fail_after(20):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(run)
            await watched.ready.wait()
            await watched.ask("/hopeless")
    assert codes == [Exit.CONFIG]
    assert watched.said == []


async def test_a_process_that_does_not_listen_to_sigterm_is_killed(watch: Callable[..., Watched]):
    watched = watch(STUBBORN, Patience(probe=0.01, grace=0.1))
    with anyio.fail_after(20):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(watched.supervisor.run)
            await watched.ready.wait()
            await watched.next_start()
            tasks.cancel_scope.cancel()
    assert not is_alive(watched.pids[0])


async def test_a_signal_ends_the_supervisor_and_its_processes(watch: Callable[..., Watched]):
    watched = watch()
    with anyio.fail_after(20):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(watched.supervisor.run)
            await watched.ready.wait()
            await watched.next_start()
            os.kill(os.getpid(), signal.SIGTERM)
    assert not is_alive(watched.pids[0])


def test_a_port_that_is_taken_is_told_with_the_setting_to_change():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(CommandError) as caught:
            bind("127.0.0.1", port, "mcp.port")
    assert caught.value.exit_code is Exit.UNAVAILABLE
    assert str(caught.value) == (
        f"`127.0.0.1:{port}` is taken by another program: stop that program, or change `mcp.port`"
    )


@pytest.mark.parametrize(("host", "port"), [("203.0.113.1", 0), ("127.0.0.1", 70000), ("no such host", 0)])
def test_an_address_that_cannot_be_bound_is_told(host: str, port: int):
    with pytest.raises(CommandError, match="cannot be bound"):
        bind(host, port, "gateway.port")


async def test_a_front_that_does_not_answer_is_not_well(watch: Callable[..., Watched]):
    watched = watch()
    watched.front.socket.close()
    closed = bind("127.0.0.1", 0, "")
    front = Front("x", closed, [], "here", "/well")
    with anyio.fail_after(10):
        assert not await is_well(front)
    closed.close()


async def test_the_end_of_the_pipe_tells_that_the_parent_left():
    reader, writer = os.pipe()
    ended = anyio.Event()

    async def wait() -> None:
        await wait_for_parent_to_leave(reader)
        ended.set()

    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(wait)
            os.write(writer, b"not the end")
            await anyio.wait_all_tasks_blocked()
            assert not ended.is_set()
            os.close(writer)
            await ended.wait()
    os.close(reader)


def test_a_child_is_left_alone_by_the_terminals_interrupt(tmp_path: Path):
    """Ctrl-C reaches the whole foreground group: the processes must not be in it, or they would end out of order."""
    driver = f"""
import os, sys, anyio
from governance.clock import SystemClock
from wicket.supervisor import Front, Supervisor, bind
listener = bind("127.0.0.1", 0, "")
front = Front("x", listener, [sys.executable, "-c", {SERVER!r}], "here", "/well")
async def ready():
    pass
def heard(name, line):
    pid = int(line.split()[1])
    print(pid, os.getpgid(pid) != os.getpgid(0), flush=True)
anyio.run(Supervisor([front], SystemClock(), print, ready, heard).run)
"""
    with subprocess.Popen([sys.executable, "-c", driver], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        pid, apart = parent.stdout.readline().split()
        assert apart == "True"
        parent.send_signal(signal.SIGINT)
        assert parent.wait(20) == 0
    assert not is_alive(int(pid))
