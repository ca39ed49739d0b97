"""Calling a provider: the only file of the gateway that opens connections.

Bytes in, bytes out. It follows no redirect, keeps no cookie, reads no proxy from the environment, and hands on
neither what a client sent to authenticate itself nor what the provider's connection is made of.
"""

import contextlib
import functools
import io
import logging
import re
from collections.abc import AsyncGenerator, AsyncIterator, Generator, Mapping
from dataclasses import dataclass

import aiohttp
from yarl import URL

from gateway.errors import UpstreamError
from gateway.routing import Target
from governance.config.models import Limits

log = logging.getLogger(__name__)

Headers = list[tuple[bytes, bytes]]

_LARGE = 1024 * 1024
"""From this size on aiohttp sends a body in pieces, so that other requests get their turn."""
_IDLE_SECONDS = {"http": 4, "https": 30}
"""How long an unused connection is kept. A request sent into one that is just being closed is lost, and may not be
sent again: nobody knows if it was read. Servers on the machine or in the house (uvicorn, Node) close after 5 s, and
opening one to them costs nothing; what stands before providers on the net waits for a minute or more."""
_NOT_PASSED = frozenset(
    (
        b"connection",
        b"keep-alive",
        b"proxy-authenticate",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
        b"content-length",
        b"content-encoding",
        b"set-cookie",
        b"set-cookie2",
        b"server",
        b"date",
        b"location",
        b"alt-svc",
        b"strict-transport-security",
        b"www-authenticate",
        b"via",
    )
)
"""Headers of one connection, of the provider's site, or that tell the client to go elsewhere."""
_MOST_RETRY_DIGITS = 5
_HIDDEN = b"[provider key]"


class Answer:
    """A provider's answer, its body still to be read."""

    def __init__(self, response: aiohttp.ClientResponse, limits: Limits, secret: bytes) -> None:
        self._response = response
        self._limit = limits.response_bytes
        self._secret = secret
        self.status = response.status
        self.media_type = response.content_type
        """Without parameters, in lower case."""

    @property
    def retry_after(self) -> int:
        """Seconds after which the provider wants to be asked again; 0 = it does not say."""
        text = self._response.headers.get("retry-after", "")
        return int(text) if text.isdecimal() and len(text) <= _MOST_RETRY_DIGITS else 0

    @property
    def headers(self) -> Headers:
        """The headers that go on to the client."""
        passed = [(name.lower(), value) for name, value in self._response.raw_headers]
        named = [value.lower() for name, value in passed if name == b"connection"]
        return [
            (name, self.without_secret(value))
            for name, value in passed
            if name not in _NOT_PASSED
            and not name.startswith(b"x-wicket-")
            and not (named and any(name in hop for hop in named))
        ]

    async def read(self) -> bytes:
        """The whole body.

        Raises:
            UpstreamError: it is larger than the limit, or breaks off.
        """
        with _translated():
            length = self._response.content_length
            if length is not None and length <= self._limit and "content-encoding" not in self._response.headers:
                return self.without_secret(await self._response.read())
            held = bytearray()
            async for chunk in self._response.content.iter_any():
                held += chunk
                if len(held) > self._limit:
                    raise UpstreamError(502, "provider_answer_too_large", "the provider's answer is beyond the limit")
            return self.without_secret(bytes(held))

    async def chunks(self) -> AsyncIterator[bytes]:
        """The body as it comes.

        Raises:
            UpstreamError: it breaks off.
        """
        with _translated():
            async for chunk in self._response.content.iter_any():
                yield chunk

    def without_secret(self, text: bytes) -> bytes:
        """`text` without the provider's key, however JSON escapes it; `text` itself where the key is not in it."""
        if not self._secret:
            return text
        if self._secret in text:
            text = text.replace(self._secret, _HIDDEN)
        if b"\\u" in text or b"\\/" in text:
            escaped = _escaped(self._secret)
            if escaped.search(text):
                text = escaped.sub(_HIDDEN, text)
        return text


