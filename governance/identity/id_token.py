"""An ID token (OpenID Connect Core section 2): whose it is, once all that must hold of it holds.

Pure: keys and time are handed in. Signatures are verified as those of access tokens (`access_token.py`); the rules of
the claims are Authlib's. An access token is none: it says nothing of who sits at the browser.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, cast

import jwt
from authlib.oidc.core import CodeIDToken
from joserfc.errors import JoseError

from governance.identity import access_token
from governance.identity.access_token import FITTING, Unverified, VerifyingKey
from governance.identity.refusals import SignInError, TokenError
from governance.jsontree import JsonObject

LONGEST = 16_384
LEEWAY_SECONDS = 30
_TYPES = frozenset({"", "jwt"})
_WORDS: Mapping[str, str] = MappingProxyType(
    {
        "iss": "is of another issuer",
        "aud": "is for another client",
        "azp": "is for another client",
        "nonce": "does not belong to this sign-in",
        "exp": "has expired",
        "nbf": "is not valid yet",
        "iat": "is from the future",
        "at_hash": "does not belong to the access token beside it",
    }
)


@dataclass(frozen=True, slots=True)
class Asked:
    """What was asked for, to which the answer is held."""

    issuer: str
    client_id: str
    nonce: str


def peek(token: str, issuer: str) -> tuple[Unverified, Mapping[str, Any]]:
    """What a token says of its signature before anything is believed, and its whole header.

    Raises:
        SignInError: it is no ID token that could be verified.
    """
    try:
        header = jwt.get_unverified_header(token) if len(token) <= LONGEST else {}
    except jwt.PyJWTError:
        header = {}
    kind, algorithm, kid = header.get("typ", ""), header.get("alg"), header.get("kid", "")
    if not isinstance(algorithm, str) or algorithm not in FITTING or "crit" in header or "b64" in header:
        raise SignInError("unsigned", "the identity provider gave no ID token that is signed by a public key")
    if not isinstance(kind, str) or kind.lower() not in _TYPES or not isinstance(kid, str):
        raise SignInError("kind", "the identity provider gave another kind of token than an ID token")
    return Unverified(issuer, algorithm, kid), header


def claims_of(
    token: str, header: Mapping[str, Any], keys: Sequence[VerifyingKey], asked: Asked, *, access: str, now: float
) -> JsonObject:
    """The claims of an ID token that is good here.

    Args:
        token: the token.
        header: its header, as `peek` gave it.
        keys: the issuer's keys that may have signed it.
        asked: what was asked for.
        access: the access token that came with it; empty = none.
        now: the time, in seconds since 1970.

    Raises:
        SignInError: says which rule it breaks, and never what it holds.
    """
    try:
        claims, _ = access_token.verified(token, str(header["alg"]), keys)
    except TokenError:
        raise SignInError("signature", "the ID token is not signed by the identity provider") from None
    told = CodeIDToken(
        cast("dict[str, Any]", claims),
        dict(header),
        options={
            "iss": {"essential": True, "value": asked.issuer},
            "aud": {"essential": True, "value": asked.client_id},
        },
        params={"nonce": asked.nonce, "client_id": asked.client_id, "access_token": access},
    )
    try:
        told.validate(now=int(now), leeway=LEEWAY_SECONDS)
    except JoseError as error:
        name = str(getattr(error, "claim", "") or ("exp" if error.error == "expired_token" else ""))
        words = _WORDS.get(name, "does not say what it must")
        raise SignInError(name or "claims", f"the ID token {words}") from None
    if not isinstance(claims.get("sub"), str) or not claims["sub"]:
        raise SignInError("sub", "the ID token does not say whose it is")
    return claims
