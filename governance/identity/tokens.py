"""Whom an access token stands for, and which tokens were seen to be good.

A token is verified once and remembered by its digest: until it ends, or, where its issuer is asked about each, for a
few seconds. What makes one good is `access_token.py`, whose keys it is held against `keyring.py`; asking is
`introspection.py`. The token itself is kept only where an upstream exchanges it (RFC 8693) or it is asked about again.
"""

import hashlib
import logging
import re
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from weakref import WeakValueDictionary

import anyio

from governance import jsontree
from governance.clock import Clock
from governance.config.authorization import Issuer, OAuth
from governance.exchange import Principal
from governance.identity import access_token, keyring
from governance.identity.introspection import Introspection, is_opaque
from governance.identity.keyring import Keyring
from governance.identity.keys import Grant, digest
from governance.identity.metadata import MetadataError
from governance.identity.refusals import IdentityStaleError, InsufficientScopeError, TokenError, UnknownKeyError
from governance.identity.shapes import PREFIX, is_jwt
from governance.jsontree import Json, JsonObject

log = logging.getLogger(__name__)

MOST = 10_000
"""Tokens, and principals, that are remembered; beyond it the oldest are forgotten, and verified anew."""

_LONGEST_NAME = 256
_SERVER = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_GRANTING = ("aud", "authorization_details", "roles", "groups", "entitlements", "act")
"""Claims that say, besides the scopes, what a token was granted for (RFC 9396, RFC 9068 section 2.2.3, RFC 8693)."""
_VERIFIED: Mapping[str, str] = MappingProxyType(
    {"tenant": "verified", "team": "verified", "agent": "verified", "user": "verified"}
)


@dataclass(frozen=True, slots=True)
class _Known:
    """A token that was verified."""

    name: str
    """Its digest."""
    principal: Principal
    ends: float
    """Seconds since 1970, leeway included."""
    ring: Keyring | None = None
    """The keys it was held against; none, if its issuer was asked."""
    thumbprint: str = ""
    """The key that signed it: once the issuer withdraws it, its tokens are good no more."""
    asked_until: float | None = None
    """When its issuer has to be asked again, by the monotonic clock; `None` = never."""
    token: str = field(default="", repr=False)

    def refuse_unless_good(self, now: float) -> None:
        if self.ends <= now:
            raise TokenError("the access token has expired")
        if self.ring is not None and not self.ring.holds(self.thumbprint):
            raise TokenError("the access token is not valid here")

    def is_good(self, now: float) -> bool:
        try:
            self.refuse_unless_good(now)
        except (TokenError, IdentityStaleError):
            return False
        return True


