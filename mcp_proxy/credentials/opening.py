"""Opens the credentials of all servers that Wicket signs in at, and closes what they were got with."""

import contextlib
import importlib
from collections.abc import AsyncGenerator, Mapping
from typing import Protocol

import httpx

from governance.clock import Clock
from governance.config.models import Config, McpServer
from mcp_proxy.credentials.authority import open_authority
from mcp_proxy.credentials.credential import Credential, Refusal
from mcp_proxy.credentials.exchange import Exchanged, Subjects
from mcp_proxy.credentials.grant import Grant
from mcp_proxy.credentials.granted import Granted, OfOurselves, OfPerson, Vault
from mcp_proxy.credentials.person import Person


class Client(Protocol):
    """The OAuth client of one server (`sdk.Client`)."""

    async def obtain(
        self, person: Person | None = None, refusal: Refusal | None = None, old: Grant | None = None
    ) -> Grant:
        """A new grant."""
        ...

    async def renew(self, old: Grant) -> Grant:
        """The successor of a grant."""
        ...


@contextlib.asynccontextmanager
async def open_credentials(
    config: Config, clock: Clock, vault: Vault, subjects: Subjects | None
) -> AsyncGenerator[Mapping[str, Credential]]:
    """What each server is shown, by its name; only those whose `auth` says how to sign in. Nothing is asked for yet.

    Args:
        config: the configuration.
        clock: the only source of time.
        vault: where people's sign-ins are kept.
        subjects: the callers' verified tokens; `None` where nobody comes with one.
    """
    async with contextlib.AsyncExitStack() as stack:
        opened: dict[str, Credential] = {}
        for name, entry in config.mcp_servers.items():
            if entry.auth.grant is not None:
                http = await stack.enter_async_context(open_authority(entry))
                opened[name] = _credential(name, entry, http, clock, vault, subjects)
        yield opened


def sdk_client(name: str, entry: McpServer, http: httpx.AsyncClient, clock: Clock) -> Client:
    """The OAuth client of a server. The SDK is loaded here, because a proxy without such a server does not need it."""
    sdk = importlib.import_module("mcp_proxy.credentials.sdk")
    client: Client = sdk.Client(name, entry, http, clock.now)
    return client


def _credential(
    name: str, entry: McpServer, http: httpx.AsyncClient, clock: Clock, vault: Vault, subjects: Subjects | None
) -> Credential:
    if entry.auth.grant == "token_exchange":
        return Exchanged(name, entry, subjects, http, clock)
    client = sdk_client(name, entry, http, clock)
    if entry.auth.grant == "client_credentials":
        return Granted(name, OfOurselves(client), clock)
    return Granted(name, OfPerson(name, entry.url, vault, client, clock), clock)
