"""An upstream MCP server over Streamable HTTP, both eras, as a byte relay on aiohttp's client.

Bytes in, bytes out: a message is parsed so that it can be judged, never so that it can be written again. The client's
own credentials and cookies cannot get here, because only the headers named in `END_TO_END` are passed on. What is
governed is none of this file's business; the front that faces agents is `streamable_http_front.py`.
"""

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Mapping

import aiohttp
import anyio
from yarl import URL

from governance.config.models import Limits
from governance.exchange import Principal
from governance.sse import EventTooLargeError, SseEvent, SseParser
from mcp_proxy.credentials.credential import NOTHING, Carrier, Credential
from mcp_proxy.link import (
    NO_HEADERS,
    Era,
    Event,
    LinkLostError,
    UpstreamError,
    UpstreamTimeoutError,
    UpstreamUnreachableError,
)
from mcp_proxy.message import MalformedMessageError, Message, RequestId
from mcp_proxy.pulse import Pulse, Watched
from mcp_proxy.transports.piped import Nothing, One
from pipeline.reading import read_apart

SESSION = "mcp-session-id"
END_TO_END: Mapping[Era, tuple[frozenset[str], tuple[str, ...]]] = {
    Era.LEGACY: (frozenset({"mcp-protocol-version", "last-event-id"}), ()),
    Era.MODERN: (frozenset({"mcp-protocol-version", "mcp-method", "mcp-name"}), ("mcp-param-",)),
}
"""Headers that are passed on, by name and by prefix: what an era knows, because only that was checked."""
_BOTH = "application/json, text/event-stream"
_ANSWER_HEADERS = ("retry-after", "allow")
_KEEP_ALIVE_SECONDS = 4
"""Shorter than the 5 s after which uvicorn drops an idle connection, so that no call is sent into a closing one."""
_GOODBYE_SECONDS = 5
_DRAIN_SECONDS = 1
"""How long the end of a stream may take after its response, before the connection is given up."""
_READ_BUFFER = 2**18
LOOK_SECONDS = 5.0
"""How often a silent answer is looked at for whether its connection still stands."""


@contextlib.asynccontextmanager
async def open_client() -> AsyncGenerator[aiohttp.ClientSession]:
    """The process's one HTTP client: no cookies, no proxies from the environment, no decoding of bodies."""
    connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=_KEEP_ALIVE_SECONDS)
    async with aiohttp.ClientSession(
        connector=connector,
        cookie_jar=aiohttp.DummyCookieJar(),
        trust_env=False,
        auto_decompress=False,
        read_bufsize=_READ_BUFFER,
        headers={"accept-encoding": "identity", "user-agent": "wicket"},
        skip_auto_headers=("content-type",),
    ) as client:
        yield client


class HttpServer(Watched):
    """A configured upstream server that is reached over Streamable HTTP."""

    transport = "http"

    def __init__(
        self,
        name: str,
        url: str,
        *,
        client: aiohttp.ClientSession,
        limits: Limits,
        pulse: Pulse,
        headers: Mapping[str, str] = NO_HEADERS,
        credential: Credential = NOTHING,
    ) -> None:
        self.name = name
        self.pulse = pulse
        self._url = URL(url)
        self._carrier = Carrier(client, credential)
        self._limits = limits
        self._headers = dict(headers)
        self._links: set[HttpLink] = set()
        self._patient = aiohttp.ClientTimeout(total=None, sock_connect=limits.connect_seconds)
        self._impatient = aiohttp.ClientTimeout(
            total=None, sock_connect=limits.connect_seconds, sock_read=limits.upstream_seconds
        )

    async def open(self, principal: Principal, era: Era) -> "HttpLink":
        """A link of its own. Nothing is sent yet: over HTTP a link is only a session id that is still to come."""
        link = HttpLink(self, principal, era)
        if era is Era.LEGACY:
            self._links.add(link)
        return link

    async def aclose(self) -> None:
        """Close every link that has a session."""
        async with anyio.create_task_group() as group:
            for link in list(self._links):
                group.start_soon(link.close)
        self.pulse.stopped()

    def forget(self, link: "HttpLink") -> None:
        """The link was closed."""
        self._links.discard(link)

    async def ask(
        self, principal: Principal, verb: str, headers: Mapping[str, str], body: bytes | None, *, patient: bool = False
    ) -> aiohttp.ClientResponse:
        """One HTTP request with the configured headers and credential; the caller releases the response.

        Raises:
            UpstreamError: no answer came.
        """
        try:
            response = await self._carrier.request(
                principal,
                verb,
                self._url,
                data=body,
                headers={**headers, **self._headers},
                timeout=self._patient if patient else self._impatient,
            )
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError):
            self.pulse.failed("it cannot be reached")
            raise UpstreamUnreachableError(f"server `{self.name}` cannot be reached") from None
        except TimeoutError:
            self.pulse.failed("it does not answer in time")
            raise UpstreamTimeoutError(f"server `{self.name}` did not answer in time") from None
        except aiohttp.ClientError:
            self.pulse.failed("it dropped the connection")
            raise UpstreamError(f"server `{self.name}` dropped the connection") from None
        self.pulse.well()
        return response

    @property
    def message_bytes(self) -> int:
        """Largest message that is held in memory."""
        return self._limits.response_bytes


