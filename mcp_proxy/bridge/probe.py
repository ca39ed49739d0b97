"""Which era a server speaks, found out by asking it (2026-07-28, "Backwards Compatibility").

The verdict rests on what a server says, never on one error code: a `DiscoverResult` or an error that only a modern
server sends means modern; everything else, and silence on a pipe, means legacy. It remembers nothing.
"""

from dataclasses import dataclass

import anyio

from governance import jsontree
from governance.config.models import Limits
from governance.exchange import Principal
from governance.jsontree import Json, JsonObject
from mcp_proxy.bridge.replies import answer_of, request
from mcp_proxy.eras import VERSION_HEADER
from mcp_proxy.link import Era, Link, Server, UpstreamError, UpstreamTimeoutError, UpstreamUnreachableError
from mcp_proxy.message import Message, result_of
from mcp_proxy.sdk import (
    CLIENT_CAPABILITIES_META_KEY,
    CLIENT_INFO_META_KEY,
    HEADER_MISMATCH,
    LATEST_HANDSHAKE_VERSION,
    LATEST_MODERN_VERSION,
    MISSING_REQUIRED_CLIENT_CAPABILITY,
    PROTOCOL_VERSION_META_KEY,
    UNSUPPORTED_PROTOCOL_VERSION,
    inbound,
)
from mcp_proxy.transports.stdio import SharedLink

DISCOVER = "server/discover"
HEADERS = {VERSION_HEADER: LATEST_MODERN_VERSION, inbound.MCP_METHOD_HEADER: DISCOVER}
"""Of the probe, for transports that have headers."""
GRACE_SECONDS = 1.0
"""How long a server that answered `initialize` may still answer the question that came before it."""
_OURSELVES: JsonObject = {"name": "wicket", "version": "0"}
_HANDSHAKE: JsonObject = {
    "protocolVersion": LATEST_HANDSHAKE_VERSION,
    "capabilities": {},
    "clientInfo": _OURSELVES,
}
_ONLY_MODERN = (HEADER_MISMATCH, MISSING_REQUIRED_CLIENT_CAPABILITY)


def discover_request(request_id: str, capabilities: Json = None, info: Json = None) -> Message:
    """A `server/discover` request for a client with these capabilities and this name."""
    meta: JsonObject = {
        PROTOCOL_VERSION_META_KEY: LATEST_MODERN_VERSION,
        CLIENT_CAPABILITIES_META_KEY: {} if capabilities is None else capabilities,
        CLIENT_INFO_META_KEY: _OURSELVES if info is None else info,
    }
    return request(request_id, DISCOVER, {"_meta": meta})


def is_modern_answer(response: Message) -> bool:
    """Whether a response to `server/discover` (or to `initialize`) shows that its sender speaks the modern revision."""
    if LATEST_MODERN_VERSION in jsontree.as_list(result_of(response).get("supportedVersions")):
        return True
    error = jsontree.as_object(response.value.get("error"))
    if error.get("code") == UNSUPPORTED_PROTOCOL_VERSION:
        supported = jsontree.as_list(jsontree.as_object(error.get("data")).get("supported"))
        return LATEST_MODERN_VERSION in supported
    return error.get("code") in _ONLY_MODERN


async def is_modern(server: Server, principal: Principal, limits: Limits) -> bool:
    """Whether a server speaks the modern revision.

    Args:
        server: asked over a link for modern requests. A process may keep to the era of its first request, so one that
            turns out to be legacy is of no further use and ends, and so does one that was greeted in both eras; any
            other modern one goes on and serves the principal.
        principal: for whom it is opened.
        limits: how long a server may take. A pipe that stays silent is asked by `initialize` too.

    Raises:
        UpstreamError: it cannot be reached.
    """
    link = await server.open(principal, Era.MODERN)
    found = Found(modern=False)
    try:
        if server.transport == "http":
            found = Found(modern=await link_is_modern(link, limits.upstream_seconds))
        else:
            found = await pipe_is_modern(link, limits.connect_seconds)
    finally:
        with anyio.CancelScope(shield=True):
            if isinstance(link, SharedLink) and not (found.modern and found.fresh):
                link.retire("it was only asked for its revision")
            await link.close()
    return found.modern


async def link_is_modern(link: Link, patience: float) -> bool:
    """As `is_modern`, over a link that is open already, to a server that answers what it does not understand.

    Raises:
        UpstreamError: the server cannot be reached, or is silent for longer than `patience` seconds.
    """
    with anyio.move_on_after(patience):
        return await _shows_modern(link, discover_request("wicket-discover"))
    raise UpstreamTimeoutError("the server did not answer `server/discover` in time")


@dataclass(frozen=True)
class Found:
    """What the server at the end of a pipe said."""

    modern: bool
    fresh: bool = True
    """Whether it was asked nothing of the legacy era."""


async def pipe_is_modern(link: Link, patience: float) -> Found:
    """As `link_is_modern`, for a server that may say nothing at all to what it does not understand.

    After `patience` seconds it is asked by `initialize` as well, and still heard on the first question: it may only be
    slow, for example because a package manager fetches it first. A server that answers the second and still says
    nothing to the first has passed that over.

    Raises:
        UpstreamError: the server cannot be reached.
    """
    said: list[bool | UpstreamError] = []
    fresh = True
    async with anyio.create_task_group() as group:
        heard = anyio.Event()

        async def ask(question: Message) -> None:
            try:
                said.append(await _shows_modern(link, question))
            except UpstreamError as error:
                said.append(error)
            heard.set()

        group.start_soon(ask, discover_request("wicket-discover"))
        with anyio.move_on_after(patience):
            await heard.wait()
        if not said:
            fresh = False
            group.start_soon(ask, request("wicket-initialize", "initialize", _HANDSHAKE))
            await heard.wait()
            heard = anyio.Event()
            with anyio.move_on_after(GRACE_SECONDS if said == [False] else 0):
                await heard.wait()
        group.cancel_scope.cancel()
    for one in said:
        if isinstance(one, UpstreamError):
            raise one
    return Found(any(said), fresh)


async def _shows_modern(link: Link, question: Message) -> bool:
    """Whether the answer to a question shows the modern era; what is no message at all does not.

    Raises:
        UpstreamError: the server cannot be reached.
    """
    try:
        return is_modern_answer(await answer_of(link, question, HEADERS))
    except (UpstreamUnreachableError, UpstreamTimeoutError):
        raise
    except UpstreamError:
        return False
