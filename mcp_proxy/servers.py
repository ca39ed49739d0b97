"""The configured upstream servers: which transport reaches each, and how they are.

Only the configuration names a command or an address; nothing that arrives in a message can. What is sent to the
servers is none of this file's business.
"""

import contextlib
import logging
import secrets
from collections.abc import AsyncGenerator, Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

import aiohttp
import anyio
import orjson
from anyio.abc import TaskGroup

from governance import jsontree
from governance.clock import Clock
from governance.config.models import Config, Limits, McpServer
from governance.exchange import Principal
from governance.jsontree import Json, JsonObject
from mcp_proxy.bridge.only_child import OnlyChild
from mcp_proxy.bridge.server import BridgedServer
from mcp_proxy.bridge.server import Means as BridgeMeans
from mcp_proxy.credentials.credential import NOTHING, Carrier, Credential
from mcp_proxy.link import Condition, Era, Link, Server, UpstreamTimeoutError, UpstreamUnreachableError
from mcp_proxy.pulse import Pulse, Vitals, Watched
from mcp_proxy.sdk import (
    CLIENT_CAPABILITIES_META_KEY,
    CLIENT_INFO_META_KEY,
    LATEST_MODERN_VERSION,
    PROTOCOL_VERSION_META_KEY,
)
from mcp_proxy.transports.sse import SseServer, Stream, StreamError
from mcp_proxy.transports.stdio import StdioServer
from mcp_proxy.transports.stdio_child import Command
from mcp_proxy.transports.streamable_http import HttpServer, open_client

log = logging.getLogger(__name__)

_NOT_STREAMABLE = (400, 404, 405)
_PROBE_BYTES = 64 * 1024
NO_CREDENTIALS: Mapping[str, Credential] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Report:
    """One server as `doctor` and the console show it."""

    name: str
    transport: str
    condition: Condition
    vitals: Vitals


@dataclass(frozen=True)
class Means:
    """What servers are reached with."""

    client: aiohttp.ClientSession
    group: TaskGroup
    """Owns what reads streams in the background."""
    limits: Limits
    clock: Clock
    jitter: Callable[[], float]
    """Returns a number from 0 to 1."""
    credentials: Mapping[str, Credential] = field(default_factory=lambda: NO_CREDENTIALS)

    def credential(self, name: str, entry: McpServer) -> Credential:
        """What a server is shown besides its headers. There must be one where `auth` says so."""
        return self.credentials[name] if entry.auth.grant else NOTHING


@contextlib.asynccontextmanager
async def open_servers(
    config: Config,
    clock: Clock,
    jitter: Callable[[], float],
    state_key: bytes = b"",
    credentials: Mapping[str, Credential] = NO_CREDENTIALS,
    *,
    alone: bool = False,
) -> AsyncGenerator[Mapping[str, BridgedServer]]:
    """Every configured server by name, started as its entry says; all are stopped afterwards.

    Args:
        config: names the servers.
        clock: tells and measures time.
        jitter: returns a number from 0 to 1.
        state_key: 32 bytes that seal what clients carry of suspended calls; without them a random key of this process.
        credentials: what each server is shown that Wicket has to sign in at.
        alone: whether there is one client ever, so that a server process serves it in either era.
    """
    async with open_client() as client, anyio.create_task_group() as group:
        means = Means(client, group, config.limits, clock, jitter, credentials)
        key = state_key or secrets.token_bytes(32)
        bridging = BridgeMeans(group, clock, config.limits, key, config.approvals.whole_seconds)
        servers = {
            name: BridgedServer(server_of(name, entry, means, alone=alone), bridging)
            for name, entry in config.mcp_servers.items()
        }
        try:
            yield servers
        finally:
            with anyio.CancelScope(shield=True):
                async with anyio.create_task_group() as closing:
                    for server in servers.values():
                        closing.start_soon(server.aclose)
            group.cancel_scope.cancel()


def server_of(name: str, entry: McpServer, means: Means, *, alone: bool = False) -> Server:
    """The server that an entry of the configuration describes."""
    pulse = Pulse(name, means.clock, means.jitter)
    if entry.type == "stdio" or (entry.type is None and entry.command):
        command = Command(entry.command, entry.args, entry.env, entry.cwd)
        common = entry.process == "shared" and not alone
        child = StdioServer(name, command, limits=means.limits, pulse=pulse, alone=alone, common=common)
        if alone:
            return OnlyChild(child)
        if entry.start == "eager":
            means.group.start_soon(child.keep_ready)
        return child
    if entry.type == "sse":
        return _sse(name, entry, means, pulse)
    if entry.type is None:
        return AnyHttpServer(name, entry, means, pulse)
    return _http(name, entry, means, pulse)


def reports(servers: Mapping[str, Server]) -> list[Report]:
    """How every server is."""
    return [
        Report(
            one.name,
            one.transport,
            one.condition,
            one.vitals if isinstance(one, Watched) else Vitals(),
        )
        for one in (server.inner if isinstance(server, BridgedServer) else server for server in servers.values())
    ]


