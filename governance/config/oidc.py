"""The settings of signing in at the console by an identity provider (OpenID Connect), and what must hold between them.

What is done with them: `governance/identity/relying_party.py` and `governance/identity/admission.py`.
"""

from collections.abc import Iterator
from typing import Annotated, Literal, TypeAlias

from pydantic import BeforeValidator, Field, StrictStr

from governance.config import oauth_checks
from governance.config.addresses import open_address
from governance.config.authorization import Algorithm, Client
from governance.config.document import Place
from governance.config.oauth_checks import Complaint
from governance.config.section import Section


def _as_list(value: object) -> object:
    return [value] if isinstance(value, str) else value


_Globs: TypeAlias = Annotated[tuple[StrictStr, ...], BeforeValidator(_as_list), Field(min_length=1)]
_PLACE: Place = ("console", "oidc")


class Admission(Section):
    """Who is let in, and as what."""

    match: dict[str, _Globs] = Field(
        description="Claims that must all be there, each with one of the given values or globs. A claim inside others "
        "is a JSON pointer (`/realm_access/roles`). `email` counts only where the provider says that it verified it.",
        min_length=1,
    )
    role: Literal["viewer", "approver", "auditor", "admin"] = Field(description="What they may do.")
    tenant: str = Field(default="", description="Their tenant; `*` = all. Default: what `claims.tenant` says.")
    team: str = Field(default="", description="Their team. Default: what `claims.team` says, if anything.")


class Oidc(Client):
    """Signing in by an identity provider. Off without `issuer`."""

    issuer: str = Field(default="", description="Its identifier, exactly as the `iss` of its tokens.")
    name: str = Field(default="single sign-on", description="What people call it; stands on the button.")
    client_auth: Literal["client_secret_basic", "client_secret_post", "private_key_jwt", "none"] = Field(  # type: ignore[assignment]
        default="client_secret_basic",
        description="What is shown to it: the secret, in a header or in the body, a signature by `client_key`, or "
        "nothing by a public client (`none`). PKCE is used always.",
    )
    scopes: tuple[str, ...] = Field(default=("openid", "profile", "email"), description="What is asked for.")
    algorithms: tuple[Algorithm, ...] = Field(
        default=("RS256", "PS256", "ES256", "EdDSA"), description="Signatures that its ID tokens may carry."
    )
    userinfo: bool = Field(
        default=True,
        description="Ask its userinfo endpoint, if it has one, for claims that the ID token does not hold.",
    )
    claims: dict[Literal["user", "tenant", "team"], str] = Field(
        default_factory=dict[Literal["user", "tenant", "team"], str],
        description="Claim that names each of `user`, `tenant`, `team`. Default: `user` is `sub`. The user is who "
        "counts where a rule wants different people, or somebody other than the caller's person.",
    )
    people: tuple[Admission, ...] = Field(
        default=(), description="Who is let in; the first that fits counts, and whom none fits is not let in."
    )


def problems(oidc: Oidc, base_url: str) -> Iterator[Complaint]:
    """What is wrong with how people sign in: where, what, and how to mend it."""
    if not oidc.issuer:
        if oidc.model_fields_set:
            yield (*_PLACE, "issuer"), "is missing", "name the identity provider, or remove `oidc`"
        return
    if what := open_address(oidc.issuer):
        yield (*_PLACE, "issuer"), what, "write `https://HOST/PATH`"
    if not base_url:
        what = "is missing, and the identity provider sends people back to it"
        yield ("approvals", "base_url"), what, "write the address of the console, `https://HOST`"
    elif what := open_address(base_url):
        yield ("approvals", "base_url"), what, "write `https://HOST`, as people reach the console"
    yield from _client(oidc)
    if "openid" not in oidc.scopes:
        yield (*_PLACE, "scopes"), "must hold `openid`", "add it: without it there is no ID token"
    if not oidc.people:
        yield (*_PLACE, "people"), "lets nobody in", "add who is let in, and as what"
    for index, one in enumerate(oidc.people):
        if one.role != "admin" and not one.tenant and "tenant" not in oidc.claims:
            what = "is missing, and no claim names it"
            yield (*_PLACE, "people", index, "tenant"), what, "write a tenant, `*` for all, or `claims.tenant`"


def _client(oidc: Oidc) -> Iterator[Complaint]:
    if not oidc.client_id:
        yield (*_PLACE, "client_id"), "is missing", "write the id of the client that was registered for Wicket"
    if oidc.client_auth == "none":
        if oidc.client_secret or oidc.client_key:
            yield (*_PLACE, "client_auth"), "shows neither a secret nor a signature", "keep one of them"
    else:
        yield from oauth_checks.client(oidc, _PLACE, needs_proof=True)
