"""A server that wants a token, an authorization server, and Wicket between them and a caller."""

import contextlib
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import anyio
import httpx2
import jwt
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from governance.audit.log import Journal
from governance.config.models import Config, McpServer
from governance.exchange import Principal
from governance.store import open_store
from governance.vault.store import SqlVault
from mcp_proxy.credentials.authority import open_authority
from mcp_proxy.credentials.credential import Refusal
from mcp_proxy.credentials.exchange import Subjects
from mcp_proxy.credentials.grant import Grant, read_grant
from mcp_proxy.credentials.opening import open_credentials, sdk_client
from mcp_proxy.credentials.person import Answer
from mcp_proxy.link import Era, Server
from mcp_proxy.message import Message
from mcp_proxy.servers import open_servers
from tests.authority import Authority, new_key
from tests.conftest import ManualClock
from tests.mcp_proxy.guarded_upstream import GuardedUpstream
from tests.mcp_proxy.harness import serving
from tests.mcp_proxy.raw_upstream import RawUpstream

MASTER = bytes(range(32))
ANN = Principal("oauth_ann")
SECRET = "client-secret-of-these-tests"
KEY = new_key("client").private
SIGNING: Mapping[str, Any] = {
    "client_id": "wicket",
    "client_auth": "private_key_jwt",
    "client_key": KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode(),
    "client_key_id": "k1",
    "issuer": "ISSUER",
}
"""A client that has a key and no secret."""


def signed_by(form: Mapping[str, str], issuer: str) -> str:
    """The client whose assertion is in a form, once everything about the assertion is as it must be."""
    assert form["client_assertion_type"] == "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
    assert form["auth"] == ""
    assert "client_secret" not in form
    required = {"require": ["iss", "sub", "aud", "exp", "iat", "jti"], "verify_exp": False, "verify_iat": False}
    options: Any = required
    said = jwt.decode(form["client_assertion"], KEY.public_key(), ["ES256"], audience=issuer, options=options)
    assert said["iss"] == said["sub"]
    return str(said["sub"])


class Agreeing:
    """A person who agrees to everything."""

    redirect_uri = "http://127.0.0.1:1/callback"

    def __init__(self) -> None:
        self.visited: list[str] = []
        self.came_back = ""

    async def visit(self, url: str) -> None:
        self.visited.append(url)
        async with httpx2.AsyncClient() as browser:
            self.came_back = (await browser.get(url)).headers["location"]

    async def answer(self) -> Answer:
        found = {name: values[0] for name, values in parse_qs(urlsplit(self.came_back).query).items()}
        return Answer(found["code"], found["state"], found.get("iss"))


@dataclass
class Stage:
    """What a test may look at and change."""

    authority: Authority
    guarded: GuardedUpstream
    entry: McpServer
    config: Config
    vault: SqlVault
    clock: ManualClock
    server: Server
    person: Agreeing = field(default_factory=Agreeing)

    async def sign_in(self, refusal: Refusal | None = None, old: Grant | None = None) -> Grant:
        """As `wicket servers login` does."""
        async with open_authority(self.entry) as http:
            grant = await sdk_client("up", self.entry, http, self.clock).obtain(self.person, refusal, old)
        await self.vault.sign_in("up", grant.as_bytes(), actor="ann")
        return grant

    async def kept(self) -> Grant:
        found = await self.vault.load("up")
        assert found is not None
        return read_grant(found.secret, self.entry.url)

    async def ask(self, principal: Principal = ANN) -> bool:
        """Send one request to the server; returns whether it was answered with a result."""
        return await ask(self.server, principal)

    @property
    def shown(self) -> list[str]:
        return self.guarded.shown


async def ask(server: Server, principal: Principal = ANN) -> bool:
    link = await server.open(principal, Era.LEGACY)
    try:
        reply = await link.send(Message.parse(b'{"jsonrpc":"2.0","id":1,"method":"ping"}'))
        return ["result" in event.message.value async for event in reply.events if event.message] == [True]
    finally:
        await link.close()


@contextlib.asynccontextmanager
async def staged(
    folder: Path, clock: ManualClock, auth: Mapping[str, Any], *, subjects: Subjects | None = None, kind: str = "http",
) -> AsyncGenerator[Stage]:  # fmt: skip
    """The stage of one test, which must be over within 20 seconds. `ISSUER` in `auth` is the authority's address."""
    authority = Authority()
    guarded = GuardedUpstream(authority, RawUpstream(stateful=False))
    with anyio.fail_after(20):
        async with contextlib.AsyncExitStack() as stack:
            authority.url = await stack.enter_async_context(serving(authority.app()))
            guarded.url = f"{await stack.enter_async_context(serving(guarded))}/mcp"
            said = {name: authority.url if value == "ISSUER" else value for name, value in auth.items()}
            config = Config.model_validate({"mcpServers": {"up": {"url": guarded.url, "type": kind, "auth": said}}})
            store = await stack.enter_async_context(open_store(f"sqlite:///{folder}/wicket.db"))
            vault = SqlVault(store, Journal(store, MASTER, clock, writer="test"), clock, MASTER)
            credentials = await stack.enter_async_context(open_credentials(config, clock, vault, subjects))
            servers = await stack.enter_async_context(open_servers(config, clock, lambda: 0.5, credentials=credentials))
            yield Stage(authority, guarded, config.mcp_servers["up"], config, vault, clock, servers["up"])
