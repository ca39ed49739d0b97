"""Plays every check directly and through Wicket, over every pair of transports, and keeps what both ends saw.

Wicket runs as a user has it: `wicket mcp` and `wicket stdio` as processes, one folder, everything that governs switched
on (`tests.conformance.installation`), and nothing to object to, which its log must say afterwards.
"""

import contextlib
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import anyio

from tests.conformance.installation import WICKET, Installation, install
from tests.conformance.process import PYTHON, ROOT, RunError, free_port, listening
from tests.fidelity.http_checks import CHECKS, Visit, visited
from tests.fidelity.peers import Peer, over_http, over_sse, over_stdio
from tests.fidelity.player import Player, Records
from tests.fidelity.script import CUE, PROBE
from tests.fidelity.servers import Entry, Servers, Shelf
from tests.mcp_proxy.harness import serving

SECONDS = 1800
"""The longest that everything may take, many times what it takes on a busy machine."""
AT_ONCE = 4
"""Connections that are played at once: more would only wait for one another, and for more processes to start."""


@dataclass(frozen=True)
class Way:
    """A pair of transports."""

    client: str
    server: str
    modern: bool = False

    @property
    def name(self) -> str:
        """How it is called, in a configuration too."""
        return f"{'modern' if self.modern else 'legacy'}-{self.client}-{self.server}"


TRANSPORTS = ("http", "sse", "stdio")
WAYS = (
    *(Way(client, server) for client in TRANSPORTS for server in TRANSPORTS),
    *(Way(client, server, modern=True) for client in ("http", "stdio") for server in ("http", "stdio")),
)


Open = dict[str, Callable[[], str]]
"""What has begun and not ended -> which check it is at."""


@dataclass(frozen=True)
class Recording:
    """All that was seen."""

    direct: dict[tuple[str, bool], Records]
    """Transport and whether modern -> records."""
    through: dict[Way, Records]
    http: dict[str, tuple[Any, Any]]
    """Check of HTTP -> what was seen directly, and through Wicket."""


ALONE = {"pins": "off"}
"""A server that is never listed: with pins Wicket would ask it for its list, which no client did."""


def _is_apart(line: bytes) -> bool:
    """Whether a message is no part of a record: a cue, or Wicket's own question for the era."""
    return f'"{CUE}"'.encode() in line or (f'"{PROBE}"'.encode() in line and b'"name":"raw"' not in line)


@dataclass
class Stage:
    """Where everything runs."""

    servers: Servers
    url: str
    """Of our servers over HTTP."""
    folder: Path
    wicket: Installation
    address: str = ""
    """Of `wicket mcp`."""

    def child(self, name: str) -> tuple[str, ...]:
        """The command of our server over stdio."""
        return (PYTHON, "-m", "tests.fidelity.stdio_server", str(self.folder / f"{name}.journal"))

    def entry(self, name: str, transport: str) -> dict[str, Any]:
        """A server for `mcpServers`."""
        if transport == "stdio":
            program, *args = self.child(name)
            return {"command": program, "args": args, "cwd": str(ROOT), **ALONE}
        kind, path = ("sse", "sse") if transport == "sse" else ("http", "mcp")
        return {"type": kind, "url": f"{self.url}/{name}/{path}", **ALONE}

    def journal(self, name: str, transport: str) -> list[Entry]:
        """What reached one of our servers."""
        if transport != "stdio":
            return self.servers.shelves.setdefault(name, Shelf()).journal
        file = self.folder / f"{name}.journal"
        lines = file.read_bytes().splitlines() if file.exists() else []
        return [Entry(line) for line in lines if not _is_apart(line)]

    def directly(self, transport: str, *, modern: bool) -> AbstractAsyncContextManager[Peer]:
        """A client of our server."""
        name = f"direct-{transport}-{modern}"
        if transport == "stdio":
            return over_stdio(self.child(name), {})
        if transport == "sse":
            return over_sse(f"{self.url}/{name}/sse")
        return over_http(f"{self.url}/{name}/mcp", modern=modern)

    def wrapped(self, way: Way) -> AbstractAsyncContextManager[Peer]:
        """A client of our server with Wicket between."""
        if way.client == "http":
            return over_http(f"{self.address}/{way.name}", modern=way.modern)
        if way.client == "sse":
            return over_sse(f"{self.address}/{way.name}/sse")
        command = [*WICKET, "stdio", "--server", way.name, "--config", str(self.wicket.config)]
        command += ["--", *self.child(way.name)] if way.server == "stdio" else []
        return over_stdio(command, self.wicket.environ)


