"""How Wicket shows which client it is: what is signed, with which key, and keys that are refused."""

import base64
import json
from datetime import UTC, datetime
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa, x25519

from governance.config.authorization import Client
from governance.config.signing_key import SigningKeyError, read_signing_key
from governance.identity.client_auth import ASSERTION_TYPE, LIFETIME_SECONDS, Prover

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
ISSUER = "https://login.example"


def pem(key: Any, password: bytes | None = None) -> str:
    """A private key as a file holds it."""
    lock = serialization.BestAvailableEncryption(password) if password else serialization.NoEncryption()
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, lock).decode()


EC, RSA = ec.generate_private_key(ec.SECP256R1()), rsa.generate_private_key(public_exponent=65537, key_size=2048)
KEYS: list[tuple[Any, str]] = [
    (EC, "ES256"),
    (ec.generate_private_key(ec.SECP384R1()), "ES384"),
    (ec.generate_private_key(ec.SECP521R1()), "ES512"),
    (RSA, "RS256"),
    (ed25519.Ed25519PrivateKey.generate(), "EdDSA"),
]


def jwk(key: Any, algorithm: str, **more: Any) -> str:
    made: Any = jwt.get_algorithm_by_name(algorithm).to_jwk(key, as_dict=True)
    return json.dumps({**made, **more})


def prover(key: str, **settings: Any) -> Prover:
    said = {"client_id": "wicket", "client_auth": "private_key_jwt", "client_key": key, **settings}
    return Prover(Client.model_validate(said), lambda: NOW)


@pytest.mark.parametrize(("key", "algorithm"), KEYS, ids=[name for _, name in KEYS])
def test_an_assertion_is_signed_for_one_issuer_and_for_a_minute(key: Any, algorithm: str):
    for text in (pem(key), jwk(key, algorithm)):
        shown = prover(text, client_key_id="k1").form(ISSUER)
        assert (shown["client_id"], shown["client_assertion_type"]) == ("wicket", ASSERTION_TYPE)
        assertion = shown["client_assertion"]
        assert jwt.get_unverified_header(assertion) == {"alg": algorithm, "kid": "k1", "typ": "JWT"}
        options: Any = {"verify_exp": False, "verify_iat": False}
        said = jwt.decode(assertion, key.public_key(), [algorithm], audience=ISSUER, options=options)
        now = int(NOW.timestamp())
        assert (said["iss"], said["sub"], said["aud"]) == ("wicket", "wicket", ISSUER)
        assert (said["iat"], said["exp"]) == (now, now + LIFETIME_SECONDS)


def test_no_assertion_is_made_twice():
    made = prover(pem(EC))
    ids = {jwt.decode(made.assertion(ISSUER), options={"verify_signature": False})["jti"] for _ in range(9)}
    assert len(ids) == 9


def test_a_web_key_says_its_own_name_and_algorithm():
    key = read_signing_key(jwk(RSA, "RS256", alg="PS256", kid="own", use="sig", key_ops=["sign"]))
    assert (key.algorithm, key.kid) == ("PS256", "own")
    assert read_signing_key(jwk(RSA, "RS256", kid="own"), "other").kid == "other"


def test_a_key_never_shows():
    key = read_signing_key(pem(EC))
    assert "PRIVATE" not in repr(key) + repr(Client.model_validate({"client_key": pem(EC)}))
    assert "<" not in repr(key)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "no private key in PEM"),
        ("plain words", "no private key in PEM"),
        (pem(EC, b"password"), "locked with a password"),
        (pem(rsa.generate_private_key(public_exponent=65537, key_size=1024)), "less than 2048 bits"),
        (pem(ec.generate_private_key(ec.SECP256K1())), "curve that nobody verifies"),
        (pem(x25519.X25519PrivateKey.generate()), "no private key of RSA"),
        ("{", "no JSON Web Key"),
        ("{}", "no private key in PEM"),
        ('{"kty": "oct", "k": "c2VjcmV0"}', "no private key of RSA"),
        ('{"kty": 7}', "no JSON Web Key to sign with"),
        (jwk(EC, "ES256", alg="ES384"), "does not fit"),
        (jwk(EC, "ES256", alg="HS256"), "does not fit"),
        (jwk(RSA, "RS256", alg="none"), "does not fit"),
        (jwk(EC.public_key(), "ES256"), "no private key of RSA"),
    ],
    ids=range(14),
)
def test_a_text_that_is_no_usable_key_is_refused(text: str, said: str):
    with pytest.raises(SigningKeyError, match=said) as caught:
        read_signing_key(text)
    assert str(caught.value).startswith("is ")


def test_a_secret_is_shown_as_configured():
    secret = {"client_id": "a b", "client_secret": "c:d"}
    basic = Prover(Client.model_validate(secret), lambda: NOW)
    assert (basic.form(ISSUER), basic.signs) == ({}, False)
    sent = basic.headers()["authorization"].removeprefix("Basic ")
    assert base64.b64decode(sent) == b"a%20b:c%3Ad"
    post = Prover(Client.model_validate({**secret, "client_auth": "client_secret_post"}), lambda: NOW)
    assert (post.form(ISSUER), post.headers()) == ({"client_id": "a b", "client_secret": "c:d"}, {})
