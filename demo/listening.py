"""How the servers of the demo come up: on a port the system chose, which they print. No part of the product."""

import socket
import sys
from collections.abc import Callable

import uvicorn
from starlette.applications import Starlette


def listen(make: Callable[[str], Starlette], arguments: list[str]) -> None:
    """Serve until ended, and print the port first.

    Args:
        make: makes the application for the address that it is bound to.
        arguments: `[HOST [PORT]]`; by default a free port on loopback.
    """
    host = arguments[0] if arguments else "127.0.0.1"
    listener = socket.create_server((host, int(arguments[1]) if len(arguments) > 1 else 0))
    sys.stdout.write(f"{listener.getsockname()[1]}\n")
    sys.stdout.flush()
    uvicorn.Server(uvicorn.Config(make(host), log_level="warning")).run(sockets=[listener])
