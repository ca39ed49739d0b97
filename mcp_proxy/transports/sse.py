"""An upstream MCP server over HTTP+SSE (2024-11-05): a GET stream of its messages, and an address to POST ours to.

Deprecated by the protocol and still met. One stream is one session; which call a message on it belongs to is
`switchboard.py`. The side that faces agents is `sse_front.py`.
"""

import contextlib
import logging
from collections import deque
from collections.abc import Mapping
from urllib.parse import urljoin, urlsplit

import aiohttp
import anyio
from anyio.abc import TaskGroup

from governance.config.models import Limits
from governance.exchange import Principal
from governance.sse import EventTooLargeError, SseEvent, SseParser
from mcp_proxy.credentials.credential import NOTHING, Carrier, Credential
from mcp_proxy.link import (
    NO_HEADERS,
    Era,
    LinkLostError,
    UpstreamError,
    UpstreamTimeoutError,
    UpstreamUnreachableError,
)
from mcp_proxy.pulse import Pulse, Watched
from mcp_proxy.transports.piped import PipedLink

log = logging.getLogger(__name__)

ENDPOINT = "endpoint"
_MESSAGE = ("", "message")
_NOT_FOUND = 404


class SseServer(Watched):
    """A configured upstream server that is reached over HTTP+SSE.

    Args:
        name: Its name in the configuration.
        url: Address of the stream.
        client: The process's HTTP client.
        limits: Largest message, longest silence of a call, longest wait for a connection.
        pulse: Remembers failures and says when it may be tried again.
        group: Owns the readers of the streams.
        headers: Configured headers for every request.
        credential: What it is shown besides.
    """

    transport = "sse"

    def __init__(
        self,
        name: str,
        url: str,
        *,
        client: aiohttp.ClientSession,
        limits: Limits,
        pulse: Pulse,
        group: TaskGroup,
        headers: Mapping[str, str] = NO_HEADERS,
        credential: Credential = NOTHING,
    ) -> None:
        self.name = name
        self._url = url
        self._carrier = Carrier(client, credential)
        self._limits = limits
        self.pulse = pulse
        self._group = group
        self._headers = dict(headers)
        self._links: set[PipedLink] = set()

    async def open(self, principal: Principal, era: Era) -> PipedLink:
        """A stream of its own.

        Raises:
            UpstreamError: it cannot be opened, or not yet again.
        """
        self.pulse.check()
        link = PipedLink(
            self.name,
            era,
            shared=False,
            max_bytes=self._limits.response_bytes,
            silence=self._limits.upstream_seconds,
            on_close=lambda: self._links.discard(link),
        )
        try:
            with anyio.fail_after(self._limits.connect_seconds):
                stream = await Stream.open(
                    self._carrier, principal, self._url, self._headers, self._limits.response_bytes
                )
        except TimeoutError:
            self.pulse.failed("it does not answer in time")
            raise UpstreamTimeoutError(f"server `{self.name}` did not open its stream in time") from None
        except StreamError as error:
            self.pulse.failed(str(error))
            raise UpstreamUnreachableError(f"server `{self.name}` cannot be reached: {error}") from None
        link.wire = SseWire(self, principal, stream)
        self._links.add(link)
        began = self.pulse.started()
        self.pulse.answered()
        self._group.start_soon(self._read, link, stream, began)
        return link

    async def aclose(self) -> None:
        """End every stream."""
        for link in list(self._links):
            await link.close()
        self.pulse.stopped()

    async def post(self, principal: Principal, url: str, raw: bytes) -> None:
        """POST one message.

        Raises:
            UpstreamError: the server did not take it.
        """
        timeout = aiohttp.ClientTimeout(
            total=None, sock_connect=self._limits.connect_seconds, sock_read=self._limits.upstream_seconds
        )
        headers = {"content-type": "application/json", **self._headers}
        try:
            response = await self._carrier.request(principal, "POST", url, data=raw, headers=headers, timeout=timeout)
            async with response:
                status = response.status
        except TimeoutError:
            raise UpstreamTimeoutError(f"server `{self.name}` did not take the message in time") from None
        except (aiohttp.ClientError, OSError, ValueError):  # the last of an address that cannot be used
            raise UpstreamUnreachableError(f"server `{self.name}` cannot be reached") from None
        if status == _NOT_FOUND:
            raise LinkLostError(f"server `{self.name}` has ended the session: start a new one")
        if not 200 <= status < 300:
            raise UpstreamError(f"server `{self.name}` refused the message with HTTP {status}")

    def post_later(self, principal: Principal, url: str, raw: bytes) -> None:
        """POST one message that nobody waits for."""
        self._group.start_soon(self._post_quietly, principal, url, raw)

    async def _post_quietly(self, principal: Principal, url: str, raw: bytes) -> None:
        with contextlib.suppress(UpstreamError):
            await self.post(principal, url, raw)

    async def _read(self, link: PipedLink, stream: "Stream", began: float) -> None:
        """Deliver what the server sends until its stream ends."""
        try:
            async for event in stream:
                if event.data and event.event in _MESSAGE:
                    await link.take(event.data)
            how = "it ended its stream"
        except StreamError as error:
            how = str(error)
        finally:
            stream.close()
        if not link.is_lost:
            log.warning("server %s: %s", self.name, how)
            self.pulse.ended(how, began)
            link.lost(how)
        self._links.discard(link)


