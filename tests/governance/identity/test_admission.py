"""From claims to a role, a team and a tenant."""

from typing import Any

import pytest

from governance.config.oidc import Oidc
from governance.identity.admission import admitted, person_id, terms
from governance.identity.keys import KeyRole
from governance.identity.refusals import SignInError
from governance.jsontree import JsonObject

CLAIMS: JsonObject = {"sub": "s-1", "groups": ["dev", "audit"], "level": 3, "realm_access": {"roles": ["boss"]}}


def settings(*people: dict[str, Any], **more: Any) -> Oidc:
    return Oidc.model_validate({"issuer": "https://idp.example", "client_id": "w", "people": list(people), **more})


def test_the_first_rule_that_fits_counts() -> None:
    first = {"match": {"groups": "audit"}, "role": "auditor", "tenant": "*"}
    second = {"match": {"sub": "*"}, "role": "viewer", "tenant": "acme", "team": "core"}
    found = admitted(settings(first, second), CLAIMS)
    assert (found.role, found.tenant, found.team, found.user) == (KeyRole.AUDITOR, "*", "", "s-1")
    found = admitted(settings(second, first), CLAIMS)
    assert (found.role, found.tenant, found.team) == (KeyRole.VIEWER, "acme", "core")


def test_every_claim_of_a_rule_must_fit() -> None:
    both = {"match": {"groups": "audit", "level": "4"}, "role": "admin"}
    with pytest.raises(SignInError):
        admitted(settings(both), CLAIMS)
    assert admitted(settings({"match": {"groups": "audit", "level": "3"}, "role": "admin"}), CLAIMS).tenant == ""


def test_a_claim_inside_others_is_found_by_pointer() -> None:
    inside = {"match": {"/realm_access/roles": "boss"}, "role": "admin"}
    assert admitted(settings(inside), CLAIMS).role is KeyRole.ADMIN
    with pytest.raises(SignInError):
        admitted(settings({"match": {"/realm_access/nothing": "*"}, "role": "admin"}), CLAIMS)


@pytest.mark.parametrize("value", [None, [], {}, "", ["a", "b"], 1.5, "x" * 300, "a\u202eb"])
def test_a_tenant_that_is_no_short_text_is_nobodys(value: Any) -> None:
    rule = {"match": {"sub": "*"}, "role": "viewer"}
    with pytest.raises(SignInError):
        admitted(settings(rule, claims={"tenant": "org"}), {**CLAIMS, "org": value})


def test_one_subject_of_two_issuers_is_two_people() -> None:
    assert person_id("https://a", "s") != person_id("https://b", "s")
    assert person_id("https://a", "bs") != person_id("https://ab", "s")


def test_roles_hold_while_the_rules_do() -> None:
    rule = {"match": {"sub": "*"}, "role": "viewer", "tenant": "acme"}
    assert terms(settings(rule)) == terms(settings(rule, name="another name", client_secret="x"))
    assert terms(settings(rule)) != terms(settings({**rule, "role": "admin"}))
    assert terms(settings(rule)) != terms(settings(rule, claims={"user": "email"}))
    assert terms(Oidc()) == ""
