"""`wicket stdio` without the runtime: the wrapper behind a gate that lets all but `forbidden` through.

Run as a program: the arguments are the wrapped command, or the URL of an HTTP server.
Refused lines are counted on standard error.
"""

import logging
import sys
from collections.abc import Awaitable, Callable

import uvloop

from governance.clock import SystemClock
from governance.config.models import Config, Limits
from governance.exchange import Exchange, Phase, Principal
from governance.verdict import ALLOWED, Decision, Verdict
from mcp_proxy import wrapper
from mcp_proxy.eras import ParamHeaders
from mcp_proxy.message import MalformedMessageError
from mcp_proxy.pulse import Pulse
from mcp_proxy.relay import Relay
from mcp_proxy.servers import open_servers
from tests.mcp_proxy.harness import OpenGate, OpenKills, SeenTools

LIMITS = Limits(body_bytes=16 * 2**20)


def judge(exchange: Exchange, phase: Phase) -> Verdict:
    if exchange.resource.name == "forbidden":
        return Verdict(Decision.DENY, by="test", rule="test.forbidden", reason="not this one")
    return ALLOWED


async def record(error: MalformedMessageError) -> None:
    sys.stderr.write(f"recorded: {error}\n")
    sys.stderr.flush()


def organs_with(record: Callable[[MalformedMessageError], Awaitable[None]]) -> wrapper.Organs:
    tools = SeenTools()
    rules = ParamHeaders(tools)
    relay = Relay(OpenGate(judge), OpenKills(), tools, SystemClock(), rules)
    return wrapper.Organs(relay, rules, Principal("local"), LIMITS, record)


async def main() -> int:
    clock = SystemClock()
    organs = organs_with(record)
    if sys.argv[1].startswith("http:"):
        config = Config.model_validate({"mcpServers": {"it": {"url": sys.argv[1]}}})
        async with open_servers(config, clock, lambda: 0.0, alone=True) as servers:
            return await wrapper.serve(organs, servers["it"], wrapper.own_ends())
    pulse = Pulse("wrapped", clock, lambda: 0.0)
    child = wrapper.wrapped_server("wrapped", sys.argv[1:], limits=LIMITS, pulse=pulse)
    async with wrapper.bridged(child, limits=LIMITS, clock=clock, state_key=bytes(32)) as server:
        return await wrapper.serve(organs, server, wrapper.own_ends())


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO)
    sys.exit(uvloop.run(main()))
