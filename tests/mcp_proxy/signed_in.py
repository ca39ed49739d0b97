"""The proxy as a protected resource: an authorization server before it, real keys and tokens, a server behind it."""

import contextlib
from collections.abc import AsyncGenerator, Mapping
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import parse_qs, urlsplit

import anyio
import httpx2
from mcp.client.auth import OAuthClientProvider
from mcp.shared.auth import AuthorizationCodeResult, OAuthClientInformationFull, OAuthClientMetadata, OAuthToken
from pydantic import AnyUrl

from governance.clock import SystemClock
from governance.identity.keys import Grant, mint
from mcp_proxy.app import open_app
from mcp_proxy.credentials.opening import open_credentials
from mcp_proxy.link import Server
from mcp_proxy.protected_resource import ProtectedResource
from mcp_proxy.servers import open_servers
from pipeline.border import BadRequestError
from tests.authority import Authority
from tests.mcp_proxy.guarded_upstream import GuardedUpstream
from tests.mcp_proxy.harness import OpenGate, serving
from tests.mcp_proxy.raw_upstream import RawUpstream
from tests.mcp_proxy.real_core import organs_of
from tests.pipeline.world import OPEN_POLICY, World, open_world


class House(NamedTuple):
    """What a test may look at and change."""

    url: str
    world: World
    authority: Authority
    upstream: RawUpstream
    shown: list[str]
    """What the server was shown, where it wants tokens."""
    key: str
    """A gateway key."""
    gate: OpenGate
    refused: list[BadRequestError]
    servers: Mapping[str, Server]

    def at(self, server: str = "up") -> str:
        return f"{self.url}/mcp/{server}"

    def token(self, **claims: Any) -> str:
        return self.authority.token(SystemClock().now(), **({"aud": self.url, "scope": "mcp:use"} | claims))


@contextlib.asynccontextmanager
async def housed(folder: Path, *, exchanges: bool = False, asks: bool = False, **oauth: Any) -> AsyncGenerator[House]:
    """Everything, for one test, which must be over within 30 seconds.

    Args:
        folder: where the database lies.
        exchanges: whether the server wants tokens, which callers' tokens are exchanged for.
        asks: whether the authorization server is asked about tokens.
        oauth: further settings of `identity.oauth`.
    """
    authority, upstream, gate, refused = Authority(), RawUpstream(), OpenGate(), list[BadRequestError]()
    clock = SystemClock()

    late: dict[str, Any] = {}

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await late["app"](scope, receive, send)

    with anyio.fail_after(30):
        async with contextlib.AsyncExitStack() as stack:
            authority.url = await stack.enter_async_context(serving(authority.app()))
            guarded = GuardedUpstream(authority, upstream)
            guarded.url = f"{await stack.enter_async_context(serving(guarded if exchanges else upstream))}/mcp"
            url = await stack.enter_async_context(serving(app))
            client = {"client_id": "wicket", "client_secret": "s"}
            asking = {"check": "introspection", "introspection": {**client, "cache_seconds": 0}} if asks else {}
            issuer = {"issuer": authority.url, **asking}
            believed = {"resource": url, "scopes": ["mcp:use"], "issuers": [issuer], **oauth}
            auth = {"auth": {"grant": "token_exchange", "issuer": authority.url, **client}} if exchanges else {}
            servers = {"up": {"url": guarded.url, "type": "http", **auth}}
            settings: dict[str, Any] = {"identity": {"oauth": believed}, "mcpServers": servers}
            world = await stack.enter_async_context(
                open_world(f"sqlite:///{folder}/wicket.db", folder, clock, OPEN_POLICY, **settings)
            )
            core = world.runtime
            made = mint(Grant(), clock.now())
            await core.keys.add(made.key, actor="test")
            await core.identity.refresh()
            credentials = await stack.enter_async_context(
                open_credentials(core.config, clock, core.vault, core.identity.tokens)
            )
            opened = await stack.enter_async_context(
                open_servers(core.config, clock, lambda: 0.5, credentials=credentials)
            )
            resource = ProtectedResource(core.config.identity.oauth)
            organs = organs_of(core, refused, gate=gate, resource=resource)
            late["app"] = await stack.enter_async_context(open_app(organs, opened))
            yield House(url, world, authority, upstream, guarded.shown, made.token, gate, refused, opened)


class Shelf:
    """An SDK client's storage, in memory."""

    def __init__(self) -> None:
        self.tokens: OAuthToken | None = None
        self.client: OAuthClientInformationFull | None = None

    async def get_tokens(self) -> OAuthToken | None:
        return self.tokens

    async def set_tokens(self, tokens: OAuthToken) -> None:
        self.tokens = tokens

    async def get_client_info(self) -> OAuthClientInformationFull | None:
        return self.client

    async def set_client_info(self, client_info: OAuthClientInformationFull) -> None:
        self.client = client_info


def sdk_sign_in(url: str, shelf: Shelf) -> OAuthClientProvider:
    """The official client's own sign-in, with a person who agrees to everything."""
    visited: list[str] = []

    async def redirect(where: str) -> None:
        async with httpx2.AsyncClient() as browser:
            visited.append((await browser.get(where)).headers["location"])

    async def callback() -> AuthorizationCodeResult:
        found = {name: values[0] for name, values in parse_qs(urlsplit(visited[-1]).query).items()}
        return AuthorizationCodeResult.model_validate(found)

    metadata = OAuthClientMetadata(
        redirect_uris=[AnyUrl("http://127.0.0.1:1/callback")], token_endpoint_auth_method="none", client_name="test"
    )
    return OAuthClientProvider(url, metadata, shelf, redirect, callback)
