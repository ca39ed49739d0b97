"""Many clients, many calls, large and slow ones: nothing crosses, nothing stalls, nothing grows without end.

The sizes are small enough for every run; `WICKET_LOAD=full` makes them those that the product promises, and prints what
was measured.
"""

import asyncio
import contextlib
import gc
import json
import os
import socket
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from pathlib import Path
from typing import Any

import aiohttp
import anyio
import anyio.lowlevel
import pytest

from governance.clock import SystemClock
from governance.config.models import Config, Limits
from mcp_proxy.app import Organs, open_app
from mcp_proxy.servers import open_servers
from mcp_proxy.transports.streamable_http_sessions import MOST_OF_ONE_KEY
from tests.mcp_proxy.harness import OpenGate, OpenKills, Proxy, SeenTools, TwoKeys, proxying, raw_client, serving
from tests.mcp_proxy.raw_client import RawClient
from tests.mcp_proxy.raw_upstream import Call, RawUpstream
from tests.mcp_proxy.stage import modern, staged
from tests.mcp_proxy.transports.stage_props import PLAIN_SERVER

FULL = os.environ.get("WICKET_LOAD") == "full"
CALLS = 1000 if FULL else 100
HANDSHAKES = 100_000 if FULL else MOST_OF_ONE_KEY + 500
LARGE = (20 if FULL else 2) * 2**20
AT_ONCE = 200 if FULL else 50
WITHIN = 600 if FULL else 60


def resident() -> int:
    """Bytes of memory of this process, which is the proxy, its servers and its clients at once."""
    gc.collect()
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def tell(what: str, **measured: float) -> None:
    """Say what was measured; shown by `pytest -s`."""
    if FULL:
        print(what, {name: round(value, 3) for name, value in measured.items()})  # noqa: T201 - only at full size, for a person


@contextlib.asynccontextmanager
async def before_stdio(limits: Limits | None = None) -> AsyncGenerator[str]:
    """The proxy before the plain stdio server `up`; yields its address."""
    limits, tools = limits or Limits(), SeenTools()

    async def record(path: str, problem: Exception) -> None:
        raise AssertionError(problem)

    organs = Organs(OpenGate(), OpenKills(), tools, TwoKeys(), SystemClock(), limits, ("127.0.0.1",), record)
    entry = {"command": "python", "args": [PLAIN_SERVER]}
    config = Config.model_validate({"mcpServers": {"up": entry}, "limits": limits.model_dump()})
    async with (
        open_servers(config, SystemClock(), lambda: 0.0) as servers,
        open_app(organs, servers) as app,
        serving(app) as url,
    ):
        yield f"{url}/mcp/up"


async def out_of_order(call: Call) -> None:
    """Answer calls in another order than that in which they came."""
    for _ in range(call.id * 7 % 11):
        await anyio.lowlevel.checkpoint()
    await call.reply(call.result({"structuredContent": call.params["arguments"]}))


async def all_answered(client: RawClient, who: str) -> None:
    """Make `CALLS` calls at once; each must get its own answer."""
    room = anyio.Semaphore(100)

    async def call(number: int) -> None:
        async with room:
            answer = await client.tool("echo", {"who": who, "n": number}, id=number)
        assert answer["id"] == number
        assert answer["result"]["structuredContent"] == {"who": who, "n": number}

    async with anyio.create_task_group() as group:
        for number in range(CALLS):
            group.start_soon(call, number)


async def test_answers_to_equal_ids_never_cross_between_clients_of_an_http_server() -> None:
    upstream = RawUpstream(handlers={"tools/call": out_of_order})
    with anyio.fail_after(WITHIN):
        async with serving(upstream) as url, proxying({"up": url}) as proxy:
            await _two_clients(proxy.at("up"), "wk_alice", "wk_bob")


@pytest.mark.parametrize("keys", [("wk_alice", "wk_bob"), ("wk_alice", "wk_alice")])
async def test_answers_to_equal_ids_never_cross_between_clients_of_a_stdio_server(keys: tuple[str, str]) -> None:
    with anyio.fail_after(WITHIN):
        async with before_stdio() as url:
            await _two_clients(url, *keys)


async def _two_clients(url: str, *keys: str) -> None:
    began = time.perf_counter()
    async with raw_client(keys[0]) as one, raw_client(keys[1]) as two, anyio.create_task_group() as group:
        for who, http in (("one", one), ("two", two)):
            client = RawClient(http, url)
            await client.initialize()
            group.start_soon(all_answered, client, who)
    tell("two clients, equal ids", calls=2 * CALLS, seconds=time.perf_counter() - began)


