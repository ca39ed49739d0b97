"""Which era a server speaks, found out by asking it (2026-07-28, "Backwards Compatibility").

The verdict rests on what a server says, never on one error code: a `DiscoverResult` or an error that only a modern
server sends means modern; everything else, and silence on a pipe, means legacy. It remembers nothing.
"""

import anyio

from governance import jsontree
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


async def is_modern(server: Server, principal: Principal, patience: float) -> bool:
    """Whether a server speaks the modern revision.

    Args:
        server: asked over a link for modern requests. A process may keep to the era of its first request, so one that
            turns out to be legacy is of no further use and ends; a modern one goes on and serves the principal.
        principal: for whom it is opened.
        patience: seconds after which a pipe that stays silent is asked by `initialize` instead.

    Raises:
        UpstreamError: it cannot be reached.
    """
    link = await server.open(principal, Era.MODERN)
    modern = False
    try:
        modern = await link_is_modern(link, patience, silent=server.transport != "http")
    finally:
        with anyio.CancelScope(shield=True):
            if isinstance(link, SharedLink) and not modern:
                link.retire()
            await link.close()
    return modern


async def link_is_modern(link: Link, patience: float, *, silent: bool) -> bool:
    """As `is_modern`, over a link that is open already.

    Args:
        link: asked.
        patience: as of `is_modern`.
        silent: whether a server that does not understand the question may say nothing at all.

    Raises:
        UpstreamError: the server cannot be reached.
    """
    asked = [discover_request("wicket-discover"), request("wicket-initialize", "initialize", _HANDSHAKE)]
    for question, seconds in zip(asked, (patience, None), strict=True):
        try:
            with anyio.move_on_after(seconds):
                return is_modern_answer(await answer_of(link, question, HEADERS))
        except (UpstreamUnreachableError, UpstreamTimeoutError):
            raise
        except UpstreamError:
            return False  # it answered, but nothing that a modern server would
        if not silent:
            break
    raise UpstreamTimeoutError("the server did not answer `server/discover` in time")
