"""Servers made with the official SDK that speak one era only. Run as a program for stdio: `legacy` or `modern`."""

import json
import sys
import warnings
from typing import Any

import anyio
from mcp.server.mcpserver import Context, MCPServer
from mcp.server.stdio import stdio_server
from mcp.shared.message import SessionMessage
from mcp_types import (
    CreateMessageRequest,
    CreateMessageRequestParams,
    CreateMessageResult,
    ElicitRequest,
    ElicitRequestFormParams,
    ElicitResult,
    InputRequiredResult,
    JSONRPCError,
    JSONRPCRequest,
    ListRootsRequest,
    ListRootsResult,
    SamplingMessage,
    TextContent,
)
from mcp_types.jsonrpc import ErrorData
from mcp_types.version import HANDSHAKE_PROTOCOL_VERSIONS

from mcp_proxy.link import Era

VERSION_KEY = "io.modelcontextprotocol/protocolVersion"
SCHEMA: dict[str, Any] = {"type": "object", "properties": {"word": {"type": "string"}}, "required": ["word"]}
QUESTION = [SamplingMessage(role="user", content=TextContent(type="text", text="what is it?"))]


def server_of(era: Era) -> MCPServer:
    """The same server in either era; only how it asks its client differs."""
    app = MCPServer("one-era", instructions="speaks one era")

    @app.tool()
    def add(a: int, b: int) -> int:  # pyright: ignore[reportUnusedFunction] - the decorator registers it
        return a + b

    @app.tool()
    async def count(context: Context) -> str:  # pyright: ignore[reportUnusedFunction] - as above
        for step in range(3):
            await context.report_progress(step + 1, 3, f"step {step + 1}")
        return "counted"

    @app.tool()
    async def talk(context: Context) -> str:  # pyright: ignore[reportUnusedFunction] - as above
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            await context.log("info", "quiet")  # pyright: ignore[reportDeprecated] - legacy clients still want it
            await context.log("error", "loud")  # pyright: ignore[reportDeprecated] - as above
        return "talked"

    @app.resource("memo://{name}")
    def memo(name: str) -> str:  # pyright: ignore[reportUnusedFunction] - as above
        return f"memo {name}"

    @app.prompt()
    def greet(name: str) -> str:  # pyright: ignore[reportUnusedFunction] - as above
        return f"greet {name}"

    (_ask_during_the_call if era is Era.LEGACY else _ask_in_rounds)(app)
    return app


def _ask_during_the_call(app: MCPServer) -> None:
    @app.tool()
    async def ask(question: str, context: Context) -> str:  # pyright: ignore[reportUnusedFunction] - as above
        given = await context.session.elicit_form(question, SCHEMA, related_request_id=context.request_id)
        return f"{given.action} {given.content}"

    @app.tool()
    async def sample(context: Context) -> str:  # pyright: ignore[reportUnusedFunction] - as above
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            given = await context.session.create_message(  # pyright: ignore[reportDeprecated] - legacy servers do
                QUESTION, max_tokens=10, related_request_id=context.request_id
            )
        return given.content.text if isinstance(given.content, TextContent) else ""

    @app.tool()
    async def roots(context: Context) -> str:  # pyright: ignore[reportUnusedFunction] - as above
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = await context.session.list_roots()  # pyright: ignore[reportDeprecated] - legacy servers do
        return str(found.roots[0].uri)


def _ask_in_rounds(app: MCPServer) -> None:
    @app.tool()
    async def ask(  # pyright: ignore[reportUnusedFunction] - as above
        question: str, context: Context
    ) -> str | InputRequiredResult:
        given = (context.input_responses or {}).get("word")
        if isinstance(given, ElicitResult):
            return f"{given.action} {given.content}"
        asked = ElicitRequest(params=ElicitRequestFormParams(message=question, requested_schema=SCHEMA))
        return InputRequiredResult(input_requests={"word": asked}, request_state="asked")

    @app.tool()
    async def sample(context: Context) -> str | InputRequiredResult:  # pyright: ignore[reportUnusedFunction] - as above
        given = (context.input_responses or {}).get("it")
        if isinstance(given, CreateMessageResult):
            return given.content.text if isinstance(given.content, TextContent) else ""
        params = CreateMessageRequestParams(messages=QUESTION, max_tokens=10)
        return InputRequiredResult(input_requests={"it": CreateMessageRequest(params=params)})

    @app.tool()
    async def roots(context: Context) -> str | InputRequiredResult:  # pyright: ignore[reportUnusedFunction] - as above
        given = (context.input_responses or {}).get("all")
        if isinstance(given, ListRootsResult):
            return str(given.roots[0].uri)
        return InputRequiredResult(input_requests={"all": ListRootsRequest()})


def refusal(era: Era, request_id: Any) -> dict[str, Any]:
    """What a server that speaks only `era` answers to a request of the other."""
    if era is Era.MODERN:
        data = {"supported": ["2026-07-28"], "requested": "2025-11-25"}
        error = {"code": -32022, "message": "Unsupported protocol version", "data": data}
    else:
        error = {"code": -32600, "message": "Bad Request: Missing session ID"}
    return {"jsonrpc": "2.0", "id": request_id, "error": error}


def only(era: Era, app: Any) -> Any:
    """An ASGI application that speaks MCP over HTTP, restricted to one era."""

    async def restricted(scope: Any, receive: Any, send: Any) -> None:
        headers = {name.decode(): value.decode() for name, value in scope.get("headers", [])}
        version = headers.get("mcp-protocol-version")
        speaks = Era.LEGACY if version is None or version in HANDSHAKE_PROTOCOL_VERSIONS else Era.MODERN
        if scope["type"] != "http" or speaks is era:
            await app(scope, receive, send)
            return
        raw = b""
        while True:
            part = await receive()
            raw += part.get("body", b"")
            if not part.get("more_body"):
                break
        body = json.dumps(refusal(era, json.loads(raw).get("id"))).encode() if raw else b""
        status = 400 if raw else 405
        lines = [(b"content-type", b"application/json")]
        await send({"type": "http.response.start", "status": status, "headers": lines})
        await send({"type": "http.response.body", "body": body})

    return restricted


async def serve_stdio(era: Era) -> None:
    """The server on standard streams."""
    server = server_of(era)._lowlevel_server  # pyright: ignore[reportPrivateUsage] - its run takes streams
    sending, filtered = anyio.create_memory_object_stream[SessionMessage | Exception](0)
    async with stdio_server() as (read, write), anyio.create_task_group() as group:

        async def sort() -> None:
            async with sending:
                async for item in read:
                    message = item.message if isinstance(item, SessionMessage) else None
                    if isinstance(message, JSONRPCRequest):
                        enveloped = VERSION_KEY in ((message.params or {}).get("_meta") or {})
                        if (Era.MODERN if enveloped else Era.LEGACY) is not era:
                            told = refusal(era, message.id)
                            error = JSONRPCError(
                                jsonrpc="2.0", id=message.id, error=ErrorData.model_validate(told["error"])
                            )
                            await write.send(SessionMessage(error))
                            continue
                    await sending.send(item)

        group.start_soon(sort)
        await server.run(filtered, write, server.create_initialization_options())
        group.cancel_scope.cancel()


if __name__ == "__main__":
    anyio.run(serve_stdio, Era(sys.argv[1]))
