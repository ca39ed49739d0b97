"""HTTP in front of a stdio server, so that the suite, which speaks HTTP only, can reach one.

`python -m tests.conformance.adapter PORT COMMAND...`. Both eras; one child for each session of the older, one for all
of the newer. Nothing of Wicket is in here: the child may be `wicket stdio`, and must not be judged by its own code.
"""

import sys
import uuid
from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from typing import Any, TypeAlias, cast
from urllib.parse import urlsplit

import anyio
import orjson
import uvicorn
from anyio.abc import TaskGroup
from mcp.shared.inbound import (
    ERROR_CODE_HTTP_STATUS,
    MCP_PROTOCOL_VERSION_HEADER,
    InboundLadderRejection,
    classify_inbound_request,
    find_duplicated_routing_header,
    validate_mcp_param_headers,
)
from mcp_types.jsonrpc import HEADER_MISMATCH, INVALID_REQUEST, METHOD_NOT_FOUND, PARSE_ERROR
from mcp_types.methods import CLIENT_REQUESTS
from mcp_types.version import HANDSHAKE_PROTOCOL_VERSIONS, LATEST_MODERN_VERSION

from tests.conformance.child import Call, Child, Json

Scope: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Scope]]
Send: TypeAlias = Callable[[Scope], Awaitable[None]]

HERE = ("localhost", "127.0.0.1", "::1")
SESSION = "mcp-session-id"
SPARE = 2
"""Children that are started before somebody needs them."""
_MODERN = frozenset(method for method, version in CLIENT_REQUESTS if version == LATEST_MODERN_VERSION)
_REMOVED = frozenset(method for method, _ in CLIENT_REQUESTS) - _MODERN
_HELLO: Json = {
    "jsonrpc": "2.0",
    "id": 0,
    "method": "initialize",
    "params": {
        "protocolVersion": HANDSHAKE_PROTOCOL_VERSIONS[-1],
        "capabilities": {},
        "clientInfo": {"name": "adapter", "version": "1"},
    },
}


class RefusedError(Exception):
    """A request that does not reach the child."""

    def __init__(self, status: int, code: int, message: str, request_id: Any = None, data: Any = None) -> None:
        super().__init__(message)
        error = {"code": code, "message": message} | ({} if data is None else {"data": data})
        self.status, self.body = status, {"jsonrpc": "2.0", "id": request_id, "error": error}


class Request:
    """One HTTP request and the way back."""

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.verb: str = scope["method"]
        sent = cast("list[tuple[bytes, bytes]]", scope["headers"])
        self.lines = [(name.decode("latin-1"), value.decode("latin-1").strip()) for name, value in sent]
        self.headers = dict(self.lines)
        self.is_modern = self.headers.get(MCP_PROTOCOL_VERSION_HEADER, HANDSHAKE_PROTOCOL_VERSIONS[0]) not in (
            HANDSHAKE_PROTOCOL_VERSIONS
        )
        self._receive, self._send = receive, send

    async def body(self) -> bytes:
        """All of the body."""
        parts: list[bytes] = []
        while True:
            event = await self._receive()
            parts.append(event.get("body", b""))
            if not event.get("more_body"):
                return b"".join(parts)

    async def left(self) -> None:
        """Return when the client has gone; only after the body was read."""
        while (await self._receive())["type"] != "http.disconnect":
            pass

    async def begin(self, status: int, kind: str, session: str = "") -> None:
        """Send the head of the response."""
        headers = [(b"content-type", kind.encode())]
        if session:
            headers.append((SESSION.encode(), session.encode()))
        await self._send({"type": "http.response.start", "status": status, "headers": headers})

    async def write(self, body: bytes, *, more: bool) -> None:
        """Send a part of the body."""
        await self._send({"type": "http.response.body", "body": body, "more_body": more})

    async def whole(self, status: int, message: Json | None = None, session: str = "") -> None:
        """Send a response at once."""
        await self.begin(status, "application/json", session)
        await self.write(b"" if message is None else orjson.dumps(message), more=False)