@contextlib.asynccontextmanager
async def staged(folder: Path) -> AsyncGenerator[Stage]:
    """Our servers and `wicket mcp`; afterwards its log must be whole and say that all was allowed.

    Raises:
        RunError: it does not.
    """
    servers = Servers()
    # Our servers never close a connection that is idle: a request sent into one that is closing is lost.
    async with serving(servers, access_log=False, timeout_keep_alive=SECONDS) as url:
        wicket = await install(folder / "wicket")
        stage = Stage(servers, url, folder, wicket)
        port = free_port()
        entries = {way.name: stage.entry(way.name, way.server) for way in WAYS}
        for number in range(len(CHECKS)):
            entries[f"check-{number}"] = stage.entry(f"check-{number}", "http")
            entries[f"old-{number}"] = stage.entry(f"check-{number}", "sse")
        wicket.configure({"mcp": {"port": port}, "mcpServers": entries, "limits": {"connect_seconds": 120}})
        command = (*WICKET, "mcp", "--config", str(wicket.config))
        async with listening(command, port=port, log=folder / "wicket.log"):
            stage.address = f"http://127.0.0.1:{port}/mcp"
            yield stage
        await wicket.must_have_governed()


async def record(folder: Path) -> Recording:
    """Play everything.

    Raises:
        RunError: it does not end in time; what was not at its end is named.
    """
    found, open_ = Recording({}, {}, {}), Open()
    with anyio.move_on_after(SECONDS) as scope:
        async with staged(folder) as stage, anyio.create_task_group() as group:
            limiter = anyio.CapacityLimiter(AT_ONCE)
            for transport in TRANSPORTS:
                group.start_soon(_without, stage, transport, False, found, open_, limiter)
                if transport != "sse":
                    group.start_soon(_without, stage, transport, True, found, open_, limiter)
            for way in WAYS:
                group.start_soon(_between, stage, way, found, open_, limiter)
            for number, check in enumerate(CHECKS):
                group.start_soon(_visit, stage, number, check, found.http, limiter)
    if scope.cancelled_caught:
        at = ", ".join(f"{name} at `{where()}`" for name, where in open_.items()) or "the start or the end of Wicket"
        raise RunError(f"recording did not end in {SECONDS} seconds; not at its end: {at}")
    return found


async def _without(
    stage: Stage, transport: str, modern: bool, found: Recording, open_: Open, limiter: anyio.CapacityLimiter
) -> None:
    name = f"direct-{transport}-{modern}"
    async with limiter, stage.directly(transport, modern=modern) as peer:
        player = Player(name, peer, lambda: stage.journal(name, transport), modern)
        open_[name] = lambda: player.at
        found.direct[transport, modern] = await player.all()
    del open_[name]


async def _between(stage: Stage, way: Way, found: Recording, open_: Open, limiter: anyio.CapacityLimiter) -> None:
    async with limiter, stage.wrapped(way) as peer:
        player = Player(way.name, peer, lambda: stage.journal(way.name, way.server), way.modern)
        open_[way.name] = lambda: player.at
        found.through[way] = await player.all()
    del open_[way.name]


async def _visit(
    stage: Stage, number: int, check: str, found: dict[str, tuple[Any, Any]], limiter: anyio.CapacityLimiter
) -> None:
    names = (f"bare-{number}", f"check-{number}")
    shelves = [stage.servers.shelves.setdefault(name, Shelf()) for name in names]
    async with limiter, aiohttp.ClientSession() as client:
        direct = Visit(client, f"{stage.url}/{names[0]}", {"http": "/mcp", "sse": "/sse"}, shelves[0])
        through = Visit(client, stage.address, {"http": f"/{names[1]}", "sse": f"/old-{number}/sse"}, shelves[1])
        found[check] = await visited(direct, check), await visited(through, check)
