"""The seam of the MCP proxy: what a front asks of an upstream server, whatever transport lies between.

Call-oriented: one client message in, the messages that answer it out. A front never sees a stream of unrelated
messages that it would have to sort, and an upstream transport never sees a client. The reasons are in
`docs/decisions/call-oriented-seam.md`. No transport and no judgement is in this file.
"""

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import Protocol, TypeAlias

from governance.exchange import Principal
from governance.verdict import Verdict
from mcp_proxy.message import Message

NO_HEADERS: Mapping[str, str] = MappingProxyType({})


class Era(StrEnum):
    """The two generations of the protocol. A server may speak both."""

    LEGACY = "legacy"
    """2024-11-05 to 2025-11-25: a handshake, a session, requests from the server."""
    MODERN = "modern"
    """2026-07-28 and later: each request stands alone."""


@dataclass(frozen=True, slots=True)
class Event:
    """One thing a server sent. A stream over HTTP may also send a place without a message, to resume from."""

    message: Message | None
    event_id: str | None = None
    """Place in the stream (SSE `id`), opaque to us; None over transports that have none."""
    retry: int | None = None
    """Milliseconds after which the server wants a lost stream resumed (SSE `retry`)."""


class Reply(Protocol):
    """What an upstream answered to one message. Whoever got it must close it."""

    @property
    def status(self) -> int:
        """HTTP status, or the one that HTTP would have: 200 with events, 202 accepted, 404 session lost, 405 none."""
        ...

    @property
    def headers(self) -> Mapping[str, str]:
        """End-to-end headers that a client should see, lower-case names. Empty over transports without headers."""
        ...

    @property
    def events(self) -> AsyncIterator[Event]:
        """The messages in order, the last is the response. Read once, by one reader; raises `UpstreamError`."""
        ...

    async def aclose(self) -> None:
        """Nobody reads on. Modern: the request is cancelled upstream. Legacy: the rest is dropped.

        Does nothing after the response was read.
        """
        ...


Track: TypeAlias = Callable[[Callable[[Verdict], None]], AbstractContextManager[None]]
"""Lets a function be called when one run is killed while the block is open."""


class Suspending(ABC):
    """A reply whose call may go on after it, once the client answers what it was asked."""

    @abstractmethod
    async def withdraw(self) -> None:
        """The client did not get the reply, so nobody will ever answer: give the call up, if it waits."""
        ...

    @abstractmethod
    def ends_with(self, track: Track) -> None:
        """If the call waits for its client, give it up at once when its run is killed."""
        ...

    @abstractmethod
    async def waits(self) -> bool:
        """Whether the server still waits for what the client is asked, as far as that can be told at once."""
        ...


class Resuming(ABC):
    """A link on which calls that wait for their client can be gone on with."""

    @abstractmethod
    async def waits(self, message: Message) -> bool:
        """Whether the call that a request goes on with still waits. True for one that goes on with nothing."""
        ...


class Link(Protocol):
    """One upstream session.

    Calls are not serialised: many messages may be in flight. On a legacy link the ids in flight are those of one
    client and differ; on a modern link equal ids may be in flight at once, and the link must keep them apart.
    """

    @property
    def stateful(self) -> bool:
        """Whether the client's later messages must come back to this very link. Known after `initialize` answered."""
        ...

    async def send(self, message: Message, headers: Mapping[str, str] = NO_HEADERS) -> Reply:
        """Deliver one message of the client, byte for byte.

        Args:
            message: a request (the reply's events end with its response and hold what the server sent on the way to
                it), or a notification or response (the reply is 202 without events).
            headers: the client's end-to-end MCP headers, lower-case names; transports without headers ignore them.

        Raises:
            UpstreamError: the message cannot be delivered.
        """
        ...

    async def listen(self, headers: Mapping[str, str] = NO_HEADERS) -> Reply:
        """The messages that the server sends of its own accord (legacy). `last-event-id` in `headers` resumes.

        At most one reader at a time: a second one is answered 409. Status 405 if the server offers none.

        Raises:
            UpstreamError: the server cannot be reached.
        """
        ...

    async def close(self) -> None:
        """End the upstream session. Open replies end. Safe to call twice; never raises for a broken upstream."""
        ...


class Health(StrEnum):
    """How an upstream server is."""

    UNKNOWN = "unknown"
    """Nobody has asked it yet."""
    READY = "ready"
    FAILING = "failing"
    """The last attempt failed; the next one is made when somebody asks."""
    STOPPED = "stopped"


@dataclass(frozen=True, slots=True)
class Condition:
    """How an upstream server is, and why: for `health` pages and `doctor`."""

    health: Health = Health.UNKNOWN
    detail: str = field(default="")
    """Our own words; empty if all is well."""


class Server(Protocol):
    """A configured upstream server."""

    @property
    def name(self) -> str:
        """Name in the configuration, and last part of the path `/mcp/{server}`."""
        ...

    @property
    def transport(self) -> str:
        """`http`, `sse` or `stdio`."""
        ...

    @property
    def condition(self) -> Condition:
        """How it is now."""
        ...

    async def open(self, principal: Principal, era: Era) -> Link:
        """A link for one client session (legacy), or for one request or more of one principal (modern).

        A modern link may be shared among the requests of one principal, never between principals that present
        different keys. Whoever opened a link closes it; what `close` does to a shared one is the server's business.

        Raises:
            UpstreamError: the server cannot be started or reached.
        """
        ...

    async def aclose(self) -> None:
        """Close every link and stop what was started."""
        ...


class UpstreamError(Exception):
    """An upstream server failed. The message is ours and safe to send to a client."""

    status = 502
    """HTTP status for a front that speaks HTTP."""


class UpstreamUnreachableError(UpstreamError):
    """It could not be reached or started; the message was not delivered."""

    status = 503


class UpstreamTimeoutError(UpstreamError):
    """It stayed silent for longer than `limits.upstream_seconds`."""

    status = 504


class LinkLostError(UpstreamError):
    """The upstream session is gone. The client must start again: over HTTP it is told 404."""

    status = 404


class Outlet(Protocol):
    """Where the answer to one client message goes: a front's side of one exchange."""

    async def begin(self, status: int, headers: Mapping[str, str]) -> None:
        """What the upstream answered with, before its first event."""
        ...

    async def put(self, event: Event) -> None:
        """Send one event to the client. Returns when the client's transport took it, or when the client is gone."""
        ...

    async def end(self) -> None:
        """End the client's stream although the answer is still to come, on another stream (legacy, resumed)."""
        ...

    @property
    def gone(self) -> bool:
        """Whether the client is known to have left, so that what was put last may not have reached it."""
        ...
