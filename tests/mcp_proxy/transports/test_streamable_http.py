"""Streamable HTTP on both sides: sessions, streams that end early, clients that leave, requests that are not whole."""

import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest

from governance.config.models import Limits
from tests.conftest import ManualClock
from tests.mcp_proxy.harness import OpenGate, Proxy, proxying, raw_client, serving
from tests.mcp_proxy.raw_client import RawClient
from tests.mcp_proxy.raw_upstream import Call, RawUpstream

MODERN = "2026-07-28"
ENVELOPE: dict[str, Any] = {
    "io.modelcontextprotocol/protocolVersion": MODERN,
    "io.modelcontextprotocol/clientCapabilities": {},
}


# -- sessions


@asynccontextmanager
async def staged(
    upstream: RawUpstream,
    *,
    clock: ManualClock | None = None,
    limits: Limits | None = None,
    gate: OpenGate | None = None,
) -> AsyncGenerator[tuple[Proxy, RawClient]]:
    async with (
        serving(upstream) as url,
        proxying({"up": url, "other": url}, clock=clock, limits=limits, gate=gate) as proxy,
        raw_client() as http,
    ):
        with anyio.fail_after(20):
            yield proxy, RawClient(http, proxy.at("up"))


def slow_server() -> tuple[RawUpstream, anyio.Event, anyio.Event]:
    """A server, what it sets when a call has arrived, and what it waits for before it answers."""
    upstream, arrived, goes_on = RawUpstream(), anyio.Event(), anyio.Event()

    async def handler(call: Call) -> None:
        arrived.set()
        await goes_on.wait()
        await call.reply(call.result({}))

    upstream.handlers["tools/call"] = handler
    return upstream, arrived, goes_on


async def test_another_keys_session_is_unknown() -> None:
    async with staged(RawUpstream()) as (_, client), raw_client("wk_bob") as http:
        await client.initialize()
        bob = RawClient(http, client.url, dict(client.headers))
        async with bob.post("ping") as response:
            assert response.status == 404
        async with bob.listen() as stream:
            assert stream.response.status == 404
        assert await bob.delete() == 404
        assert "result" in await client.call("ping")


async def test_a_session_belongs_to_one_server() -> None:
    async with staged(RawUpstream()) as (proxy, client):
        await client.initialize()
        client.url = proxy.at("other")
        async with client.post("ping") as response:
            assert response.status == 404


async def test_a_missing_session_id_is_answered_by_the_server_that_wants_one() -> None:
    upstream = RawUpstream()

    async def strict(call: Call) -> None:
        error = {"jsonrpc": "2.0", "id": None, "error": {"code": -32600, "message": "Missing session ID"}}
        await call.reply(json.dumps(error).encode(), status=400)

    upstream.handlers["ping"] = strict
    async with staged(upstream) as (_, client), client.post("ping") as response:
        assert response.status == 400
        assert json.loads(await response.read())["error"]["message"] == "Missing session ID"


async def test_a_server_without_sessions_gives_its_clients_none() -> None:
    async with staged(RawUpstream(stateful=False)) as (_, client):
        await client.initialize()
        assert "mcp-session-id" not in client.headers
        assert "result" in await client.tool("t")


async def test_a_refused_handshake_opens_no_session() -> None:
    upstream = RawUpstream()

    async def refuse(call: Call) -> None:
        error = {"jsonrpc": "2.0", "id": call.id, "error": {"code": -32602, "message": "version"}}
        await call.reply(json.dumps(error).encode(), headers={"mcp-session-id": "up-1"})

    upstream.handlers["initialize"] = refuse
    async with staged(upstream) as (_, client), client.post("initialize", {}) as response:
        assert "mcp-session-id" not in response.headers
        assert json.loads(await response.read())["error"]["code"] == -32602


async def test_every_session_is_ended_upstream_when_the_proxy_stops() -> None:
    upstream = RawUpstream()
    async with staged(upstream) as (_, client):
        await client.initialize()
    assert upstream.ended == ["up-0"]


async def test_a_message_to_a_server_that_is_down_is_told_so() -> None:
    async with proxying({"up": "http://127.0.0.1:9/"}) as proxy, raw_client() as http:
        client = RawClient(http, proxy.at("up"))
        error = (await client.call("initialize", {}))["error"]
        assert error["data"]["wicket"] == "upstream"
        assert "cannot be reached" in error["message"]


# -- streams


