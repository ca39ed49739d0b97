"""What a server is shown besides its configured headers, and how a request is carried that shows it.

How a credential is got is for its own file; a client's token is never one.
"""

import io
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import aiohttp
from yarl import URL

from governance.exchange import Principal
from mcp_proxy.link import NO_HEADERS, UpstreamError, UpstreamUnreachableError

_LARGE = 2**20
"""A larger body is written piece by piece, so that other calls get their turn."""


class CredentialError(UpstreamError):
    """There is nothing to show to a server, and trying again will not change that."""


class SignInError(UpstreamUnreachableError):
    """There is nothing to show to a server for now: somebody has to sign in, or its authorization server to answer."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """That a server did not take what it was shown."""

    status: int
    """401 or 403."""
    challenge: str
    """Its `WWW-Authenticate`; empty if it sent none."""


class Credential(Protocol):
    """What is shown to one server."""

    async def headers(self, principal: Principal) -> Mapping[str, str]:
        """The headers for a request on behalf of `principal`, renewed if it is time to.

        Raises:
            UpstreamError: there is nothing to show.
        """
        ...

    async def renewed(self, principal: Principal, shown: Mapping[str, str], refusal: Refusal) -> bool:
        """Whether a request that showed `shown`, and was refused, should be made once more, with other headers.

        Raises:
            UpstreamError: it was refused for good; says why and how to mend it.
        """
        ...


class Nothing:
    """For servers that are shown their configured headers only."""

    async def headers(self, principal: Principal) -> Mapping[str, str]:
        """None."""
        return NO_HEADERS

    async def renewed(self, principal: Principal, shown: Mapping[str, str], refusal: Refusal) -> bool:
        """Never."""
        return False


NOTHING = Nothing()


@dataclass(frozen=True, slots=True)
class Carrier:
    """The process's HTTP client, as one server is asked with it."""

    client: aiohttp.ClientSession
    credential: Credential = NOTHING

    async def request(
        self, principal: Principal, verb: str, url: URL | str, *, headers: Mapping[str, str], data: bytes | None = None,
        **options: Any,
    ) -> aiohttp.ClientResponse:  # fmt: skip
        """One HTTP request without redirects; made once more if the credential was refused and could be renewed.

        Raises:
            UpstreamError: there is nothing to show to the server.
            aiohttp.ClientError, TimeoutError: as the client does.
        """
        shown = await self.credential.headers(principal)
        response = await self._once(verb, url, {**headers, **shown}, data, options)
        if response.status not in (401, 403) or not shown:
            return response
        refusal = Refusal(response.status, ", ".join(response.headers.getall("www-authenticate", [])))
        try:
            again = await self.credential.renewed(principal, shown, refusal)
        except BaseException:
            response.close()
            raise
        if not again:
            return response
        response.close()
        shown = await self.credential.headers(principal)
        return await self._once(verb, url, {**headers, **shown}, data, options)

    async def _once(
        self, verb: str, url: URL | str, headers: Mapping[str, str], data: bytes | None, options: Mapping[str, Any]
    ) -> aiohttp.ClientResponse:
        body = data if data is None or len(data) <= _LARGE else io.BytesIO(data)
        return await self.client.request(verb, url, data=body, headers=headers, allow_redirects=False, **options)
