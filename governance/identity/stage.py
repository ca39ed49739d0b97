"""The check that a key is still valid and covers what is being used.

A call that waited for a person is judged by it again, so a key revoked meanwhile does not execute.
"""

import functools
from dataclasses import dataclass

from governance.exchange import Exchange, Phase
from governance.identity.directory import Identity, IdentityStaleError, UnknownKeyError
from governance.policy.glob import Globs
from governance.stage import Thought
from governance.verdict import ALLOWED, Decision, Verdict


@dataclass(eq=False)
class IdentityStage:
    """Refuses what the key behind an exchange does not grant."""

    identity: Identity
    name: str = "identity"

    def judge(self, exchange: Exchange, phase: Phase) -> Thought:
        """Refuse a key that is no longer valid, or a model or server it does not cover."""
        if phase is not Phase.REQUEST:
            return ALLOWED
        return self._renewed(exchange) if self.identity.renews(exchange.principal) else self._granted(exchange)

    async def _renewed(self, exchange: Exchange) -> Verdict:
        try:
            await self.identity.renew(exchange.principal)
        except UnknownKeyError as error:
            return self._deny("identity.key", str(error))
        except IdentityStaleError as error:
            return self._deny("identity.stale", str(error))
        return self._granted(exchange)

    def _granted(self, exchange: Exchange) -> Verdict:
        try:
            grant = self.identity.grant(exchange.principal)
        except UnknownKeyError as error:
            return self._deny("identity.key", str(error))
        except IdentityStaleError as error:
            return self._deny("identity.stale", str(error))
        resource = exchange.resource
        if resource.server and not _globs(grant.servers).match(resource.server):
            return self._deny("identity.server", f"this key does not cover the server `{resource.server}`")
        if resource.model and not _globs(grant.models).match(resource.model):
            return self._deny("identity.model", f"this key does not cover the model `{resource.model}`")
        return ALLOWED

    def _deny(self, rule: str, reason: str) -> Verdict:
        return Verdict(Decision.DENY, by=self.name, rule=rule, reason=reason)


@functools.lru_cache(maxsize=1024)
def _globs(patterns: tuple[str, ...]) -> Globs:
    return Globs(patterns)
