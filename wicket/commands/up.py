"""`wicket up`: everything at once, for a person."""

from pathlib import Path

import anyio

from wicket.addresses import Ports
from wicket.command import Command, Situation, argument
from wicket.exits import Exit
from wicket.up import run_up


def up(situation: Situation) -> Exit:
    """Run both proxies, watched, until Ctrl-C."""
    options = situation.options
    ports = Ports(options.gateway_port, options.mcp_port)
    return anyio.run(run_up, Path(options.config), ports, situation.terminal, situation.clock)


COMMANDS = (
    Command(
        "up",
        "set up what is missing, run both proxies and the console, and restart what dies",
        up,
        (
            argument(
                "--gateway-port", type=int, metavar="PORT", help="instead of the configured one; 0 = any free one"
            ),
            argument("--mcp-port", type=int, metavar="PORT", help="instead of the configured one; 0 = any free one"),
        ),
        {Exit.UNAVAILABLE: "a port is taken, or the database cannot be reached"},
    ),
)