class HttpLink:
    """One upstream session, or (modern) none."""

    def __init__(self, server: HttpServer, principal: Principal, era: Era) -> None:
        self._server = server
        self._principal = principal
        self._era = era
        self._session = ""
        self._closed = False
        self._open: set[aiohttp.ClientResponse] = set()

    @property
    def stateful(self) -> bool:
        """Whether the server gave a session id."""
        return self._session != ""

    async def send(self, message: Message, headers: Mapping[str, str] = NO_HEADERS) -> "HttpReply":
        """POST one message.

        Raises:
            UpstreamError: no usable answer came.
        """
        outgoing = {**self._headers(headers), "content-type": "application/json", "accept": _BOTH}
        patient = message.method == "subscriptions/listen"
        response = await self._ask("POST", outgoing, message.raw, patient=patient)
        if message.method == "initialize" and self._era is Era.LEGACY and response.status == 200:
            self._session = response.headers.get(SESSION, "")
        return await self._reply(response, message)

    async def listen(self, headers: Mapping[str, str] = NO_HEADERS) -> "HttpReply":
        """GET the server's own stream.

        Raises:
            UpstreamError: no usable answer came.
        """
        outgoing = self._headers(headers)
        outgoing["accept"] = "text/event-stream"
        return await self._reply(await self._ask("GET", outgoing, None, patient=True), None)

    async def close(self) -> None:
        """Cut open streams and delete the upstream session, if there is one."""
        if self._closed:
            return
        self._closed = True
        self._server.forget(self)
        for response in list(self._open):
            response.close()
        if self._session:
            headers = {SESSION: self._session}
            with contextlib.suppress(UpstreamError), anyio.move_on_after(_GOODBYE_SECONDS, shield=True):
                (await self._server.ask(self._principal, "DELETE", headers, None)).release()

    def ended(self, response: aiohttp.ClientResponse) -> None:
        """A response was read or given up."""
        self._open.discard(response)

    def _headers(self, headers: Mapping[str, str]) -> dict[str, str]:
        known, prefix = END_TO_END[self._era]
        kept = {name: text for name, text in headers.items() if name in known or name.startswith(prefix)}
        if self._session:
            kept[SESSION] = self._session
        return kept

    async def _ask(
        self, verb: str, headers: Mapping[str, str], body: bytes | None, *, patient: bool
    ) -> aiohttp.ClientResponse:
        if self._closed:
            raise LinkLostError("the session has ended: start a new one")
        response = await self._server.ask(self._principal, verb, headers, body, patient=patient)
        self._open.add(response)
        return response

    async def _reply(self, response: aiohttp.ClientResponse, request: Message | None) -> "HttpReply":
        try:
            self._check(response)
            reply = HttpReply(self, response, self._server.message_bytes)
            await reply.prepare(request)
        except BaseException:
            response.close()
            self.ended(response)
            raise
        return reply

    def _check(self, response: aiohttp.ClientResponse) -> None:
        """Refuse answers that must not, or cannot, reach the client."""
        name = self._server.name
        if response.status == 404 and self._session:
            raise LinkLostError(f"server `{name}` has ended the session: start a new one")
        if response.status in (401, 403, 407):
            raise UpstreamError(f"server `{name}` refused the credentials that are configured for it")
        if 300 <= response.status < 400:
            raise UpstreamError(f"server `{name}` answered with a redirect: configure its final `url`")
        if response.headers.get("content-encoding", "identity") != "identity":
            raise UpstreamError(f"server `{name}` sent an encoded body although none was accepted")


