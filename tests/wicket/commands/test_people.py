"""`wicket people`: who came in by the identity provider, shutting somebody out, and letting them in again."""

from collections.abc import Awaitable, Callable

import pytest

from console.people import Person
from governance.audit.query import Wanted, find
from governance.identity.keys import KeyRole
from tests.wicket.conftest import Wicket, in_office
from wicket.office import Office

ANN = Person("per_1", "https://idp.test", "s-1", "ann", KeyRole.APPROVER, "acme", "core", "t")


async def comes(office: Office) -> bool:
    return await office.people.came(ANN)


def told(tag: str) -> Callable[[Office], Awaitable[list[tuple[object, object]]]]:
    async def read(office: Office) -> list[tuple[object, object]]:
        found = await find(office.store, Wanted(event_types=(tag,)))
        return [(one.fields["key_id"], one.fields.get("reason")) for one in found]

    return read


@pytest.mark.usefixtures("installed")
def test_somebody_is_listed_shut_out_and_let_in_again(wicket: Wicket) -> None:
    assert wicket("people", "list", "--json").json == []
    assert in_office(comes)
    (row,) = wicket("people", "list", "--json").json
    assert (row["id"], row["state"], row["role"], row["tenant"]) == ("per_1", "let in", "approver", "acme")
    assert wicket("people", "revoke", "per_1", "--reason", "left").code == 0
    assert wicket("people", "revoke", "per_1").code != 0
    assert not in_office(comes)
    assert wicket("people", "list", "--json").json[0]["state"] == "shut out"
    assert wicket("people", "restore", "per_1").code == 0
    assert in_office(comes)
    assert in_office(told("person.revoked")) == [("per_1", "left")]
    assert len(in_office(told("person.restored"))) == 1


@pytest.mark.usefixtures("installed")
def test_somebody_who_never_came_cannot_be_shut_out(wicket: Wicket) -> None:
    said = wicket("people", "revoke", "per_9")
    assert (said.code != 0, "wicket people list" in said.err) == (True, True)


@pytest.mark.usefixtures("installed")
def test_all_tenants_are_for_people_and_never_for_an_agent(wicket: Wicket) -> None:
    assert wicket("keys", "create", "--tenant", "*").code == 2
    assert wicket("keys", "create", "--role", "auditor", "--tenant", "*").code == 0
