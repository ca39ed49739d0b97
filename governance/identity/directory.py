"""Who is asking: from the key or access token on a request to the principal it stands for.

All keys are held in memory and read again every second, so that the database is never on the way of a request. It
does not judge what the principal may do; that is `stage.py`.
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Protocol

import anyio

from governance.clock import Clock
from governance.config.addresses import is_loopback
from governance.config.models import Identity as Settings
from governance.exchange import Principal
from governance.identity.keys import LONGEST_TOKEN, Grant, Key, KeyRole, KeyStore, digest
from governance.identity.refusals import IdentityStaleError, InsufficientScopeError, TokenError, UnknownKeyError
from governance.identity.shapes import OURS, PREFIX

__all__ = [
    "ADMINISTRATOR", "ANONYMOUS", "Identity", "IdentityStaleError", "InsufficientScopeError", "TokenError",
    "UnknownKeyError",
]  # fmt: skip

log = logging.getLogger(__name__)

REFRESH_SECONDS = 1.0
ANONYMOUS = "local"
"""Key id of requests without a key, where the configuration lets them in."""
ADMINISTRATOR = "admin"
"""Key id of the admin token in the state directory."""

_VERIFIED: Mapping[str, str] = MappingProxyType(
    {"tenant": "verified", "team": "verified", "agent": "verified", "user": "verified"}
)
_USER_ASSERTED: Mapping[str, str] = MappingProxyType({**_VERIFIED, "user": "client_asserted"})
_UNVERIFIED: Mapping[str, str] = MappingProxyType(dict.fromkeys(_VERIFIED, "client_asserted"))


class AccessTokens(Protocol):
    """The access tokens that are believed (`tokens.py`, loaded where the configuration names an issuer)."""

    def takes(self, token: str) -> bool:
        """Whether a credential that is no gateway key may be a token."""
        ...

    async def recognise(self, token: str) -> Principal:
        """The principal of a token."""
        ...

    async def renew(self, principal: Principal) -> None:
        """Make sure that what is known of a principal's token is not too old."""
        ...

    def grant(self, principal: Principal) -> Grant:
        """What a principal who came with a token may do right now."""
        ...

    def subject_token(self, principal: Principal) -> str:
        """The token that a principal came with, to be exchanged."""
        ...

    async def run(self) -> None:
        """Keep the issuers' keys fresh. Never returns."""
        ...


