"""The client that the suite starts for scenarios about OAuth: the official SDK's, in front of it the whole MCP proxy.

`python -m tests.conformance.oauth_client URL`. The suite's server is Wicket's upstream, so what the suite sees of OAuth
is Wicket's own client. The official client knows nothing of OAuth here: it comes with a gateway key. Who signs in, and
signs in again when a server wants more scope, is `Persistent`, as a person with `wicket servers login` would.
"""

import json
import os
import sys
import tempfile
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import anyio
import httpx2
from mcp.client import Client
from mcp.client.streamable_http import streamable_http_client

from governance.audit.log import Journal
from governance.clock import SystemClock
from governance.config.models import Config, Limits, McpServer
from governance.exchange import Principal
from governance.store import open_store
from governance.vault.store import SqlVault
from mcp_proxy.app import Organs, open_app
from mcp_proxy.credentials.authority import open_authority
from mcp_proxy.credentials.challenge import wanted_scope
from mcp_proxy.credentials.credential import Credential, CredentialError, Refusal
from mcp_proxy.credentials.grant import Grant
from mcp_proxy.credentials.opening import open_credentials, sdk_client
from mcp_proxy.credentials.person import Answer
from mcp_proxy.servers import open_servers
from pipeline.border import BadRequestError
from tests.mcp_proxy.harness import OpenGate, OpenKills, SeenTools, TwoKeys, serving

MASTER = bytes(range(32))
ARGUMENTS: Mapping[str, dict[str, Any]] = {"add_numbers": {"a": 5, "b": 3}}
MODERN = "2026-07-28"


class Agreeing:
    """A person who agrees to everything."""

    redirect_uri = "http://localhost:3000/callback"

    def __init__(self) -> None:
        self.came_back = ""

    async def visit(self, url: str) -> None:
        async with httpx2.AsyncClient() as browser:
            self.came_back = (await browser.get(url)).headers.get("location", "")

    async def answer(self) -> Answer:
        found = {name: values[0] for name, values in parse_qs(urlsplit(self.came_back).query).items()}
        if "code" not in found:
            raise CredentialError("the sign-in was refused")
        return Answer(found["code"], found.get("state", ""), found.get("iss"))


class Persistent:
    """A person beside a credential who signs in when told to, and once for each request that wants more scope."""

    def __init__(self, inner: Credential, entry: McpServer, vault: SqlVault) -> None:
        self._inner = inner
        self._entry = entry
        self._vault = vault
        self._grant: Grant | None = None
        self._more = 0

    async def headers(self, principal: Principal) -> Mapping[str, str]:
        try:
            return await self._inner.headers(principal)
        except CredentialError:
            await self._sign_in(None)
            return await self._inner.headers(principal)

    async def renewed(self, principal: Principal, shown: Mapping[str, str], refusal: Refusal) -> bool:
        try:
            return await self._inner.renewed(principal, shown, refusal)
        except CredentialError:
            if wanted_scope(refusal) and self._more >= 2:
                raise
            self._more += bool(wanted_scope(refusal))
            await self._sign_in(refusal)
            await self._inner.renewed(principal, shown, Refusal(401, ""))
            return True

    async def _sign_in(self, refusal: Refusal | None) -> None:
        async with open_authority(self._entry) as http:
            client = sdk_client("up", self._entry, http, SystemClock())
            self._grant = await client.obtain(Agreeing(), refusal, self._grant)
        await self._vault.sign_in("up", self._grant.as_bytes(), actor="suite")


def entry_of(url: str, scenario: str) -> McpServer:
    """How the suite's server is configured for a scenario."""
    context = json.loads(os.environ.get("MCP_CONFORMANCE_CONTEXT") or "{}")
    auth: dict[str, Any] = {
        "grant": "client_credentials" if "client-credentials" in scenario else "authorization_code",
        "client_metadata_url": "https://conformance-test.local/client-metadata.json",
        **{name: context[name] for name in ("client_id", "client_secret") if name in context},
    }
    if "private_key_pem" in context:
        auth |= {"client_auth": "private_key_jwt", "client_key": context["private_key_pem"]}
    return McpServer.model_validate({"url": url, "type": "http", "auth": auth})


@asynccontextmanager
async def proxied(entry: McpServer, folder: Path) -> AsyncGenerator[str]:
    """The address of the MCP proxy before the suite's server."""
    clock = SystemClock()
    config = Config.model_validate({"mcpServers": {"up": entry}})

    async def record(path: str, problem: BadRequestError) -> None:
        sys.stderr.write(f"refused: {path} {problem}\n")

    organs = Organs(OpenGate(), OpenKills(), SeenTools(), TwoKeys(), clock, Limits(), ("127.0.0.1",), record)
    async with open_store(f"sqlite:///{folder}/wicket.db") as store:
        vault = SqlVault(store, Journal(store, MASTER, clock, writer="suite"), clock, MASTER)
        async with open_credentials(config, clock, vault, None) as credentials:
            helped = {name: Persistent(one, entry, vault) for name, one in credentials.items()}
            async with (
                open_servers(config, clock, lambda: 0.5, credentials=helped) as servers,
                open_app(organs, servers) as app,
                serving(app) as url,
            ):
                yield f"{url}/mcp/up"


async def play(url: str, scenario: str, mode: Any) -> None:
    """Play one scenario against the suite's server at `url`."""
    with tempfile.TemporaryDirectory() as folder, anyio.fail_after(60):
        async with (
            proxied(entry_of(url, scenario), Path(folder)) as front,
            httpx2.AsyncClient(headers={"authorization": "Bearer wk_alice"}, timeout=60) as http,
            Client(streamable_http_client(front, http_client=http), mode=mode) as client,
        ):
            for tool in (await client.list_tools()).tools:
                await client.call_tool(tool.name, ARGUMENTS.get(tool.name, {}))


def main() -> None:
    """Play the scenario that the environment names."""
    version = os.environ.get("MCP_CONFORMANCE_PROTOCOL_VERSION", "")
    mode = MODERN if version >= MODERN else "legacy"
    anyio.run(play, sys.argv[-1], os.environ["MCP_CONFORMANCE_SCENARIO"], mode)


if __name__ == "__main__":
    main()
