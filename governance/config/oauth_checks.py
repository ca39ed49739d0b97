"""What must hold between the settings of OAuth, beyond the type of each one."""

from collections.abc import Iterator
from urllib.parse import urlsplit

from governance.config.addresses import open_address
from governance.config.authorization import OAuth
from governance.config.document import Place

_ADDRESS_MEND = "write `https://HOST/PATH`"
_PLACE: Place = ("identity", "oauth")


def front(oauth: OAuth) -> Iterator[tuple[Place, str, str]]:
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
    for index, scope in enumerate(oauth.scopes):
        if not scope or any(not 0x21 <= ord(one) <= 0x7E or one in '"\\' for one in scope):
            yield (*_PLACE, "scopes", index), "is not one scope", "write each scope as an item of its own"
    yield from _issuers(oauth)


def _issuers(oauth: OAuth) -> Iterator[tuple[Place, str, str]]:
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
        if not one.algorithms:
            yield (*place, "algorithms"), "must not be empty", "leave it out for the usual ones"
