"""A server process that has one client ever: whatever is asked of it, in either era, goes over its one pipe.

So the question for its era is put to the very process that serves, and no second one is started.
"""

from collections.abc import Mapping

from governance.exchange import Principal
from mcp_proxy.link import NO_HEADERS, Condition, Era, Reply
from mcp_proxy.message import Message
from mcp_proxy.transports.piped import PipedLink
from mcp_proxy.transports.stdio import StdioServer


class OnlyChild:
    """A `StdioServer` that is asked for one link only.

    Args:
        child: starts the process; made with `alone=True`.
    """

    def __init__(self, child: StdioServer) -> None:
        self.child = child
        """Starts the process, and knows how it ended."""
        self._link: PipedLink | None = None
        self._shares = 0

    @property
    def name(self) -> str:
        """Name in the configuration."""
        return self.child.name

    @property
    def transport(self) -> str:
        """`stdio`."""
        return self.child.transport

    @property
    def condition(self) -> Condition:
        """How it is now."""
        return self.child.condition

    async def open(self, principal: Principal, era: Era) -> "Share":
        """A share of the one link.

        Raises:
            UpstreamError: the process cannot be started, or not yet again.
        """
        if self._link is None or self._link.is_lost:
            self._link = await self.child.start(era, principal.key_id, shared=False)
        self._shares += 1
        return Share(self, self._link)

    async def aclose(self) -> None:
        """End the process."""
        await self.child.aclose()

    async def leave(self) -> None:
        """A share was given back; with the last one the process ends."""
        self._shares -= 1
        if self._shares == 0 and self._link is not None:
            await self._link.close()


class Share:
    """One use of the link."""

    stateful = True

    def __init__(self, owner: OnlyChild, link: PipedLink) -> None:
        self._owner = owner
        self._link = link
        self._closed = False

    async def send(self, message: Message, headers: Mapping[str, str] = NO_HEADERS) -> Reply:
        """See `Link.send`.

        Raises:
            UpstreamError: the message cannot be delivered.
        """
        return await self._link.send(message, headers)

    async def listen(self, headers: Mapping[str, str] = NO_HEADERS) -> Reply:
        """See `Link.listen`.

        Raises:
            UpstreamError: the process is gone.
        """
        return await self._link.listen(headers)

    async def close(self) -> None:
        """Give the share back; see `Link.close`."""
        if not self._closed:
            self._closed = True
            await self._owner.leave()
