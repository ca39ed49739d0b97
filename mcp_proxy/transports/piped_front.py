"""A client that sends and reads everything over one pipe: the agent-facing side that stdio and HTTP+SSE share.

It hands each message to the relay and writes what comes back. What the pipe is made of is the transport's business,
what is governed that of `mcp_proxy/relay.py`.
"""

import contextlib
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field

import anyio
from anyio.abc import TaskGroup

from governance import jsontree
from governance.exchange import Principal
from governance.jsontree import Json
from governance.stage import RefusedError
from mcp_proxy import errors
from mcp_proxy.calls import Calls
from mcp_proxy.carrier import Carrier
from mcp_proxy.eras import VERSION_HEADER, name_of
from mcp_proxy.gate import HeaderRules
from mcp_proxy.lens import Caller
from mcp_proxy.link import NO_HEADERS, Era, Event, Link, LinkLostError, Server, UpstreamError
from mcp_proxy.message import MalformedMessageError, Message, result_of
from mcp_proxy.sdk import PROTOCOL_VERSION_META_KEY, inbound
from mcp_proxy.transports.stdio import StdioServer
from pipeline.reading import read_apart

log = logging.getLogger(__name__)

LISTEN_AGAIN_SECONDS = 1.0
"""Pause before a stream of the server's own that it ended is asked for again."""
MOST_OPEN = 1000
"""Messages of one client that may be under way; further ones wait unread."""
MOST_BYTES = 64 * 1024 * 1024
"""Bytes of them. A request beyond is refused and not kept waiting: what it would wait for may need an answer of the
client, which comes behind it."""


@dataclass(frozen=True, slots=True)
class Pipe:
    """The client's end of the pipe."""

    principal: Principal
    transport: str
    """`stdio` or `sse`."""
    session: str
    """Id of this pipe: of the process, or of the SSE session."""
    write: Callable[[bytes], Awaitable[None]]
    """Writes one message. Returns when it was taken, or the client is gone."""
    record: Callable[[MalformedMessageError], Awaitable[None]]
    """Writes into the audit log that a message was refused unread."""
    headers: Mapping[str, str] = field(default_factory=lambda: NO_HEADERS)
    """Of the HTTP request that opened the pipe, if one did."""


class PipeOutlet:
    """Puts what answers one message into the pipe."""

    def __init__(self, write: Callable[[bytes], Awaitable[None]]) -> None:
        self.gone = False
        self.status = 200
        self.place: str | None = None
        """Id of the last event, to resume a stream of the server's own from."""
        self.last: Message | None = None
        self.closed = False
        """Whether the client was told that no answer comes: whatever comes after all is dropped."""
        self._write = write

    async def begin(self, status: int, headers: Mapping[str, str]) -> None:
        """Take in the upstream's status: a pipe has none to show."""
        self.status = status

    async def put(self, event: Event) -> None:
        """Send one event; a place without a message means nothing on a pipe."""
        self.place = event.event_id or self.place
        if event.message is not None and not self.closed:
            self.last = event.message
            await self._write(event.message.raw)

    async def end(self) -> None:
        """The answer comes later, on the same pipe."""


