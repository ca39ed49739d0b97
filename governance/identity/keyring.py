"""The public keys of one issuer: found through its metadata, kept, and read again.

Network only to the addresses that the configuration names or the issuer's own metadata does. A token can make the keys
be read again by naming an unknown one, but never more often than `UNKNOWN_SECONDS`.
"""

import hashlib
import logging
from collections.abc import Mapping, Sequence
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import cast

import anyio
import httpx
import jwt

from governance import jsontree
from governance.clock import Clock
from governance.config.addresses import open_address
from governance.config.authorization import Issuer
from governance.identity.access_token import PublicKey, Unverified, VerifyingKey
from governance.identity.metadata import ASK_SECONDS, MetadataError, discover, fetch
from governance.identity.refusals import IdentityStaleError, TokenError
from governance.jsontree import Json, JsonObject

log = logging.getLogger(__name__)

UNKNOWN_SECONDS = 30.0
"""How often at most a token may make the keys be read again."""
RETRY_SECONDS = 10.0
"""How soon the background reads again after it failed."""
_MOST_KEYS = 100
_LEAST_RSA_BITS = 2048


class Keyring:
    """The keys of one issuer.

    Args:
        issuer: who it is.
        client: what the keys are fetched with.
        clock: says how old they are.
        stale_seconds: how long they are believed without having been read again.
    """

    def __init__(self, issuer: Issuer, client: httpx.AsyncClient, clock: Clock, stale_seconds: float) -> None:
        self.issuer = issuer
        self._client = client
        self._clock = clock
        self._stale_seconds = stale_seconds
        self._keys: Sequence[VerifyingKey] = ()
        self._thumbprints: frozenset[str] = frozenset()
        self._read_at: float | None = None
        self._tried_at: float | None = None
        self._reading = anyio.Lock()

    def holds(self, thumbprint: str) -> bool:
        """Whether the issuer still publishes the key of that thumbprint.

        Raises:
            IdentityStaleError: the keys could not be read for too long.
        """
        self._refuse_stale()
        return thumbprint in self._thumbprints

    async def candidates(self, token: Unverified) -> Sequence[VerifyingKey]:
        """The keys that may have signed a token. Reads the keys again for one that is not known, if it is time to.

        Raises:
            TokenError: the issuer has no such key, or its tokens may not be signed like this.
            IdentityStaleError: the keys could not be read, or not for too long.
        """
        if token.algorithm not in self.issuer.algorithms:
            raise TokenError("the access token is not valid here")
        found = self._named(token.kid)
        if not found or self._is_stale():
            await self._read_if_due()
            found = self._named(token.kid)
        self._refuse_stale()
        if not found:
            raise TokenError("the access token is not valid here")
        return found

    async def refresh(self) -> None:
        """Read the keys now.

        Raises:
            MetadataError: they cannot be read; what was known stays known until it is stale.
        """
        async with self._reading:
            await self._read()

    def _named(self, kid: str) -> Sequence[VerifyingKey]:
        return [key for key in self._keys if key.kid == kid] if kid else self._keys

    async def _read_if_due(self) -> None:
        async with self._reading:
            # Whoever waited here meanwhile finds the keys fresh, or that it is too early to ask again.
            if self._tried_at is not None and self._clock.monotonic() - self._tried_at < UNKNOWN_SECONDS:
                return
            try:
                await self._read()
            except MetadataError as error:
                log.warning("issuer %s: %s", self.issuer.issuer, error)

    async def _read(self) -> None:
        self._tried_at = asked_at = self._clock.monotonic()
        url = self.issuer.jwks_url or await self._found()
        keys = read_keys(await fetch(self._client, url))
        if not keys:
            raise MetadataError("it publishes no key that could be used")
        self._keys, self._read_at = keys, asked_at
        self._thumbprints = frozenset(key.thumbprint for key in keys)

    async def _found(self) -> str:
        """The address of the keys, by the issuer's metadata."""
        url = jsontree.as_text((await discover(self._client, self.issuer.issuer)).get("jwks_uri"))
        if what := open_address(url):
            raise MetadataError(f"the `jwks_uri` of its metadata {what}")
        return url

    def _is_stale(self) -> bool:
        return self._read_at is None or self._clock.monotonic() - self._read_at > self._stale_seconds

    def _refuse_stale(self) -> None:
        if self._is_stale():
            raise IdentityStaleError("the keys of the token's issuer cannot be read: try again later")


def client() -> httpx.AsyncClient:
    """What issuers are asked with: no redirects, no cookies, no proxies from the environment."""
    no_cookies = CookieJar(DefaultCookiePolicy(allowed_domains=()))
    return httpx.AsyncClient(follow_redirects=False, trust_env=False, cookies=no_cookies, timeout=ASK_SECONDS)


def read_keys(document: Mapping[str, Json]) -> Sequence[VerifyingKey]:
    """The keys of a JWK set (RFC 7517 section 5) that signatures can be verified with; others are left out."""
    entries = jsontree.as_list(document.get("keys"))[:_MOST_KEYS]
    return tuple(key for entry in entries if isinstance(entry, dict) and (key := _key(entry)) is not None)


def _key(entry: JsonObject) -> VerifyingKey | None:
    kind, kid, algorithm = (jsontree.as_text(entry.get(name)) for name in ("kty", "kid", "alg"))
    curve = jsontree.as_text(entry.get("crv"))
    operations = jsontree.as_list(entry.get("key_ops"))
    if (
        kind not in ("RSA", "EC", "OKP")
        or entry.get("use", "sig") != "sig"
        or (operations and "verify" not in operations)
    ):
        return None
    usual = {"RSA": "RS256", "OKP": "EdDSA", "EC": {"P-384": "ES384", "P-521": "ES512"}.get(curve, "ES256")}[kind]
    public: JsonObject = {name: entry[name] for name in ("kty", "crv", "x", "y", "n", "e") if name in entry}
    try:
        key = cast("PublicKey", jwt.PyJWK(public, algorithm=usual).key)
    except (jwt.PyJWTError, ValueError, TypeError):
        return None
    if kind == "RSA" and getattr(key, "key_size", 0) < _LEAST_RSA_BITS:
        return None
    thumbprint = hashlib.sha256(jsontree.canonical({**public, "kid": kid, "alg": algorithm})).hexdigest()
    return VerifyingKey(kid, kind, curve, algorithm, thumbprint, key)
