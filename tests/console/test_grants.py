"""Granting more than a call on its page, and revoking it: by forms, by the API, and in a real Chromium."""

from dataclasses import replace
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser, Page, expect

from approvals.grants.grant import Grant
from approvals.ticket import State
from governance.identity.keys import KeyRole
from governance.verdict import Leave, Reach, Verdict
from sessions.killswitch import Scope
from tests.approvals.calls import HOLD, tool_call
from tests.console.conftest import Served
from tests.console.test_app import http, ours, signed_in

__all__ = ["http"]

LEAVE = Leave("ask-before-writing", "a" * 64, Reach.PATTERN, 7200, 50)
ASKS = replace(HOLD, leaves=(LEAVE,))
HOSTILE = '"><script>document.title="owned"</script>\u202e'


def held(served: Served, verdict: Verdict = ASKS, **arguments: Any) -> str:
    async def hold() -> str:
        return (await served.core.desk.hold(tool_call(arguments or None), verdict)).ticket

    return served.portal.call(hold)


def granted(served: Served, *, active: bool = True) -> list[Grant]:
    async def listed() -> list[Grant]:
        return await served.core.grants.listed(served.core.clock.now(), active=active)

    return served.portal.call(listed)


def state_of(served: Served, ticket: str) -> State:
    found = served.portal.call(served.core.desk.get, ticket)
    assert found is not None
    return found.state


def bearer(served: Served, tenant: str = "acme", role: KeyRole = KeyRole.APPROVER) -> dict[str, str]:
    return {"authorization": f"Bearer {served.portal.call(lambda: served.core.key(role, tenant=tenant, user='zoe'))}"}


def test_a_program_grants_lists_and_revokes(http: httpx.Client, served: Served) -> None:
    ticket, zoe = held(served), bearer(served)
    body = {"grant": {"arguments": {"/path": "/tmp/*"}, "minutes": 60, "uses": 3}, "reason": "a build"}
    answer = http.post(f"/console/api/tickets/{ticket}/approve", json=body, headers=zoe)
    assert answer.status_code == 200, answer.text
    assert answer.json()["grant"]["uses"] == 3
    (listed,) = http.get("/console/api/grants", headers=zoe).json()["grants"]
    assert (listed["state"], listed["tool"], listed["uses"], listed["used"]) == ("active", "write_file", 3, 0)
    assert listed["arguments"] == {"/n": 1, "/path": "/tmp/*"}
    assert listed["given_by"].startswith("zoe (key_")
    place = f"/console/api/grants/{listed['id']}"
    assert http.get(place, headers=zoe).json() == listed
    assert http.get(place, headers=bearer(served, "umbrella")).status_code == 404
    assert http.post(f"{place}/revoke", headers=bearer(served, "umbrella")).status_code == 404
    assert http.get(f"{place}/revoke", headers=zoe).status_code == 405
    ended = http.post(f"{place}/revoke", json={"reason": "done"}, headers=zoe).json()
    assert (ended["state"], ended["end_reason"]) == ("ended", "done")
    assert http.post(f"{place}/revoke", headers=zoe).status_code == 409
    assert http.get("/console/api/grants", headers=zoe).json()["grants"] == []
    assert len(http.get("/console/api/grants", params={"all": "1"}, headers=zoe).json()["grants"]) == 1


@pytest.mark.parametrize(
    ("grant", "said"),
    [
        ({"uses": 51}, "give 1 to 50 uses"),
        ({"minutes": 121}, "it must end between now and"),
        ({"arguments": {"/nothing": "x"}}, "has nothing at"),
        ({"for": "ever"}, "`for` is nothing that a grant has"),
    ],
)
def test_what_the_rule_does_not_let_be_granted_changes_nothing(
    http: httpx.Client, served: Served, grant: dict[str, Any], said: str
) -> None:
    ticket = held(served)
    answer = http.post(f"/console/api/tickets/{ticket}/approve", json={"grant": grant}, headers=bearer(served))
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "grant")
    assert said in answer.json()["error"]["message"]
    assert (state_of(served, ticket), granted(served)) == (State.PENDING, [])


