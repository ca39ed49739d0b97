"""Events of a stream that are read in a thread: a reader that is woken meanwhile loses none."""

import contextlib
from collections.abc import Callable
from typing import Any

import anyio
import pytest

from governance.clock import SystemClock
from governance.config.models import Config
from mcp_proxy.bridge.replies import Reader
from mcp_proxy.link import Era
from mcp_proxy.message import Message
from mcp_proxy.servers import open_servers
from pipeline import reading
from pipeline.border import AsgiScope, Receive, Send
from tests.mcp_proxy.harness import serving
from tests.mcp_proxy.transports.stage_props import ANN

EVENTS = b"".join(b'data: {"jsonrpc":"2.0","method":"m%d"}\n\n' % number for number in range(3))


async def streaming(scope: AsgiScope, receive: Receive, send: Send) -> None:
    """A server that says three things of its own accord."""
    headers = [(b"content-type", b"text/event-stream")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": EVENTS})


async def test_a_reader_that_is_woken_while_an_event_is_read_loses_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    begun, times = anyio.Event(), list[int]()

    async def slowly(read: Callable[[bytes], Message], raw: bytes) -> Message:
        times.append(1)
        if len(times) == 2:
            begun.set()
            await anyio.sleep_forever()
        return await reading.read_apart(read, raw)

    monkeypatch.setattr("mcp_proxy.transports.streamable_http.read_apart", slowly)
    heard: list[Any] = []
    async with serving(streaming) as url:
        config = Config.model_validate({"mcpServers": {"up": {"type": "http", "url": url}}})
        async with open_servers(config, SystemClock(), lambda: 0.0) as servers:
            link = await servers["up"].inner.open(ANN, Era.LEGACY)
            reader = Reader(await link.listen())

            async def read() -> None:
                with contextlib.suppress(StopAsyncIteration):
                    while True:
                        event = await reader.next()
                        heard.append(None if event is None or event.message is None else event.message.method)

            with anyio.fail_after(30):
                async with anyio.create_task_group() as group:
                    group.start_soon(read)
                    await begun.wait()
                    reader.wake()
            await reader.aclose()
            await link.close()
    assert heard == ["m0", None, "m1", "m2"]
