"""A model provider on loopback that does what a test tells it and remembers every byte it was sent."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import TypeAlias

import orjson


@dataclass(frozen=True)
class Received:
    """One request, as it came over the wire."""

    method: str
    target: str
    headers: list[tuple[str, str]]
    body: bytes

    def header(self, name: str) -> str | None:
        return next((value for key, value in self.headers if key == name), None)

    @property
    def json(self) -> dict[str, object]:
        return orjson.loads(self.body)


class Wire:
    """The provider's side of one request."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self.keeps = True

    async def raw(self, data: bytes) -> None:
        self._writer.write(data)
        await self._writer.drain()

    async def whole(
        self,
        body: bytes,
        status: int = 200,
        media_type: str = "application/json",
        headers: dict[str, str] | None = None,
    ) -> None:
        lines = [f"HTTP/1.1 {status} X", f"content-type: {media_type}", f"content-length: {len(body)}"]
        lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
        await self.raw("\r\n".join(lines).encode() + b"\r\n\r\n" + body)

    async def begin(self, headers: str = "") -> None:
        head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\ntransfer-encoding: chunked\r\n"
        await self.raw(f"{head}{headers}\r\n".encode())

    async def chunk(self, data: bytes) -> None:
        await self.raw(b"%x\r\n%s\r\n" % (len(data), data))

    async def end(self) -> None:
        await self.raw(b"0\r\n\r\n")

    async def stream(self, *chunks: bytes) -> None:
        await self.begin()
        for chunk in chunks:
            await self.chunk(chunk)
            await asyncio.sleep(0)
        await self.end()

    async def cut(self) -> None:
        self.keeps = False
        self._writer.close()

    async def wait_until_left(self) -> None:
        """Until the gateway closes this connection."""
        with contextlib.suppress(ConnectionError):
            assert await self._reader.read(1) == b""
        self.keeps = False


Script: TypeAlias = Callable[[Received, Wire], Awaitable[None]]


@dataclass
class Provider:
    """Plays `script` for every request."""

    url: str = ""
    received: list[Received] = field(default_factory=list[Received])
    script: Script | None = None
    connections: int = 0
    left: asyncio.Event = field(default_factory=asyncio.Event)
    """Set by scripts that wait for the gateway to leave."""

    def answers(self, body: bytes, status: int = 200, **headers: str) -> None:
        """Answer everything with this."""

        async def play(request: Received, wire: Wire) -> None:
            named = {name.replace("_", "-"): value for name, value in headers.items()}
            media_type = named.pop("content-type", "application/json")
            await wire.whole(body, status, media_type, named)

        self.script = play

    def streams(self, *chunks: bytes) -> None:
        """Stream these chunks for everything."""

        async def play(request: Received, wire: Wire) -> None:
            await wire.stream(*chunks)

        self.script = play

    @property
    def last(self) -> Received:
        return self.received[-1]

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        wire = Wire(reader, writer)
        try:
            while wire.keeps and (request := await _read(reader)):
                self.received.append(request)
                assert self.script is not None, "the provider was not told what to answer"
                await self.script(request, wire)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()


async def _read(reader: asyncio.StreamReader) -> Received | None:
    head = await reader.readuntil(b"\r\n\r\n") if not reader.at_eof() else b""
    if not head:
        return None
    first, *lines = head.decode("latin-1").split("\r\n")[:-2]
    method, target, _ = first.split(" ", 2)
    headers = [(name.lower(), value.strip()) for name, _, value in (line.partition(":") for line in lines)]
    length = next((int(value) for name, value in headers if name == "content-length"), 0)
    return Received(method, target, headers, await reader.readexactly(length))


@contextlib.asynccontextmanager
async def running_provider() -> AsyncGenerator[Provider]:
    provider = Provider()
    server = await asyncio.start_server(provider.serve, "127.0.0.1", 0, limit=2**24)
    provider.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
    try:
        yield provider
    finally:
        server.close()
