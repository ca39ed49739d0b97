"""What an authorization server publishes of itself (RFC 8414), fetched with care.

No redirects, bounded in size and time, and never about another issuer than the one that was asked for.
"""

from urllib.parse import urlsplit

import anyio
import httpx

from governance import jsontree
from governance.jsontree import JsonObject, MalformedError

ASK_SECONDS = 10.0
_MOST_BYTES = 256 * 1024


class MetadataError(Exception):
    """What an authorization server publishes cannot be read. The message is ours."""


async def discover(client: httpx.AsyncClient, issuer: str) -> JsonObject:
    """The metadata of an issuer (RFC 8414 section 3, OpenID Connect Discovery section 4).

    Raises:
        MetadataError: there is none that must be believed.
    """
    parts = urlsplit(issuer)
    root, path = f"{parts.scheme}://{parts.netloc}", parts.path.rstrip("/")
    places = (
        f"{root}/.well-known/oauth-authorization-server{path}",
        f"{root}{path}/.well-known/openid-configuration",
        f"{root}/.well-known/openid-configuration{path}",
    )
    problem = MetadataError("it has no metadata")
    for place in dict.fromkeys(places):
        try:
            metadata = await fetch(client, place)
        except MetadataError as error:
            problem = error
            continue
        # RFC 8414 section 3.3: metadata that names another issuer must not be used.
        if metadata.get("issuer") == issuer:
            return metadata
        problem = MetadataError("its metadata names another issuer")
    raise problem


async def fetch(client: httpx.AsyncClient, url: str) -> JsonObject:
    """A JSON object: no redirects, no more than 256 KiB, in no more than 10 s.

    Raises:
        MetadataError: there is none.
    """
    try:
        request = client.build_request("GET", url, headers={"accept": "application/json"})
    except httpx.InvalidURL:
        raise MetadataError("it names no address that could be asked") from None
    status, body = await ask(client, request)
    if status != 200:
        raise MetadataError(f"it answered HTTP {status}")
    return as_document(body)


async def ask(client: httpx.AsyncClient, request: httpx.Request) -> tuple[int, bytes]:
    """The status and the body that a request is answered with.

    Nothing is unpacked: a small answer, packed several times over, would be gigabytes before anybody could count them.

    Raises:
        MetadataError: no answer came, or none that may be held.
    """
    request.headers["accept-encoding"] = "identity"
    body = bytearray()
    try:
        with anyio.fail_after(ASK_SECONDS):
            response = await client.send(request, stream=True)
            try:
                if response.headers.get("content-encoding", "identity").strip().lower() not in ("", "identity"):
                    raise MetadataError("it answered with something packed, which nobody asked for")
                async for chunk in response.aiter_raw():
                    body += chunk
                    if len(body) > _MOST_BYTES:
                        raise MetadataError(f"it answered with more than {_MOST_BYTES} bytes")
            finally:
                await response.aclose()
    except (httpx.HTTPError, httpx.InvalidURL, TimeoutError):
        raise MetadataError("it cannot be reached") from None
    return response.status_code, bytes(body)


def as_document(body: bytes) -> JsonObject:
    """The JSON object that a body is.

    Raises:
        MetadataError: it is none.
    """
    try:
        value = jsontree.parse(body)
    except MalformedError:
        raise MetadataError("it did not answer with JSON") from None
    if not isinstance(value, dict):
        raise MetadataError("it did not answer with a JSON object")
    return value
