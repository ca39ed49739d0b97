"""What the MCP proxy does with a wrapper's pipes, without the runtime: the gate of `wrapper_program.py`."""

from governance.clock import SystemClock
from mcp_proxy import wrapper
from mcp_proxy.handover.listener import Guest
from mcp_proxy.message import MalformedMessageError
from mcp_proxy.pulse import Pulse
from mcp_proxy.transports.stdio import StdioServer
from tests.mcp_proxy.transports.wrapper_program import LIMITS, organs_with


async def serve_guest(guest: Guest) -> int:
    async def record(error: MalformedMessageError) -> None:
        guest.say(f"recorded: {error}")

    clock = SystemClock()
    pulse = Pulse(guest.server, clock, lambda: 0.0)
    child = StdioServer(guest.server, guest.program, limits=LIMITS, pulse=pulse, alone=True)
    ends = wrapper.Ends(guest.source, guest.sink, guest.signalled, guest.leaving, guest.say)
    async with wrapper.bridged(child, limits=LIMITS, clock=clock, state_key=bytes(32)) as server:
        return await wrapper.serve(organs_with(record), server, ends)
