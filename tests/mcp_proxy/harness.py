"""What the proxy's tests run on: real HTTP servers on loopback, and the simplest organs that let everything through."""

import contextlib
import socket
from collections.abc import AsyncGenerator, Callable, Generator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, NoReturn

import aiohttp
import anyio
import uvicorn

from approvals.attendance import UNATTENDED, Attendance
from governance.catalog.catalog import Catalog, MemoryDefinitions
from governance.clock import Clock, SystemClock
from governance.config.models import Limits
from governance.exchange import Body, Exchange, Phase, Principal, SessionRef
from governance.identity.directory import UnknownKeyError
from governance.stage import Outcome, RefusedError
from governance.verdict import ALLOWED, Verdict
from mcp_proxy.app import Organs, open_app
from mcp_proxy.link import Server
from mcp_proxy.pulse import Pulse
from mcp_proxy.transports.streamable_http import HttpServer, open_client
from pipeline.border import AsgiApp, BadRequestError

KEYS = {"wk_alice": "alice", "wk_bob": "bob"}
Judge = Callable[[Exchange, Phase], Verdict]


@dataclass
class OpenWay:
    """A passage that asks a test's own judge."""

    gate: "OpenGate"
    exchange: Exchange
    warnings: list[Verdict] = field(default_factory=list[Verdict])
    notices: list[str] = field(default_factory=list[str])
    scope: anyio.CancelScope = field(default_factory=anyio.CancelScope)
    cut_by: Verdict | None = None

    async def respond(self, body: Body) -> Exchange:
        self.exchange = replace(self.exchange, response=body)
        self.exchange = self.gate.judged(self.exchange, Phase.RESPONSE)
        return self.exchange

    async def settle(self, outcome: Outcome) -> None:
        self.gate.settled.append((self.exchange, outcome))

    def withhold(self, verdict: Verdict) -> NoReturn:
        raise RefusedError(verdict, self.exchange.id)

    def cut(self, verdict: Verdict) -> None:
        self.cut_by = verdict
        self.scope.cancel()


@dataclass
class OpenGate:
    """The shape of the guard without its organs. Only for tests of how messages travel."""

    judge: Judge = lambda exchange, phase: ALLOWED
    sees: Callable[[Exchange], bool] = lambda exchange: True
    warnings: list[Verdict] = field(default_factory=list[Verdict])
    admitted: list[Exchange] = field(default_factory=list[Exchange])
    settled: list[tuple[Exchange, Outcome]] = field(default_factory=list[tuple[Exchange, Outcome]])
    open: set[int] = field(default_factory=set[int])
    ways: list[OpenWay] = field(default_factory=list[OpenWay])

    def judged(self, exchange: Exchange, phase: Phase) -> Exchange:
        verdict = self.judge(exchange, phase)
        if verdict.decision.strength >= 3:
            raise RefusedError(verdict, exchange.id)
        if not verdict.edits:
            return exchange
        if phase is Phase.REQUEST:
            return replace(exchange, request=exchange.request.edited(verdict.edits))
        assert exchange.response is not None
        return replace(exchange, response=exchange.response.edited(verdict.edits))

    @contextlib.asynccontextmanager
    async def passage(self, exchange: Exchange, attendance: Attendance = UNATTENDED) -> AsyncGenerator[OpenWay]:
        way = OpenWay(self, self.judged(exchange, Phase.REQUEST), list(self.warnings))
        self.admitted.append(way.exchange)
        self.ways.append(way)
        settled = len(self.settled)
        try:
            with way.scope:
                yield way
        except BaseException:
            if len(self.settled) == settled:
                self.settled.append((way.exchange, Outcome("cancelled")))
            raise
        finally:
            self.ways.remove(way)
        if way.cut_by is not None:
            raise RefusedError(way.cut_by, exchange.id)

    async def inspect(self, exchange: Exchange, phase: Phase) -> Exchange:
        return self.judged(exchange, phase)

    async def note_refused(self, exchange: Exchange, verdict: Verdict) -> None:
        self.settled.append((exchange, Outcome("refused")))

    def may_see(self, exchange: Exchange) -> bool:
        return self.sees(exchange)


