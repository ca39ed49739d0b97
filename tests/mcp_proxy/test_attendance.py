"""Waiting with a client: it ends when the client is gone, even if that was before it began."""

import anyio
import pytest

from governance.clock import SystemClock
from governance.stage import RefusedError
from mcp_proxy.attendance import Attendant
from mcp_proxy.calls import Calls
from mcp_proxy.link import Event
from mcp_proxy.message import Message
from mcp_proxy.transports.piped_front import PipeOutlet
from tests.conftest import ManualClock

CALL = Message.build({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "t"}})
CANCEL = Message.build({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 1}})


async def nowhere(raw: bytes) -> None:
    """Take what is written."""


async def test_a_call_that_was_called_off_while_it_was_judged_does_not_wait() -> None:
    calls, outlet = Calls(), PipeOutlet(nowhere)
    async with calls.opened(CALL, outlet, governed=True) as call:
        attendant = Attendant(call, outlet, None, SystemClock())
        assert attendant.present
        assert calls.call_off(CANCEL)
        assert not attendant.present
        with anyio.fail_after(5):
            async with attendant.waiting("tkt_1", "http://console", detached=False):
                await anyio.sleep_forever()
        with pytest.raises(RefusedError):
            call.send()


async def test_a_call_that_was_sent_is_the_servers_to_cancel() -> None:
    calls, outlet = Calls(), PipeOutlet(nowhere)
    async with calls.opened(CALL, outlet, governed=True) as call:
        call.send()
        assert not calls.call_off(CANCEL)
    assert not calls.call_off(CANCEL)


async def test_a_client_that_leaves_ends_the_waiting() -> None:
    calls, outlet = Calls(), PipeOutlet(nowhere)
    async with calls.opened(CALL, outlet, governed=True) as call:
        with anyio.fail_after(5):
            attendant = Attendant(call, outlet, 60, SystemClock(), progress_seconds=0.01)
            async with attendant.waiting("tkt_1", "http://console", detached=False):
                await outlet.put(Event(None))
                outlet.gone = True
                await anyio.sleep_forever()
        assert call.called_off


@pytest.mark.parametrize(("waited", "left"), [(40, 5), (50, 0)])
async def test_a_question_of_the_server_waits_for_what_its_call_left_of_the_time(waited: int, left: int) -> None:
    calls, outlet, clock = Calls(), PipeOutlet(nowhere), ManualClock()
    async with calls.opened(CALL, outlet, governed=True) as call:
        attendant = Attendant(call, outlet, 45, clock)
        clock.advance(waited)
        assert attendant.for_questions().seconds == left
        outlet.gone = True
        assert not attendant.for_questions().present