async def test_answers_to_equal_ids_never_cross_on_a_child_that_modern_clients_share() -> None:
    async def calls(client: RawClient, who: str) -> None:
        for number in range(CALLS // 20):
            _, answer = await modern(client, "tools/call", {"name": "echo", "arguments": {"who": who, "n": number}})
            assert answer["id"] == 5
            assert answer["result"]["structuredContent"] == {"who": who, "n": number}

    with anyio.fail_after(WITHIN):
        async with before_stdio() as url, raw_client() as http, anyio.create_task_group() as group:
            for who in range(20):
                group.start_soon(calls, RawClient(http, url), str(who))


@pytest.mark.parametrize("stateful", [True, False])
async def test_handshakes_without_end_do_not_fill_the_memory(stateful: bool) -> None:
    async def forgetful(call: Call) -> None:
        upstream.calls.clear()
        await call.reply(call.result(upstream.initialize), headers={"mcp-session-id": "x"} if stateful else {})

    upstream = RawUpstream(handlers={"initialize": forgetful})
    answers, held = dict[int, int](), list[int]()

    async def shake(client: RawClient, number: int) -> None:
        for _ in range(number):
            async with client.post("initialize", {"clientInfo": {"name": "flood"}}, id=0) as response:
                answers[response.status] = answers.get(response.status, 0) + 1

    began = time.perf_counter()
    with anyio.fail_after(WITHIN):
        async with serving(upstream) as url, proxying({"up": url}) as proxy, raw_client() as http:
            for part in (MOST_OF_ONE_KEY + 100, HANDSHAKES - MOST_OF_ONE_KEY - 100):
                async with anyio.create_task_group() as group:
                    for _ in range(20):
                        group.start_soon(shake, RawClient(http, proxy.at("up")), part // 20)
                held.append(resident())
    assert held[1] - held[0] < 16 * 2**20
    if stateful:
        assert MOST_OF_ONE_KEY <= answers[200] < MOST_OF_ONE_KEY + 20
        assert set(answers) == {200, 503}
    else:
        assert set(answers) == {200}
    tell("handshakes", number=HANDSHAKES, seconds=time.perf_counter() - began, grown_mib=(held[1] - held[0]) / 2**20)


async def test_a_large_result_arrives_whole_and_others_are_served_meanwhile() -> None:
    text = "x" * LARGE

    async def handler(call: Call) -> None:
        await call.reply(call.result({"content": [{"type": "text", "text": text}]}))

    with anyio.fail_after(WITHIN):
        async with staged() as stage:
            stage.upstream.handlers["tools/call"] = handler
            await _large(stage.client, lambda: stage.client.tool("big"), text)
        async with before_stdio() as url, raw_client() as http:
            client = RawClient(http, url)
            await client.initialize()
            await _large(client, lambda: client.tool("big", {"size": LARGE}), text)


async def _large(client: RawClient, call: Any, text: str) -> None:
    waits = list[float]()
    took = 0.0
    result: Any = None
    done = anyio.Event()
    began = time.perf_counter()

    async def others() -> None:
        while not (done.is_set() and waits):
            at = time.perf_counter()
            await client.call("vendor/ping", id=f"p{len(waits)}")
            waits.append(time.perf_counter() - at)

    async with anyio.create_task_group() as group:
        group.start_soon(others)
        result = (await call())["result"]
        took = time.perf_counter() - began
        done.set()
    assert result["content"][0]["text"] == text
    tell("large result", mib=LARGE / 2**20, seconds=took, others=len(waits), longest_wait=max(waits))


async def test_slow_calls_run_side_by_side() -> None:
    arrived, all_here = list[Call](), anyio.Event()

    async def handler(call: Call) -> None:
        arrived.append(call)
        if len(arrived) == AT_ONCE:
            all_here.set()
        await all_here.wait()
        await call.reply(call.result({"n": call.id}))

    async def call(number: int) -> None:
        assert (await client.tool("slow", id=number))["result"] == {"n": number}

    began = time.perf_counter()
    with anyio.fail_after(WITHIN):
        async with staged() as stage:
            stage.upstream.handlers["tools/call"] = handler
            connector = aiohttp.TCPConnector(limit=0)
            async with aiohttp.ClientSession(connector=connector, headers=stage.client.http.headers) as http:
                client = RawClient(http, stage.client.url, stage.client.headers)
                async with anyio.create_task_group() as group:
                    for number in range(AT_ONCE):
                        group.start_soon(call, number)
    tell("slow calls at once", number=AT_ONCE, seconds=time.perf_counter() - began)


async def test_a_client_that_hardly_reads_holds_up_the_server_and_nobody_else() -> None:
    event = json.dumps({"jsonrpc": "2.0", "method": "notifications/message", "params": {"data": "x" * 10_000}}).encode()
    sent, over = list[int](), anyio.Event()

    async def endless(call: Call) -> None:
        while not over.is_set():
            await call.event(event)
            sent.append(len(event))
            await anyio.lowlevel.checkpoint()  # sending to nobody does not wait
        await call.end()

    with anyio.fail_after(WITHIN):
        async with staged() as stage:
            stage.upstream.handlers["tools/call"] = endless
            async with _asking(stage.proxy, stage.client) as read_some:
                before, longest = resident(), 0.0
                for number in range(CALLS):
                    at = time.perf_counter()
                    assert "result" in await stage.client.call("vendor/ping", id=f"p{number}")
                    longest = max(longest, time.perf_counter() - at)
                    assert await read_some()
                grown = resident() - before
                over.set()
    assert sum(sent) < 32 * 2**20
    assert grown < 32 * 2**20
    tell("slow reader", sent_mib=sum(sent) / 2**20, grown_mib=grown / 2**20, others=CALLS, longest_wait=longest)


@contextlib.asynccontextmanager
async def _asking(proxy: Proxy, client: RawClient) -> AsyncGenerator[Callable[[], Awaitable[bytes]]]:
    """A call on a connection of its own with a small window; yields a function that reads 1 KB of the answer.

    A bare socket: whatever is built upon one reads ahead.
    """
    host, port = proxy.url.removeprefix("http://").split(":")
    body = json.dumps({"jsonrpc": "2.0", "id": "slow", "method": "tools/call", "params": {"name": "endless"}}).encode()
    lines = {"host": f"{host}:{port}", **client.http.headers, **client.headers, "content-length": str(len(body))}
    head = "".join(f"{name}: {text}\r\n" for name, text in lines.items())
    loop = asyncio.get_running_loop()
    with socket.socket() as raw:
        raw.setblocking(False)
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        await loop.sock_connect(raw, (host, int(port)))
        await loop.sock_sendall(raw, b"POST /mcp/up HTTP/1.1\r\n" + head.encode() + b"\r\n" + body)
        yield lambda: loop.sock_recv(raw, 1024)
