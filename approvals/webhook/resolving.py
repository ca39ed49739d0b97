"""How a name becomes addresses, as a thing that can be handed in."""

import socket
from collections.abc import Awaitable, Callable

import anyio

Resolve = Callable[[str, int], Awaitable[list[str]]]
"""All addresses of a host and port, as literals."""


async def resolve(host: str, port: int) -> list[str]:
    """All addresses of a host, from the system's resolver.

    Raises:
        OSError: the name does not resolve.
    """
    found = await anyio.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(address[0]) for *_, address in found))
