"""Events between a transport and one reader."""

import asyncio
import logging

import anyio
import pytest

from mcp_proxy.link import UpstreamError, UpstreamTimeoutError
from mcp_proxy.transports import mailbox
from mcp_proxy.transports.mailbox import Mailbox
from tests.mcp_proxy.transports.stage_props import notification


async def test_what_was_put_before_the_end_is_read_before_the_error() -> None:
    box = Mailbox(max_bytes=1000)
    box.put(notification("a"))
    box.end(UpstreamError("lost"))
    box.put(notification("too late"))
    assert not box.drained
    found = await anext(box)
    assert found.message is not None
    assert found.message.method == "a"
    assert box.drained
    with pytest.raises(UpstreamError, match="lost"):
        await anext(box)
    with pytest.raises(StopAsyncIteration):
        await anext(box)


async def test_a_reader_that_waits_is_woken() -> None:
    box = Mailbox(max_bytes=1000)
    with anyio.fail_after(5):
        async with anyio.create_task_group() as group:
            group.start_soon(anext, box)
            await anyio.lowlevel.checkpoint()
            box.put(notification("a"))


async def test_a_full_box_ends_rather_than_lose_an_answer() -> None:
    box = Mailbox(max_bytes=100, owner="s")
    for _ in range(4):
        box.put(notification("a"))
    assert box.ended
    while not box.drained:
        await anext(box)
    with pytest.raises(UpstreamError, match="`s` sends faster than the client reads"):
        await anext(box)


async def test_many_small_events_fill_a_box_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mailbox, "MOST_EVENTS", 3)
    box = Mailbox(max_bytes=10_000, owner="s")
    for _ in range(4):
        box.put(notification("a"))
    assert box.ended


async def test_one_message_may_be_larger_than_the_box() -> None:
    box = Mailbox(max_bytes=10)
    box.put(notification("a"))
    assert not box.ended


async def test_a_forgetful_box_drops_the_oldest_and_says_so(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    box = Mailbox(max_bytes=130, forgetful=True, owner="s")
    for name in "abcd":
        box.put(notification(name))
    box.end()
    assert [event.message.method async for event in box if event.message] == ["b", "c", "d"]
    assert "dropped" in caplog.text


async def test_silence_ends_the_wait() -> None:
    with anyio.fail_after(5), pytest.raises(UpstreamTimeoutError, match="silent"):
        await anext(Mailbox(max_bytes=10, silence=0.001))


async def test_a_deadline_is_only_met_by_a_box_that_is_still_open() -> None:
    box, other, called = Mailbox(max_bytes=10), Mailbox(max_bytes=10), asyncio.Event()
    other.end_within(0.0, lambda: pytest.fail("ended already"))
    other.end()
    box.end_within(0.0, called.set)
    with anyio.fail_after(5):
        await called.wait()
