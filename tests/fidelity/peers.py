"""Clients without any SDK over every transport: they keep every frame as it came, and say only what they are told."""

import contextlib
import io
import json
import os
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol
from urllib.parse import urljoin

import aiohttp
import anyio
from anyio.abc import TaskGroup
from anyio.streams.buffered import BufferedByteReceiveStream
from mcp.shared.inbound import encode_header_value

from governance.sse import SseEvent, SseParser
from tests.conformance.process import ROOT
from tests.fidelity.script import ENVELOPE

VERSION = "2026-07-28"
_NAMED = ("tools/call", "prompts/get", "resources/read", "tasks/get", "tasks/update", "tasks/cancel")
_LARGEST_LINE = 64 * 2**20
OPEN_SECONDS = 60.0
"""The longest until a stream says where to send messages."""


class RefusedError(Exception):
    """Something that was said was not taken."""


@dataclass(frozen=True)
class Frame:
    """One message that came to a client."""

    raw: bytes
    lane: str = ""
    """Where it came: on the answer to which POST (its id), on the stream of the server, or empty on a pipe."""
    place: str | None = None
    retry: int | None = None


@dataclass
class Seen:
    """All that came to one client."""

    frames: list[Frame] = field(default_factory=list[Frame])
    heads: dict[str, tuple[int, str]] = field(default_factory=dict[str, tuple[int, str]])
    """Lane -> HTTP status and content type."""
    refused: str = ""
    """What was not taken, and why."""
    ended: str = ""
    """Why nothing more can come."""
    _more: anyio.Event = field(default_factory=anyio.Event)

    def refuse(self, why: str) -> None:
        """Something was not taken; whoever waits is told."""
        self.refused = why
        self._wake()

    def end(self, why: str) -> None:
        """Nothing more will come; whoever waits is told."""
        self.ended = why
        self._wake()

    def add(self, frame: Frame) -> None:
        """One more came."""
        self.frames.append(frame)
        self._wake()

    async def until(self, found: Callable[[Frame], bool], since: int = 0) -> Frame:
        """Wait for a frame; those before `since` do not count.

        Raises:
            RefusedError: something was not taken, or nothing more comes, so that it cannot come.
        """
        while True:
            if self.refused:
                raise RefusedError(self.refused)
            for frame in self.frames[since:]:
                if found(frame):
                    return frame
            if self.ended:
                raise RefusedError(self.ended)
            since = len(self.frames)
            await self._more.wait()

    def _wake(self) -> None:
        self._more.set()
        self._more = anyio.Event()


class Peer(Protocol):
    """A client that is connected."""

    seen: Seen

    async def send(self, raw: bytes) -> None:
        """Say something; returns when it was taken, not when it was answered."""
        ...

    async def listen(self) -> None:
        """Open the stream of the server's own, where the transport has one of its own."""
        ...


@dataclass
class HttpPeer:
    """A client over streamable HTTP."""

    http: aiohttp.ClientSession
    url: str
    group: TaskGroup
    modern: bool
    seen: Seen = field(default_factory=Seen)
    headers: dict[str, str] = field(default_factory=dict[str, str])

    async def send(self, raw: bytes) -> None:
        """POST a message; the answer to a request is read while others are sent."""
        message = json.loads(raw)
        if "method" in message and "id" in message and message["method"] != "initialize":
            self.group.start_soon(self._tried, self._post, raw, message)
        else:
            await self._tried(self._post, raw, message)

    async def listen(self) -> None:
        """GET the stream."""
        opened = anyio.Event()
        self.group.start_soon(self._tried, self._listen, opened)
        await opened.wait()

    async def _tried(self, what: Callable[..., Awaitable[None]], *args: Any) -> None:
        try:
            await what(*args)
        except aiohttp.ClientError as error:
            self.seen.refuse(f"the connection broke: {error!r}")

    async def _post(self, raw: bytes, message: dict[str, Any]) -> None:
        lane = json.dumps(message.get("id", message.get("method")))
        headers = {**self.headers, **(headers_of(message) if self.modern else {})}
        async with self.http.post(self.url, data=io.BytesIO(raw), headers=headers) as response:
            self.seen.heads[lane] = (response.status, response.content_type)
            if message.get("method") == "initialize" and "mcp-session-id" in response.headers:
                self.headers["mcp-session-id"] = response.headers["mcp-session-id"]
                self.headers["mcp-protocol-version"] = message["params"]["protocolVersion"]
            if response.content_type == "text/event-stream":
                await self._events(response, lane)
            elif body := await response.read():
                self.seen.add(Frame(body, lane))
                if response.status >= 400 and json.loads(body).get("id") is None:
                    self.seen.refuse(f"HTTP {response.status}: {body.decode()}")

    async def _listen(self, opened: anyio.Event) -> None:
        async with self.http.get(self.url, headers={**self.headers, "accept": "text/event-stream"}) as response:
            self.seen.heads["stream"] = (response.status, response.content_type)
            opened.set()
            await self._events(response, "stream")

    async def _events(self, response: aiohttp.ClientResponse, lane: str) -> None:
        async for event in events(response):
            if event.data:
                self.seen.add(Frame(event.data, lane, event.id, event.retry))