class AnyHttpServer(Watched):
    """A server of which only the address is known: Streamable HTTP, or else HTTP+SSE.

    Asked once with `server/discover`. A server that answers 400, 404 or 405 without a JSON-RPC error, and opens an SSE
    stream that names an address to POST to, is one of 2024-11-05 (specification, "Backwards Compatibility").
    """

    def __init__(self, name: str, entry: McpServer, means: Means, pulse: Pulse) -> None:
        self.name = name
        self.pulse = pulse
        self._entry = entry
        self._means = means
        self._carrier = Carrier(means.client, means.credential(name, entry))
        self._asking = anyio.Lock()
        self._chosen: HttpServer | SseServer | None = None

    @property
    def transport(self) -> str:
        """`http` or `sse`; `http` as long as nobody asked."""
        return self._chosen.transport if self._chosen else "http"

    async def open(self, principal: Principal, era: Era) -> Link:
        """A link over the transport that the server speaks.

        Raises:
            UpstreamError: it cannot be reached.
        """
        if self._chosen is None:
            async with self._asking:
                self._chosen = self._chosen or await self._choose(principal)
        return await self._chosen.open(principal, era)

    async def aclose(self) -> None:
        """Close every link."""
        if self._chosen is not None:
            await self._chosen.aclose()
        self.pulse.stopped()

    async def _choose(self, principal: Principal) -> HttpServer | SseServer:
        self.pulse.check()
        try:
            refuses = await self._refuses_posts(principal)
            is_old = refuses and await self._opens_a_stream(principal)
        except TimeoutError:
            self.pulse.failed("it does not answer in time")
            raise UpstreamTimeoutError(f"server `{self.name}` did not answer in time") from None
        except (aiohttp.ClientError, OSError):
            self.pulse.failed("it cannot be reached")
            raise UpstreamUnreachableError(f"server `{self.name}` cannot be reached") from None
        self.pulse.well()
        log.info("server %s speaks %s", self.name, "HTTP+SSE" if is_old else "Streamable HTTP")
        return (_sse if is_old else _http)(self.name, self._entry, self._means, self.pulse)

    async def _refuses_posts(self, principal: Principal) -> bool:
        headers = {
            "content-type": "application/json",
            "accept": "application/json, text/event-stream",
            "mcp-protocol-version": LATEST_MODERN_VERSION,
            "mcp-method": "server/discover",
        }
        limits = self._means.limits
        timeout = aiohttp.ClientTimeout(
            total=None, sock_connect=limits.connect_seconds, sock_read=limits.upstream_seconds
        )
        headers |= self._entry.headers
        async with await self._carrier.request(
            principal, "POST", self._entry.url, data=_DISCOVER, headers=headers, timeout=timeout
        ) as response:
            if response.status not in _NOT_STREAMABLE:
                return False
            return not _is_error(await response.content.read(_PROBE_BYTES))

    async def _opens_a_stream(self, principal: Principal) -> bool:
        """Whether a stream is opened whose first event names an address. Once it is open, that is not long in coming.

        Raises:
            TimeoutError: nothing at all came, so nothing is known.
        """
        limits, entry = self._means.limits, self._entry
        with contextlib.suppress(StreamError):
            with anyio.fail_after(limits.upstream_seconds):
                stream = await Stream.get(self._carrier, principal, entry.url, entry.headers, _PROBE_BYTES)
            with anyio.move_on_after(limits.connect_seconds):
                await stream.greet(entry.url)
                stream.close()
                return True
        return False


def _http(name: str, entry: McpServer, means: Means, pulse: Pulse) -> HttpServer:
    return HttpServer(
        name,
        entry.url,
        client=means.client,
        limits=means.limits,
        pulse=pulse,
        headers=entry.headers,
        credential=means.credential(name, entry),
    )


def _sse(name: str, entry: McpServer, means: Means, pulse: Pulse) -> SseServer:
    return SseServer(
        name,
        entry.url,
        client=means.client,
        limits=means.limits,
        pulse=pulse,
        group=means.group,
        headers=entry.headers,
        credential=means.credential(name, entry),
    )


def _is_error(body: bytes) -> bool:
    """Whether a body is a JSON-RPC error: only a server that reads JSON-RPC at this address sends one."""
    try:
        value: Json = orjson.loads(body)
    except orjson.JSONDecodeError:
        return False
    return isinstance(value, dict) and isinstance(value.get("error"), dict)


_META: JsonObject = {
    PROTOCOL_VERSION_META_KEY: LATEST_MODERN_VERSION,
    CLIENT_CAPABILITIES_META_KEY: {},
    CLIENT_INFO_META_KEY: {"name": "wicket", "version": "0"},
}
_DISCOVER = jsontree.dump({"jsonrpc": "2.0", "id": "probe", "method": "server/discover", "params": {"_meta": _META}})