class PipedClient:
    """One client, from its first message to the end of its pipe. Make it with `open_client`."""

    def __init__(self, relay: Carrier, server: Server, pipe: Pipe, rules: HeaderRules, group: TaskGroup) -> None:
        self.lost = anyio.Event()
        """Set when the upstream session is gone, so that this client must start again."""
        self._relay = relay
        self._server = server
        self._pipe = pipe
        self._rules = rules
        self._group = group
        self._calls = Calls(group.start_soon)
        self._links: dict[Era, Link] = {}
        self._opening = anyio.Lock()
        self._room = anyio.Semaphore(MOST_OPEN)
        self._under_way = 0
        self._bytes = 0
        """Size of all messages that are under way."""
        self._asked: dict[PipeOutlet, Message] = {}
        """Requests that are under way, by where their answer goes."""
        self._idle = anyio.Event()
        self._era = Era.LEGACY
        self._version = ""
        self._name = ""
        self._capabilities: Json = None
        self._listening = False

    async def take(self, raw: bytes) -> None:
        """Take one message of the client; it is carried while the next is read. A bad one is answered and recorded."""
        try:
            message = await read_apart(Message.parse, raw)
        except MalformedMessageError as error:
            await self.refuse(error)
            return
        await self.carry(message)

    async def carry(self, message: Message) -> None:
        """As `take`, for a message that was parsed already."""
        if message.is_request and self._bytes and self._bytes + len(message.raw) > MOST_BYTES:
            crowded = UpstreamError(f"more than {MOST_BYTES} bytes are under way already: wait for answers first")
            await self._pipe.write(errors.answer(crowded, message, self._era).message.raw)
            return
        await self._room.acquire()
        self._under_way += 1
        self._bytes += len(message.raw)
        self._group.start_soon(self._carry, message)

    async def refuse(self, error: MalformedMessageError) -> None:
        """Answer and record a message that cannot be read."""
        await self._pipe.record(error)
        await self._pipe.write(errors.malformed(error).message.raw)

    async def finish(self, seconds: float) -> None:
        """Give what is under way a little time to be answered."""
        with anyio.move_on_after(seconds):
            while self._under_way:
                self._idle = anyio.Event()
                await self._idle.wait()

    async def give_up(self, why: UpstreamError) -> None:
        """Tell the client of each request that is still under way why no answer comes."""
        for outlet, message in list(self._asked.items()):
            if outlet.last is None or not outlet.last.is_response:
                outlet.closed = True
                await self._pipe.write(errors.answer(why, message, self._era).message.raw)

    async def aclose(self) -> None:
        """End the upstream session."""
        with anyio.CancelScope(shield=True):
            for link in self._links.values():
                await link.close()

    async def link(self, era: Era) -> Link:
        """The upstream session for messages of an era. A child process has one pipe for whatever comes.

        Raises:
            UpstreamError: there is none to be had.
        """
        key = Era.LEGACY if isinstance(self._server, StdioServer) else era
        async with self._opening:
            if key not in self._links:
                self._links[key] = await self._server.open(self._pipe.principal, era)
            return self._links[key]

    async def _carry(self, message: Message) -> None:
        try:
            await self._deliver(message)
        except MalformedMessageError as error:
            await self.refuse(error)
        except Exception as error:
            log.exception("server %s: a message could not be carried", self._server.name)
            if message.is_request:
                await self._pipe.write(errors.answer(error, message, self._era).message.raw)
        finally:
            self._room.release()
            self._under_way -= 1
            self._bytes -= len(message.raw)
            if not self._under_way:
                self._idle.set()

    async def _deliver(self, message: Message) -> None:
        era = self._era = self._era_of(message)
        outlet = PipeOutlet(self._pipe.write)
        if message.is_request:
            self._asked[outlet] = message
        try:
            link = await self.link(era)
            headers = self._headers(message, era)
            failure = await self._relay.carry(message, link, self._caller(era), outlet, self._calls, headers)
        except (UpstreamError, RefusedError) as error:
            failure = error
            if message.is_request:
                await outlet.put(Event(errors.answer(error, message, era).message))
        finally:
            self._asked.pop(outlet, None)
        if isinstance(failure, LinkLostError):
            self.lost.set()
        elif message.method == "initialize" and outlet.last is not None:
            self._version = jsontree.as_text(result_of(outlet.last).get("protocolVersion"))
            self._name = jsontree.as_text(jsontree.as_object(message.params.get("clientInfo")).get("name"))[:200]
            self._capabilities = message.params.get("capabilities")
        elif message.method == "notifications/initialized" and not self._listening and not failure:
            self._listening = True
            self._group.start_soon(self._listen, era)

    async def _listen(self, era: Era) -> None:
        """Pass on what the server sends of its own accord."""
        outlet = PipeOutlet(self._pipe.write)
        try:
            link = await self.link(era)
            while True:
                headers = {VERSION_HEADER: self._version} if self._version else {}
                if outlet.place:
                    headers["last-event-id"] = outlet.place
                await self._relay.listen(link, self._caller(era), outlet, self._calls, headers)
                if outlet.status != 200 or self._server.transport != "http":
                    return
                await anyio.sleep(LISTEN_AGAIN_SECONDS)
        except (UpstreamError, RefusedError) as error:
            log.info("server %s: its own stream has ended: %s", self._server.name, error)
        except Exception:
            log.exception("server %s: its own stream could not be carried", self._server.name)

    def _caller(self, era: Era) -> Caller:
        pipe = self._pipe
        return Caller(
            pipe.principal,
            self._server.name,
            era,
            pipe.transport,
            pipe.session,
            self._name,
            headers=pipe.headers,
            capabilities=self._capabilities,
        )

    def _era_of(self, message: Message) -> Era:
        """The first request decides, and so does each later one that shows its era; the rest goes along."""
        if message.method == "initialize":
            return Era.LEGACY
        if message.is_request and PROTOCOL_VERSION_META_KEY in message.meta:
            return Era.MODERN
        return self._era

    def _headers(self, message: Message, era: Era) -> Mapping[str, str]:
        """The headers that an HTTP server expects and a pipe does not have."""
        if self._server.transport != "http":
            return NO_HEADERS
        if era is Era.LEGACY:
            return {VERSION_HEADER: self._version} if self._version else NO_HEADERS
        version = jsontree.as_text(message.meta.get(PROTOCOL_VERSION_META_KEY))
        headers = {
            VERSION_HEADER: inbound.encode_header_value(version),
            inbound.MCP_METHOD_HEADER: inbound.encode_header_value(message.method),
        }
        if name_of(message.method):
            headers[inbound.MCP_NAME_HEADER] = ""
        return self._rules.rewritten(self._server.name, message, headers)


@contextlib.asynccontextmanager
async def open_client(relay: Carrier, server: Server, pipe: Pipe, rules: HeaderRules) -> AsyncGenerator[PipedClient]:
    """A client while the block is open. Afterwards nothing of it is under way and its upstream session has ended."""
    async with anyio.create_task_group() as group:
        client = PipedClient(relay, server, pipe, rules, group)
        try:
            yield client
        finally:
            group.cancel_scope.cancel()
            await client.aclose()