class HttpReply:
    """What came back for one POST or GET."""

    def __init__(self, link: HttpLink, response: aiohttp.ClientResponse, limit: int) -> None:
        self._link = link
        self._response = response
        self._limit = limit
        self._closed = False
        self.status = response.status
        self.events: AsyncIterator[Event] = Nothing()
        self.answered = False
        """Whether the response was read, so that only the end of the stream is still to come."""

    @property
    def headers(self) -> Mapping[str, str]:
        """The few headers that are the server's to say."""
        found = self._response.headers
        return {name: found[name] for name in _ANSWER_HEADERS if name in found} if self.status >= 400 else NO_HEADERS

    async def prepare(self, request: Message | None) -> None:
        """Find out what kind of answer it is, and read it if it is one message.

        Raises:
            UpstreamError: it is none that MCP knows.
        """
        kind = self._response.content_type
        if kind == "text/event-stream" and self.status < 300:
            self.events = _Stream(self, self._limit, request.id if request is not None else None)
            return
        wanted = request is not None and request.is_request
        body = await self._body()
        await self.aclose()
        if kind == "application/json" and body.strip() and (wanted or self.status >= 400):
            self.events = One(await _parse(body))
        elif wanted:
            raise UpstreamError(f"the server answered HTTP {self.status} without a message")

    async def aclose(self) -> None:
        """Use the connection again if the answer was read, else close it, which tells the server."""
        if self._closed:
            return
        self._closed = True
        content = self._response.content
        try:
            if self.answered and not content.is_eof():
                with contextlib.suppress(UpstreamError), anyio.move_on_after(_DRAIN_SECONDS):
                    while await self.chunk():
                        pass
        finally:
            if content.is_eof():
                self._response.release()
            else:
                self._response.close()
            self._link.ended(self._response)

    async def chunk(self) -> bytes:
        """The next bytes of the body, whatever their number; empty at its end.

        Raises:
            UpstreamError: the rest cannot be read.
        """
        content = self._response.content
        while True:
            look: asyncio.Timeout | None = None
            try:
                if (came := content.read_nowait()) or content.at_eof():
                    return came  # nearly always all of a short answer is here already, and needs no timer
                look = asyncio.timeout(LOOK_SECONDS)
                async with look:
                    return await content.readany()
            except TimeoutError:
                if look is None or not look.expired():
                    raise UpstreamTimeoutError("the server was silent for too long") from None
                if self._is_cut():
                    raise UpstreamError("the server dropped the connection") from None
            except (aiohttp.ClientError, ConnectionError):
                raise UpstreamError("the server dropped the connection") from None

    def _is_cut(self) -> bool:
        """Whether nothing can come any more. A reader is not woken when a chunk of the body is malformed."""
        connection = self._response.connection
        return connection is None or connection.transport is None or connection.transport.is_closing()

    async def _body(self) -> bytes:
        if (self._response.content_length or 0) > self._limit:
            raise _too_large(self._limit)
        chunks: list[bytes] = []
        size = 0
        while chunk := await self.chunk():
            size += len(chunk)
            if size > self._limit:
                raise _too_large(self._limit)
            chunks.append(chunk)
        return b"".join(chunks)


class _Stream:
    """The events of a stream, as they come. No generator: an abandoned one would be closed at an unknown time."""

    def __init__(self, reply: HttpReply, limit: int, request_id: RequestId | None) -> None:
        self._reply = reply
        self._request_id = request_id
        self._limit = limit
        self._parser = SseParser(limit)
        self._blocks: deque[SseEvent] = deque()
        """What came and is not read yet. A reader that is woken meanwhile loses nothing."""
        self._ended = False

    def __aiter__(self) -> AsyncIterator[Event]:
        return self

    async def __anext__(self) -> Event:
        event: Event | None = None
        while event is None:
            if self._blocks:
                event = await _event(self._blocks[0])
                self._blocks.popleft()
                continue
            if self._ended:
                raise StopAsyncIteration
            chunk = await self._reply.chunk()
            self._ended = not chunk
            try:
                self._blocks.extend(self._parser.feed(chunk) if chunk else self._parser.close())
            except EventTooLargeError:
                raise _too_large(self._limit) from None
        if self._request_id is not None and event.message is not None:
            self._reply.answered |= event.message.is_response and event.message.id == self._request_id
        return event


async def _event(block: SseEvent) -> Event | None:
    message = await _parse(block.data) if block.data else None
    if message is None and block.id is None and block.retry is None:
        return None
    return Event(message, block.id, block.retry)


async def _parse(raw: bytes) -> Message:
    try:
        return await read_apart(Message.parse_upstream, raw)
    except MalformedMessageError as error:
        raise UpstreamError(f"the server sent a malformed message: {error}") from None


def _too_large(limit: int) -> UpstreamError:
    return UpstreamError(f"the server sent a message larger than {limit} bytes")