def test_a_form_grants_what_it_says(http: httpx.Client, served: Served) -> None:
    ticket = held(served, path="/tmp/a", n=3, deep={"flag": True})
    csrf = signed_in(http, served)
    found = served.portal.call(served.core.desk.get, ticket)
    assert found is not None
    form = {
        "csrf": csrf, "digest": found.current, "grant": "1", "minutes": "60", "uses": "4",
        "mode.0": "exactly", "mode.1": "at_most", "value.1": "5", "mode.2": "pattern", "value.2": "/tmp/*",
    }  # fmt: skip
    both = http.post(f"/console/approvals/{ticket}/approve", data={**form, "once": "1"}, headers=ours(served))
    assert (both.status_code, "tick one of both" in both.text) == (400, True)
    answer = http.post(f"/console/approvals/{ticket}/approve", data=form, headers=ours(served))
    assert answer.status_code == 303, answer.text
    (grant,) = granted(served)
    assert grant.terms.arguments == {"/path": "/tmp/*", "/n": {"le": 5}, "/deep/flag": True}
    assert (grant.terms.session, grant.terms.uses) == (False, 4)
    page = http.get("/console/grants").text
    assert "in any of its sessions" in page
    answer = http.post(f"/console/grants/{grant.id}/revoke", data={"csrf": csrf}, headers=ours(served))
    assert answer.status_code == 303
    assert "Nothing is granted." in http.get("/console/grants").text
    assert http.post(f"/console/grants/{grant.id}/revoke", data={"csrf": "x"}, headers=ours(served)).status_code == 403


@pytest.mark.parametrize(
    ("verdict", "said"),
    [
        (HOLD, "something else than rules of the policy holds this call"),
        (replace(ASKS, leaves=(replace(LEAVE, reach=Reach.ONCE),)), "wants to be asked about each call"),
    ],
)
def test_where_nothing_can_be_granted_the_page_says_why(
    http: httpx.Client, served: Served, verdict: Verdict, said: str
) -> None:
    signed_in(http, served)
    page = http.get(f"/console/approvals/{held(served, verdict)}").text
    assert said in page
    assert 'name="grant"' not in page


def test_nothing_of_a_killed_session_can_be_decided_whoever_killed_it(http: httpx.Client, served: Served) -> None:
    """The kill comes from a process that tells nobody: the ticket is frozen nevertheless."""
    core, ticket = served.core, held(served)
    silent = replace(core.kills, on_kill=None)

    async def kill() -> None:
        await silent.kill(Scope.SESSION, "ses_1", reason="enough", actor="eve")

    served.portal.call(kill)
    tried: list[tuple[str, dict[str, Any]]] = [("approve", {}), ("deny", {}), ("approve", {"grant": {}})]
    for move, body in tried:
        answer = http.post(f"/console/api/tickets/{ticket}/{move}", json=body, headers=bearer(served))
        assert (answer.status_code, answer.json()["error"]["code"]) == (403, "not_yours")
        assert "was stopped" in answer.json()["error"]["message"]
    assert (state_of(served, ticket), granted(served)) == (State.PENDING, [])


@pytest.mark.parametrize("width", [1280, 375])
def test_a_person_grants_and_revokes_in_chromium(served: Served, browser: Browser, width: int) -> None:
    ticket = held(served, path=HOSTILE, n=3)
    page = browser.new_page(viewport={"width": width, "height": 800})
    page.goto(served.link())
    page.wait_for_url(f"{served.url}/console/")
    page.goto(f"{served.url}/console/approvals/{ticket}")
    page.get_by_text("Allow more than this call").click()
    page.get_by_label("also let further calls go unasked").check()
    page.get_by_label("/path", exact=True).select_option("anything")
    page.get_by_label("/n", exact=True).select_option("at most")
    page.get_by_label("what /n may be").fill("9")
    page.get_by_label("For how many further calls").fill("2")
    fits_the_screen(page, width)
    page.get_by_role("button", name="Approve once").click()
    expect(page.locator("[data-terms]")).to_contain_text("this one alone")
    page.get_by_role("link", name="All grants").click()
    row = page.locator("[data-grant]")
    expect(row).to_contain_text("0 of 2")
    fits_the_screen(page, width)
    (grant,) = granted(served)
    assert grant.terms.arguments == {"/n": {"le": 9}, "/path": {"exists": True}}
    page.get_by_role("button", name="Revoke the grant for write_file").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_text("Nothing is granted.")).to_be_visible()
    expect(page.get_by_text("ended").first).to_be_visible()
    assert "owned" not in page.title()
    assert granted(served) == []
    page.close()


def fits_the_screen(page: Page, width: int) -> None:
    page.wait_for_load_state("load")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
