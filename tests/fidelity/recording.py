"""Plays every check directly and through Wicket, over every pair of transports, and keeps what both ends saw.

Wicket runs as a user has it: `wicket mcp` and `wicket stdio` as processes, one folder, everything that governs switched
on (`tests.conformance.installation`), and nothing to object to, which its log must say afterwards.
"""

import contextlib
import json
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import aiohttp
import anyio

from tests.conformance.installation import WICKET, Installation, install
from tests.conformance.process import PYTHON, ROOT, free_port, listening
from tests.fidelity.cases import CASES
from tests.fidelity.http_checks import CHECKS, Visit, visited
from tests.fidelity.peers import Frame, Peer, RefusedError, over_http, over_sse, over_stdio, spoken
from tests.fidelity.script import CUE, PROBE, Answered, Case, Hear, is_response_to
from tests.fidelity.servers import Entry, Servers, Shelf
from tests.mcp_proxy.harness import serving

HANDSHAKE = "the handshake"
SECONDS = 20
"""The longest that one check may take."""
INITIALIZE = (
    b'{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{"roots":'
    b'{"listChanged":true},"elicitation":{"form":{},"url":{}},"sampling":{"tools":{}},"x-unknown":{"a":null,"n":1e2}},'
    b'"clientInfo":{"name":"raw","version":"9","title":"R\\u00fc","hint":1152921504606846977},"_meta":{"vendor/x":1.0},'
    b'"vendorParam":[]},"vendorTop":null}'
)


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


@dataclass(frozen=True)
class Record:
    """What both ends saw of one check."""

    frames: tuple[Frame, ...] = ()
    heads: Mapping[str, tuple[int, str]] = field(default_factory=dict[str, tuple[int, str]])
    entries: tuple[Entry, ...] = ()
    trouble: str = ""


Records = Mapping[str, Record]
"""Check -> what was seen."""


@dataclass(frozen=True)
class Recording:
    """All that was seen."""

    direct: Mapping[tuple[str, bool], Records]
    """Transport and whether modern -> records."""
    through: Mapping[Way, Records]
    http: Mapping[str, tuple[Any, Any]]
    """Check of HTTP -> what was seen directly, and through Wicket."""


@dataclass
class _Player:
    """One connection over which checks are played, one after the other."""

    peer: Peer
    journal: Callable[[], list[Entry]]
    modern: bool
    _cues: int = 0

    async def all(self) -> Records:
        """Play all that there is for this era."""
        found: dict[str, Record] = {}
        if not self.modern:
            found[HANDSHAKE] = await self._one(HANDSHAKE, self._handshake)
            await self.peer.listen()
        for case in CASES.values():
            if case.modern if self.modern else case.legacy:
                found[case.name] = await self._played(case)
        return found

    async def _handshake(self) -> None:
        await self.peer.send(INITIALIZE)
        await self.peer.seen.until(lambda frame: is_response_to(frame.raw, "0"))
        await self.peer.send(b'{"jsonrpc":"2.0","method":"notifications/initialized"}')
        await self._cue("")

    async def _played(self, case: Case) -> Record:
        async def play() -> None:
            since = len(self.peer.seen.frames)
            for step in case.client:
                if isinstance(step, Hear):
                    await self.peer.seen.until(lambda frame, step=step: step.words in frame.raw, since)
                elif isinstance(step, Answered):
                    await self.peer.seen.until(lambda frame, step=step: is_response_to(frame.raw, step.id), since)
                else:
                    await self.peer.send(spoken(step, modern=self.modern))
            await self._cue("")

        self.peer.seen.refused = ""
        with anyio.move_on_after(SECONDS), contextlib.suppress(RefusedError):
            await self._cue(case.name)
        return await self._one(case.name, play)

    async def _one(self, name: str, play: Callable[[], Any]) -> Record:
        frames, entries = len(self.peer.seen.frames), len(self.journal())
        self.peer.seen.heads.clear()
        trouble = "it did not end in time"
        with anyio.move_on_after(SECONDS):
            try:
                await play()
                trouble = ""
            except RefusedError as error:
                trouble = str(error)
        return Record(
            tuple(
                replace(frame, raw=frame.raw.strip())
                for frame in self.peer.seen.frames[frames:]
                if b'"id":"cue-' not in frame.raw
            ),
            {lane: head for lane, head in self.peer.seen.heads.items() if "cue-" not in lane},
            tuple(self.journal()[entries:]),
            trouble,
        )

    async def _cue(self, name: str) -> None:
        """Say which check comes next; whatever was said before has arrived when this is answered."""
        self._cues += 1
        params = f'"_meta":{{@meta@"x":0}},"case":{json.dumps(name)}'
        said = f'{{"jsonrpc":"2.0","id":"cue-{self._cues}","method":"{CUE}","params":{{{params}}}}}'
        await self.peer.send(spoken(said.encode(), modern=self.modern))
        wanted = f'"cue-{self._cues}"'
        await self.peer.seen.until(lambda frame: is_response_to(frame.raw, wanted))


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
    async with serving(servers, access_log=False) as url:
        wicket = await install(folder / "wicket")
        stage = Stage(servers, url, folder, wicket)
        port = free_port()
        entries = {way.name: stage.entry(way.name, way.server) for way in WAYS}
        for number in range(len(CHECKS)):
            entries[f"check-{number}"] = stage.entry(f"check-{number}", "http")
            entries[f"old-{number}"] = stage.entry(f"check-{number}", "sse")
        wicket.configure({"mcp": {"port": port}, "mcpServers": entries})
        command = (*WICKET, "mcp", "--config", str(wicket.config))
        async with listening(command, port=port, log=folder / "wicket.log"):
            stage.address = f"http://127.0.0.1:{port}/mcp"
            yield stage
        await wicket.must_have_governed()


async def record(folder: Path) -> Recording:
    """Play everything."""
    direct: dict[tuple[str, bool], Records] = {}
    through: dict[Way, Records] = {}
    http: dict[str, tuple[Any, Any]] = {}
    async with staged(folder) as stage:

        async def without(transport: str, modern: bool) -> None:
            name = f"direct-{transport}-{modern}"
            async with stage.directly(transport, modern=modern) as peer:
                direct[transport, modern] = await _Player(peer, lambda: stage.journal(name, transport), modern).all()

        async def between(way: Way) -> None:
            async with stage.wrapped(way) as peer:
                through[way] = await _Player(peer, lambda: stage.journal(way.name, way.server), way.modern).all()

        async with anyio.create_task_group() as group:
            for transport in TRANSPORTS:
                group.start_soon(without, transport, False)
                if transport != "sse":
                    group.start_soon(without, transport, True)
            for way in WAYS:
                group.start_soon(between, way)
            for number, check in enumerate(CHECKS):
                group.start_soon(_visit, stage, number, check, http)
    return Recording(direct, through, http)


async def _visit(stage: Stage, number: int, check: str, found: dict[str, tuple[Any, Any]]) -> None:
    names = (f"bare-{number}", f"check-{number}")
    shelves = [stage.servers.shelves.setdefault(name, Shelf()) for name in names]
    async with aiohttp.ClientSession() as client:
        direct = Visit(client, f"{stage.url}/{names[0]}", {"http": "/mcp", "sse": "/sse"}, shelves[0])
        through = Visit(client, stage.address, {"http": f"/{names[1]}", "sse": f"/old-{number}/sse"}, shelves[1])
        found[check] = await visited(direct, check), await visited(through, check)
