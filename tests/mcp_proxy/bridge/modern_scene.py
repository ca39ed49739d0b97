"""The scene of a modern client before a legacy server that a test plays itself."""

import json
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

from tests.conftest import ManualClock
from tests.mcp_proxy.bridge.stages import MODERN, Stage, bridged
from tests.mcp_proxy.harness import raw_client, serving
from tests.mcp_proxy.raw_client import RawClient
from tests.mcp_proxy.raw_upstream import Call, RawUpstream, UpstreamSession

NOT_FOUND = {"code": -32601, "message": "no such method"}
ABLE: dict[str, Any] = {"elicitation": {"form": {}, "url": {}}, "sampling": {}, "roots": {}}
FORM: dict[str, Any] = {"message": "which?", "requestedSchema": {"type": "object", "properties": {}}}
ACCEPTED = {"action": "accept", "content": {"word": "please"}}


def envelope(capabilities: Any = None, **more: Any) -> dict[str, Any]:
    return {
        "io.modelcontextprotocol/protocolVersion": MODERN,
        "io.modelcontextprotocol/clientCapabilities": ABLE if capabilities is None else capabilities,
        "io.modelcontextprotocol/clientInfo": {"name": "modern-client", "version": "1", "hint": 2**60 + 1},
        **more,
    }


class Scene(NamedTuple):
    """What a test may look at and change."""

    upstream: RawUpstream
    stage: Stage
    client: RawClient
    clock: ManualClock

    @asynccontextmanager
    async def post(
        self,
        method: str,
        params: dict[str, Any] | None = None,
        *,
        id: Any = 5,  # noqa: A002 - as on the wire
        meta: Any = None,
    ) -> AsyncGenerator[Any]:
        params = params or {}
        enveloped = {**params, "_meta": envelope() if meta is None else meta}
        body: dict[str, Any] = {"jsonrpc": "2.0", "id": id, "method": method, "params": enveloped}
        name = params.get("name", params.get("uri"))
        lines = {"mcp_protocol_version": MODERN, "mcp_method": method, **({"mcp_name": name} if name else {})}
        async with self.client.send(body, **lines) as response:
            yield response

    async def ask(self, method: str, params: Any = None, **options: Any) -> Any:
        async with self.post(method, params, **options) as response:
            return json.loads(await response.read())

    async def tool(self, name: str = "it", arguments: Any = None, *, more: Any = None, **options: Any) -> Any:
        params: dict[str, Any] = {"name": name, "arguments": arguments or {}, **(more or {})}
        return await self.ask("tools/call", params, **options)

    async def retry(self, asked: Any, answers: Any, arguments: Any = None, **options: Any) -> Any:
        more = {"requestState": asked["result"]["requestState"], "inputResponses": answers}
        return await self.tool(arguments=arguments, more=more, **options)

    def on(self, method: str, handler: Callable[[Call], Awaitable[None]]) -> None:
        self.upstream.handlers[method] = handler

    def sent(self, method: str) -> list[dict[str, Any]]:
        return [call.message for call in self.upstream.calls if call.message.get("method") == method]

    @property
    def session(self) -> UpstreamSession:
        """The first session that the server opened."""
        return self.upstream.sessions["up-0"]

    def leaves(self) -> None:
        """Let the front see that a client has left: it looks after requests that have been open for a while."""
        self.clock.advance(1)


@asynccontextmanager
async def scene(approvals: Any = None, **initialize: Any) -> AsyncGenerator[Scene]:
    upstream = RawUpstream()
    upstream.initialize = {**upstream.initialize, **initialize}

    async def unknown(call: Call) -> None:
        await call.reply(json.dumps({"jsonrpc": "2.0", "id": call.id, "error": NOT_FOUND}).encode())

    upstream.handlers["server/discover"] = unknown
    clock = ManualClock()
    async with (
        serving(upstream) as url,
        bridged({"url": url, "type": "http"}, clock, approvals=approvals) as stage,
        raw_client() as http,
    ):
        yield Scene(upstream, stage, RawClient(http, stage.url), clock)


async def elicits(call: Call) -> None:
    """A tool that asks its client for a word."""
    answer = await call.ask({"jsonrpc": "2.0", "id": 77, "method": "elicitation/create", "params": FORM})
    await call.event(call.result({"content": [], "structuredContent": answer.get("result", answer.get("error"))}))
    await call.end()
