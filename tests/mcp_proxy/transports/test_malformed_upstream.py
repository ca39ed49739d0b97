"""HTTP servers whose answers are not well-formed HTTP."""

import json

import anyio
import pytest
from anyio.abc import SocketAttribute, SocketStream

from mcp_proxy.transports import streamable_http
from tests.mcp_proxy.harness import proxying, raw_client
from tests.mcp_proxy.raw_client import RawClient

HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n5\r\n: hi\n\r\n"


async def test_a_call_ends_when_its_stream_becomes_malformed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streamable_http, "LOOK_SECONDS", 0.05)

    async def broken(stream: SocketStream) -> None:
        async with stream:
            await stream.receive()
            await stream.send(HEAD)
            await anyio.wait_all_tasks_blocked()  # so that the rest is read apart from it
            await stream.send(b"no size\r\n")

    with anyio.fail_after(20):
        async with (
            await anyio.create_tcp_listener(local_host="127.0.0.1") as listener,
            anyio.create_task_group() as group,
        ):
            group.start_soon(listener.serve, broken)
            url = f"http://127.0.0.1:{listener.extra(SocketAttribute.local_port)}"
            async with proxying({"up": url}) as proxy, raw_client() as http:
                answer = await RawClient(http, proxy.at("up")).tool("any")
                assert "dropped the connection" in json.dumps(answer["error"])
            group.cancel_scope.cancel()
