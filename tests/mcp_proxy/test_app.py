"""Who gets in, and what bad input is told: always in the protocol's own shape, recorded, and never forwarded."""

import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest

from governance.config.models import Limits
from tests.mcp_proxy.harness import Proxy, proxying, raw_client, serving
from tests.mcp_proxy.raw_client import RawClient
from tests.mcp_proxy.raw_upstream import RawUpstream

PING = b'{"jsonrpc":"2.0","id":1,"method":"ping"}'
CALL: dict[str, Any] = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "t"}}


@asynccontextmanager
async def staged(**options: Any) -> AsyncGenerator[tuple[RawUpstream, Proxy, RawClient]]:
    upstream = RawUpstream(stateful=False)
    async with serving(upstream) as url, proxying({"up": url}, **options) as proxy, raw_client() as http:
        with anyio.fail_after(20):
            yield upstream, proxy, RawClient(http, proxy.at("up"))


async def refused(body: bytes, **headers: str) -> tuple[int, dict[str, Any], list[str]]:
    """How a POST is refused: status, JSON-RPC error, what was recorded. Holds that the server saw nothing."""
    async with staged() as (upstream, proxy, client):
        async with client.send(body, **headers) as response:
            answer = json.loads(await response.read())
        assert upstream.calls == []
        assert answer["jsonrpc"] == "2.0"
        assert proxy.gate.admitted == []
        return response.status, answer, [problem.code for problem in proxy.refused]


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b'{"jsonrpc":"2.0","id":1,"id":1,"method":"ping"}',
        b'{"jsonrpc":"2.0","id":1,"method":"ping","params":{"a":NaN}}',
        b'{"jsonrpc":"2.0","id":1,"method":"ping","params":{"a":36893488147419103232}}',
        b'{"jsonrpc":"2.0","id":1,"method":"ping","params":{"a":"\xff"}}',
        b"[" + PING + b"]",
        b'{"jsonrpc":"2.0","id":null,"method":"ping"}',
        b'{"jsonrpc":"2.0","id":1.0,"method":"ping"}',
        b'{"jsonrpc":"2.0","id":true,"method":"ping"}',
        b'{"jsonrpc":"2.0","method":"tools/call","params":{"name":"t"}}',
        b'{"jsonrpc":"2.0","id":1,"method":"ping","params":' + b"[" * 200 + b"]" * 200 + b"}",
    ],
)
async def test_malformed_messages_are_refused_and_recorded(body: bytes) -> None:
    status, answer, recorded = await refused(body)
    assert status == 400
    assert answer["error"]["code"] in (-32700, -32600)
    assert "id" in answer
    assert recorded == ["malformed"]


@pytest.mark.parametrize(
    ("headers", "status", "code"),
    [
        ({"content_type": "text/plain"}, 415, "media_type"),
        ({"content_encoding": "gzip"}, 415, "encoding"),
        ({"accept": "application/json"}, 406, "accept"),
        ({"accept": "text/html"}, 406, "accept"),
        ({"host": "evil.example.com"}, 421, "host"),
        ({"origin": "https://evil.example.com"}, 403, "origin"),
    ],
)
async def test_unfit_requests_are_refused_and_recorded(headers: dict[str, str], status: int, code: str) -> None:
    found, answer, recorded = await refused(PING, **headers)
    assert (found, answer["error"]["code"], recorded) == (status, -32600, [code])


async def test_a_body_over_the_limit_is_refused_before_it_is_held() -> None:
    async with staged(limits=Limits(body_bytes=2048)) as (upstream, proxy, client):
        async with client.send(PING + b" " * 4096) as response:
            assert response.status == 413
            assert json.loads(await response.read())["error"]["code"] == -32600
        assert upstream.calls == []
        assert [problem.code for problem in proxy.refused] == ["too_large"]


@pytest.mark.parametrize("key", ["", "wk_unknown"])
async def test_a_request_without_a_valid_key_is_told_how_to_authenticate(key: str) -> None:
    async with staged() as (upstream, proxy, client):
        async with client.send(PING, authorization=f"Bearer {key}") as response:
            assert response.status == 401
            assert response.headers["www-authenticate"].startswith("Bearer")
            assert json.loads(await response.read())["error"]["code"] == -32600
        assert upstream.calls == []
        assert [problem.code for problem in proxy.refused] == ["unauthenticated"]


async def test_a_key_may_come_in_its_own_header() -> None:
    async with staged() as (_, _, client):
        del client.http.headers["authorization"]
        async with client.send(PING, x_api_key="wk_alice") as response:
            assert response.status == 200


async def test_an_unknown_server_is_not_found() -> None:
    async with staged() as (_, proxy, client):
        client.url = proxy.at("other")
        async with client.send(PING) as response:
            assert response.status == 404


async def test_an_id_in_use_is_refused() -> None:
    upstream = RawUpstream()
    async with serving(upstream) as url, proxying({"up": url}) as proxy, raw_client() as http:
        client = RawClient(http, proxy.at("up"))
        await client.initialize()
        arrived, goes_on = anyio.Event(), anyio.Event()

        async def handler(call: Any) -> None:
            arrived.set()
            await goes_on.wait()
            await call.reply(call.result({}))

        upstream.handlers["tools/call"] = handler
        with anyio.fail_after(10):
            async with anyio.create_task_group() as group:
                group.start_soon(client.tool, "t")
                await arrived.wait()
                assert (await client.call("ping"))["error"]["code"] == -32600
                goes_on.set()


async def test_the_health_page_needs_no_key() -> None:
    async with staged() as (_, proxy, client), client.http.get(f"{proxy.url}/health") as response:
        assert response.status == 200


async def test_old_clients_find_their_stream_beside_the_new_address() -> None:
    async with staged() as (_, proxy, client):
        async with client.http.get(f"{proxy.at('up')}/sse", headers={"accept": "text/event-stream"}) as response:
            assert response.status == 200
            first = await response.content.readany()
        assert first.startswith(b"event: endpoint\ndata: /mcp/up/messages?session=")
