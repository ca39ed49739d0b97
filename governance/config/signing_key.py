"""A private key that Wicket signs with, as the configuration holds it: PEM, or a JSON Web Key (RFC 7517).

Pure, and loaded only where a key is configured: it needs the libraries of cryptography.
"""

from dataclasses import dataclass, field
from typing import Any, TypeAlias

import jwt
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from governance import jsontree
from governance.jsontree import JsonObject, MalformedError

PrivateKey: TypeAlias = RSAPrivateKey | EllipticCurvePrivateKey | Ed25519PrivateKey

LEAST_RSA_BITS = 2048
_OF_CURVE = {"secp256r1": "ES256", "secp384r1": "ES384", "secp521r1": "ES512"}
_OF_RSA = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512")
_OF_KIND = {"RSA": "RS256", "EC": "ES256", "OKP": "EdDSA"}


class SigningKeyError(ValueError):
    """A text that is no key to sign with. The message is ours and repeats nothing of it."""


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A private key, and how it is used."""

    algorithm: str
    kid: str
    """Its name at whoever verifies; empty = none."""
    key: PrivateKey = field(repr=False)


def read_signing_key(text: str, kid: str = "") -> SigningKey:
    """The key in `text`.

    Args:
        text: PEM without a password, or a JWK; its `alg` and `kid` hold where it has them.
        kid: its name, where `text` has none.

    Raises:
        SigningKeyError: it is no key that could be used; says why.
    """
    said = _as_jwk(text) if text.lstrip().startswith("{") else {}
    key = _of_jwk(said) if said else _of_pem(text)
    algorithm = jsontree.as_text(said.get("alg"))
    usual = _usual(key)
    if algorithm not in ("", usual) and not (isinstance(key, RSAPrivateKey) and algorithm in _OF_RSA):
        raise SigningKeyError("is a key for an algorithm that does not fit it (`alg`)")
    return SigningKey(algorithm or usual, kid or jsontree.as_text(said.get("kid")), key)


def _usual(key: PrivateKey) -> str:
    """The algorithm that a key is used with unless it says another one."""
    match key:
        case RSAPrivateKey():
            if key.key_size < LEAST_RSA_BITS:
                raise SigningKeyError(f"is an RSA key of less than {LEAST_RSA_BITS} bits")
            return "RS256"
        case EllipticCurvePrivateKey():
            if key.curve.name not in _OF_CURVE:
                raise SigningKeyError("is on a curve that nobody verifies: make one on P-256, P-384 or P-521")
            return _OF_CURVE[key.curve.name]
        case Ed25519PrivateKey():
            return "EdDSA"


def _as_jwk(text: str) -> JsonObject:
    try:
        return jsontree.as_object(jsontree.parse(text.encode()))
    except MalformedError:
        raise SigningKeyError("is no JSON Web Key") from None


def _of_jwk(said: JsonObject) -> PrivateKey:
    kind = jsontree.as_text(said.get("kty"))
    members: dict[str, Any] = {name: value for name, value in said.items() if name not in ("alg", "use", "key_ops")}
    try:
        return _fitting(jwt.PyJWK(members, algorithm=_OF_KIND.get(kind)).key)
    except (jwt.PyJWTError, KeyError, TypeError, UnsupportedAlgorithm, ValueError) as error:
        raise (
            error if isinstance(error, SigningKeyError) else SigningKeyError("is no JSON Web Key to sign with")
        ) from None


def _of_pem(text: str) -> PrivateKey:
    try:
        return _fitting(load_pem_private_key(text.encode(), None))
    except TypeError:
        raise SigningKeyError("is locked with a password: write it without one") from None
    except (UnsupportedAlgorithm, ValueError) as error:
        raise error if isinstance(error, SigningKeyError) else SigningKeyError("is no private key in PEM") from None


def _fitting(key: object) -> PrivateKey:
    if isinstance(key, PrivateKey):
        return key
    raise SigningKeyError("is no private key of RSA, an elliptic curve or Ed25519")