class Tokens:
    """Every token that may still come.

    Args:
        settings: whose tokens are believed, for what.
        rings: the keys of each issuer whose tokens are signed, by its identifier.
        clock: says what has expired.
        asked: the issuer that is asked about tokens, if one is.
        keep: whether signed tokens themselves are kept, and principals told apart by what theirs were granted for,
            because an upstream exchanges them.
    """

    def __init__(
        self, settings: OAuth, rings: Mapping[str, Keyring], clock: Clock, *,
        asked: Introspection | None = None, keep: bool = False,
    ) -> None:  # fmt: skip
        self._settings = settings
        self.rings = rings
        self._clock = clock
        self._asked = asked
        self._keep = keep
        self._scopes = frozenset(settings.scopes)
        self._everything = frozenset((settings.resource, f"{settings.resource}/", *settings.audiences)) - {"", "/"}
        self._by_digest: dict[str, _Known] = {}
        self._by_principal: dict[str, _Known] = {}
        self._turns: WeakValueDictionary[str, anyio.Lock] = WeakValueDictionary()

    def __len__(self) -> int:
        """How many tokens are remembered."""
        return len(self._by_digest)

    def takes(self, token: str) -> bool:
        """Whether a credential that is no gateway key may be an access token."""
        return is_jwt(token) or (self._asked is not None and is_opaque(token))

    async def recognise(self, token: str) -> Principal:
        """The principal of an access token.

        Raises:
            TokenError: it is not good here.
            InsufficientScopeError: it is, but lacks a scope that is asked of every token.
            IdentityStaleError: the keys of its issuer cannot be read, or the issuer cannot be asked.
        """
        name, now = digest(token), self._clock.now().timestamp()
        known = self._by_digest.get(name)
        if known is None or self._is_old(known):
            known = await self._seen(name, token, now)
        known.refuse_unless_good(now)
        whose = reach(known.principal)
        held = self._by_principal.get(whose)
        if held is None or held.name == name or held.ends < known.ends or not held.is_good(now):
            _remember(self._by_principal, whose, known)
        return known.principal

    async def renew(self, principal: Principal) -> None:
        """Ask again about the token of a principal, where its issuer is asked and was not for too long.

        Raises:
            UnknownKeyError: it is good no more.
            IdentityStaleError: the issuer cannot be asked.
        """
        known = self._by_principal.get(reach(principal))
        if known is not None and self._is_old(known):
            await self.recognise(known.token)

    def grant(self, principal: Principal) -> Grant:
        """What a principal who came with a token may do right now.

        Raises:
            UnknownKeyError: none of the principal's tokens is good any more; says why.
            IdentityStaleError: the keys of its issuer cannot be read.
        """
        self._standing(principal).refuse_unless_good(self._clock.now().timestamp())
        return Grant(models=principal.models, servers=principal.servers)

    def subject_token(self, principal: Principal) -> str:
        """The token that a principal came with, to be exchanged for one of an upstream and for nothing else.

        Raises:
            UnknownKeyError: the principal came without one, or it is not good any more.
        """
        known = self._standing(principal)
        known.refuse_unless_good(self._clock.now().timestamp())
        if not known.token:
            raise UnknownKeyError("the access token is not kept")
        return known.token

    async def run(self) -> None:
        """Keep the issuers' keys fresh. Never returns; owned by the runtime."""
        async with anyio.create_task_group() as group:
            for ring in self.rings.values():
                group.start_soon(self._follow, ring)

    async def _follow(self, ring: Keyring) -> None:
        failing = False
        while True:
            try:
                await ring.refresh()
            except MetadataError as error:
                if not failing:
                    log.warning("the keys of issuer %s cannot be read: %s", ring.issuer.issuer, error)
                failing = True
            else:
                if failing:
                    log.warning("the keys of issuer %s can be read again", ring.issuer.issuer)
                failing = False
            await anyio.sleep(keyring.RETRY_SECONDS if failing else self._settings.refresh_seconds)

    def _is_old(self, known: _Known) -> bool:
        return known.asked_until is not None and known.asked_until <= self._clock.monotonic()

    def _standing(self, principal: Principal) -> _Known:
        known = self._by_principal.get(reach(principal))
        if known is None:
            raise UnknownKeyError("no access token of this principal is known")
        return known

    async def _seen(self, name: str, token: str, now: float) -> _Known:
        """A token that is not known, or not any longer, by its signature or by what its issuer says."""
        issuer = access_token.named_issuer(token)
        ring, asked = self.rings.get(issuer), self._asked
        if ring is not None:
            known = await self._verified(name, ring, token, now)
        elif asked is None or issuer not in ("", asked.issuer.issuer):
            raise TokenError("the access token is not valid here")
        else:
            # Many calls with one token ask once.
            async with self._turns.setdefault(name, anyio.Lock()):
                found = self._by_digest.get(name)
                if found is not None and not self._is_old(found):
                    return found
                try:
                    known = await self._told(name, asked, token, now)
                except TokenError:
                    asked.refuse(name)
                    self._forget(name)
                    raise
                except InsufficientScopeError:
                    self._forget(name)
                    raise
                self._forget(name)
        _remember(self._by_digest, name, known)
        return known

    async def _verified(self, name: str, ring: Keyring, token: str, now: float) -> _Known:
        unverified = access_token.peek(token)
        keys = await ring.candidates(unverified)
        claims, key = access_token.verified(token, unverified.algorithm, keys)
        leeway = self._settings.leeway_seconds
        ends = access_token.expiry(claims, now, leeway) + leeway
        principal = self._principal(ring.issuer, claims)
        return _Known(name, principal, ends, ring, key.thumbprint, token=token if self._keep else "")

    async def _told(self, name: str, asked: Introspection, token: str, now: float) -> _Known:
        until = self._clock.monotonic() + asked.cache_seconds
        claims = await asked.claims(token)
        leeway = self._settings.leeway_seconds
        ends = access_token.expiry(claims, now, leeway, is_needed=False) + leeway
        return _Known(name, self._principal(asked.issuer, claims), ends, asked_until=until, token=token)

    def _forget(self, name: str) -> None:
        known = self._by_digest.pop(name, None)
        if known is not None:
            whose = reach(known.principal)
            held = self._by_principal.get(whose)
            if held is not None and held.name == name:
                del self._by_principal[whose]

    def _principal(self, issuer: Issuer, claims: JsonObject) -> Principal:
        """Whom the claims of a token stand for, once all that is asked of them holds."""
        if claims.get("cnf") is not None:
            # Whoever stole such a token must not be able to use it (RFC 8705, RFC 9449), and no proof is read here.
            raise TokenError("the access token is bound to a key, and no proof of it is taken here")
        models, servers = self._reach(claims)
        if missing := self._scopes - access_token.scopes(claims):
            told = ", ".join(f"`{scope}`" for scope in sorted(missing))
            raise InsufficientScopeError(f"the access token lacks the scope {told}")
        return replace(_principal(issuer, claims, models, servers), rights=_rights(claims) if self._keep else "")

    def _reach(self, claims: JsonObject) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """The models and servers that a token is meant for (RFC 8707, RFC 9068 section 4): its audience, always."""
        audience = access_token.listed(claims, "aud")
        if self._everything.intersection(audience):
            return ("*",), ("*",)
        whole = f"{self._settings.resource}/mcp"
        if whole in audience:
            return (), ("*",)
        named = [one.removeprefix(f"{whole}/") for one in audience if one.startswith(f"{whole}/")]
        servers = tuple(name for name in named if _SERVER.fullmatch(name))
        if not servers:
            raise TokenError("the access token is meant for another resource (`aud`)")
        return (), servers


