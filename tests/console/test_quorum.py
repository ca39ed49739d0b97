"""Who may decide, and who did, on the page of a ticket and in the API."""

from dataclasses import replace

import httpx

from governance.identity.keys import KeyRole
from governance.verdict import Charter
from tests.approvals.calls import HOLD, tool_call
from tests.console.conftest import Served
from tests.console.test_app import http, ours, signed_in

__all__ = ["http"]

TWO = Charter(("role:approver",), 2, no_self_approval=True)


def held(served: Served, *charters: Charter) -> str:
    async def hold() -> str:
        return (await served.core.desk.hold(tool_call(), replace(HOLD, charters=charters))).ticket

    return served.portal.call(hold)


def bearer(served: Served, user: str, role: KeyRole = KeyRole.APPROVER) -> dict[str, str]:
    return {"authorization": f"Bearer {served.portal.call(lambda: served.core.key(role, user=user))}"}


def test_the_page_shows_how_many_are_wanted_and_who_decided(http: httpx.Client, served: Served) -> None:
    ticket = held(served, TWO)
    http.post(f"/console/api/tickets/{ticket}/approve", json={"reason": "<b>ok</b>"}, headers=bearer(served, "bob"))
    csrf = signed_in(http, served, served.portal.call(lambda: served.core.key(KeyRole.APPROVER, user="zoe")))
    page = http.get(f"/console/approvals/{ticket}").text
    assert "<strong>1 of 2</strong>" in page
    assert "2 of role:approver, not the person whom the caller&#39;s key stands for" in page
    assert "by <strong>bob (key_" in page
    assert "&lt;b&gt;ok&lt;/b&gt;" in page
    found = served.portal.call(served.core.desk.get, ticket)
    assert found is not None
    form = {"csrf": csrf, "digest": found.digest}
    answer = http.post(f"/console/approvals/{ticket}/approve", data=form, headers=ours(served))
    assert answer.status_code == 303
    page = http.get(f"/console/approvals/{ticket}").text
    assert "<strong>2 of 2</strong>" in page
    assert "zoe (key_" in page


def test_whoever_may_not_decide_is_told_why_and_changes_nothing(http: httpx.Client, served: Served) -> None:
    ticket = held(served, TWO)
    for user, role, said in (
        ("Ann", KeyRole.APPROVER, "the call was made for you"),
        ("", KeyRole.APPROVER, "use a key that names its user"),
        ("eve", KeyRole.ADMIN, "the rule wants others to decide: role:approver"),
    ):
        answer = http.post(f"/console/api/tickets/{ticket}/approve", headers=bearer(served, user, role))
        assert (answer.status_code, answer.json()["error"]["code"]) == (403, "not_yours")
        assert said in answer.json()["error"]["message"]
    csrf = signed_in(http, served)
    page = http.get(f"/console/approvals/{ticket}").text
    assert "You cannot approve this: the rule wants others to decide" in page
    found = served.portal.call(served.core.desk.get, ticket)
    assert found is not None
    answer = http.post(
        f"/console/approvals/{ticket}/deny", data={"csrf": csrf, "digest": found.digest}, headers=ours(served)
    )
    assert answer.status_code == 403
    listed = http.get(f"/console/api/tickets/{ticket}", headers=bearer(served, "bob")).json()
    assert (listed["state"], listed["approvals"], listed["quorum"], listed["decisions"]) == ("pending", 0, 2, [])
    assert listed["approvers"] == [{"approvers": ["role:approver"], "quorum": 2, "no_self_approval": True}]


def test_the_installations_own_token_names_nobody(http: httpx.Client, served: Served) -> None:
    ticket = held(served, Charter(no_self_approval=True))
    signed_in(http, served)
    assert "use a key that names its user" in http.get(f"/console/approvals/{ticket}").text


def test_the_api_lists_each_decision(http: httpx.Client, served: Served) -> None:
    ticket, bob = held(served, TWO), bearer(served, "bob")
    answer = http.post(f"/console/api/tickets/{ticket}/approve", json={"reason": "fine"}, headers=bob)
    assert (answer.status_code, answer.json()["state"], answer.json()["approvals"]) == (200, "pending", 1)
    (decision,) = answer.json()["decisions"]
    assert decision["by"].startswith("bob (key_")
    assert (decision["decision"], decision["digest"], decision["reason"]) == (
        "approve",
        answer.json()["digest"],
        "fine",
    )
    again = http.post(f"/console/api/tickets/{ticket}/approve", headers=bob)
    assert "you approved this call already" in again.json()["error"]["message"]
