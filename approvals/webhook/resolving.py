"""How a name becomes addresses that may be connected to. The resolver is a thing that can be handed in."""

import socket
from collections.abc import Awaitable, Callable

import anyio

from approvals.webhook.addresses import is_public

Resolve = Callable[[str, int], Awaitable[list[str]]]
"""All addresses of a host and port, as literals."""


class BlockedError(Exception):
    """The address must not be called. The message is ours and names the host, not what it resolved to."""


async def resolve(host: str, port: int) -> list[str]:
    """All addresses of a host, from the system's resolver.

    Raises:
        OSError: the name does not resolve.
    """
    found = await anyio.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


async def checked(host: str, port: int, allow_private: frozenset[str], resolver: Resolve) -> list[str]:
    """The addresses of a host, every one of which may be connected to. Connect to one of them, and ask no more.

    Args:
        host: its name.
        port: of it.
        allow_private: hosts that may be inside, as `normal` writes them.
        resolver: tells the addresses.

    Raises:
        BlockedError: one of them is not public, and the host is not named.
        OSError: the name does not resolve.
    """
    addresses = await resolver(host, port)
    if not addresses:
        raise OSError
    if normal(host) not in allow_private and not all(map(is_public, addresses)):
        raise BlockedError(f"`{host}` resolves to an address that is not public; name it in `allow_private` if meant")
    return addresses


def normal(host: str) -> str:
    """A host as it is compared: lower case, without the root's dot or brackets."""
    return host.lower().rstrip(".").strip("[]")