class Adapter:
    """Answers HTTP requests by what children say.

    Args:
        command: starts a stdio server.
        group: owns what reads from the children.
    """

    def __init__(self, command: Sequence[str], group: TaskGroup) -> None:
        self._command = command
        self._group = group
        self._spare: list[Child] = []
        self._sessions: dict[str, Child] = {}
        self._shared: Child | None = None
        self._starting = anyio.Lock()
        self._schemas: dict[str, Any] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        request = Request(scope, receive, send)
        try:
            _check_origin(request)
            if request.is_modern:
                await self._modern(request)
            else:
                await self._legacy(request)
        except RefusedError as error:
            await request.whole(error.status, error.body)

    async def get_ready(self) -> None:
        """Keep children at hand; returns when the first of them answers, so that the others soon would.

        The suite measures servers, not how long the start of a process takes on a busy machine.
        """
        for _ in range(SPARE + 1):
            await self._add_spare()
        first = self._spare.pop(0)
        async for _ in (await first.ask(_HELLO)).box:
            pass
        await first.stop()

    async def _add_spare(self) -> None:
        child = await Child.start(self._command)
        self._group.start_soon(child.read)
        self._spare.append(child)

    async def _take(self) -> Child:
        if not self._spare:
            await self._add_spare()
        self._group.start_soon(self._add_spare)
        return self._spare.pop(0)

    async def stop(self) -> None:
        """End every child."""
        async with anyio.create_task_group() as group:
            for child in [*self._spare, *self._sessions.values(), *([self._shared] if self._shared else [])]:
                group.start_soon(child.stop)

    # -- 2026-07-28 ----------------------------------------------------------------------------------------------------

    async def _modern(self, request: Request) -> None:
        if request.verb != "POST":
            raise RefusedError(405, INVALID_REQUEST, "only POST")
        message = _message(await request.body())
        request_id = message.get("id")
        if "method" not in message or request_id is None:
            raise RefusedError(400, INVALID_REQUEST, "only requests can be posted", request_id)
        repeated = find_duplicated_routing_header(request.lines)
        if repeated:
            raise RefusedError(400, HEADER_MISMATCH, f"`{repeated}` appears more than once", request_id)
        found = classify_inbound_request(message, headers=request.headers)
        if isinstance(found, InboundLadderRejection):
            raise _refused(found, request_id)
        if message["method"] in _REMOVED:
            raise RefusedError(404, METHOD_NOT_FOUND, "not a method of this revision", request_id)
        child = await self._for_all()
        if message["method"] == "tools/call":
            await self._check_params(child, request, message)
        await _answer(request, child, message)

    async def _for_all(self) -> Child:
        async with self._starting:
            if self._shared is None:
                self._shared = await self._take()
                self._shared.shared = True
            return self._shared

    async def _check_params(self, child: Child, request: Request, message: Json) -> None:
        """Hold `Mcp-Param-*` headers against the schema of the called tool."""
        name = message["params"].get("name")
        if name not in self._schemas:
            listing = {"jsonrpc": "2.0", "id": "schemas", "method": "tools/list"}
            call = await child.ask({**listing, "params": {"_meta": message["params"]["_meta"]}})
            async for answer in call.box:
                tools = answer.get("result", {}).get("tools", [])
                self._schemas |= {tool["name"]: tool["inputSchema"] for tool in tools}
        if name in self._schemas:
            arguments = cast("Json", message["params"].get("arguments") or {})
            found = validate_mcp_param_headers(self._schemas[name], arguments, request.headers)
            if found is not None:
                raise _refused(found, message["id"])

    # -- 2025-11-25 and before -----------------------------------------------------------------------------------------

    async def _legacy(self, request: Request) -> None:
        if request.verb == "POST":
            message = _message(await request.body())
            if message.get("method") == "initialize":
                session, child = uuid.uuid4().hex, await self._take()
                self._sessions[session] = child
                await _answer(request, child, message, session)
                return
            child = self._child(request)
            if "method" in message and "id" in message:
                await _answer(request, child, message)
            else:
                await child.tell(message)
                await request.whole(202)
        elif request.verb == "GET":
            await self._listen(request)
        elif request.verb == "DELETE":
            child = self._child(request)
            del self._sessions[request.headers[SESSION]]
            self._group.start_soon(child.stop)
            await request.whole(200)
        else:
            raise RefusedError(405, INVALID_REQUEST, "only POST, GET and DELETE")

    def _child(self, request: Request) -> Child:
        session = request.headers.get(SESSION)
        if session is None:
            raise RefusedError(400, INVALID_REQUEST, f"`{SESSION}` is missing")
        if session not in self._sessions:
            raise RefusedError(404, INVALID_REQUEST, "there is no such session")
        return self._sessions[session]

    async def _listen(self, request: Request) -> None:
        child = self._child(request)
        await request.body()
        await request.begin(200, "text/event-stream")
        await request.write(b"", more=True)

        async def pour() -> None:
            async for message in child.strays:
                await request.write(_event(message), more=True)

        await _unless_left(request, pour)
        await request.write(b"", more=False)


