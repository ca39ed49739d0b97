"""HTTP+SSE both ways: official clients at our front, official servers behind us."""

from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import anyio
import mcp_types as types
import pytest
from mcp.client import Client
from mcp.client.session import ClientRequestContext
from mcp.client.sse import sse_client
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from governance.clock import SystemClock
from governance.config.models import Config, Limits, McpServer
from governance.exchange import Action
from governance.sse import SseEvent, SseParser
from governance.store import StoreError
from governance.verdict import ALLOWED, Decision, Verdict
from mcp_proxy.app import App, Organs
from mcp_proxy.eras import ParamHeaders
from mcp_proxy.link import Era, Health, Server, UpstreamError, UpstreamUnreachableError
from mcp_proxy.message import MalformedMessageError
from mcp_proxy.relay import Relay
from mcp_proxy.servers import open_servers, reports
from mcp_proxy.transports.sse_front import SseFront
from pipeline.border import BadRequestError
from tests.conftest import ManualClock
from tests.mcp_proxy.harness import OpenGate, OpenKills, SeenTools, TwoKeys, serving
from tests.mcp_proxy.transports import sdk_server
from tests.mcp_proxy.transports.stage_props import ANN, PLAIN_SERVER, ask, next_of, notification, request, tool

ALICE = {"authorization": "Bearer wk_alice"}
BOB = {"authorization": "Bearer wk_bob"}


@dataclass
class Proxy:
    url: str
    servers: dict[str, Server]
    gate: OpenGate
    front: SseFront
    recorded: list[str] = field(default_factory=list[str])

    @property
    def stream(self) -> str:
        return f"{self.url}/mcp/it/sse"


@asynccontextmanager
async def old_sdk_server() -> AsyncGenerator[str]:
    """The official SDK's own HTTP+SSE server; yields the address of its stream."""
    async with serving(sdk_server.app.sse_app()) as url:
        yield f"{url}/sse"


@asynccontextmanager
async def proxying(entry: McpServer, gate: OpenGate | None = None) -> AsyncGenerator[Proxy]:
    """Our front for old clients, before one configured server `it`."""
    clock, limits, gate = SystemClock(), Limits(), gate or OpenGate()
    kills, tools = OpenKills(), SeenTools()
    rules = ParamHeaders(tools)
    recorded: list[str] = []

    async def record(path: str, problem: BadRequestError | MalformedMessageError) -> None:
        recorded.append(str(problem))

    relay = Relay(gate, kills, tools, clock, rules)
    front = SseFront(relay, clock, limits, rules, record)
    organs = Organs(gate, kills, tools, TwoKeys(), clock, limits, ("127.0.0.1",), record)
    config = Config.model_validate({"mcpServers": {"it": entry.model_dump()}})
    async with open_servers(config, clock, lambda: 0.0) as servers:
        app = App(organs, servers, {"sse": front, "messages": front})
        async with serving(app) as url:
            try:
                yield Proxy(url, dict(servers), gate, front, recorded)
            finally:
                front.end()


PLAIN = McpServer(command="python", args=(PLAIN_SERVER,))


async def test_an_old_official_client_reaches_an_old_official_server() -> None:
    steps: list[float] = []

    async def on_progress(progress: float, total: float | None, message: str | None) -> None:
        steps.append(progress)

    async def answer(context: ClientRequestContext, params: types.ElicitRequestParams) -> types.ElicitResult:
        return types.ElicitResult(action="accept", content={"word": "please"})

    with anyio.fail_after(30):
        async with (
            old_sdk_server() as upstream,
            proxying(McpServer(type="sse", url=upstream)) as proxy,
            Client(sse_client(proxy.stream, ALICE), mode="legacy", elicitation_callback=answer) as client,
        ):
            assert [one.name for one in (await client.list_tools()).tools] == ["add", "count", "ask"]
            assert (await client.call_tool("add", {"a": 2, "b": 3})).structured_content == {"result": 5}
            await client.call_tool("count", {}, progress_callback=on_progress)
            assert steps == [1, 2, 3]
            said = (await client.call_tool("ask", {})).content[0]
            assert isinstance(said, types.TextContent)
            assert said.text == "please"
            assert [one.resource.name for one in proxy.gate.admitted] == [
                "",
                "add",
                "count",
                "ask",
                "elicitation/create",
            ]


