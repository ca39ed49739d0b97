"""The proxy with the real core and the approval ladder, an official server behind it, and people who decide."""

import contextlib
import json
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any

import aiohttp
import anyio
import httpx2
from mcp import Client
from mcp.client.streamable_http import streamable_http_client
from mcp.server.mcpserver import Elicit, MCPServer, Resolve
from mcp_types import CallToolResult, ElicitRequestParams, ElicitResult, TextContent
from pydantic import BaseModel

from approvals.ticket import State, Ticket
from governance.clock import SystemClock
from governance.identity.keys import Grant, mint
from governance.jsontree import JsonObject
from pipeline.border import BadRequestError
from tests.mcp_proxy.harness import raw_client, serving
from tests.mcp_proxy.raw_client import RawClient
from tests.mcp_proxy.real_core import fronting_http
from tests.pipeline.world import World, open_world
from wicket.delivering import delivery_of

MODERN = "2026-07-28"
PREFIX = "io.modelcontextprotocol/"
POLICY: JsonObject = {
    "version": 1,
    "default": "allow",
    "rules": [
        {"id": "ask-write", "match": {"tool": "write"}, "decide": "hold", "reason": "writes are approved"},
        {"id": "ask-greet", "match": {"tool": "greet"}, "decide": "hold", "reason": "greetings are approved"},
    ],
}
Elicited = Callable[[Any, ElicitRequestParams], Awaitable[ElicitResult]]


class Name(BaseModel):
    """What the server asks a person for."""

    name: str


def who_are_you() -> Elicit[Name]:
    """The server's own question."""
    return Elicit("who are you?", Name)


def ledger(marks: list[str]) -> Any:
    """An official server whose tools leave marks."""
    server = MCPServer("ledger")

    @server.tool()
    async def write(text: str) -> str:  # pyright: ignore[reportUnusedFunction] - the decorator registers it
        marks.append(text)
        return f"wrote {text}"

    @server.tool()
    async def greet(who: Annotated[Name, Resolve(who_are_you)]) -> str:  # pyright: ignore[reportUnusedFunction] - as above
        marks.append(who.name)
        return f"hello {who.name}"

    return server.streamable_http_app()


@dataclass
class House:
    """What a test may look at and do."""

    world: World
    url: str
    keys: Mapping[str, str]
    behind: str
    """Where the server itself is."""
    marks: list[str] = field(default_factory=list[str])
    refused: list[BadRequestError] = field(default_factory=list[BadRequestError])

    @contextlib.asynccontextmanager
    async def client(self, mode: Any = MODERN, key: str = "alice", **options: Any) -> AsyncGenerator[Client]:
        """The official client."""
        headers = {"authorization": f"Bearer {self.keys[key]}"}
        async with (
            httpx2.AsyncClient(headers=headers, timeout=20) as http,
            Client(streamable_http_client(self.url, http_client=http), mode=mode, **options) as client,
        ):
            yield client

    @contextlib.asynccontextmanager
    async def raw(self, key: str = "alice") -> AsyncGenerator[RawClient]:
        """A client without any SDK, that has not shaken hands."""
        async with raw_client(self.keys[key]) as http:
            yield RawClient(http, self.url)

    async def pending(self) -> Ticket:
        """The ticket that waits, as soon as there is one."""
        while True:
            for ticket in await self.world.runtime.desk.tickets([State.PENDING]):
                return ticket
            await anyio.sleep(0.01)

    async def decide(self, *, approve: bool = True, reason: str = "") -> Ticket:
        """Decide about the ticket that waits."""
        ticket = await self.pending()
        desk = self.world.runtime.desk
        decided = await (desk.approve if approve else desk.deny)(ticket.id, by="anna", reason=reason)
        assert decided is not None
        assert decided.made
        return decided.ticket


@contextlib.asynccontextmanager
async def approving(
    folder: Path,
    *,
    upstream: Any = None,
    progress_seconds: float = 5.0,
    policy: JsonObject = POLICY,
    **approvals: Any,
) -> AsyncGenerator[House]:
    """The proxy at work; `approvals` are its settings. The test must be over within 30 seconds."""
    clock, marks, refused = SystemClock(), list[str](), list[BadRequestError]()

    settings: dict[str, Any] = {"loop": approvals.pop("loop", {}), "approvals": {"wait_seconds": 0.2, **approvals}}
    if "detect" in settings["approvals"]:
        settings["detect"] = settings["approvals"].pop("detect")
    settings["mcpServers"] = {"ledger": {"url": "http://127.0.0.1/", "pins": "off"}}  # pins have tests of their own
    app = upstream or ledger(marks)
    with anyio.fail_after(30):
        async with (
            open_world(f"sqlite:///{folder}/wicket.db", folder, clock, policy, **settings) as world,
            serving(app, lifespan="off" if upstream else "on") as behind,
        ):
            core = world.runtime
            minted = {name: mint(Grant(name=name), clock.now()) for name in ("alice", "bob")}
            for one in minted.values():
                await core.keys.add(one.key, actor="test")
            await core.identity.refresh()
            delivery = replace(delivery_of(core), progress_seconds=progress_seconds, announce_seconds=0.02)
            urls = {"ledger": behind if upstream else f"{behind}/mcp"}
            async with fronting_http(core, urls, refused, place=core.roll.place, delivery=delivery) as url:
                keys = {name: one.token for name, one in minted.items()}
                yield House(world, f"{url}/mcp/ledger", keys, urls["ledger"], marks, refused)


def capable(*kinds: str) -> JsonObject:
    """Client capabilities: none, or elicitation of these kinds."""
    return {"elicitation": {kind: {} for kind in kinds}} if kinds else {}


async def post(
    client: RawClient, params: JsonObject, *kinds: str, method: str = "tools/call", capabilities: Any = None
) -> tuple[int, Any]:
    """One modern request with these elicitation capabilities; returns the HTTP status and the message."""
    meta: JsonObject = {
        PREFIX + "protocolVersion": MODERN,
        PREFIX + "clientCapabilities": capable(*kinds) if capabilities is None else capabilities,
    }
    message = {"jsonrpc": "2.0", "id": 7, "method": method, "params": {**params, "_meta": meta}}
    lines = {"mcp_protocol_version": MODERN, "mcp_method": method, "mcp_name": str(params["name"])}
    async with client.send(message, **lines) as response:
        return response.status, await _message(response)


async def result(client: RawClient, params: JsonObject, *kinds: str) -> Any:
    """The result of one modern request."""
    status, message = await post(client, params, *kinds)
    assert status == 200, message
    return message["result"]


async def _message(response: aiohttp.ClientResponse) -> Any:
    body = await response.read()
    if response.content_type == "text/event-stream":
        return [json.loads(line[6:]) for line in body.splitlines() if line.startswith(b"data: ")][-1]
    return json.loads(body)


def text_of(found: CallToolResult) -> str:
    """The text of a tool result."""
    return "\n".join(block.text for block in found.content if isinstance(block, TextContent))


def write(text: str, **more: Any) -> JsonObject:
    """Parameters of a call that is held."""
    return {"name": "write", "arguments": {"text": text}, **more}


def retry(text: str, answer: Any, **response: Any) -> JsonObject:
    """The same call again, with the state of `answer` and, where one was asked for, a response."""
    responses = dict.fromkeys(answer.get("inputRequests", {}), response)
    more: JsonObject = {"requestState": answer["requestState"]}
    return write(text, **more, **({"inputResponses": responses} if response else {}))
