"""Large lines are read beside the event loop, and nothing overtakes them or gets lost meanwhile."""

import threading
from typing import Any

import anyio
import pytest

from mcp_proxy.link import Era, UpstreamError
from mcp_proxy.transports import piped, stdio_child
from mcp_proxy.transports.in_order import InOrder
from pipeline.reading import LARGE
from tests.conftest import ManualClock
from tests.e2e.stack import eventually
from tests.mcp_proxy.transports.stage_props import ANN, read_all, tool
from tests.mcp_proxy.transports.test_stdio_child import running

SAYS = """
import sys
sys.stdin.readline()
note = '{"jsonrpc":"2.0","method":"notifications/message","params":{"data":"%s"}}\\n'
sys.stdout.write(note % ("x" * SIZE))
for number in range(3):
    sys.stdout.write(note % number)
sys.stdout.write('{"jsonrpc":"2.0","id":1,"result":{}}\\n')
sys.stdout.flush()
"""


async def test_what_comes_behind_a_large_text_waits_for_it_and_the_event_loop_goes_on() -> None:
    here, may_go = threading.get_ident(), threading.Event()
    read_in: dict[bytes, bool] = {}
    taken, paused = list[bytes](), list[bool]()

    def read(raw: bytes) -> bytes:
        read_in[raw[:1]] = threading.get_ident() == here
        assert len(raw) <= LARGE or may_go.wait(20)
        return raw[:1]

    order = InOrder(read, taken.append)
    order.pause = paused.append
    for raw in (b"a", b"B" * (LARGE + 1), b"c", b"D" * (LARGE + 1), b"e"):
        order.feed(raw)
    assert (taken, paused) == ([b"a"], [True])
    may_go.set()
    with anyio.fail_after(20):
        await eventually(lambda: len(taken) == 5)
    assert taken == [b"a", b"B", b"c", b"D", b"e"]
    assert (paused[0], paused[-1]) == (True, False)
    assert read_in == {b"a": True, b"B": False, b"c": True, b"D": False, b"e": True}


async def test_a_server_that_ends_while_its_large_message_is_read_was_heard_to_the_end(
    clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stdio_child, "GRACE_SECONDS", 0.05)
    may_go, read = threading.Event(), piped._read  # pyright: ignore[reportPrivateUsage] - made slow

    def slowly(raw: bytes) -> Any:
        assert len(raw) <= LARGE or may_go.wait(20)
        return read(raw)

    monkeypatch.setattr(piped, "_read", slowly)
    server = running(SAYS.replace("SIZE", str(2 * LARGE)), clock)
    with anyio.fail_after(20):
        link = await server.open(ANN, Era.LEGACY)
        reply = await link.send(tool(1, "echo"))
        child: Any = getattr(link, "wire").child  # noqa: B009 - whatever the wire is made of
        await eventually(lambda: child._ended_early)  # waited for as long as one that has ended ever is
        may_go.set()
        messages = await read_all(reply)
        assert [str(one.params.get("data", ""))[:1] for one in messages] == ["x", "0", "1", "2", ""]
        with pytest.raises(UpstreamError):
            await link.send(tool(2, "echo"))
        await server.aclose()