async def test_an_old_client_reaches_a_stdio_server() -> None:
    with anyio.fail_after(30):
        async with proxying(PLAIN) as proxy, Client(sse_client(proxy.stream, ALICE), mode="legacy") as client:
            result = await client.call_tool("big", {"size": 900_000})
            assert isinstance(result.content[0], types.TextContent)
            assert len(result.content[0].text) == 900_000


@asynccontextmanager
async def raw_stream(url: str, headers: dict[str, str]) -> AsyncGenerator[Callable[[], Any]]:
    """A stream without any knowledge of MCP; yields a function that waits for the next event."""
    async with aiohttp.ClientSession() as http, http.get(url, headers=headers) as response:
        assert response.status == 200
        parser, ready = SseParser(), list[SseEvent]()

        async def following() -> SseEvent:
            while not ready:
                ready.extend(event for event in parser.feed(await response.content.readany()) if event.data)
            return ready.pop(0)

        yield following


async def posted(url: str, body: bytes, headers: dict[str, str]) -> int:
    async with (
        aiohttp.ClientSession() as http,
        http.post(url, data=body, headers={"content-type": "application/json", **headers}) as response,
    ):
        return response.status


async def test_a_session_works_only_with_the_key_that_opened_it() -> None:
    with anyio.fail_after(30):
        async with proxying(PLAIN) as proxy, raw_stream(proxy.stream, ALICE) as following:
            first = await following()
            assert first.event == "endpoint"
            where = proxy.url + first.data.decode()
            body = tool(1, "echo").raw
            assert await posted(where, body, BOB) == 404
            assert await posted(where, body, {}) == 401
            assert await posted(where + "x", body, ALICE) == 404
            assert await posted(where, body, ALICE) == 202
            assert b'"id":1' in (await following()).data


async def test_what_breaks_one_message_does_not_end_the_session(monkeypatch: pytest.MonkeyPatch) -> None:
    async def unreadable(*_: Any) -> Any:
        raise StoreError("the database failed")

    with anyio.fail_after(30):
        async with proxying(PLAIN) as proxy, raw_stream(proxy.stream, ALICE) as following:
            where = proxy.url + ((await following()).data or b"").decode()
            with monkeypatch.context() as broken:
                broken.setattr(OpenKills, "verdict", unreadable)
                started = b'{"jsonrpc":"2.0","method":"notifications/initialized"}'
                ping = b'{"jsonrpc":"2.0","id":1,"method":"ping"}'
                assert [await posted(where, body, ALICE) for body in (started, ping)] == [202, 202]
                told = (await following()).data or b""
                assert (b'"internal"' in told, b"database" in told) == (True, False)
            assert await posted(where, tool(2, "echo").raw, ALICE) == 202
            assert b'"id":2' in ((await following()).data or b"")


async def test_a_message_whose_stream_ends_while_it_comes_is_told_so() -> None:
    async def slowly(ended: Callable[[], None]) -> AsyncGenerator[bytes]:
        yield b'{"jsonrpc":"2.0",'
        await anyio.wait_all_tasks_blocked()
        ended()
        await anyio.wait_all_tasks_blocked()
        yield b'"method":"notifications/initialized"}'

    with anyio.fail_after(30):
        async with proxying(PLAIN) as proxy, raw_stream(proxy.stream, ALICE) as following:
            where = proxy.url + ((await following()).data or b"").decode()
            lines = {"content-type": "application/json", **ALICE}
            async with (
                aiohttp.ClientSession() as http,
                http.post(where, data=slowly(proxy.front.end), headers=lines) as response,
            ):
                assert response.status == 404


async def test_bad_messages_are_refused_where_they_were_posted_and_recorded() -> None:
    with anyio.fail_after(30):
        async with proxying(PLAIN) as proxy, raw_stream(proxy.stream, ALICE) as following:
            where = proxy.url + (await following()).data.decode()
            assert await posted(where, b"[]", ALICE) == 400
            assert await posted(where, b'{"jsonrpc":"2.0","id":null,"method":"tools/call"}', ALICE) == 400
            assert len(proxy.recorded) == 2
            assert proxy.gate.admitted == []


