"""Tokens that say nothing of themselves: their issuer is asked about each (RFC 7662).

What it says is believed for `cache_seconds` by whoever asked (`tokens.py`); here only tokens that it refused are
remembered, for as long. Whatever goes wrong refuses. A token goes to the one issuer that the configuration names.
"""

import logging
import math
import re
from collections.abc import Mapping

import anyio
import httpx

from governance import jsontree
from governance.clock import Clock
from governance.config.addresses import open_address
from governance.config.authorization import Issuer
from governance.identity.client_auth import Prover
from governance.identity.keys import digest
from governance.identity.metadata import MetadataError, as_document, ask, discover
from governance.identity.refusals import IdentityStaleError, TokenError
from governance.identity.shapes import LONGEST_JWT
from governance.jsontree import Json, JsonObject

log = logging.getLogger(__name__)

MOST_AT_ONCE = 20
"""Questions that are open at an issuer."""
MOST_WAITING = 200
"""Requests that wait to ask; more are answered with 503 at once."""
MOST_REFUSED = 10_000
"""Refused tokens that are remembered; beyond it the oldest are forgotten."""

_SHAPE = re.compile(r"[A-Za-z0-9._~+/-]+=*")
"""RFC 6750 section 2.1."""
_KINDS = frozenset({"", "bearer", "access_token"})
_USES = frozenset({"", "access_token", "access"})
_TYPES = frozenset({"", "bearer", "jwt", "at+jwt"})
_NOWHERE = "the access token is not valid here"
_SILENT = "the issuer of access tokens cannot be asked: try again later"


def is_opaque(token: str) -> bool:
    """Whether a credential may be an access token at all."""
    return len(token) <= LONGEST_JWT and _SHAPE.fullmatch(token) is not None


class Introspection:
    """Asks one issuer.

    Args:
        issuer: who it is.
        client: what it is asked with.
        clock: says how long a refusal holds.
    """

    def __init__(self, issuer: Issuer, client: httpx.AsyncClient, clock: Clock) -> None:
        self.issuer = issuer
        self.cache_seconds = issuer.introspection.cache_seconds
        self._client = client
        self._clock = clock
        self._prover = Prover(issuer.introspection, clock.now)
        self._endpoint = issuer.introspection.endpoint
        self._refused: dict[str, float] = {}
        self._room = anyio.Semaphore(MOST_AT_ONCE)
        self._waiting = 0
        self._is_failing = False

    async def claims(self, token: str) -> JsonObject:
        """What the issuer says of a token that is good.

        Raises:
            TokenError: it is not.
            IdentityStaleError: the issuer does not say.
        """
        if self._clock.monotonic() < self._refused.get(digest(token), -math.inf):
            raise TokenError(_NOWHERE)
        said = await self._asked(token)
        if said.get("active") is not True or not self._is_access_token(said):
            raise TokenError(_NOWHERE)
        return said

    def refuse(self, name: str) -> None:
        """Remember that the token of a digest is not good, so that whoever repeats it makes nobody ask."""
        now = self._clock.monotonic()
        if now < self._refused.get(name, now) or not self.cache_seconds:
            return
        self._refused.pop(name, None)
        self._refused[name] = now + self.cache_seconds
        while len(self._refused) > MOST_REFUSED:
            del self._refused[next(iter(self._refused))]

    def _is_access_token(self, said: Mapping[str, Json]) -> bool:
        """Whether it is an access token of this issuer: refresh tokens are `active` too (RFC 7662 section 4)."""
        kind, use, typ = (jsontree.as_text(said.get(name)).lower() for name in ("token_type", "token_use", "typ"))
        return said.get("iss") in (None, self.issuer.issuer) and kind in _KINDS and use in _USES and typ in _TYPES

    async def _asked(self, token: str) -> JsonObject:
        if self._waiting >= MOST_WAITING:
            raise IdentityStaleError(_SILENT)
        self._waiting += 1
        try:
            async with self._room:
                said = await self._answer(token)
        except MetadataError as error:
            if not self._is_failing:
                log.warning("issuer %s cannot be asked about access tokens: %s", self.issuer.issuer, error)
            self._is_failing = True
            raise IdentityStaleError(_SILENT) from None
        finally:
            self._waiting -= 1
        if self._is_failing:
            log.warning("issuer %s can be asked about access tokens again", self.issuer.issuer)
        self._is_failing = False
        return said

    async def _answer(self, token: str) -> JsonObject:
        form = {"token": token, "token_type_hint": "access_token", **self._prover.form(self.issuer.issuer)}
        headers = {"accept": "application/json", **self._prover.headers()}
        request = self._client.build_request("POST", await self._found(), data=form, headers=headers)
        status, body = await ask(self._client, request)
        if status != 200:
            raise MetadataError(f"it answered HTTP {status}")
        return as_document(body)

    async def _found(self) -> str:
        """Where to ask: as configured, or as the issuer's metadata says (RFC 8414 section 2)."""
        if not self._endpoint:
            metadata = await discover(self._client, self.issuer.issuer)
            endpoint = jsontree.as_text(metadata.get("introspection_endpoint"))
            if what := open_address(endpoint):
                raise MetadataError(f"the `introspection_endpoint` of its metadata {what}")
            self._endpoint = endpoint
        return self._endpoint
