"""A stage for the proxy's tests: a server, the proxy before it, a client that has shaken hands. No SDK on any side."""

import contextlib
import json
from collections.abc import AsyncGenerator
from typing import Any, NamedTuple

import anyio

from tests.mcp_proxy.harness import OpenGate, Proxy, proxying, raw_client, serving
from tests.mcp_proxy.raw_client import RawClient
from tests.mcp_proxy.raw_upstream import Call, RawUpstream, UpstreamSession

MODERN = "2026-07-28"
ENVELOPE = {
    "io.modelcontextprotocol/protocolVersion": MODERN,
    "io.modelcontextprotocol/clientCapabilities": {},
    "io.modelcontextprotocol/clientInfo": {"name": "modern-client", "version": "1"},
}
AWKWARD: dict[str, Any] = {
    "null": None,
    "big": 2**60 + 1,
    "one": 1.0,
    "small": 1e-7,
    "text": "grüße 🦊 \u2028",
    "empty": "",
    "list": [[], {}],
}
TOOL: dict[str, Any] = {
    "name": "odd",
    "title": "Odd",
    "description": "does odd things",
    "inputSchema": {"type": "object", "$defs": {"a": {"$anchor": "a"}}, "x-thing": [1.0, 2**60 + 1], "not": {}},
    "outputSchema": {"type": "object", "additionalProperties": False},
    "annotations": {"readOnlyHint": True, "vendorHint": "x"},
    "icons": [{"src": "https://example.invalid/i.png", "sizes": ["48x48"]}],
    "execution": {"taskSupport": "optional"},
    "_meta": {"vendor/x": AWKWARD},
    "unknownKey": AWKWARD,
}


class Stage(NamedTuple):
    """What a test may look at and change."""

    upstream: RawUpstream
    proxy: Proxy
    client: RawClient

    @property
    def session(self) -> UpstreamSession:
        """The first session that the server opened."""
        return next(iter(self.upstream.sessions.values()))

    def on(self, method: str, result: Any) -> None:
        """Let the server answer every request of `method` with `result`."""

        async def handler(call: Call) -> None:
            await call.reply(call.result(result))

        self.upstream.handlers[method] = handler

    def last(self, method: str) -> dict[str, Any]:
        """The last message of `method` that reached the server."""
        return [call.message for call in self.upstream.calls if call.message.get("method") == method][-1]


@contextlib.asynccontextmanager
async def staged(gate: OpenGate | None = None) -> AsyncGenerator[Stage]:
    """The stage of one test, which must be over within 20 seconds."""
    upstream = RawUpstream()
    async with serving(upstream) as url, proxying({"up": url}, gate=gate) as proxy, raw_client() as http:
        with anyio.fail_after(20):
            client = RawClient(http, proxy.at("up"))
            await client.initialize()
            yield Stage(upstream, proxy, client)


async def modern(client: RawClient, method: str, params: dict[str, Any], **headers: str) -> tuple[int, Any]:
    """Send one request of the modern era; returns the HTTP status and the answer."""
    message = {"jsonrpc": "2.0", "id": 5, "method": method, "params": {**params, "_meta": ENVELOPE}}
    name = params.get("name", params.get("uri"))
    lines = {"mcp_protocol_version": MODERN, "mcp_method": method, **({"mcp_name": name} if name else {}), **headers}
    async with client.send(message, **lines) as response:
        return response.status, json.loads(await response.read())
