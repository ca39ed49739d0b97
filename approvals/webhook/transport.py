"""Calls to addresses that somebody configured, made so that they cannot be turned against the inside.

An `httpx` transport: resolves a name once, checks every address it has, and connects to an address that was checked,
while the Host header and the TLS name stay those of the URL. Redirects are the client's business, and `client` switches
them off; proxies of the environment are ignored, because a proxy would resolve the name again.
"""

import ipaddress
import logging
import re
from collections.abc import Mapping
from http.cookiejar import CookieJar, DefaultCookiePolicy

import anyio
import httpx

from approvals.webhook.resolving import BlockedError, Resolve, checked, normal, resolve
from approvals.webhook.route import Answer, Outcome

log = logging.getLogger(__name__)

_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*", re.IGNORECASE)


GONE = 410
LONGEST_ANSWER = 300
"""Bytes of an answer that are read."""


def check_url(url: httpx.URL, allow_private: frozenset[str]) -> None:
    """Refuse what should not be called whatever it resolves to.

    Raises:
        BlockedError: not HTTPS (HTTP is for hosts in `allow_private`), a user name in it, or a number for a host.
    """
    host = normal(url.host)
    if not host:
        raise BlockedError("the address has no host")
    if url.userinfo:
        raise BlockedError("the address carries a user name or password: take it out")
    if url.scheme != "https" and not (url.scheme == "http" and host in allow_private):
        raise BlockedError(f"`{host}` must be called by https; http is for hosts named in `allow_private`")
    if _NUMBER.fullmatch(host.rpartition(".")[2]) and not _is_plain_ipv4(host):
        raise BlockedError(f"`{host}` is an address in disguise: write a name, or four plain decimal numbers")


def _is_plain_ipv4(host: str) -> bool:
    try:
        return str(ipaddress.IPv4Address(host)) == host
    except ValueError:
        return False


class CheckedTransport(httpx.AsyncBaseTransport):
    """Connects to public addresses, and to the hosts named in `allow_private`, and to nothing else."""

    def __init__(self, allow_private: tuple[str, ...] = (), *, resolver: Resolve = resolve) -> None:
        self._allow_private = frozenset(normal(host) for host in allow_private)
        self._resolve = resolver
        # A connection kept alive is known to the pool by its address alone; two names on one address must not share it.
        self._inner = httpx.AsyncHTTPTransport(trust_env=False, limits=httpx.Limits(max_keepalive_connections=0))

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request to a checked address of its host.

        Raises:
            BlockedError: the host, or one of its addresses, is not allowed.
            httpx.TransportError: it cannot be reached.
        """
        check_url(request.url, self._allow_private)
        host = request.url.host
        port = request.url.port or (443 if request.url.scheme == "https" else 80)
        try:
            addresses = await checked(host, port, self._allow_private, self._resolve)
        except OSError:
            raise httpx.ConnectError(f"`{host}` does not resolve", request=request) from None
        request.extensions = {**request.extensions, "sni_hostname": host}
        request.url = request.url.copy_with(host=addresses[0])
        return await self._inner.handle_async_request(request)

    async def aclose(self) -> None:
        """Close every connection."""
        await self._inner.aclose()


def client(
    allow_private: tuple[str, ...] = (), *, seconds: float = 15, resolver: Resolve = resolve
) -> httpx.AsyncClient:
    """An HTTP client for configured addresses: checked, without redirects, cookies, or proxies from the environment."""
    return httpx.AsyncClient(
        transport=CheckedTransport(allow_private, resolver=resolver),
        follow_redirects=False,
        trust_env=False,
        cookies=CookieJar(DefaultCookiePolicy(allowed_domains=())),  # httpx takes every cookie otherwise
        timeout=seconds,
    )


async def post(
    url: str,
    body: bytes,
    headers: Mapping[str, str],
    allow_private: tuple[str, ...],
    seconds: float,
    resolver: Resolve,
) -> Answer:
    """The answer to one attempt. A redirect is an answer like any other: a failure."""
    try:
        async with client(allow_private, seconds=seconds, resolver=resolver) as http:
            with anyio.fail_after(seconds):
                plain = {"accept-encoding": "identity", **headers}
                async with http.stream("POST", url, content=body, headers=plain) as response:
                    return Answer(_outcome(response.status_code), response.status_code, await _beginning(response))
    except BlockedError as error:
        log.warning("a message was not sent: %s", error)
        return Answer(Outcome.FAILED, 0, str(error))
    except (httpx.HTTPError, httpx.InvalidURL, TimeoutError) as error:
        log.info("an attempt to send a message failed: %s", type(error).__name__)
        return Answer(Outcome.FAILED, 0, f"no answer came: {_why(error)}")


def _outcome(status: int) -> Outcome:
    if status == GONE:
        return Outcome.GONE
    return Outcome.DELIVERED if 200 <= status < 300 else Outcome.FAILED


async def _beginning(response: httpx.Response) -> str:
    """The first bytes of what the receiver said. Only somebody who tests a route reads them."""
    told = b""
    async for chunk in response.aiter_raw():
        told += chunk
        if len(told) >= LONGEST_ANSWER:
            break
    return told[:LONGEST_ANSWER].decode("utf-8", "replace")


def _why(error: Exception) -> str:
    """In our own words: what a library says may quote the address, which is a secret."""
    if isinstance(error, httpx.TimeoutException | TimeoutError):
        return "it took too long"
    if isinstance(error, httpx.ConnectError):
        return "no connection could be made"
    return "the connection broke"
