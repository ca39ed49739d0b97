"""The OAuth client of the official SDK, driven by hand: it decides what to ask, and this file sends it.

The SDK's provider is a generator of requests. Those for the authorization server are sent with our own checks
(`authority.py`); the one for the MCP server is never sent: `knock.py` asks what the server wants. Loaded only where a
server needs it, because the SDK takes half a second and 40 MB.
"""

import logging
from collections.abc import Callable
from datetime import datetime
from typing import Any, cast
from urllib.parse import urlencode

import httpx
import httpx2
from mcp.client.auth import OAuthClientProvider, OAuthFlowError, OAuthRegistrationError, OAuthTokenError
from mcp.client.auth.extensions.client_credentials import ClientCredentialsOAuthProvider, PrivateKeyJWTOAuthProvider
from mcp.client.auth.utils import extract_field_from_www_auth, issuers_match
from mcp.shared.auth import (
    AuthorizationCodeResult,
    OAuthClientInformationFull,
    OAuthClientMetadata,
    OAuthMetadata,
    OAuthToken,
    ProtectedResourceMetadata,
)
from pydantic import AnyUrl

from governance import jsontree
from governance.config.addresses import open_address
from governance.config.models import McpServer
from governance.identity.client_auth import Prover
from governance.jsontree import Json, JsonObject
from mcp_proxy.credentials import authority
from mcp_proxy.credentials.credential import CredentialError, Refusal, SignInError
from mcp_proxy.credentials.grant import Grant, times
from mcp_proxy.credentials.knock import knock
from mcp_proxy.credentials.person import Nobody, Person
from mcp_proxy.sdk import LATEST_HANDSHAKE_VERSION

CLIENT_NAME = "Wicket"
_SPOILT = (
    OAuthFlowError, OAuthRegistrationError, OAuthTokenError, ValueError, ArithmeticError, httpx.InvalidURL,
    httpx2.InvalidURL,
)  # fmt: skip
"""What the SDK raises over what servers said: its own errors, and those of bad addresses, numbers and bytes."""
_REFUSED_FOR_GOOD = frozenset({"invalid_grant", "invalid_client", "unauthorized_client"})


class Client:
    """Gets and renews the grant of one server.

    Args:
        name: name of the server in the configuration.
        entry: its settings.
        http: what its authorization server is asked with, from `authority.open_authority`.
        now: tells the time.
    """

    def __init__(self, name: str, entry: McpServer, http: httpx.AsyncClient, now: Callable[[], datetime]) -> None:
        self._name = name
        self._entry = entry
        self._http = http
        self._now = now
        self._prover = Prover(entry.auth, now)

    async def obtain(
        self, person: Person | None = None, refusal: Refusal | None = None, old: Grant | None = None
    ) -> Grant:
        """A new grant: by a person (`authorization_code`), or by ourselves (`client_credentials`).

        Args:
            person: who signs in; nobody, where none is needed.
            refusal: what the server refused a request with; without it the server is asked.
            old: what was granted before, so that the same client is used again and no scope is lost.

        Raises:
            SignInError: it cannot be got now.
            CredentialError: it cannot be got as things are configured.
        """
        return await self._run(self._flow(person or Nobody(), old), refusal, renew=False)

    async def renew(self, old: Grant) -> Grant:
        """The successor of a grant, by its refresh token.

        Raises:
            CredentialError: the authorization server refused for good: somebody has to sign in again.
            SignInError: it cannot be got now.
        """
        return await self._run(self._flow(Nobody(), old), None, renew=True)

    def _flow(self, person: Person, old: Grant | None) -> "_Flow":
        return _Flow(self._name, self._entry, person, old, self._prover)

    async def _run(self, flow: "_Flow", refusal: Refusal | None, *, renew: bool) -> Grant:
        # Never sent: it stands for whatever is sent to the server with the token.
        request = httpx2.Request("POST", self._entry.url, headers={"mcp-protocol-version": LATEST_HANDSHAKE_VERSION})
        if renew:
            flow.provider.context.token_expiry_time = 1.0
        await flow.restore()
        steps = flow.provider.async_auth_flow(request)
        try:
            outgoing = await anext(steps)
            has_knocked = renew
            while outgoing is not request or not has_knocked:
                if outgoing is request:
                    response, has_knocked = await self._challenge(flow, request, refusal), True
                else:
                    response = await self._send(flow, outgoing)
                outgoing = await steps.asend(response)
            if "authorization" not in request.headers:
                raise flow.why_not_renewed()
        except StopAsyncIteration:
            raise CredentialError(f"server `{self._name}` refuses in a way that no sign-in mends") from None
        except _SPOILT as error:
            raise flow.why_not(error) from None
        finally:
            await steps.aclose()
        return flow.grant(self._now())

    async def _challenge(self, flow: "_Flow", request: httpx2.Request, refusal: Refusal | None) -> httpx2.Response:
        """How the server refuses a request without a token. Where `scopes` are configured, it asks for no others."""
        if refusal is None:
            refusal = await knock(self._http, self._name, self._entry)
            flow.is_let_in = refusal is None
            # `auth` says that somebody has to sign in, so a server that asks nobody so far is taken at that word.
            refusal = refusal or Refusal(401, "")
        challenge = refusal.challenge
        if self._entry.auth.scopes:
            found = httpx2.Response(401, headers={"www-authenticate": challenge}, request=request)
            challenge = _with_scopes(found, self._entry.auth.scopes)
        told = {"www-authenticate": challenge} if challenge else {}
        return httpx2.Response(refusal.status, headers=told, request=request)

    async def _send(self, flow: "_Flow", outgoing: httpx2.Request) -> httpx2.Response:
        content = await outgoing.aread()
        if outgoing.method == "POST":
            flow.refuse_other_issuer()
            content += flow.proof()
        headers = {name: value for name, value in outgoing.headers.items() if name.lower() != "content-length"}
        sent = self._http.build_request(outgoing.method, str(outgoing.url), content=content, headers=headers)
        status, body = await authority.send(self._http, self._name, sent)
        flow.error, flow.failed_with = (_error_of(body), status) if status >= 400 else ("", 0)
        return httpx2.Response(status, content=body, headers={"content-type": "application/json"}, request=outgoing)


