"""The stack of compose.yaml under podman, from a copy of the repository as a user would have it.

It drives podman and podman-compose and knows nothing of what Wicket does. podman before 4.6 does not wait for the
conditions of `depends_on`, so services are brought up one after another here.
"""

import json
import os
import shutil
import signal
import socket
import sys
import tempfile
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
import yaml

ROOT = Path(__file__).resolve().parents[2]
PODMAN = ROOT / ".ci/containers/podman"
COMPOSE = Path(sys.prefix) / "bin/podman-compose"
PROJECT = "wicket-compose-test"
UPSTREAMS = "tests/compose/upstreams.yaml"
PROVIDER: dict[str, Any] = {"wire": "openai-chat", "base_url": "http://provider:9000/v1", "auth": "none"}
LOOK_SECONDS = 0.5
HEALTHY_SECONDS = 90
SWEEPS = 3


class StackError(Exception):
    """Something of the stack is not as it must be."""


@dataclass(frozen=True)
class Done:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def said(self) -> str:
        """The end of all that it wrote."""
        return (self.out + self.err)[-4000:]


@dataclass(frozen=True)
class Stack:
    """A copy of the repository, and the containers that run from it."""

    folder: Path
    ports: Mapping[str, int]
    """Port of each proxy on this machine."""

    async def compose(self, *words: str) -> str:
        """Run podman-compose; what it did not manage raises."""
        files = ("-f", "compose.yaml", "-f", UPSTREAMS)
        ports = {f"WICKET_{name.upper()}_PORT": str(port) for name, port in self.ports.items()}
        command = [str(COMPOSE), "--podman-path", str(PODMAN), "-p", PROJECT, *files, *words]
        done = await _run(command, cwd=self.folder, environ=ports)
        if done.code:
            raise StackError(f"`podman-compose {' '.join(words)}` failed: {done.said}")
        return done.out

    async def within(self, service: str, *command: str) -> Done:
        """Run a command inside a running container, as the user that the container runs as."""
        return await podman("exec", _container(service), *command)

    async def wicket(self, *words: str) -> tuple[int, Any]:
        """Run a command of Wicket inside the gateway's container; returns its exit code and what it said."""
        done = await self.within("gateway", "wicket", *words, "--json")
        try:
            return done.code, json.loads(done.out)
        except ValueError:
            raise StackError(f"`wicket {' '.join(words)}` said: {done.said}") from None

    async def inspect(self, service: str) -> Any:
        """All that podman knows of a container."""
        done = await podman("inspect", _container(service))
        if done.code:
            raise StackError(f"there is no container of `{service}`: {done.said}")
        return json.loads(done.out)[0]

    async def start(self, *services: str) -> None:
        """Bring services up, and wait until those that have a health check are healthy."""
        for service in services:
            await self.compose("up", "-d", "--no-deps", service)
        for service in services:
            await self.healthy(service)

    async def healthy(self, service: str) -> None:
        """Wait until the health check of a container passes.

        The check is asked here and now: without systemd nobody else would ask it.
        """
        checked = bool((await self.inspect(service))["Config"].get("Healthcheck"))
        with anyio.move_on_after(HEALTHY_SECONDS):
            while True:
                running = (await self.inspect(service))["State"]["Running"]
                if running and (not checked or (await podman("healthcheck", "run", _container(service))).code == 0):
                    return
                await anyio.sleep(LOOK_SECONDS)
        raise StackError(f"`{service}` is not healthy after {HEALTHY_SECONDS} s: {await self.logs(service)}")

    async def crash(self, service: str) -> None:
        """End the main process of a container with SIGKILL, and wait until another one runs and is healthy.

        The process itself is killed, not the container: only so it is a crash, after which the restart policy counts.
        """
        before = (await self.inspect(service))["State"]["Pid"]
        os.kill(before, signal.SIGKILL)
        with anyio.move_on_after(HEALTHY_SECONDS):
            while True:
                state = (await self.inspect(service))["State"]
                if state["Running"] and state["Pid"] not in (0, before):
                    return await self.healthy(service)
                await anyio.sleep(LOOK_SECONDS)
        raise StackError(f"`{service}` was not started again after a crash: {await self.logs(service)}")

    async def logs(self, service: str) -> str:
        """The last lines that a container wrote."""
        return (await podman("logs", "--tail", "30", _container(service))).said


@asynccontextmanager
async def open_stack(report: Callable[[str], None]) -> AsyncGenerator[Stack]:
    """Build the image and make the folder; in the end remove the containers, networks, volumes and the folder."""
    folder = Path(tempfile.mkdtemp(prefix="wicket-compose-", dir="/var/tmp"))
    stack = Stack(folder, {"gateway": _free_port(), "mcp": _free_port()})
    try:
        await _sweep()
        report("copying the repository")
        await _copy(folder)
        _name_upstreams(folder / "deploy/config/wicket.yaml")
        report("building the image")
        await _must("build", "--target", "build", "--tag", "wicket-build", str(folder))  # named, so that it is kept
        await stack.compose("build", "gateway")
        yield stack
    finally:
        with anyio.CancelScope(shield=True):
            report("removing containers, networks and volumes")
            await _sweep()
            await podman("image", "prune", "--force")
            shutil.rmtree(folder)


async def podman(*words: str) -> Done:
    """Run podman on the store of its own."""
    return await _run([str(PODMAN), *words])


async def _sweep() -> None:
    """Remove everything of this project, also what a test left that was ended half-way. Nobody else uses the store."""
    label = f"label=io.podman.compose.project={PROJECT}"
    for things, remove in (
        (("ps", "--all", "--quiet", "--filter", label), ("rm", "--force", "--volumes", "--time", "2")),
        (("volume", "ls", "--quiet", "--filter", label), ("volume", "rm", "--force")),
        (("network", "ls", "--quiet", "--filter", label), ("network", "rm", "--force")),
    ):
        for attempt in range(SWEEPS):  # podman may lose a race against a container that is just ending
            found = (await podman(*things)).out.split()
            if not found:
                break
            await (_must if attempt == SWEEPS - 1 else podman)(*remove, *found)


async def _must(*words: str) -> None:
    done = await podman(*words)
    if done.code:
        raise StackError(f"`podman {words[0]}` failed: {done.said}")


async def _run(command: list[str], cwd: Path = ROOT, environ: Mapping[str, str] | None = None) -> Done:
    done = await anyio.run_process(command, check=False, cwd=cwd, env={**os.environ, **(environ or {})})
    return Done(done.returncode, done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace"))


async def _copy(folder: Path) -> None:
    """What git would give to a user, changes that are not committed included; and secrets, made as they make them."""
    listed = await anyio.run_process(["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], cwd=ROOT)
    names = [name for name in listed.stdout.split(b"\0") if name and (ROOT / os.fsdecode(name)).exists()]
    packed = await anyio.run_process(["tar", "-c", "--null", "-T", "-"], input=b"\0".join(names), cwd=ROOT)
    await anyio.run_process(["tar", "-x", "-C", str(folder)], input=packed.stdout)
    await anyio.run_process(["sh", "deploy/secrets.sh"], cwd=folder)


def _name_upstreams(config: Path) -> None:
    settings = yaml.safe_load(config.read_text())
    settings["providers"] = {"scripted": PROVIDER}
    settings["mcpServers"] = {"crm": {"url": "http://crm:9000/mcp"}}
    config.write_text(yaml.safe_dump(settings))


def _container(service: str) -> str:
    return f"{PROJECT}_{service}_1"


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])
