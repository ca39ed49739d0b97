"""What the commands that serve have in common: `gateway`, `mcp` and `stdio`. It has no command of its own."""

import socket
from functools import partial
from pathlib import Path

from governance.config.load import load
from wicket.addresses import Ports
from wicket.command import Argument, Situation, argument
from wicket.exits import Exit
from wicket.installation import check_installation
from wicket.logs import log_to_stderr
from wicket.running import run_loop
from wicket.serve import Service, serve
from wicket.supervisor import bind

ARGUMENTS: tuple[Argument, ...] = (
    argument("--gateway-port", type=int, metavar="PORT", help="port of the gateway instead of the configured one"),
    argument("--mcp-port", type=int, metavar="PORT", help="port of the MCP proxy instead of the configured one"),
    argument("--socket", type=int, metavar="FD", help="a listening socket that was handed down, instead of a port"),
    argument("--supervised", action="store_true", help="end when standard input does; used by `wicket up`"),
)
EXITS = {Exit.UNAVAILABLE: "the port is taken, or the database cannot be reached"}


def serve_in_foreground(situation: Situation, service: Service) -> int:
    """Serve until a signal comes."""
    options = situation.options
    check_installation()
    log_to_stderr(service.name)
    config = Ports(options.gateway_port, options.mcp_port).applied(load(Path(options.config)))
    listen = config.gateway if service.name == "gateway" else config.mcp
    if options.socket is None:
        listener = bind(listen.host, listen.port, f"{service.name}.port")
        situation.terminal.say(f"{service.name} listens on {listen.host}:{listener.getsockname()[1]}")
    else:
        listener = socket.socket(fileno=options.socket)
    hand_up = partial(situation.terminal.show, None) if options.supervised else None

    async def run() -> int:
        await serve(service, config, listener, situation.clock, hand_up)
        return Exit.DONE

    return run_loop(run)
