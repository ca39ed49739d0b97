"""Somebody who comes in by the identity provider, as Wicket remembers them. Where they are kept is `store.py`."""

from dataclasses import dataclass

from governance.identity.keys import KeyRole


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody who signed in."""

    id: str
    """`per_...`, made from issuer and subject."""
    issuer: str
    subject: str
    user: str
    role: KeyRole
    tenant: str
    team: str
    terms: str
    """By which settings the role was given (`governance.identity.admission.terms`)."""
    created_at: str = ""
    signed_in_at: str = ""
    revoked_at: str | None = None

    @property
    def name(self) -> str:
        """How decisions of this person are signed."""
        return f"{self.user} ({self.id})"

    @property
    def standing(self) -> tuple[KeyRole, str, str, str, str]:
        """What ends the sessions of a person when it changes."""
        return self.role, self.tenant, self.team, self.user, self.terms
