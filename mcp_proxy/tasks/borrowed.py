"""The server behind one pipe, as the calls of tasks reach it: by the very link that the pipe's client has.

A wrapped server may have one process and one session, so none is opened for a task. What the link is, and how long it
lives, is the client's business (`mcp_proxy/transports/piped_front.py`).
"""

from collections.abc import Awaitable, Callable, Mapping

from governance.exchange import Principal
from mcp_proxy.link import NO_HEADERS, Condition, Era, Link, Reply, Resuming, Server
from mcp_proxy.message import Message


class Borrowed:
    """A server whose links belong to somebody else.

    Args:
        server: the server.
        link: the link for messages of an era.
    """

    def __init__(self, server: Server, link: Callable[[Era], Awaitable[Link]]) -> None:
        self._server = server
        self._link = link

    @property
    def name(self) -> str:
        """Name in the configuration."""
        return self._server.name

    @property
    def transport(self) -> str:
        """`http`, `sse` or `stdio`."""
        return self._server.transport

    @property
    def condition(self) -> Condition:
        """How it is now."""
        return self._server.condition

    async def open(self, principal: Principal, era: Era) -> Link:
        """The client's own link; closing it does nothing.

        Raises:
            UpstreamError: there is none to be had.
        """
        return _Use(await self._link(era))

    async def aclose(self) -> None:
        """It is not ours to close."""


class _Use(Resuming):
    """One use of a link."""

    def __init__(self, link: Link) -> None:
        self._link = link

    @property
    def stateful(self) -> bool:
        """See `Link.stateful`."""
        return self._link.stateful

    async def send(self, message: Message, headers: Mapping[str, str] = NO_HEADERS) -> Reply:
        """See `Link.send`.

        Raises:
            UpstreamError: the message cannot be delivered.
        """
        return await self._link.send(message, headers)

    async def listen(self, headers: Mapping[str, str] = NO_HEADERS) -> Reply:
        """See `Link.listen`.

        Raises:
            UpstreamError: the server cannot be reached.
        """
        return await self._link.listen(headers)

    async def waits(self, message: Message) -> bool:
        """See `Resuming.waits`."""
        return not isinstance(self._link, Resuming) or await self._link.waits(message)

    async def close(self) -> None:
        """It is not ours to close."""
