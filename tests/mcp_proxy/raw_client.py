"""An MCP client over Streamable HTTP written without any SDK: it keeps every byte it is sent."""

import contextlib
import io
import json
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from typing import Any

import aiohttp

from governance.sse import SseEvent, SseParser

INITIALIZE: dict[str, Any] = {
    "protocolVersion": "2025-11-25",
    "capabilities": {"roots": {"listChanged": True}, "elicitation": {"form": {}, "url": {}}, "x-unknown": {"a": None}},
    "clientInfo": {"name": "raw-client", "version": "9", "hint": 2**60 + 1},
}


@dataclass
class Stream:
    """One open HTTP response."""

    response: aiohttp.ClientResponse
    _parser: SseParser = field(default_factory=SseParser)
    _ready: list[SseEvent] = field(default_factory=list[SseEvent])

    async def event(self) -> SseEvent:
        """The next event that is no comment."""
        while True:
            while self._ready:
                event = self._ready.pop(0)
                if event.data is not None:
                    return event
            chunk = await self.response.content.readany()
            if not chunk:
                raise EOFError
            self._ready += self._parser.feed(chunk)

    async def message(self) -> Any:
        """The next message."""
        while True:
            event = await self.event()
            if event.data:
                return json.loads(event.data)

    async def rest(self) -> list[Any]:
        """Every message that still comes."""
        found: list[Any] = []
        with contextlib.suppress(EOFError):
            while True:
                found.append(await self.message())
        return found


@dataclass
class RawClient:
    """One client session."""

    http: aiohttp.ClientSession
    url: str
    headers: dict[str, str] = field(default_factory=dict[str, str])

    async def initialize(self, **changes: Any) -> Any:
        async with self.post("initialize", {**INITIALIZE, **changes}, id=0) as response:
            session = response.headers.get("mcp-session-id")
            if session:
                self.headers["mcp-session-id"] = session
            self.headers["mcp-protocol-version"] = "2025-11-25"
            value = json.loads(await response.read())
        await self.notify("notifications/initialized")
        return value

    @contextlib.asynccontextmanager
    async def send(self, raw: bytes | dict[str, Any], **headers: str) -> AsyncGenerator[aiohttp.ClientResponse]:
        body = raw if isinstance(raw, bytes) else json.dumps(raw).encode()
        lines = {**self.headers, **{name.replace("_", "-"): text for name, text in headers.items()}}
        async with self.http.post(self.url, data=io.BytesIO(body), headers=lines) as response:
            yield response

    @contextlib.asynccontextmanager
    async def post(self, method: str, params: Any = None, *, id: Any = 1) -> AsyncGenerator[aiohttp.ClientResponse]:  # noqa: A002 - as on the wire
        message: dict[str, Any] = {"jsonrpc": "2.0", "id": id, "method": method}
        if params is not None:
            message["params"] = params
        async with self.send(message) as response:
            yield response

    async def call(self, method: str, params: Any = None, *, id: Any = 1) -> Any:  # noqa: A002 - as on the wire
        """The response to a request that is answered by one JSON body."""
        async with self.post(method, params, id=id) as response:
            return json.loads(await response.read())

    async def tool(self, name: str, arguments: Any = None, *, id: Any = 1, **params: Any) -> Any:  # noqa: A002 - as on the wire
        return await self.call("tools/call", {"name": name, "arguments": arguments or {}, **params}, id=id)

    async def notify(self, method: str, params: Any = None) -> int:
        message: dict[str, Any] = {"jsonrpc": "2.0", "method": method}
        if params is not None:
            message["params"] = params
        async with self.send(message) as response:
            return response.status

    @contextlib.asynccontextmanager
    async def stream(self, method: str, params: Any = None, *, id: Any = 1) -> AsyncGenerator[Stream]:  # noqa: A002 - as on the wire
        async with self.post(method, params, id=id) as response:
            assert response.content_type == "text/event-stream", await response.text()
            yield Stream(response)

    @contextlib.asynccontextmanager
    async def listen(self, **headers: str) -> AsyncGenerator[Stream]:
        lines = {**self.headers, **{name.replace("_", "-"): text for name, text in headers.items()}}
        async with self.http.get(self.url, headers={**lines, "accept": "text/event-stream"}) as response:
            yield Stream(response)

    async def delete(self) -> int:
        async with self.http.delete(self.url, headers=self.headers) as response:
            return response.status
