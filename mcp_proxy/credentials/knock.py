"""Asking a server without a token, only to be told what it wants: as a client of either era would begin."""

import contextlib
from collections.abc import Iterator, Mapping

import httpx

from governance import jsontree
from governance.config.models import McpServer
from governance.jsontree import JsonObject
from mcp_proxy.credentials.authority import BlockedError
from mcp_proxy.credentials.credential import Refusal, SignInError
from mcp_proxy.sdk import (
    CLIENT_CAPABILITIES_META_KEY,
    CLIENT_INFO_META_KEY,
    LATEST_HANDSHAKE_VERSION,
    LATEST_MODERN_VERSION,
    PROTOCOL_VERSION_META_KEY,
)

SESSION = "mcp-session-id"
_REFUSED = (401, 403)
_US: JsonObject = {"name": "wicket", "version": "0"}
_INITIALIZE: JsonObject = {"protocolVersion": LATEST_HANDSHAKE_VERSION, "capabilities": {}, "clientInfo": _US}
_META: JsonObject = {
    PROTOCOL_VERSION_META_KEY: LATEST_MODERN_VERSION,
    CLIENT_CAPABILITIES_META_KEY: {},
    CLIENT_INFO_META_KEY: _US,
}


async def knock(http: httpx.AsyncClient, name: str, entry: McpServer) -> Refusal | None:
    """How a server refuses whoever has no token; `None` if it lets everybody in, at least so far.

    Some servers answer `initialize` to everybody and refuse what follows it, so that is asked too.

    Raises:
        SignInError: it cannot be reached.
    """
    session = ""
    for method, headers, params in _openings():
        found = {**headers, **({SESSION: session} if session else {})}
        response = await _ask(http, name, entry, found, {"jsonrpc": "2.0", "id": "knock", "method": method, **params})
        if response.status_code in _REFUSED:
            return Refusal(401, ", ".join(response.headers.get_list("www-authenticate")))
        session = response.headers.get(SESSION, session)
    if session:
        with contextlib.suppress(httpx.HTTPError):
            await http.delete(entry.url, headers={SESSION: session, **entry.headers})
    return None


def _openings() -> Iterator[tuple[str, Mapping[str, str], JsonObject]]:
    old = {"mcp-protocol-version": LATEST_HANDSHAKE_VERSION}
    yield "initialize", old, {"params": _INITIALIZE}
    yield "tools/list", old, {}
    new = {"mcp-protocol-version": LATEST_MODERN_VERSION, "mcp-method": "tools/list"}
    yield "tools/list", new, {"params": {"_meta": _META}}


async def _ask(
    http: httpx.AsyncClient, name: str, entry: McpServer, headers: Mapping[str, str], message: JsonObject
) -> httpx.Response:
    usual = {"content-type": "application/json", "accept": "application/json, text/event-stream"}
    sent = http.build_request(
        "POST", entry.url, content=jsontree.dump(message), headers={**usual, **headers, **entry.headers}
    )
    try:
        response = await http.send(sent, stream=True)
        await response.aclose()
    except (httpx.HTTPError, BlockedError):
        raise SignInError(f"server `{name}` cannot be reached") from None
    return response