async def test_an_id_that_is_still_open_is_answered_and_recorded() -> None:
    with anyio.fail_after(30):
        async with proxying(PLAIN) as proxy, raw_stream(proxy.stream, ALICE) as following:
            where = proxy.url + (await following()).data.decode()
            await posted(where, tool(1, "slow", meta={"progressToken": "t"}).raw, ALICE)
            assert b"progress" in (await following()).data
            await posted(where, tool(1, "echo").raw, ALICE)
            assert b"still open" in (await following()).data
            assert len(proxy.recorded) == 1


async def test_two_clients_have_two_upstream_sessions() -> None:
    with anyio.fail_after(30):
        async with (
            proxying(PLAIN) as proxy,
            raw_stream(proxy.stream, ALICE) as one,
            raw_stream(proxy.stream, ALICE) as two,
        ):
            pids: set[bytes] = set()
            for following in (one, two):
                where = proxy.url + (await following()).data.decode()
                await posted(where, tool(0, "pid").raw, ALICE)
                pids.add((await following()).data)
            assert len(pids) == 2


async def test_the_stream_ends_when_the_upstream_session_is_lost() -> None:
    with anyio.fail_after(30):
        async with proxying(PLAIN) as proxy, raw_stream(proxy.stream, ALICE) as following:
            where = proxy.url + (await following()).data.decode()
            await posted(where, tool(1, "crash").raw, ALICE)
            assert b"exited with 7" in (await following()).data
            await posted(where, tool(2, "echo").raw, ALICE)
            assert b"start a new session" in (await following()).data
            assert await posted(where, tool(3, "echo").raw, ALICE) == 404


async def test_a_refused_call_is_answered_on_the_stream() -> None:
    denied = Verdict(Decision.DENY, by="test", rule="r1", reason="no")
    gate = OpenGate(lambda exchange, phase: denied if exchange.action is Action.TOOL_CALL else ALLOWED)
    with anyio.fail_after(30):
        async with (
            proxying(PLAIN, gate) as proxy,
            Client(sse_client(proxy.stream, ALICE), mode="legacy") as client,
        ):
            result = await client.call_tool("echo", {})
            assert result.is_error
            gate.judge = lambda exchange, phase: ALLOWED
            assert not (await client.call_tool("echo", {})).is_error


async def test_streams_can_be_ended_so_that_the_process_can_stop() -> None:
    with anyio.fail_after(30):
        async with (
            proxying(PLAIN) as proxy,
            aiohttp.ClientSession(headers=ALICE) as http,
            http.get(proxy.stream) as response,
        ):
            await response.content.readany()
            proxy.front.end()
            assert await response.content.read() == b""


async def test_only_get_and_post_in_their_places_are_served() -> None:
    with anyio.fail_after(30):
        async with proxying(PLAIN) as proxy, aiohttp.ClientSession(headers=ALICE) as http:
            for verb, path in (("POST", "sse"), ("GET", "messages"), ("DELETE", "sse")):
                async with http.request(verb, f"{proxy.url}/mcp/it/{path}") as response:
                    assert response.status == 405


# -- the back end alone -----------------------------------------------------------------------------------------------


def an_old_server(first: bytes, *, posts: int = 202) -> Starlette:
    """A stream that says `first` and stays open; POSTs are answered with `posts`."""

    async def stream(asked: Request) -> Response:
        async def events() -> AsyncGenerator[bytes]:
            yield first.replace(b"PORT", b"%d" % (asked.url.port or 0))
            await anyio.sleep_forever()

        return StreamingResponse(events(), media_type="text/event-stream")

    async def post(_: Request) -> Response:
        return PlainTextResponse("", status_code=posts)

    return Starlette(routes=[Route("/sse", stream, methods=["GET"]), Route("/here", post, methods=["POST"])])


