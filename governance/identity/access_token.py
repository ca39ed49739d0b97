"""An access token as a JSON Web Token (RFC 7519, RFC 9068): read, and held to the rules of RFC 8725.

Pure: keys and time are handed in. Where keys come from is `keyring.py`; whom a token stands for, `tokens.py`.
"""

import binascii
import math
from base64 import urlsafe_b64decode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

import jwt
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed448 import Ed448PublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from governance import jsontree
from governance.identity.refusals import TokenError
from governance.identity.shapes import is_jwt
from governance.jsontree import Json, JsonObject, MalformedError

PublicKey: TypeAlias = RSAPublicKey | EllipticCurvePublicKey | Ed25519PublicKey | Ed448PublicKey

FITTING: Mapping[str, tuple[str, str]] = {
    **dict.fromkeys(("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"), ("RSA", "")),
    "ES256": ("EC", "P-256"),
    "ES384": ("EC", "P-384"),
    "ES512": ("EC", "P-521"),
    "EdDSA": ("OKP", ""),
}
"""The kind and curve of the key that an algorithm is used with. What is not here is never accepted: `none`, `HS*`."""

_TYPES = frozenset({"", "jwt", "at+jwt", "application/at+jwt"})
_OF_OTHERS = frozenset({"at_hash", "c_hash", "events"})
"""Claims of ID tokens (OpenID Connect Core section 3.3.2.11) and of security events (RFC 8417)."""
_NOWHERE = TokenError("the access token is not valid here")
_JWS = jwt.PyJWS()


@dataclass(frozen=True, slots=True)
class VerifyingKey:
    """A public key of an issuer, and what it may be used for."""

    kid: str
    kind: str
    """`kty`: `RSA`, `EC` or `OKP`."""
    curve: str
    algorithm: str
    """The only algorithm it may be used with; empty = any that fits it."""
    thumbprint: str
    """SHA-256 of the key as published; tells whether it is still there."""
    key: PublicKey = field(repr=False)

    def fits(self, algorithm: str) -> bool:
        """Whether a token that names `algorithm` may be verified with it."""
        kind, curve = FITTING.get(algorithm, ("-", ""))
        return kind == self.kind and curve in ("", self.curve) and self.algorithm in ("", algorithm)


@dataclass(frozen=True, slots=True)
class Unverified:
    """What a token says of itself before anything is believed: only good for finding the key."""

    issuer: str
    algorithm: str
    kid: str


def peek(token: str) -> Unverified:
    """What a token says of itself.

    Raises:
        TokenError: it is no token that could be verified, whoever signed it.
    """
    head, body, _ = token.split(".")
    header, claims = _object(head), _object(body)
    kind, algorithm, kid = header.get("typ", ""), header.get("alg"), header.get("kid", "")
    if not isinstance(kind, str) or kind.lower() not in _TYPES:
        raise _NOWHERE
    # Extensions that must be understood (RFC 7515 section 4.1.11): we understand none.
    if "crit" in header or "b64" in header or not isinstance(algorithm, str) or algorithm not in FITTING:
        raise _NOWHERE
    if not kind.lower().endswith("at+jwt") and _OF_OTHERS & claims.keys():
        raise TokenError("this is another kind of token than an access token")
    issuer = claims.get("iss")
    if not isinstance(kid, str) or not isinstance(issuer, str) or not issuer:
        raise _NOWHERE
    return Unverified(issuer, algorithm, kid)


def named_issuer(token: str) -> str:
    """Who a token says that it is of, before anything is believed; empty where it says nothing that can be read."""
    if not is_jwt(token):
        return ""
    try:
        return jsontree.as_text(_object(token.split(".")[1]).get("iss"))
    except TokenError:
        return ""


def verified(token: str, algorithm: str, keys: Sequence[VerifyingKey]) -> tuple[JsonObject, VerifyingKey]:
    """The claims of a token whose signature one of `keys` made, and that key.

    Raises:
        TokenError: none of them did.
    """
    for key in keys:
        if not key.fits(algorithm):
            continue
        try:
            content = _JWS.decode(token, key.key, algorithms=[algorithm])
        except jwt.PyJWTError:
            continue
        return _as_claims(content), key
    raise _NOWHERE


def expiry(claims: Mapping[str, Json], now: float, leeway: float, *, is_needed: bool = True) -> float:
    """When a token that is in time ends, in seconds since 1970.

    Args:
        claims: what it says.
        now: the time, in the same unit.
        leeway: how far clocks may differ, in seconds.
        is_needed: whether a token must say so; if not, one that does not say never ends.

    Raises:
        TokenError: it has expired, or is from the future, or does not say.
    """
    ends = _moment(claims, "exp")
    if ends is None and is_needed:
        raise TokenError("the access token has no end (`exp`)")
    ends = math.inf if ends is None else ends
    if ends + leeway <= now:
        raise TokenError("the access token has expired")
    for name in ("nbf", "iat"):
        begins = _moment(claims, name)
        if begins is not None and begins - leeway > now:
            raise TokenError(f"the access token is not valid yet (`{name}`)")
    return ends


def listed(claims: Mapping[str, Json], name: str) -> tuple[str, ...]:
    """The texts of a claim that may be one text or a list of them.

    Raises:
        TokenError: it is neither.
    """
    value = claims.get(name)
    items: list[Json] = value if isinstance(value, list) else [] if value is None else [value]
    texts = tuple(one for one in items if isinstance(one, str))
    if len(texts) != len(items):
        raise TokenError(f"the claim `{name}` of the access token is not text")
    return texts


def scopes(claims: Mapping[str, Json]) -> frozenset[str]:
    """What a token may be used for: `scope` (RFC 8693 section 4.2), or `scp` where an issuer calls it that."""
    return frozenset(word for name in ("scope", "scp") for text in listed(claims, name) for word in text.split(" "))


def _moment(claims: Mapping[str, Json], name: str) -> float | None:
    value = claims.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TokenError(f"the claim `{name}` of the access token is not a number")
    return float(value)


def _object(part: str) -> JsonObject:
    try:
        raw = urlsafe_b64decode(part.encode("ascii") + b"=" * (-len(part) % 4))
    except (binascii.Error, ValueError):
        raise _NOWHERE from None
    return _as_claims(raw)


def _as_claims(raw: bytes) -> JsonObject:
    try:
        value = jsontree.parse(raw)
    except MalformedError:
        raise _NOWHERE from None
    if not isinstance(value, dict):
        raise _NOWHERE
    return value
