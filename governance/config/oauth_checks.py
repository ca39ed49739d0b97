"""What must hold between the settings of OAuth, beyond the type of each one."""

import importlib
from collections.abc import Collection, Iterator, Sequence
from typing import TypeAlias
from urllib.parse import urlsplit

from governance.config.addresses import open_address
from governance.config.authorization import Client, Issuer, OAuth, UpstreamAuth
from governance.config.document import Place

Complaint: TypeAlias = tuple[Place, str, str]
"""Where, what is wrong, and how to mend it."""

_ADDRESS_MEND = "write `https://HOST/PATH`"
_PLACE: Place = ("identity", "oauth")


def front(oauth: OAuth) -> Iterator[Complaint]:
    """What is wrong with whose tokens are believed: where, what, and how to mend it."""
    if not oauth.issuers:
        if oauth.resource or oauth.audiences or oauth.scopes:
            yield (*_PLACE, "issuers"), "names nobody whose tokens are believed", "add an issuer, or remove `oauth`"
        return
    if what := open_address(oauth.resource):
        yield (*_PLACE, "resource"), what, "write `https://HOST`, as clients reach the MCP proxy"
    elif oauth.resource.partition("://")[2] != urlsplit(oauth.resource).netloc:
        yield (*_PLACE, "resource"), "must have no path and no `/` at its end", "write `https://HOST`"
    for index, audience in enumerate(oauth.audiences):
        if not audience.strip():
            yield (*_PLACE, "audiences", index), "must not be empty", "write the `aud` of the tokens"
    yield from _scopes(oauth.scopes, _PLACE)
    yield from _issuers(oauth)


def _issuers(oauth: OAuth) -> Iterator[Complaint]:
    seen: set[str] = set()
    for index, one in enumerate(oauth.issuers):
        place: Place = (*_PLACE, "issuers", index)
        if what := open_address(one.issuer):
            yield (*place, "issuer"), what, _ADDRESS_MEND
        if one.issuer in seen:
            yield (*place, "issuer"), "is there twice", "keep one of them"
        seen.add(one.issuer)
        if one.jwks_url and (what := open_address(one.jwks_url)):
            yield (*place, "jwks_url"), what, _ADDRESS_MEND
        yield from _asking(one, place)
        if not one.algorithms:
            yield (*place, "algorithms"), "must not be empty", "leave it out for the usual ones"

    asked = [index for index, one in enumerate(oauth.issuers) if one.check == "introspection"]
    for index in asked[1:]:
        what = "is a second issuer that is asked, and a token does not say whose it is"
        yield (*_PLACE, "issuers", index, "check"), what, "let one issuer be asked"


def _asking(issuer: Issuer, place: Place) -> Iterator[Complaint]:
    """What is wrong with how an issuer is asked about tokens."""
    asking, below = issuer.introspection, (*place, "introspection")
    if issuer.check == "introspection":
        yield from client(asking, below, needs_proof=True)
        if asking.endpoint and (what := open_address(asking.endpoint)):
            yield (*below, "endpoint"), what, _ADDRESS_MEND
    elif asking.model_fields_set:
        yield (*place, "check"), "does not ask the issuer", "set it to `introspection`, or remove that section"


def upstream(
    auth: UpstreamAuth, url: str, headers: Collection[str], place: Place, *, has_issuers: bool
) -> Iterator[Complaint]:
    """What is wrong with how Wicket signs in at a server.

    Args:
        auth: the settings.
        url: address of the server; empty for one that is a program.
        headers: names of the headers that are configured for it.
        place: where the settings stand.
        has_issuers: whether callers may come with access tokens at all.
    """
    if auth.grant is None:
        if auth.model_fields_set:
            yield (*place, "grant"), "is missing", "say how to sign in, or remove `auth`"
        return
    if not url:
        yield (*place, "grant"), "is for servers with a `url`", "give a program its secrets by `env`"
    elif what := open_address(url):
        yield (*place[:-1], "url"), what, _ADDRESS_MEND
    if any(name.lower() == "authorization" for name in headers):
        yield (*place, "grant"), "cannot stand beside a header `Authorization`", "keep one of them"
    if auth.issuer and (what := open_address(auth.issuer)):
        yield (*place, "issuer"), what, _ADDRESS_MEND
    metadata = urlsplit(auth.client_metadata_url)
    if auth.client_metadata_url and (metadata.scheme != "https" or metadata.path in ("", "/")):
        yield (*place, "client_metadata_url"), "must be an `https://` address with a path", _ADDRESS_MEND
    yield from _scopes(auth.scopes, place)
    needs_proof = auth.grant in ("client_credentials", "token_exchange")
    yield from client(auth, place, needs_proof=needs_proof)
    if (needs_proof or auth.client_secret or auth.client_key) and not auth.issuer:
        yield (*place, "issuer"), "is missing", "name the authorization server that the client shows itself to"
    if auth.grant == "token_exchange" and not has_issuers:
        yield (*place, "grant"), "needs callers with access tokens", "set `identity.oauth`"


def client(client: Client, place: Place, *, needs_proof: bool) -> Iterator[Complaint]:
    """What is wrong with how Wicket shows which client it is."""
    if (needs_proof or client.client_secret or client.client_key) and not client.client_id:
        yield (*place, "client_id"), "is missing", "write the id of the client that was registered for Wicket"
    if client.client_auth == "private_key_jwt":
        yield from _key(client, place)
    elif client.client_key:
        yield (*place, "client_auth"), "does not use `client_key`", "set it to `private_key_jwt`"
    elif needs_proof and not client.client_secret:
        yield (*place, "client_secret"), "is missing", "write `${NAME}` or `file:PATH`, or sign by `private_key_jwt`"


def _key(client: Client, place: Place) -> Iterator[Complaint]:
    if client.client_secret:
        yield (*place, "client_secret"), "cannot stand beside `private_key_jwt`", "keep one of them"
    if not client.client_key:
        yield (*place, "client_key"), "is missing", "write `${NAME}` or `file:PATH` with a private key"
        return
    # Loaded here, because only whoever signs needs the libraries of cryptography.
    reading = importlib.import_module("governance.config.signing_key")
    try:
        reading.read_signing_key(client.client_key, client.client_key_id)
    except ValueError as error:
        yield (*place, "client_key"), str(error), "write a private key in PEM, or a JSON Web Key"


def _scopes(scopes: Sequence[str], place: Place) -> Iterator[Complaint]:
    for index, scope in enumerate(scopes):
        if not scope or any(not 0x21 <= ord(one) <= 0x7E or one in '"\\' for one in scope):
            yield (*place, "scopes", index), "is not one scope", "write each scope as an item of its own"