class _Flow:
    """One use of the SDK's provider, with what it is given and what it learns."""

    def __init__(self, name: str, entry: McpServer, person: Person, old: Grant | None, prover: Prover) -> None:
        self.name = name
        self.error = ""
        """OAuth error that an authorization server answered with last, if it is one we know the words of."""
        self.failed_with = 0
        self.is_let_in = False
        """Whether the server lets everybody in, as far as we asked."""
        self._entry = entry
        self._person = person
        self._old = old
        self._prover = prover
        self._tokens: OAuthToken | None = None
        self._client: OAuthClientInformationFull | None = None
        self.provider = self._provider()

    async def restore(self) -> None:
        """Give the provider what was learnt when the grant was made."""
        if self._old is None:
            return
        context = self.provider.context
        self._tokens = OAuthToken.model_validate(self._old.token)
        if self._entry.auth.grant == "authorization_code" and self._client is None:
            self._client = OAuthClientInformationFull.model_validate(self._old.client)
        if self._old.metadata:
            context.oauth_metadata = OAuthMetadata.model_validate(self._old.metadata)
        if self._old.resource:
            context.protected_resource_metadata = ProtectedResourceMetadata.model_validate(self._old.resource)
            context.auth_server_url = str(context.protected_resource_metadata.authorization_servers[0])

    def refuse_other_issuer(self) -> None:
        """Nothing secret goes to an authorization server that the configuration does not name, where it names one.

        Raises:
            CredentialError: the server named another one.
        """
        wanted, found = self._entry.auth.issuer, self.provider.context.oauth_metadata
        if wanted and (found is None or not issuers_match(str(found.issuer), wanted)):
            raise CredentialError(f"server `{self.name}` names another authorization server than `auth.issuer`")

    def proof(self) -> bytes:
        """What a form for the token endpoint needs besides, to show which client sends it.

        The SDK signs where Wicket comes as itself. Where a person signs in it has no key, so that is done here; the
        audience is the issuer that the configuration names, as `refuse_other_issuer` made sure of.
        """
        found = self.provider.context.oauth_metadata
        if not self._prover.signs or self._entry.auth.grant == "client_credentials" or found is None:
            return b""
        return b"&" + urlencode(self._prover.assertion_form(str(found.issuer))).encode()

    async def signed(self, audience: str) -> str:
        """For the provider: an assertion for an issuer."""
        return self._prover.assertion(audience)

    def why_not_renewed(self) -> CredentialError | SignInError:
        """What to tell when a refresh token was not taken."""
        if self.error in _REFUSED_FOR_GOOD or self.failed_with in (400, 401, 403):
            return CredentialError(
                f"server `{self.name}` needs a person to sign in: run `wicket servers login {self.name}`"
            )
        return SignInError(f"the authorization server of `{self.name}` cannot renew the sign-in now: try again later")

    def why_not(self, error: Exception) -> CredentialError | SignInError:
        """What to tell when a grant was not got. The SDK's own words stay here: they may repeat what was sent."""
        if self.is_let_in:
            return CredentialError(f"server `{self.name}` does not ask anybody to sign in: remove `auth`")
        what = f"`{self.error}`" if self.error else f"HTTP {self.failed_with}" if self.failed_with >= 400 else ""
        said = f" (it answered {what})" if what else ""
        kind = ""
        if isinstance(error, OAuthTokenError):
            kind = "gave no token"
        elif isinstance(error, OAuthRegistrationError):
            kind = "took no registration"
        return CredentialError(
            f"the authorization server of `{self.name}` {kind or 'does not follow the rules of a sign-in'}{said}"
        )

    def grant(self, now: datetime) -> Grant:
        """What was got."""
        context = self.provider.context
        tokens, client = context.current_tokens, context.client_info
        if tokens is None or client is None:
            raise CredentialError(f"the authorization server of `{self.name}` gave no token")
        if not tokens.access_token.isascii() or not tokens.access_token.isprintable():
            raise CredentialError(f"the authorization server of `{self.name}` gave a token that no header can carry")
        token = _plain(tokens)
        ends_at, renew_at = times(token, now)
        # A client of the configuration stays there, with its secret.
        registered = {} if self._entry.auth.client_id else _plain(client)
        return Grant(
            self._entry.url, token, registered, _plain(context.oauth_metadata),
            _plain(context.protected_resource_metadata), ends_at, renew_at,
        )  # fmt: skip

    async def get_tokens(self) -> OAuthToken | None:
        """For the provider: what is kept."""
        return self._tokens

    async def set_tokens(self, tokens: OAuthToken) -> None:
        """For the provider: nothing, because the whole grant is kept at once."""

    async def get_client_info(self) -> OAuthClientInformationFull | None:
        """For the provider: the client that is registered."""
        return self._client

    async def set_client_info(self, client_info: OAuthClientInformationFull) -> None:
        """For the provider: nothing, as `set_tokens`."""

    def _provider(self) -> OAuthClientProvider:
        # Its log repeats what authorization servers answered, which may hold what we sent.
        logging.getLogger("mcp.client.auth").setLevel(logging.CRITICAL + 1)
        auth = self._entry.auth
        scope = " ".join(auth.scopes) or None
        url, issuer = self._entry.url, auth.issuer or None
        if auth.grant == "client_credentials" and auth.client_auth == "private_key_jwt":
            return PrivateKeyJWTOAuthProvider(url, self, auth.client_id, self.signed, scope, issuer)
        if auth.grant == "client_credentials" and auth.client_auth != "private_key_jwt":
            return ClientCredentialsOAuthProvider(
                url, self, auth.client_id, auth.client_secret, auth.client_auth, scope, issuer
            )
        method = auth.client_auth if auth.client_secret or auth.client_key else "none"
        redirects = [AnyUrl(self._person.redirect_uri)]
        if auth.client_id:
            self._client = OAuthClientInformationFull(
                client_id=auth.client_id,
                client_secret=auth.client_secret or None,
                redirect_uris=redirects,
                token_endpoint_auth_method=method,
            )
        metadata = OAuthClientMetadata(
            redirect_uris=redirects,
            token_endpoint_auth_method=None if not auth.client_id else method,
            client_name=CLIENT_NAME,
            scope=scope,
        )
        return OAuthClientProvider(
            self._entry.url, metadata, self, self._visit, self._answer, auth.client_metadata_url or None
        )

    async def _visit(self, url: str) -> None:
        found = self.provider.context.oauth_metadata
        # Specification, "Authorization Code Protection": without PKCE by S256 a sign-in must not go on.
        if found is None or "S256" not in (found.code_challenge_methods_supported or []):
            raise CredentialError(f"the authorization server of `{self.name}` does not offer PKCE with S256")
        self.refuse_other_issuer()
        if what := open_address(url.partition("?")[0]):
            raise CredentialError(f"the address at which to sign in at `{self.name}` {what}")
        await self._person.visit(url)

    async def _answer(self) -> AuthorizationCodeResult:
        found = await self._person.answer()
        return AuthorizationCodeResult(code=found.code, state=found.state, iss=found.iss)


def _plain(model: Any) -> JsonObject:
    return {} if model is None else cast("JsonObject", model.model_dump(mode="json", exclude_none=True))


def _error_of(body: bytes) -> str:
    """The OAuth error in a body, if it is a plain word (RFC 6749 section 5.2)."""
    try:
        value: Json = jsontree.parse(body)
    except jsontree.MalformedError:
        return ""
    word = jsontree.as_text(jsontree.as_object(value).get("error"))
    return word if word.replace("_", "").isalpha() and word.isascii() and len(word) <= 40 else ""


def _with_scopes(response: httpx2.Response, scopes: tuple[str, ...]) -> str:
    """The challenge of a response with other scopes in it."""
    parts = [f'scope="{" ".join(scopes)}"']
    for name, found in (
        ("resource_metadata", extract_field_from_www_auth(response, "resource_metadata")),
        ("error", extract_field_from_www_auth(response, "error")),
    ):
        if found:
            parts.append(f'{name}="{found}"')
    return f"Bearer {', '.join(parts)}"
