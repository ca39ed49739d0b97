"""The settings of OAuth: whose tokens are believed by the fronts, and how Wicket gets its own for upstream servers.

Models only, as `models.py`, which they are a part of. What is done with them: `governance/identity` and
`mcp_proxy/credentials`.
"""

from typing import Literal

from pydantic import Field

from governance.config.section import Section

Algorithm = Literal[
    "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"
]  # fmt: skip
"""Signatures that a token may carry: those with a public key only (RFC 8725 section 3.1)."""


class Client(Section):
    """A client that was registered for Wicket at an authorization server, and how Wicket shows that it is it."""

    client_id: str = Field(default="", description="Id of the client that was registered for Wicket.")
    client_secret: str = Field(
        default="", repr=False, description="Its secret: `${ENV}` or `file:PATH`, never the secret itself."
    )
    client_auth: Literal["client_secret_basic", "client_secret_post", "private_key_jwt"] = Field(
        default="client_secret_basic",
        description="What is shown: the secret, in a header or in the body, or a signature by `client_key` (RFC 7523).",
    )
    client_key: str = Field(
        default="",
        repr=False,
        description="Private key of `private_key_jwt`, instead of a secret: `${ENV}` or `file:PATH` with PEM or a JWK. "
        "RSA signs by RS256 unless a JWK says otherwise, P-256 by ES256, Ed25519 by EdDSA.",
    )
    client_key_id: str = Field(
        default="", description="Name (`kid`) under which the public key was registered, if any."
    )


class Introspection(Client):
    """Asking the issuer about each token (RFC 7662), as a client of its own."""

    endpoint: str = Field(default="", description="Where to ask; default: found through the issuer's metadata.")
    cache_seconds: float = Field(
        default=30, ge=0, le=300, description="How long an answer is believed: a token that is revoked works so long."
    )


class Issuer(Section):
    """An authorization server whose access tokens are believed."""

    issuer: str = Field(description="Its identifier, exactly as the `iss` of its tokens; `https://`, or loopback.")
    check: Literal["signature", "introspection"] = Field(
        default="signature",
        description="How its tokens are checked: by their signature (JWT, RFC 9068), or by asking it about each "
        "(RFC 7662). One issuer at most is asked.",
    )
    jwks_url: str = Field(
        default="", description="Where its keys are; default: found through its metadata (RFC 8414, OpenID Connect)."
    )
    algorithms: tuple[Algorithm, ...] = Field(
        default=("RS256", "PS256", "ES256", "EdDSA"), description="Signatures that its tokens may carry."
    )
    claims: dict[Literal["tenant", "team", "agent", "user"], str] = Field(
        default_factory=dict[Literal["tenant", "team", "agent", "user"], str],
        description="Claim that names each of `tenant`, `team`, `agent`, `user`. A token without a claim that is "
        "named here is refused. Default: `agent` is the client, `user` is `sub`.",
    )
    introspection: Introspection = Introspection()


class OAuth(Section):
    """Access tokens instead of gateway keys: both proxies as an OAuth 2.1 resource server. Off without `issuers`."""

    resource: str = Field(
        default="",
        description="Address of the MCP proxy as clients reach it, `https://HOST[:PORT]`. A token for it is good for "
        "everything, one for `RESOURCE/mcp/NAME` for that server only.",
    )
    audiences: tuple[str, ...] = Field(
        default=(), description="Further values of `aud` that are as good as `resource`."
    )
    scopes: tuple[str, ...] = Field(default=(), description="Scopes that every token must have.")
    issuers: tuple[Issuer, ...] = Field(default=(), description="Whose tokens are believed; none unless given.")
    leeway_seconds: float = Field(default=30, ge=0, le=300, description="How far clocks may differ.")
    refresh_seconds: float = Field(default=300, ge=10, description="How often the issuers' keys are read again.")
    stale_seconds: float = Field(
        default=3600, ge=60, description="Keys of an issuer that could not be read for this long are not believed."
    )


class UpstreamAuth(Client):
    """How Wicket itself signs in at an MCP server. A client's own token is never sent there."""

    grant: Literal["authorization_code", "client_credentials", "token_exchange"] | None = Field(
        default=None,
        description="`authorization_code`: a person signs in once (`wicket servers login NAME`); "
        "`client_credentials`: Wicket as itself; `token_exchange`: for each caller, who must come with an access "
        "token (RFC 8693). Default: only `headers`.",
    )
    issuer: str = Field(
        default="",
        description="The authorization server, and the only one to which the client shows itself. Needed with a secret "
        "or key and for `token_exchange`; otherwise the MCP server names it.",
    )
    client_id: str = Field(
        default="", description="Id of the client that was registered for Wicket; default: it registers itself."
    )
    client_metadata_url: str = Field(
        default="",
        description="Address of a client-id metadata document, used as the id where the authorization server takes it.",
    )
    callback_port: int = Field(
        default=8071, ge=0, le=65535, description="Port of 127.0.0.1 at which a sign-in comes back; 0 = any."
    )
    scopes: tuple[str, ...] = Field(
        default=(), description="Scopes to ask for; default: what the MCP server says it needs."
    )
    audience: str = Field(default="", description="`audience` of a token exchange, where the issuer wants one.")