async def test_a_silent_call_becomes_a_stream_that_is_kept_open(clock: ManualClock) -> None:
    upstream, arrived, goes_on = slow_server()
    async with staged(upstream, clock=clock) as (_, client):
        await client.initialize()
        async with anyio.create_task_group() as group:

            async def silence() -> None:
                await arrived.wait()
                clock.advance(16)

            group.start_soon(silence)
            async with client.stream("tools/call", {"name": "t"}) as stream:
                assert (await stream.response.content.readany()).startswith(b":")
                goes_on.set()
                assert await stream.rest() == [{"jsonrpc": "2.0", "id": 1, "result": {}}]


async def test_an_answer_that_comes_on_another_stream_is_judged_too() -> None:
    upstream = RawUpstream()

    async def handler(call: Call) -> None:
        await call.event(b"", event_id="place-1", retry=100)
        await call.end()

    upstream.handlers["tools/call"] = handler
    async with staged(upstream) as (proxy, client):
        await client.initialize()
        async with client.stream("tools/call", {"name": "t"}) as stream:
            first = await stream.event()
            assert (first.id, first.retry, first.data) == ("place-1", 100, b"")
            assert await stream.rest() == []
        assert proxy.gate.settled == []
        async with client.listen(last_event_id="place-1") as stream:
            session = next(iter(upstream.sessions.values()))
            await session.listening.wait()
            await session.stream.event(b'{"jsonrpc":"2.0","id":1,"result":{"late":true}}', event_id="place-2")
            event = await stream.event()
        assert json.loads(event.data or b"") == {"jsonrpc": "2.0", "id": 1, "result": {"late": True}}
        assert event.id == "place-2"
        assert [outcome.status for _, outcome in proxy.gate.settled] == ["ok"]
        response = proxy.gate.settled[0][0].response
        assert response is not None


async def test_a_modern_client_that_leaves_cancels_the_call_upstream() -> None:
    upstream = RawUpstream(stateful=False)
    left = anyio.Event()
    arrived = anyio.Event()

    async def handler(call: Call) -> None:
        arrived.set()
        await call.until_left()
        left.set()

    upstream.handlers["tools/call"] = handler
    async with staged(upstream) as (proxy, client), anyio.create_task_group() as group:
        message = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "t", "_meta": ENVELOPE}}

        async def call() -> None:
            lines = {"mcp_protocol_version": MODERN, "mcp_method": "tools/call", "mcp_name": "t"}
            async with client.send(message, **lines):
                pass

        group.start_soon(call)
        await arrived.wait()
        group.cancel_scope.cancel()
        with anyio.CancelScope(shield=True):
            await left.wait()
    assert [outcome.status for _, outcome in proxy.gate.settled] == ["cancelled"]


async def test_a_legacy_client_that_leaves_cancels_nothing() -> None:
    upstream, arrived, goes_on = slow_server()
    async with staged(upstream) as (proxy, client):
        await client.initialize()
        async with anyio.create_task_group() as group:
            group.start_soon(client.tool, "t")
            await arrived.wait()
            group.cancel_scope.cancel()
        goes_on.set()
        while not proxy.gate.settled:
            await anyio.lowlevel.checkpoint()
        assert [outcome.status for _, outcome in proxy.gate.settled] == ["ok"]


# -- modern requests


async def test_a_modern_get_is_not_allowed() -> None:
    async with staged(RawUpstream(stateful=False)) as (_, client):
        client.headers["mcp-protocol-version"] = MODERN
        async with client.listen() as stream:
            assert stream.response.status == 405
        assert await client.delete() == 405


@pytest.mark.parametrize(
    ("changes", "headers", "status", "code"),
    [
        ({}, {"mcp_method": "tools/list"}, 400, -32020),
        ({}, {"mcp_name": "other"}, 400, -32020),
        ({}, {"mcp_protocol_version": "2099-01-01"}, 400, -32020),
        ({"params": {"name": "t"}}, {}, 400, -32602),
        ({"method": "initialize"}, {"mcp_method": "initialize"}, 404, -32601),
        ({"method": "ping"}, {"mcp_method": "ping"}, 404, -32601),
    ],
)
async def test_a_modern_request_must_be_whole(
    changes: dict[str, Any], headers: dict[str, str], status: int, code: int
) -> None:
    upstream = RawUpstream(stateful=False)
    message = {"jsonrpc": "2.0", "id": 3, "method": "tools/call", "params": {"name": "t", "_meta": ENVELOPE}, **changes}
    lines = {"mcp_protocol_version": MODERN, "mcp_method": "tools/call", "mcp_name": "t", **headers}
    async with staged(upstream) as (proxy, client), client.send(message, **lines) as response:
        error = json.loads(await response.read())
        assert (response.status, error["error"]["code"], error["id"]) == (status, code, 3)
        assert upstream.calls == []
        assert [problem.code for problem in proxy.refused] == ["malformed"]


