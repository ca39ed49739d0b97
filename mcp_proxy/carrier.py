"""What a front hands its clients' messages to: the relay for one server, or the aggregate that stands before it.

Only the shape is here. Who implements it: `mcp_proxy/relay.py` and `mcp_proxy/aggregate_relay.py`.
"""

from collections.abc import Mapping
from typing import Protocol

from mcp_proxy.calls import Calls
from mcp_proxy.lens import Caller
from mcp_proxy.link import NO_HEADERS, Link, Outlet
from mcp_proxy.message import Message


class Carrier(Protocol):
    """Carries the messages of every client session of a front."""

    async def carry(
        self,
        message: Message,
        link: Link,
        caller: Caller,
        outlet: Outlet,
        calls: Calls,
        headers: Mapping[str, str] = NO_HEADERS,
    ) -> Exception | None:
        """Deliver one client message and put everything that answers it into `outlet`.

        Returns:
            What went wrong, after the client was told; None if nothing did.
        """
        ...

    async def listen(
        self, link: Link, caller: Caller, outlet: Outlet, calls: Calls, headers: Mapping[str, str] = NO_HEADERS
    ) -> None:
        """Put what comes from the other side of its own accord into `outlet`, until one side ends it."""
        ...
