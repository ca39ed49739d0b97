"""What the transport tests share: messages, and a plain stdio server to send them to."""

import sys
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

from governance.clock import Clock
from governance.config.models import Limits
from governance.exchange import Principal
from governance.jsontree import Json, JsonObject
from mcp_proxy.link import Link, Reply
from mcp_proxy.message import Message
from mcp_proxy.pulse import Pulse
from mcp_proxy.transports.stdio import StdioServer
from mcp_proxy.transports.stdio_child import Command

ANN = Principal("key-ann")
BEN = Principal("key-ben")
PLAIN_SERVER = str(Path(__file__).with_name("plain_server.py"))


def request(request_id: str | int, method: str, **params: Json) -> Message:
    return Message.build({"jsonrpc": "2.0", "id": request_id, "method": method, "params": params})


def tool(request_id: str | int, name: str, *, meta: JsonObject | None = None, **arguments: Json) -> Message:
    params: JsonObject = {"name": name, "arguments": arguments}
    if meta is not None:
        params["_meta"] = meta
    return Message.build({"jsonrpc": "2.0", "id": request_id, "method": "tools/call", "params": params})


def notification(method: str, **params: Json) -> Message:
    return Message.build({"jsonrpc": "2.0", "method": method, "params": params})


async def read_all(reply: Reply) -> list[Message]:
    """Every message of a reply, which is closed afterwards."""
    try:
        return [event.message async for event in reply.events if event.message is not None]
    finally:
        await reply.aclose()


async def next_of(reply: Reply) -> Message:
    message = (await anext(aiter(reply.events))).message
    assert message is not None
    return message


async def ask(link: Link, message: Message) -> Message:
    """The response to a request."""
    return (await read_all(await link.send(message)))[-1]


def words(message: Message) -> str:
    """The text of a tool result."""
    result = message.value["result"]
    assert isinstance(result, dict)
    content = result["content"]
    assert isinstance(content, list)
    first = content[0]
    assert isinstance(first, dict)
    return str(first["text"])


@asynccontextmanager
async def plain_server(
    clock: Clock,
    *,
    env: Mapping[str, str] | None = None,
    limits: Limits | None = None,
    alone: bool = False,
    common: bool = False,
) -> AsyncGenerator[StdioServer]:
    command = Command(sys.executable, (PLAIN_SERVER,), env or {})
    server = StdioServer(
        "plain",
        command,
        limits=limits or Limits(),
        pulse=Pulse("plain", clock, lambda: 0.0),
        alone=alone,
        common=common,
    )
    try:
        yield server
    finally:
        await server.aclose()
