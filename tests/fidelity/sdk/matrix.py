"""Plays the same script with every official client against every official server, directly and through Wicket."""

import contextlib
import json
import os
import shutil
from collections.abc import AsyncGenerator, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio

from tests.conformance.installation import WICKET, Installation, install
from tests.conformance.npm import NODE
from tests.conformance.process import PYTHON, ROOT, RunError, free_port, listening
from tests.fidelity.sdk import HERE, HOME

CLIENTS = ("ts1", "ts2", "python")
SERVERS = ("ts1", "ts2", "python")
SECONDS = 900
"""The longest that one client may take for all whom it meets, many times what it takes on a busy machine."""
START_SECONDS = 120
"""The longest that a server may take to load and answer."""
QUIET = ("-W", "ignore")
"""The SDK warns of what 2026-07-28 no longer has, which is what an older client and server are here to use."""


@dataclass(frozen=True)
class Meeting:
    """Who meets whom, and how."""

    client: str
    server: str
    transport: str
    """`http`, `sse` or `stdio`; `bridge` is a client over HTTP and a server over stdio, with Wicket between."""
    modern: bool = False

    @property
    def name(self) -> str:
        """How it is called."""
        return f"{self.client}-{self.server}-{self.transport}-{'modern' if self.modern else 'legacy'}"

    @property
    def beside(self) -> str:
        """The transport of the meeting without Wicket that it is held against."""
        return "http" if self.transport == "bridge" else self.transport


_WRAPPED = {
    ("ts1", "ts2", False), ("ts2", "python", False), ("python", "ts1", False),
    ("ts2", "ts2", True), ("python", "python", True),
}  # fmt: skip
"""Pairs that also meet through `wicket stdio`, a process each: every client, every server, both eras."""


def _meetings() -> tuple[Meeting, ...]:
    legacy = [(client, server, False) for client in CLIENTS for server in SERVERS]
    modern = [(client, server, True) for client in ("ts2", "python") for server in ("ts2", "python")]
    found: list[Meeting] = []
    for client, server, is_modern in legacy + modern:
        transports = ["http", "bridge"]
        transports += ["stdio"] if (client, server, is_modern) in _WRAPPED else []
        transports += [] if is_modern or server == "ts2" else ["sse"]
        found += [Meeting(client, server, transport, is_modern) for transport in transports]
    return tuple(found)


MEETINGS = _meetings()


@dataclass
class Matrix:
    """What every client was answered."""

    direct: dict[str, Any] = field(default_factory=dict[str, Any])
    through: dict[str, Any] = field(default_factory=dict[str, Any])

    def pair(self, meeting: Meeting) -> tuple[dict[str, Any], dict[str, Any]]:
        """What was answered directly, and through Wicket."""
        wanted = Meeting(meeting.client, meeting.server, meeting.beside, meeting.modern)
        return self.direct[wanted.name], self.through[meeting.name]


@dataclass(frozen=True)
class _Stage:
    folder: Path
    wicket: Installation
    ports: Mapping[str, int]
    port: int

    def command(self, server: str, how: str) -> list[str]:
        if server == "python":
            return [PYTHON, *QUIET, "-m", "tests.fidelity.sdk.server", how]
        return [str(NODE), str(self.folder / f"server{server[-1]}.mjs"), how]

    def servers(self) -> dict[str, Any]:
        """For `mcpServers`."""
        found: dict[str, Any] = {}
        for server, port in self.ports.items():
            program, *args = self.command(server, "stdio")
            found[f"{server}-http"] = {"type": "http", "url": f"http://127.0.0.1:{port}/mcp"}
            found[f"{server}-sse"] = {"type": "sse", "url": f"http://127.0.0.1:{port}/sse"}
            found[f"{server}-bridge"] = {"command": program, "args": args, "cwd": str(ROOT)}
        return found

    def targets(self, client: str) -> list[dict[str, Any]]:
        """What a client is to meet, as its program takes it."""
        found: list[dict[str, Any]] = []
        for one in (meeting for meeting in MEETINGS if meeting.client == client):
            plain = {"modern": one.modern, "transport": one.beside, "cwd": str(ROOT)}
            plain["who"] = f"{one.client}-{one.server}-{one.modern}"
            if one.transport != "bridge":
                found.append({**plain, "name": f"direct {one.name}", **self._direct(one)})
            found.append({**plain, "name": f"through {one.name}", **self._through(one)})
        return found

    def _direct(self, one: Meeting) -> dict[str, Any]:
        if one.transport == "stdio":
            return {"command": self.command(one.server, "stdio")}
        path = "sse" if one.transport == "sse" else "mcp"
        return {"url": f"http://127.0.0.1:{self.ports[one.server]}/{path}"}

    def _through(self, one: Meeting) -> dict[str, Any]:
        if one.transport == "stdio":
            wrapper = [*WICKET, "stdio", "--server", one.name, "--config", str(self.wicket.config), "--"]
            return {"command": [*wrapper, *self.command(one.server, "stdio")], "env": dict(self.wicket.environ)}
        rest = "/sse" if one.transport == "sse" else ""
        return {"url": f"http://127.0.0.1:{self.port}/mcp/{one.server}-{one.transport}{rest}"}


async def play(folder: Path) -> Matrix:
    """Let everybody meet.

    Raises:
        RunError: something could not be started, or Wicket's log does not say that all was allowed.
    """
    for file in (*HERE.glob("*.mjs"), HERE / "offers.json"):
        shutil.copy(file, folder)
    (folder / "node_modules").symlink_to(HOME / "node_modules")
    matrix = Matrix()
    async with _staged(folder) as stage, anyio.create_task_group() as group:
        for client in CLIENTS:
            group.start_soon(_play, client, stage, matrix)
    return matrix


@contextlib.asynccontextmanager
async def _staged(folder: Path) -> AsyncGenerator[_Stage]:
    async with AsyncExitStack() as stack:
        wicket = await install(folder / "wicket")
        stage = _Stage(folder, wicket, {server: free_port() for server in SERVERS}, free_port())
        # A server that says nothing for so long is taken for one of the older era.
        limits = {"connect_seconds": START_SECONDS}
        wicket.configure({"mcp": {"port": stage.port}, "mcpServers": stage.servers(), "limits": limits})
        for server, port in stage.ports.items():
            command = stage.command(server, str(port))
            await stack.enter_async_context(listening(command, port=port, log=folder / f"{server}.log"))
        command = [*WICKET, "mcp", "--config", str(wicket.config)]
        async with listening(command, port=stage.port, log=folder / "wicket.log"):
            yield stage
        await wicket.must_have_governed()


async def _play(client: str, stage: _Stage, matrix: Matrix) -> None:
    python = [PYTHON, *QUIET, "-m", "tests.fidelity.sdk.client"]
    command = python if client == "python" else [str(NODE), str(stage.folder / f"client{client[-1]}.mjs")]
    given = json.dumps(stage.targets(client)).encode()
    with (stage.folder / f"{client}-client.log").open("wb") as log:
        try:
            with anyio.fail_after(SECONDS):
                done = await anyio.run_process(command, input=given, stderr=log, cwd=ROOT, env=dict(os.environ))
        except TimeoutError:
            raise RunError(f"the client `{client}` did not end in {SECONDS} seconds: see {log.name}") from None
    for name, seen in json.loads(done.stdout).items():
        how, _, meeting = name.partition(" ")
        (matrix.direct if how == "direct" else matrix.through)[meeting] = seen