@functools.lru_cache(maxsize=64)
def _escaped(secret: bytes) -> re.Pattern[bytes]:
    """`secret` as a JSON text may spell it: each character plain, or as an escape (RFC 8259 section 7)."""
    spelled = (
        rb"(?:%s%s|\\u00(?i:%02x))" % (rb"\\?" if one in b'"\\/' else b"", re.escape(bytes([one])), one)
        for one in secret
    )
    return re.compile(b"".join(spelled))


@dataclass(frozen=True)
class Upstream:
    """The connections to every provider, shared by all requests of a process."""

    sessions: Mapping[str, aiohttp.ClientSession]
    """By the scheme of the provider's address."""
    limits: Limits

    @contextlib.asynccontextmanager
    async def post(
        self, target: Target, path: str, *, body: bytes, headers: Mapping[str, str], query: str = ""
    ) -> AsyncGenerator[Answer]:
        """Send a body and yield the answer; a connection whose answer was not read to its end is closed.

        Args:
            target: the provider.
            path: below its base URL.
            body: the bytes to send, as JSON.
            headers: what the client may tell the provider; the target's own headers win.
            query: without the question mark.

        Raises:
            UpstreamError: the provider cannot be reached, or is silent for too long.
        """
        url = _url(target.base_url + path, query)
        data = io.BytesIO(body) if len(body) >= _LARGE else body
        sent = {**headers, "content-type": "application/json", "accept-encoding": "identity", **target.headers}
        with _translated():
            response = await self.sessions[url.scheme].post(url, data=data, headers=sent, allow_redirects=False)
        try:
            yield Answer(response, self.limits, target.secret)
        finally:
            if response.content.at_eof():
                response.release()
            else:
                response.close()

    async def get(self, target: Target, path: str, query: str = "") -> bytes:
        """The body of a `GET` with status 200.

        Raises:
            UpstreamError: anything else came back, or nothing.
        """
        url = _url(target.base_url + path, query)
        sent = {"accept-encoding": "identity", **target.headers}
        with _translated():
            response = await self.sessions[url.scheme].get(url, headers=sent, allow_redirects=False)
        async with response:
            if response.status != 200:
                raise UpstreamError(502, "provider_error", f"the provider answered {response.status}")
            return await Answer(response, self.limits, target.secret).read()


@contextlib.asynccontextmanager
async def open_upstream(limits: Limits) -> AsyncGenerator[Upstream]:
    """Open the pools of connections, and close them in the end."""
    async with contextlib.AsyncExitStack() as stack:
        sessions = {
            scheme: await stack.enter_async_context(_session(limits, seconds))
            for scheme, seconds in _IDLE_SECONDS.items()
        }
        yield Upstream(sessions, limits)


def _session(limits: Limits, idle_seconds: float) -> aiohttp.ClientSession:
    timeout = aiohttp.ClientTimeout(
        total=None, connect=None, sock_connect=limits.connect_seconds, sock_read=limits.upstream_seconds
    )
    connector = aiohttp.TCPConnector(limit=0, ttl_dns_cache=60, keepalive_timeout=idle_seconds)
    return aiohttp.ClientSession(
        connector=connector,
        timeout=timeout,
        cookie_jar=aiohttp.DummyCookieJar(),
        trust_env=False,
        skip_auto_headers=("User-Agent", "Accept", "Accept-Encoding", "Content-Type"),
        read_bufsize=256 * 1024,
    )


def _url(address: str, query: str) -> URL:
    """An address as written: what was judged and configured is not normalised into something else."""
    return URL(f"{address}?{query}" if query else address, encoded=True)


@contextlib.contextmanager
def _translated() -> Generator[None]:
    """The client library's errors in our words. What it says itself may hold addresses, so it only goes to the log."""
    try:
        yield
    except TimeoutError as error:
        log.warning("a provider was silent for too long: %s", type(error).__name__)
        raise UpstreamError(504, "provider_timeout", "the provider did not answer in time") from None
    except (aiohttp.ClientError, OSError) as error:
        log.warning("a provider could not be reached or broke off: %s", type(error).__name__)
        raise UpstreamError(502, "provider_unreachable", "the provider could not be reached, or broke off") from None