@asynccontextmanager
async def open_tokens(settings: OAuth, clock: Clock, *, keep: bool = False) -> AsyncGenerator[Tokens | None]:
    """The tokens that `settings` believes in, `None` where it names no issuer. Their keys are kept fresh by `run`."""
    if not settings.issuers:
        yield None
        return
    async with keyring.client() as client:
        signing = [one for one in settings.issuers if one.check == "signature"]
        rings = {one.issuer: Keyring(one, client, clock, settings.stale_seconds) for one in signing}
        asked = [Introspection(one, client, clock) for one in settings.issuers if one.check == "introspection"]
        yield Tokens(settings, rings, clock, asked=asked[0] if asked else None, keep=keep)


def reach(principal: Principal) -> str:
    """Tells a principal's tokens apart by what they are for: one for everything must not stand in for a lesser one."""
    return f"{principal.key_id} {' '.join(principal.servers)} {' '.join(principal.models)} {principal.rights}"


def _rights(claims: JsonObject) -> str:
    """Tells apart what tokens of one principal were granted for. A renewed one says the same."""
    granted: list[Json] = [*sorted(access_token.scopes(claims))]
    return jsontree.digest([granted, *(claims.get(name) for name in _GRANTING)])


def _principal(issuer: Issuer, claims: JsonObject, models: tuple[str, ...], servers: tuple[str, ...]) -> Principal:
    subject = _text(claims, "sub")
    client = next((text for name in ("client_id", "azp") if (text := _optional(claims, name))), "")
    named = {field: _text(claims, claim) for field, claim in issuer.claims.items()}
    # One person in two tenants is two principals: nothing that is kept for the one may serve the other.
    tenant: list[Json] = [named["tenant"]] if "tenant" in named else []
    who = jsontree.canonical([issuer.issuer, subject, client, *tenant])
    return Principal(
        key_id=PREFIX + hashlib.sha256(who).hexdigest()[:24],
        tenant=named.get("tenant", "default"),
        team=named.get("team", ""),
        agent=named.get("agent", client),
        user=named.get("user", subject),
        models=models,
        servers=servers,
        provenance=_VERIFIED,
    )


def _text(claims: Mapping[str, Json], name: str) -> str:
    """A claim that must be there."""
    value = _optional(claims, name)
    if not value:
        raise TokenError(f"the access token does not say `{name}`")
    return value


def _optional(claims: Mapping[str, Json], name: str) -> str:
    value = claims.get(name)
    if value is None:
        return ""
    if not isinstance(value, str) or len(value) > _LONGEST_NAME or not value.isprintable():
        raise TokenError(f"the claim `{name}` of the access token is not a short text")
    return value


def _remember(shelf: dict[str, _Known], name: str, known: _Known) -> None:
    shelf.pop(name, None)
    shelf[name] = known
    while len(shelf) > MOST:
        del shelf[next(iter(shelf))]