@dataclass
class OpenKills:
    """A kill switch in memory."""

    killed: Verdict = ALLOWED
    running: list[Callable[[Verdict], None]] = field(default_factory=list[Callable[[Verdict], None]])

    async def verdict(self, principal: Principal, session: SessionRef, server: str = "") -> Verdict:
        return self.killed

    @contextlib.contextmanager
    def track(
        self, principal: Principal, session: SessionRef, cut: Callable[[Verdict], None], *, server: str = ""
    ) -> Generator[None]:
        self.running.append(cut)
        try:
            yield
        finally:
            self.running.remove(cut)

    def kill(self, verdict: Verdict) -> None:
        self.killed = verdict
        for cut in list(self.running):
            cut(verdict)


class SeenTools(Catalog):
    """A catalog in memory."""

    def __init__(self) -> None:
        super().__init__(MemoryDefinitions())


class TwoKeys:
    """Alice and Bob."""

    async def recognise(self, token: str | None, *, peer: str = "", user: str = "") -> Principal:
        if token not in KEYS:
            raise UnknownKeyError("no valid key")
        return Principal(KEYS[token])


@dataclass
class Proxy:
    """A running proxy and what a test may look at."""

    url: str
    gate: OpenGate
    kills: OpenKills
    catalog: Catalog
    refused: list[BadRequestError]

    def at(self, server: str) -> str:
        return f"{self.url}/mcp/{server}"


class _Quiet(uvicorn.Server):
    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.ready = anyio.Event()

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.ready.set()


def steady(name: str) -> Pulse:
    """The pulse of a server, by the machine's clock."""
    return Pulse(name, SystemClock(), lambda: 0.0)


@contextlib.asynccontextmanager
async def serving(app: Any, **options: Any) -> AsyncGenerator[str]:
    """An ASGI application on a port of its own; yields its URL."""
    # Named to be TCP, because only then asyncio sends without waiting to fill a packet.
    with contextlib.closing(socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)) as listener:
        async with _serving(app, listener, **options) as url:
            yield url


@contextlib.asynccontextmanager
async def _serving(app: Any, listener: socket.socket, **options: Any) -> AsyncGenerator[str]:
    listener.bind(("127.0.0.1", 0))
    config = uvicorn.Config(
        app, log_level="error", lifespan=options.pop("lifespan", "off"), ws="none", proxy_headers=False, **options
    )
    server = _Quiet(config)

    async def run() -> None:
        await server.serve(sockets=[listener])

    async with anyio.create_task_group() as group:
        group.start_soon(run)
        await server.ready.wait()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            server.force_exit = True


@contextlib.asynccontextmanager
async def proxying(
    upstreams: Mapping[str, str],
    *,
    gate: OpenGate | None = None,
    clock: Clock | None = None,
    limits: Limits | None = None,
    headers: Mapping[str, str] | None = None,
) -> AsyncGenerator[Proxy]:
    """The proxy on a port of its own, in front of HTTP servers given as name -> URL."""
    gate, kills, catalog, refused = (
        gate or OpenGate(),
        OpenKills(),
        Catalog(MemoryDefinitions()),
        list[BadRequestError](),
    )
    limits = limits or Limits()

    async def record(path: str, problem: BadRequestError) -> None:
        refused.append(problem)

    organs = Organs(
        gate=gate,
        kills=kills,
        catalog=catalog,
        identity=TwoKeys(),
        clock=clock or SystemClock(),
        limits=limits,
        hosts=("127.0.0.1", "localhost"),
        record=record,
    )
    async with open_client() as client:
        servers: dict[str, Server] = {
            name: HttpServer(name, url, client=client, limits=limits, pulse=steady(name), headers=headers or {})
            for name, url in upstreams.items()
        }
        async with open_app(organs, servers) as app, serving(app) as url:
            yield Proxy(url, gate, kills, catalog, refused)
            for server in servers.values():
                await server.aclose()


@contextlib.asynccontextmanager
async def raw_client(key: str = "wk_alice") -> AsyncGenerator[aiohttp.ClientSession]:
    """An HTTP client without any knowledge of MCP."""
    async with aiohttp.ClientSession(
        headers={
            "authorization": f"Bearer {key}",
            "accept": "application/json, text/event-stream",
            "content-type": "application/json",
        }
    ) as client:
        yield client


def as_asgi(app: AsgiApp) -> Any:
    """Past the type of uvicorn's own ASGI callable."""
    return app