async def _answer(request: Request, child: Child, message: Json, session: str = "") -> None:
    """Ask the child, and send what it says: JSON where the response comes first, else a stream."""
    call = await child.ask(message)

    async def pour() -> None:
        first = await anext(call.box)
        if call.answered and "method" not in first:
            code = first.get("error", {}).get("code")
            status = ERROR_CODE_HTTP_STATUS.get(code, 200) if request.is_modern else 200
            await request.whole(status, first, session)
            return
        await request.begin(200, "text/event-stream", session)
        await request.write(_event(first), more=True)
        async for later in call.box:
            await request.write(_event(later), more=True)
        await request.write(b"", more=False)

    await _unless_left(request, pour, child, call)


async def _unless_left(
    request: Request, pour: Callable[[], Awaitable[None]], child: Child | None = None, call: Call | None = None
) -> None:
    """Run `pour` until it ends or the client leaves, whichever is first."""
    async with anyio.create_task_group() as group:

        async def watch() -> None:
            await request.left()
            group.cancel_scope.cancel()

        group.start_soon(watch)
        await pour()
        group.cancel_scope.cancel()
    if child is not None and call is not None:
        await child.give_up(call)


def _event(message: Json) -> bytes:
    return b"event: message\ndata: " + orjson.dumps(message) + b"\n\n"


def _message(body: bytes) -> Json:
    try:
        found = orjson.loads(body)
    except orjson.JSONDecodeError:
        raise RefusedError(400, PARSE_ERROR, "this is not JSON") from None
    if not isinstance(found, dict) or cast("Json", found).get("jsonrpc") != "2.0":
        raise RefusedError(400, INVALID_REQUEST, "this is not a JSON-RPC message")
    return cast("Json", found)


def _refused(found: InboundLadderRejection, request_id: Any) -> RefusedError:
    return RefusedError(ERROR_CODE_HTTP_STATUS.get(found.code, 400), found.code, found.message, request_id, found.data)


def _check_origin(request: Request) -> None:
    """Refuse web pages and names of other machines (DNS rebinding)."""
    if urlsplit("//" + request.headers.get("host", "")).hostname not in HERE:
        raise RefusedError(421, INVALID_REQUEST, "this `Host` is not served here")
    origin = request.headers.get("origin")
    if origin is not None and urlsplit(origin).hostname not in HERE:
        raise RefusedError(403, INVALID_REQUEST, "this `Origin` may not ask here")


async def serve(port: int, command: Sequence[str]) -> None:
    """Serve one port of this machine until told to end."""
    async with anyio.create_task_group() as group:
        adapter = Adapter(command, group)
        await adapter.get_ready()
        config = uvicorn.Config(adapter, host="127.0.0.1", port=port, lifespan="off", log_level="warning")
        await uvicorn.Server(config).serve()
        await adapter.stop()
        group.cancel_scope.cancel()


if __name__ == "__main__":
    anyio.run(serve, int(sys.argv[1]), sys.argv[2:])
