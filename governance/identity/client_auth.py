"""How Wicket shows an authorization server which of its clients it is: by a secret (RFC 6749), or by a signature.

`private_key_jwt` (RFC 7523, OpenID Connect Core section 9): the private key never leaves this process. Pure, but for
the random id of an assertion; sending is for whoever asks.
"""

import base64
import secrets
from collections.abc import Callable
from datetime import datetime
from urllib.parse import quote

import jwt

from governance.config.authorization import Client
from governance.config.signing_key import SigningKey, read_signing_key

ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
LIFETIME_SECONDS = 60
"""An assertion is made for one request. Clocks may differ by what is left of it."""


class Prover:
    """Shows which client we are.

    Args:
        client: its settings.
        now: tells the time.

    Raises:
        SigningKeyError: its key cannot be used.
    """

    def __init__(self, client: Client, now: Callable[[], datetime]) -> None:
        self._client = client
        self._now = now
        signs = client.client_auth == "private_key_jwt"
        self._key: SigningKey | None = read_signing_key(client.client_key, client.client_key_id) if signs else None

    @property
    def signs(self) -> bool:
        """Whether it shows a signature, and no secret."""
        return self._key is not None

    def form(self, issuer: str) -> dict[str, str]:
        """What a request to `issuer` carries in its form."""
        client = self._client
        if self._key is not None:
            return {"client_id": client.client_id, **self.assertion_form(issuer)}
        if client.client_auth == "client_secret_post":
            return {"client_id": client.client_id, "client_secret": client.client_secret}
        return {}

    def headers(self) -> dict[str, str]:
        """What it carries in its headers."""
        client = self._client
        if client.client_auth != "client_secret_basic":
            return {}
        pair = f"{quote(client.client_id, safe='')}:{quote(client.client_secret, safe='')}"
        return {"authorization": f"Basic {base64.b64encode(pair.encode()).decode()}"}

    def assertion_form(self, issuer: str) -> dict[str, str]:
        """A fresh assertion, as a form carries it (RFC 7523 section 2.2)."""
        return {"client_assertion_type": ASSERTION_TYPE, "client_assertion": self.assertion(issuer)}

    def assertion(self, issuer: str) -> str:
        """A fresh assertion for `issuer` and nobody else: its audience is the identifier of the issuer alone."""
        assert self._key is not None  # noqa: S101 - only asked for where `signs`
        now = int(self._now().timestamp())
        claims = {
            "iss": self._client.client_id,
            "sub": self._client.client_id,
            "aud": issuer,
            "jti": secrets.token_urlsafe(24),
            "iat": now,
            "exp": now + LIFETIME_SECONDS,
        }
        named = {"kid": self._key.kid} if self._key.kid else {}
        return jwt.encode(claims, self._key.key, algorithm=self._key.algorithm, headers=named)