@asynccontextmanager
async def upstream(entry: McpServer, clock: ManualClock) -> AsyncGenerator[Server]:
    config = Config.model_validate({"mcpServers": {"it": entry.model_dump()}})
    async with open_servers(config, clock, lambda: 0.0) as servers:
        yield servers["it"]


@pytest.mark.parametrize(
    ("first", "why"),
    [
        (b"event: endpoint\ndata: http://evil.example/post\n\n", "another origin"),
        (b"event: endpoint\ndata: //127.0.0.1:1/post\n\n", "another origin"),
        (b"event: endpoint\ndata: //someone:else@127.0.0.1:PORT/here\n\n", "another origin"),
        (b"event: endpoint\ndata: http://[x/here\n\n", "that is none"),
        (b"event: endpoint\ndata: //127.0.0.1:99999/here\n\n", "that is none"),
        (b"event: message\ndata: {}\n\n", "did not name the address"),
    ],
)
async def test_a_stream_must_first_name_an_address_of_its_own_origin(
    first: bytes, why: str, clock: ManualClock
) -> None:
    with anyio.fail_after(10):
        async with serving(an_old_server(first)) as url, upstream(McpServer(type="sse", url=f"{url}/sse"), clock) as it:
            with pytest.raises(UpstreamUnreachableError, match=why):
                await it.open(ANN, Era.LEGACY)
            assert it.condition.health is Health.FAILING


async def test_a_message_that_the_server_refuses_fails_its_call(clock: ManualClock) -> None:
    first = b": hello\n\nevent: endpoint\ndata: /here?x=1\n\n"
    with anyio.fail_after(10):
        async with (
            serving(an_old_server(first, posts=500)) as url,
            upstream(McpServer(type="sse", url=f"{url}/sse"), clock) as it,
        ):
            link = await it.open(ANN, Era.LEGACY)
            with pytest.raises(UpstreamError, match="HTTP 500"):
                await link.send(request(1, "tools/list"))


async def test_what_the_server_says_of_its_own_accord_is_heard(clock: ManualClock) -> None:
    first = (
        b"event: endpoint\ndata: /here\n\n"
        b'event: message\ndata: {"jsonrpc":"2.0",\ndata:  "method":"notifications/tools/list_changed"}\n\n'
    )
    with anyio.fail_after(10):
        async with (
            serving(an_old_server(first)) as url,
            upstream(McpServer(type="sse", url=f"{url}/sse"), clock) as it,
        ):
            link = await it.open(ANN, Era.LEGACY)
            assert (await link.send(notification("vendor/hello"))).status == 202
            assert (await next_of(await link.listen())).method == "notifications/tools/list_changed"


async def test_a_server_known_only_by_address_is_found_to_be_an_old_one(clock: ManualClock) -> None:
    with anyio.fail_after(20):
        async with old_sdk_server() as url, upstream(McpServer(url=url), clock) as it:
            link = await it.open(ANN, Era.LEGACY)
            assert it.transport == "sse"
            params: Any = {
                "protocolVersion": "2024-11-05",
                "capabilities": {},
                "clientInfo": {"name": "t", "version": "1"},
            }
            assert "result" in (await ask(link, request(1, "initialize", **params))).value


async def test_a_server_known_only_by_address_is_found_to_be_a_new_one(clock: ManualClock) -> None:
    app = sdk_server.app.streamable_http_app()
    with anyio.fail_after(20):
        async with serving(app, lifespan="on") as url, upstream(McpServer(url=f"{url}/mcp"), clock) as it:
            assert it.condition.health is Health.UNKNOWN
            await it.open(ANN, Era.LEGACY)
            assert it.transport == "http"
            assert [one.name for one in reports({"it": it})] == ["it"]


async def test_a_server_that_cannot_be_reached_is_asked_again_later(clock: ManualClock) -> None:
    with anyio.fail_after(20):
        async with upstream(McpServer(url="http://127.0.0.1:9/mcp"), clock) as it:
            for _ in range(2):
                with pytest.raises(UpstreamUnreachableError, match="cannot be reached"):
                    await it.open(ANN, Era.LEGACY)
            with pytest.raises(UpstreamUnreachableError, match="is tried again in"):
                await it.open(ANN, Era.LEGACY)