def headers_of(message: Mapping[str, Any]) -> dict[str, str]:
    """The headers that a modern client sends with a request."""
    params = message.get("params", {})
    headers = {"mcp-protocol-version": VERSION, "mcp-method": str(message.get("method", ""))}
    name = params.get("name", params.get("uri", params.get("taskId")))
    if message.get("method") in _NAMED and isinstance(name, str):
        headers["mcp-name"] = encode_header_value(name)
    return headers


async def events(response: aiohttp.ClientResponse) -> AsyncGenerator[SseEvent]:
    """The events of a stream, comments too."""
    parser = SseParser()
    while chunk := await response.content.readany():
        for event in parser.feed(chunk):
            yield event


@dataclass
class SsePeer:
    """A client over HTTP+SSE."""

    http: aiohttp.ClientSession
    url: str
    group: TaskGroup
    seen: Seen = field(default_factory=Seen)
    _where: str = ""

    async def send(self, raw: bytes) -> None:
        """POST a message to where the stream said."""
        if self.seen.ended:
            raise RefusedError(self.seen.ended)
        async with self.http.post(self._where, data=io.BytesIO(raw)) as response:
            said = await response.text()
            if response.status != 202:
                self.seen.refuse(f"HTTP {response.status}: {said}")

    async def listen(self) -> None:
        """The stream is open already."""

    async def open(self) -> None:
        """Open the stream and wait for its first event, or its end."""
        opened = anyio.Event()
        self.group.start_soon(self._follow, opened)
        with anyio.move_on_after(OPEN_SECONDS) as scope:
            await opened.wait()
        if scope.cancelled_caught:
            self.seen.end(f"the stream said nothing in {OPEN_SECONDS:g} seconds")

    async def _follow(self, opened: anyio.Event) -> None:
        how = "the stream has ended"
        try:
            await self._read(opened)
        except aiohttp.ClientError as error:
            how = f"the stream broke: {error!r}"
        self.seen.end(how)
        opened.set()

    async def _read(self, opened: anyio.Event) -> None:
        async with self.http.get(self.url, headers={"accept": "text/event-stream"}) as response:
            async for event in events(response):
                if event.event == "endpoint":
                    self._where = urljoin(self.url, (event.data or b"").decode())
                    opened.set()
                elif event.data:
                    self.seen.add(Frame(event.data))


@dataclass
class StdioPeer:
    """A client over the standard streams of a process that it started."""

    process: anyio.abc.Process
    seen: Seen = field(default_factory=Seen)

    async def send(self, raw: bytes) -> None:
        """Write one line."""
        assert self.process.stdin is not None
        try:
            await self.process.stdin.send(raw + b"\n")
        except (anyio.BrokenResourceError, OSError) as error:
            raise RefusedError(f"the process does not read any more: {error!r}") from error

    async def listen(self) -> None:
        """There is only one stream."""

    async def read(self) -> None:
        """Take in what the process says, until it ends."""
        assert self.process.stdout is not None
        lines = BufferedByteReceiveStream(self.process.stdout)
        with contextlib.suppress(anyio.EndOfStream, anyio.IncompleteRead):
            while True:
                self.seen.add(Frame(await lines.receive_until(b"\n", _LARGEST_LINE)))
        self.seen.end("the process says nothing more")


@contextlib.asynccontextmanager
async def over_http(url: str, *, modern: bool) -> AsyncGenerator[HttpPeer]:
    """A client over streamable HTTP."""
    async with _http() as http, anyio.create_task_group() as group:
        yield HttpPeer(http, url, group, modern)
        group.cancel_scope.cancel()


@contextlib.asynccontextmanager
async def over_sse(url: str) -> AsyncGenerator[SsePeer]:
    """A client over HTTP+SSE."""
    async with _http() as http, anyio.create_task_group() as group:
        peer = SsePeer(http, url, group)
        await peer.open()
        yield peer
        group.cancel_scope.cancel()


@contextlib.asynccontextmanager
async def over_stdio(command: Sequence[str], environ: Mapping[str, str]) -> AsyncGenerator[StdioPeer]:
    """A client that starts its server."""
    env = {**os.environ, **environ}
    async with await anyio.open_process(command, stderr=None, cwd=ROOT, env=env) as process:
        peer = StdioPeer(process)
        async with anyio.create_task_group() as group:
            group.start_soon(peer.read)
            yield peer
            assert process.stdin is not None
            await process.stdin.aclose()
            with anyio.move_on_after(10):
                await process.wait()
            group.cancel_scope.cancel()
        if process.returncode is None:
            process.kill()


@contextlib.asynccontextmanager
async def _http() -> AsyncGenerator[aiohttp.ClientSession]:
    headers = {"accept": "application/json, text/event-stream", "content-type": "application/json"}
    timeout = aiohttp.ClientTimeout(total=None)
    async with aiohttp.ClientSession(headers=headers, timeout=timeout, read_bufsize=2**20) as http:
        yield http


def spoken(raw: bytes, *, modern: bool) -> bytes:
    """What a client says, for one of the eras."""
    return raw.replace(b"@meta@", ENVELOPE if modern else b"")
