"""Checks of what only HTTP has: statuses, headers, sessions, event ids. Played directly and through Wicket."""

import contextlib
import json
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import anyio

from governance.sse import SseEvent
from tests.fidelity.peers import VERSION, events, headers_of, over_sse, spoken
from tests.fidelity.script import INITIALIZED, is_response_to
from tests.fidelity.servers import Shelf

_ACCEPT = {"accept": "application/json, text/event-stream", "content-type": "application/json"}
TRACE = "headers of a trace"
SECONDS = 60
"""The longest that one check may take."""


@dataclass
class Visit:
    """One client before one server."""

    http: aiohttp.ClientSession
    url: str
    """Of the server, without the end that names the transport."""
    ends: Mapping[str, str]
    """Transport -> the end of its path."""
    shelf: Shelf
    headers: dict[str, str] = field(default_factory=dict[str, str])

    @property
    def place(self) -> str:
        """Where streamable HTTP is spoken."""
        return self.url + self.ends["http"]

    async def say(self, message: bytes | dict[str, Any], **headers: str) -> Any:
        """POST a message; returns the status, the content type and the body or the events."""
        raw = message if isinstance(message, bytes) else json.dumps(message).encode()
        lines = {**_ACCEPT, **self.headers, **{name.replace("_", "-"): value for name, value in headers.items()}}
        async with self.http.post(self.place, data=raw, headers=lines) as response:
            if response.status == 200 and "mcp-session-id" in response.headers:
                self.headers["mcp-session-id"] = response.headers["mcp-session-id"]
            if response.content_type == "text/event-stream":
                body: Any = [_plain(event) async for event in events(response) if event.data]
            else:
                body = await response.read() if response.status < 400 else b""
            return response.status, response.content_type if body else "", body

    async def begin(self, version: str = "2025-11-25") -> Any:
        """Shake hands."""
        self.headers.pop("mcp-session-id", None)
        params: dict[str, Any] = {
            "protocolVersion": version,
            "capabilities": {"x": {}},
            "clientInfo": {"name": "raw", "version": "1"},
        }
        said = await self.say({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": params})
        self.headers["mcp-protocol-version"] = version
        return said, await self.say({"jsonrpc": "2.0", "method": "notifications/initialized"})

    @contextlib.asynccontextmanager
    async def stream(self, **headers: str) -> AsyncGenerator[tuple[int, Callable[[], Awaitable[Any]]]]:
        """GET the stream; yields its status and a function that waits for the next event."""
        lines = {**self.headers, "accept": "text/event-stream"}
        lines |= {name.replace("_", "-"): value for name, value in headers.items()}
        async with self.http.get(self.place, headers=lines) as response:
            coming = events(response)

            async def following() -> Any:
                while (event := await anext(coming)).data is None:
                    pass
                return _plain(event)

            yield response.status, following
            await coming.aclose()


def _plain(event: SseEvent) -> Any:
    return event.event or "message", event.data, event.id, event.retry


def _tool(name: str, id: Any = 1, **more: Any) -> dict[str, Any]:  # noqa: A002 - as on the wire
    return {"jsonrpc": "2.0", "id": id, "method": "tools/call", "params": {"name": name, "arguments": more}}


def _modern(message: dict[str, Any]) -> bytes:
    params = json.dumps({**message.get("params", {}), "_meta": {"@": 0}})
    params = params.replace('{"@": 0}', '{@meta@"vendor/mark":0}')
    rest = {name: value for name, value in message.items() if name != "params"}
    return spoken((json.dumps(rest)[:-1] + f', "params": {params}}}').encode(), modern=True)


async def _versions(visit: Visit, version: str) -> Any:
    visit.shelf.introduction = INITIALIZED.replace(b"2025-11-25", version.encode())
    return await visit.begin(version), await visit.say(_tool("t", check=version))


async def _older_versions(visit: Visit) -> Any:
    return [await _versions(visit, version) for version in ("2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25")]


async def _version_of_the_servers_choice(visit: Visit) -> Any:
    visit.shelf.introduction = INITIALIZED.replace(b"2025-11-25", b"2025-03-26")
    said = await visit.begin("2025-11-25")
    visit.headers["mcp-protocol-version"] = "2025-03-26"
    return said, await visit.say(_tool("t", check="choice"))


async def _sse_versions(visit: Visit) -> Any:
    found: list[bytes] = []
    for version in ("2024-11-05", "2025-06-18"):
        visit.shelf.introduction = INITIALIZED.replace(b"2025-11-25", version.encode())
        async with over_sse(visit.url + visit.ends["sse"]) as peer:
            params = {"protocolVersion": version, "capabilities": {}, "clientInfo": {"name": "raw", "version": "1"}}
            said = {"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": params}
            await peer.send(json.dumps(said).encode())
            found.append((await peer.seen.until(lambda frame: is_response_to(frame.raw, "0"))).raw)
    return found


async def _accepted(visit: Visit) -> Any:
    await visit.begin()
    return (
        await visit.say({"jsonrpc": "2.0", "method": "vendor/note", "params": {}}),
        await visit.say({"jsonrpc": "2.0", "id": "nobody-asked", "result": {}}),
    )


async def _ended(visit: Visit) -> Any:
    await visit.begin()
    first = await visit.say(_tool("t", check="before the end"))
    async with visit.http.delete(visit.place, headers=visit.headers) as response:
        ended = response.status
    after = await visit.say(_tool("t", check="after the end"))
    async with visit.stream() as (status, _):
        stream = status
    return first, ended, after, stream, await visit.begin(), await visit.say(_tool("t", check="begun again"))


async def _lost(visit: Visit) -> Any:
    await visit.begin()
    visit.shelf.sessions.clear()
    lost = await visit.say(_tool("t", check="lost"))
    return lost, await visit.begin(), await visit.say(_tool("t", check="found again"))


async def _unknown_session(visit: Visit) -> Any:
    visit.headers["mcp-session-id"] = "nobody-has-it"
    posted = await visit.say(_tool("t", check="unknown"))
    async with visit.stream() as (status, _):
        return posted, status


async def _events_with_places(visit: Visit) -> Any:
    visit.shelf.place, visit.shelf.preface = b"id: e-%d\nretry: 250\n", b": a comment\n\n"
    await visit.begin()
    async with visit.stream() as (status, following):
        poked = await visit.say({"jsonrpc": "2.0", "id": 1, "method": "vendor/poke", "params": {}})
        visit.shelf.sessions[next(reversed(visit.shelf.sessions))].stream.say(b'{"jsonrpc":"2.0","method":"vendor/a"}')
        return status, poked, await following()


async def _resumed(visit: Visit) -> Any:
    visit.shelf.place = b"id: r-%d\n"
    await visit.begin()
    async with visit.stream(last_event_id="e-7") as (status, following):
        return status, await following()


async def _no_streams_in_the_modern_era(visit: Visit) -> Any:
    headers = {"mcp-protocol-version": VERSION}
    async with (
        visit.http.get(visit.place, headers=headers) as got,
        visit.http.delete(visit.place, headers=headers) as gone,
    ):
        return got.status, gone.status


async def _headers(visit: Visit) -> Any:
    message = _tool("grüße 🦊", check="ü")
    return await visit.say(_modern(message), mcp_param_x="=?base64?w7w=?=", **headers_of(message))


async def _trace(visit: Visit) -> Any:
    message = _tool("t", check="trace")
    trace = {"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "tracestate": "a=b"}
    return await visit.say(_modern(message), **trace, **headers_of(message))


async def _statuses(visit: Visit) -> Any:
    visit.shelf.modern.case = None
    found: list[Any] = []
    for method in ("vendor/ok", "server/discover", "tools/list"):
        message = {"jsonrpc": "2.0", "id": method, "method": method}
        found.append(await visit.say(_modern(message), **headers_of(message)))
    return found


async def _two_clients(visit: Visit) -> Any:
    other = Visit(visit.http, visit.url, visit.ends, visit.shelf)
    await visit.begin()
    await other.begin()
    found: dict[str, Any] = {}

    async def one(who: Visit, name: str) -> None:
        found[name] = await who.say(_tool("t", id=7, who=name))

    async with anyio.create_task_group() as group:
        group.start_soon(one, visit, "one")
        group.start_soon(one, other, "two")
    return found, len(visit.shelf.sessions), visit.headers["mcp-session-id"] != other.headers["mcp-session-id"]


CHECKS: Mapping[str, Callable[[Visit], Awaitable[Any]]] = {
    "every version of the older era": _older_versions,
    "a version that the server chooses": _version_of_the_servers_choice,
    "versions over HTTP+SSE": _sse_versions,
    "notifications and answers are accepted with 202": _accepted,
    "a session that was ended is unknown, and another can begin": _ended,
    "a session that the server lost is unknown, and another can begin": _lost,
    "a session that nobody began is unknown": _unknown_session,
    "event ids, retry and comments": _events_with_places,
    "a stream goes on after the event that the client names": _resumed,
    "no streams and no sessions in the modern era": _no_streams_in_the_modern_era,
    "headers of the modern era": _headers,
    TRACE: _trace,
    "statuses of the modern era": _statuses,
    "two clients have two sessions": _two_clients,
}


async def visited(visit: Visit, check: str) -> Any:
    """What a check saw, and what the server did."""
    try:
        with anyio.fail_after(SECONDS):
            seen = await CHECKS[check](visit)
    except (TimeoutError, aiohttp.ClientError, StopAsyncIteration) as error:
        return repr(error)
    entries = sorted((entry.raw, sorted(entry.headers.items())) for entry in visit.shelf.journal)
    return seen, entries, [dict(one) for one in visit.shelf.opened], len(visit.shelf.ended)
