"""What a person may do whom an identity provider vouches for: from claims to a role, by the rules of the configuration.

Pure. The first rule that fits counts; whom none fits is not let in.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

from governance import jsontree
from governance.config.oidc import Admission, Oidc
from governance.identity.keys import EVERY_TENANT, KeyRole
from governance.identity.refusals import SignInError
from governance.jsontree import Json, JsonObject
from governance.policy.glob import Globs

PREFIX = "per_"
_Named: TypeAlias = Literal["user", "tenant", "team"]
_LONGEST_NAME = 256


@dataclass(frozen=True, slots=True)
class Admitted:
    """Somebody who is let in."""

    id: str
    """Made from issuer and subject: the same for ever, and no other provider can name it."""
    issuer: str
    subject: str
    user: str
    role: KeyRole
    tenant: str
    team: str


def admitted(settings: Oidc, claims: JsonObject) -> Admitted:
    """Who is let in by these claims, and as what.

    Raises:
        SignInError: nobody.
    """
    rule = next((one for one in settings.people if _fits(one, claims)), None)
    if rule is None:
        raise SignInError("nobody", "the identity provider knows you, but nothing here says that you may come in")
    subject = str(claims["sub"])
    user = _named(claims, settings.claims.get("user", "sub"))
    tenant = rule.tenant or _told(claims, settings.claims, "tenant")
    if tenant == EVERY_TENANT != rule.tenant:
        raise SignInError("tenant", "a claim cannot give all tenants")
    if not tenant and rule.role != "admin":
        raise SignInError("tenant", "the identity provider does not say which tenant you are of")
    team = rule.team or _told(claims, settings.claims, "team")
    return Admitted(
        person_id(settings.issuer, subject), settings.issuer, subject, user, KeyRole(rule.role), tenant, team
    )


def person_id(issuer: str, subject: str) -> str:
    """The id of a person, by who vouches for them and what they are to them."""
    return PREFIX + hashlib.sha256(jsontree.canonical([issuer, subject])).hexdigest()[:24]


def terms(settings: Oidc) -> str:
    """A digest of who is let in, and as what: roles given by other rules are good no more. Empty = nobody is."""
    if not settings.issuer:
        return ""
    shape = settings.model_dump(mode="json", include={"issuer", "client_id", "claims", "people"})
    return hashlib.sha256(jsontree.canonical(shape)).hexdigest()


def _fits(rule: Admission, claims: JsonObject) -> bool:
    return all(any(map(Globs(globs).match, _texts(claims, name))) for name, globs in rule.match.items())


def _texts(claims: JsonObject, name: str) -> list[str]:
    """What a claim says, as texts. An address that nobody verified says nothing."""
    if name == "email" and claims.get("email_verified") is not True:
        return []
    value = jsontree.at(claims, name) if name.startswith("/") else claims.get(name)
    items = value if isinstance(value, list) else [value]
    return [_text(one) for one in items if isinstance(one, str | bool | int)]


def _text(value: Json) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _told(claims: JsonObject, names: Mapping[_Named, str], what: _Named) -> str:
    name = names.get(what, "")
    return _named(claims, name) if name and _texts(claims, name) else ""


def _named(claims: JsonObject, name: str) -> str:
    """A claim that must be one short text."""
    texts = _texts(claims, name)
    if len(texts) != 1 or not 0 < len(texts[0]) <= _LONGEST_NAME or not texts[0].isprintable():
        raise SignInError("claims", f"the identity provider does not say `{name}` of you as one short text")
    return texts[0]