@dataclass(eq=False)
class Identity:
    """Every key, by its digest and by its id.

    Args:
        store: the table of keys.
        clock: says what has expired, and how old the knowledge is.
        settings: whether requests without a key may come in, and how long old knowledge holds.
        admin_token: the token of the installation's own administrator; empty = there is none.
        tokens: access tokens, where the configuration names an issuer of them.
    """

    store: KeyStore
    clock: Clock
    settings: Settings
    admin_token: str = field(default="", repr=False)
    tokens: AccessTokens | None = None
    _by_digest: Mapping[str, Key] = field(default_factory=dict[str, Key], init=False, repr=False)
    _by_id: Mapping[str, Key] = field(default_factory=dict[str, Key], init=False, repr=False)
    _read_at: float | None = field(default=None, init=False, repr=False)

    async def refresh(self) -> None:
        """Read every key again, now. What cannot be read raises, and what was known stays known."""
        asked_at = self.clock.monotonic()
        keys = await self.store.all()
        if self.admin_token:
            keys.append(_administrator(self.admin_token, self.clock))
        self._by_digest = {key.digest: key for key in keys}
        self._by_id = {key.id: key for key in keys}
        self._read_at = asked_at

    async def run(self) -> None:
        """Keep the keys fresh. Never returns; owned by the runtime."""
        failing = False
        while True:
            try:
                await self.refresh()
            except Exception as error:  # noqa: BLE001 - whatever broke, the last known keys hold until they are stale
                if not failing:
                    log.warning("keys cannot be read (%s); the last known ones hold for now", type(error).__name__)
                failing = True
            else:
                if failing:
                    log.warning("keys can be read again")
                failing = False
            await anyio.sleep(REFRESH_SECONDS)

    def key(self, token: str) -> Key:
        """The valid key of a token, whatever its role.

        Raises:
            UnknownKeyError: there is none, or it is revoked or expired.
            IdentityStaleError: the keys could not be read for too long.
        """
        self._refuse_stale()
        known = self._by_digest.get(digest(token)) if 0 < len(token) <= LONGEST_TOKEN else None
        if known is None or known.refusal(self.clock.now()):
            raise UnknownKeyError("no valid key: send a gateway key from `wicket keys create`")
        return known

    def person(self, token: str) -> Key:
        """The valid key of a person, whatever they may do: of anybody but an agent.

        Raises:
            UnknownKeyError, IdentityStaleError: as `key`; also for the key of an agent.
        """
        known = self.key(token)
        if known.grant.role is KeyRole.AGENT:
            raise UnknownKeyError("an agent's key cannot decide or look: use the key of a person")
        return known

    async def recognise(self, token: str | None, *, peer: str = "", user: str = "") -> Principal:
        """The principal that a request comes from, whether it carries a gateway key or an access token.

        Args:
            token: the key or access token on the request; `None` where it carries none at all.
            peer: as `principal`.
            user: as `principal`; the person whom an access token names is not changed by a header.

        Raises:
            UnknownKeyError, IdentityStaleError: as `principal`, or as `AccessTokens.recognise`.
        """
        if token is not None and self.tokens is not None and not self._is_ours(token) and self.tokens.takes(token):
            return await self.tokens.recognise(token)
        return self.principal(token, peer=peer, user=user)

    def renews(self, principal: Principal) -> bool:
        """Whether a principal's credential is an access token, of which `renew` must be asked before `grant`."""
        return self.tokens is not None and principal.key_id.startswith(PREFIX)

    async def renew(self, principal: Principal) -> None:
        """Make sure that what is known of the access token behind a principal is not too old.

        Raises:
            UnknownKeyError, IdentityStaleError: as `AccessTokens.recognise`.
        """
        if self.tokens is not None and self.renews(principal):
            await self.tokens.renew(principal)

    def principal(self, token: str | None, *, peer: str = "", user: str = "") -> Principal:
        """The principal of a gateway key.

        Args:
            token: the key on the request; `None` where it carries none at all.
            peer: address of the client, as the socket knows it.
            user: value of the trusted header `settings.header_user`, where one is configured.

        Raises:
            UnknownKeyError: no key, or none that is valid for agents. A wrong key never falls back to anonymous.
            IdentityStaleError: the keys could not be read for too long.
        """
        asserted = user[:256] if self.settings.header_user else ""
        if token is None:
            if not (self.settings.anonymous and is_loopback(peer)):
                raise UnknownKeyError("no key: send a gateway key as `Authorization: Bearer wk_...`")
            return Principal(ANONYMOUS, user=asserted, provenance=_UNVERIFIED)
        known = self.key(token)
        if known.grant.role is not KeyRole.AGENT:
            raise UnknownKeyError("this key is for people: use the key of an agent")
        grant = known.grant
        return Principal(
            key_id=known.id,
            tenant=grant.tenant,
            team=grant.team,
            agent=grant.agent,
            user=asserted or grant.user,
            models=grant.models,
            servers=grant.servers,
            provenance=_USER_ASSERTED if asserted else _VERIFIED,
        )

    def grant(self, principal: Principal) -> Grant:
        """What the key or token behind a principal grants right now, which may be less than when the request came in.

        Raises:
            UnknownKeyError: the key is no longer valid; says why.
            IdentityStaleError: the keys could not be read for too long.
        """
        if self.tokens is not None and principal.key_id.startswith(PREFIX):
            return self.tokens.grant(principal)
        self._refuse_stale()
        if principal.key_id == ANONYMOUS and self.settings.anonymous:
            return Grant()
        known = self._by_id.get(principal.key_id)
        refusal = "this key is not known" if known is None else known.refusal(self.clock.now())
        if known is None or refusal:
            raise UnknownKeyError(refusal)
        return known.grant

    def _is_ours(self, token: str) -> bool:
        """Whether a credential is, or looks like, a key or token of Wicket: no issuer is ever asked about one."""
        return token.startswith(OURS) or digest(token) in self._by_digest

    def _refuse_stale(self) -> None:
        if self._read_at is None or self.clock.monotonic() - self._read_at > self.settings.stale_seconds:
            raise IdentityStaleError("keys cannot be read: try again later")


def _administrator(token: str, clock: Clock) -> Key:
    return Key(ADMINISTRATOR, digest(token), Grant(KeyRole.ADMIN, user=ADMINISTRATOR), clock.now())
