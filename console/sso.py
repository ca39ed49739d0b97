"""A sign-in by the identity provider, from the button to the person: what the browser holds meanwhile, and once only.

Nothing is written when one begins: all of it is sealed in a cookie of ten minutes, so strangers fill no table. What
comes back counts in the browser that began it, and once. The protocol is `governance/identity/relying_party.py`, the
pages `pages/sign_in.py`.
"""

import hashlib
import hmac
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from console.people import Person
from console.store import SqlLogins
from governance import jsontree
from governance.clock import Clock
from governance.config.oidc import Oidc
from governance.identity.admission import admitted, terms
from governance.identity.flow import Flow
from governance.identity.refusals import SignInError
from governance.jsontree import JsonObject
from governance.seal import Seal, SealError

MINUTES = 10
PURPOSE = "console.sign_in.1"
"""What the key of the seal is grown for."""
CALLBACK = "/console/login/callback"


class Provider(Protocol):
    """The identity provider (`governance.identity.relying_party.RelyingParty`)."""

    settings: Oidc

    async def address(self, flow: Flow, back: str) -> str:
        """Where the browser goes to sign in."""
        ...

    async def claims(self, answer: Mapping[str, str], flow: Flow, back: str) -> JsonObject:
        """Whose sign-in came back."""
        ...


@dataclass(frozen=True)
class SingleSignOn:
    """Signing in by the identity provider.

    Args:
        provider: asked who somebody is.
        seal: closes what the browser keeps, by a key that only this installation has.
        logins: remembers what was used.
        clock: says what is too old.
        base_url: address of the console as people reach it.
    """

    provider: Provider
    seal: Seal = field(repr=False)
    logins: SqlLogins
    clock: Clock
    base_url: str

    @property
    def name(self) -> str:
        """What people call the provider."""
        return self.provider.settings.name

    @property
    def secure(self) -> bool:
        """Whether people reach the console by https."""
        return self.base_url.startswith("https://")

    async def begin(self, target: str) -> tuple[str, str]:
        """Where the browser goes, and what it keeps until it comes back to go on to `target`.

        Raises:
            SignInError: the provider cannot be asked.
        """
        flow = Flow.begin()
        kept: JsonObject = {
            "secret": urlsafe_b64encode(flow.secret).decode(),
            "target": target,
            "until": self.clock.now().timestamp() + MINUTES * 60,
        }
        return await self.provider.address(flow, self._back), self.seal.close(jsontree.dump(kept), PURPOSE)

    async def finish(self, kept: str, answer: Mapping[str, str]) -> tuple[Person, str]:
        """Who came back with `answer`, as what they are let in, and where they wanted to go.

        Raises:
            SignInError: nobody who is let in.
        """
        flow, target = self._opened(kept)
        if not hmac.compare_digest(answer.get("state", "").encode(), flow.state.encode()):
            raise SignInError("state", "this answer does not belong to the sign-in that this browser began")
        name = hashlib.sha256(flow.state.encode()).hexdigest()
        if not await self.logins.once(name, self.clock.now(), MINUTES * 60):
            raise SignInError("replayed", "this sign-in was used before: sign in again")
        settings = self.provider.settings
        found = admitted(settings, await self.provider.claims(answer, flow, self._back))
        person = Person(
            found.id, found.issuer, found.subject, found.user, found.role, found.tenant, found.team, terms(settings)
        )
        return person, target

    @property
    def _back(self) -> str:
        return self.base_url.rstrip("/") + CALLBACK

    def _opened(self, kept: str) -> tuple[Flow, str]:
        try:
            value = jsontree.as_object(jsontree.parse(self.seal.open(kept, PURPOSE)))
        except (SealError, jsontree.MalformedError):
            raise SignInError("cookie", "this browser began no sign-in, or long ago: sign in again") from None
        until = value.get("until")
        if not isinstance(until, int | float) or until < self.clock.now().timestamp():
            raise SignInError("late", "this sign-in took too long: sign in again")
        secret = urlsafe_b64decode(jsontree.as_text(value.get("secret")))
        return Flow(secret), jsontree.as_text(value.get("target"))
