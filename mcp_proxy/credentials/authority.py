"""Requests to authorization servers: only over HTTPS, and never to an address inside that nobody configured.

An MCP server names the authorization server itself, so whoever runs one could make us call anything. Hosts that the
configuration names may be private; all others must be public. The checks are those of webhooks.
"""

from urllib.parse import urlsplit

import httpx

from approvals.webhook.transport import BlockedError, client
from governance.config.addresses import open_address
from governance.config.models import McpServer
from governance.identity.metadata import ASK_SECONDS, MetadataError, ask
from mcp_proxy.credentials.credential import SignInError


def open_authority(entry: McpServer) -> httpx.AsyncClient:
    """A client for the authorization server of `entry`."""
    hosts = {urlsplit(address).hostname or "" for address in (entry.url, entry.auth.issuer) if address}
    return client(tuple(hosts), seconds=ASK_SECONDS)


async def send(http: httpx.AsyncClient, name: str, request: httpx.Request) -> tuple[int, bytes]:
    """The status and the body that a request is answered with.

    Args:
        http: from `open_authority`.
        name: name of the server, for the message.
        request: what to send.

    Raises:
        SignInError: it must not be sent, or nobody answered.
    """
    if what := open_address(str(request.url)):
        raise SignInError(f"server `{name}` names an authorization server whose address {what}")
    try:
        return await ask(http, request)
    except BlockedError:
        raise SignInError(
            f"server `{name}` names an authorization server inside your network: set `auth.issuer` if it is meant"
        ) from None
    except MetadataError as error:
        raise SignInError(f"the authorization server of `{name}` did not help: {error}") from None