async def test_an_unknown_revision_is_told_which_ones_are_spoken() -> None:
    envelope = {**ENVELOPE, "io.modelcontextprotocol/protocolVersion": "2099-01-01"}
    message = {"jsonrpc": "2.0", "id": 3, "method": "tools/list", "params": {"_meta": envelope}}
    lines = {"mcp_protocol_version": "2099-01-01", "mcp_method": "tools/list"}
    async with staged(RawUpstream()) as (_, client), client.send(message, **lines) as response:
        error = json.loads(await response.read())["error"]
        assert (response.status, error["code"], error["data"]["supported"]) == (400, -32022, [MODERN])


async def test_an_envelope_without_its_header_is_refused() -> None:
    message = {"jsonrpc": "2.0", "id": 3, "method": "tools/list", "params": {"_meta": ENVELOPE}}
    upstream = RawUpstream()
    async with staged(upstream) as (_, client), client.send(message) as response:
        assert json.loads(await response.read())["error"]["code"] == -32020
    assert upstream.calls == []


async def test_the_status_of_a_modern_answer_fits_its_error() -> None:
    upstream = RawUpstream(stateful=False)

    async def handler(call: Call) -> None:
        error = {"jsonrpc": "2.0", "id": call.id, "error": {"code": -32601, "message": "no"}}
        await call.event(json.dumps(error).encode())
        await call.end()

    upstream.handlers["vendor/x"] = handler
    message = {"jsonrpc": "2.0", "id": 3, "method": "vendor/x", "params": {"_meta": ENVELOPE}}
    lines = {"mcp_protocol_version": MODERN, "mcp_method": "vendor/x"}
    async with staged(upstream) as (_, client), client.send(message, **lines) as response:
        assert response.status == 404
        assert response.content_type == "application/json"


async def test_argument_headers_are_checked_against_the_listed_schema() -> None:
    upstream = RawUpstream(stateful=False)
    schema = {"type": "object", "properties": {"region": {"type": "string", "x-mcp-header": "Region"}}}

    async def listing(call: Call) -> None:
        await call.reply(call.result({"tools": [{"name": "t", "inputSchema": schema}]}))

    upstream.handlers["tools/list"] = listing
    async with staged(upstream) as (_, client):
        lines = {"mcp_protocol_version": MODERN, "mcp_method": "tools/list"}
        async with client.send(
            {"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {"_meta": ENVELOPE}}, **lines
        ):
            pass
        params = {"name": "t", "arguments": {"region": "eu"}, "_meta": ENVELOPE}
        lines = {"mcp_protocol_version": MODERN, "mcp_method": "tools/call", "mcp_name": "t"}
        for header, status in (({}, 400), ({"mcp_param_region": "us"}, 400), ({"mcp_param_region": " eu "}, 200)):
            message = {"jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": params}
            async with client.send(message, **lines, **header) as response:
                assert response.status == status


# -- limits


async def test_an_answer_over_the_limit_never_arrives() -> None:
    upstream = RawUpstream()

    async def handler(call: Call) -> None:
        await call.reply(call.result({"text": "a" * 5000}))

    async def stream(call: Call) -> None:
        await call.event(call.result({"text": "a" * 5000}))
        await call.end()

    upstream.handlers |= {"tools/call": handler, "resources/read": stream}
    async with staged(upstream, limits=Limits(response_bytes=4096)) as (_, client):
        await client.initialize()
        assert "larger than" in (await client.tool("t"))["error"]["message"]
        assert "larger than" in (await client.call("resources/read", {"uri": "x://y"}))["error"]["message"]


async def test_a_server_that_is_silent_for_too_long_is_given_up() -> None:
    upstream = RawUpstream()

    async def handler(call: Call) -> None:
        await call.until_left()

    upstream.handlers["tools/call"] = handler
    async with staged(upstream, limits=Limits(upstream_seconds=0.2)) as (_, client):
        await client.initialize()
        assert "in time" in (await client.tool("t"))["error"]["message"]