class SseWire:
    """The wire of a link: one POST a message."""

    def __init__(self, server: SseServer, principal: Principal, stream: "Stream") -> None:
        self._server = server
        self._principal = principal
        self._stream = stream

    async def write(self, raw: bytes) -> None:
        """POST one message.

        Raises:
            UpstreamError: the server did not take it.
        """
        await self._server.post(self._principal, self._stream.endpoint, raw)

    def post(self, raw: bytes) -> None:
        """POST one message without waiting."""
        self._server.post_later(self._principal, self._stream.endpoint, raw)

    async def close(self) -> None:
        """Close the stream, which ends the session."""
        self._stream.close()


class StreamError(Exception):
    """A stream that cannot be opened or read on. The message is ours and safe to send to a client."""


class Stream:
    """An open stream whose first event named the address to POST to."""

    def __init__(self, response: aiohttp.ClientResponse, max_bytes: int) -> None:
        self.endpoint = ""
        """Where messages go."""
        self._response = response
        self._parser = SseParser(max_bytes)
        self._ready: deque[SseEvent] = deque()

    @classmethod
    async def open(
        cls, carrier: Carrier, principal: Principal, url: str, headers: Mapping[str, str], max_bytes: int
    ) -> "Stream":
        """GET the stream and wait for its first event.

        Raises:
            StreamError: it is not the stream of such a server.
        """
        stream = await cls.get(carrier, principal, url, headers, max_bytes)
        await stream.greet(url)
        return stream

    @classmethod
    async def get(
        cls, carrier: Carrier, principal: Principal, url: str, headers: Mapping[str, str], max_bytes: int
    ) -> "Stream":
        """GET the stream; `greet` must follow.

        Raises:
            StreamError: no connection could be made.
        """
        try:
            response = await carrier.request(
                principal,
                "GET",
                url,
                headers={"accept": "text/event-stream", **headers},
                timeout=aiohttp.ClientTimeout(total=None),
            )
        except (aiohttp.ClientError, OSError):
            raise StreamError("no connection could be made") from None
        return cls(response, max_bytes)

    async def greet(self, url: str) -> None:
        """Wait for the first event; closes the stream where it does not come.

        Raises:
            StreamError: it is not the stream of such a server.
        """
        try:
            self.endpoint = await self._first(url)
        except BaseException:
            self.close()
            raise

    def __aiter__(self) -> "Stream":
        return self

    async def __anext__(self) -> SseEvent:
        while not self._ready:
            try:
                chunk = await self._response.content.readany()
                self._ready += self._parser.feed(chunk)
            except EventTooLargeError as error:
                raise StreamError(str(error)) from None
            except (aiohttp.ClientError, OSError):
                raise StreamError("its connection broke") from None
            if not chunk:
                raise StopAsyncIteration
        return self._ready.popleft()

    def close(self) -> None:
        """Close the connection."""
        self._response.close()

    async def _first(self, url: str) -> str:
        if self._response.status != 200 or self._response.content_type != "text/event-stream":
            raise StreamError(f"it answered HTTP {self._response.status} and no stream")
        async for event in self:
            if event.data is None:
                continue
            if event.event != ENDPOINT:
                break
            try:
                endpoint = urljoin(url, event.data.decode(errors="replace"))
                is_ours = _origin(endpoint) == _origin(url)
            except ValueError:
                raise StreamError("it named an address that is none to send messages to") from None
            if not is_ours:
                raise StreamError("it named an address of another origin to send messages to")
            return endpoint
        raise StreamError("it did not name the address to send messages to")


def _origin(url: str) -> tuple[str, str, str, int | None]:
    """Scheme, user, host and port: with another user than the configured one, other credentials would be sent.

    Raises:
        ValueError: it is no address.
    """
    parts = urlsplit(url)
    user = parts.netloc.rpartition("@")[0]
    return parts.scheme, user, parts.hostname or "", parts.port or {"http": 80, "https": 443}.get(parts.scheme)
