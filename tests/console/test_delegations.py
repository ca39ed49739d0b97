"""Letting another approver decide in one's place: by the form, by the API, and in a real Chromium."""

from dataclasses import replace
from datetime import timedelta

import httpx
from playwright.sync_api import Browser, expect

from governance.identity.keys import KeyRole
from governance.verdict import Charter
from tests.approvals.calls import HOLD, tool_call
from tests.console.conftest import Served
from tests.console.test_app import http, ours, signed_in

__all__ = ["http"]


def key(served: Served, user: str, role: KeyRole = KeyRole.APPROVER, tenant: str = "acme") -> str:
    return served.portal.call(lambda: served.core.key(role, user=user, tenant=tenant))


def bearer(token: str) -> dict[str, str]:
    return {"authorization": f"Bearer {token}"}


def held(served: Served) -> str:
    async def hold() -> str:
        charter = Charter(("user:zoe",))
        return (await served.core.desk.hold(tool_call(), replace(HOLD, charters=(charter,)))).ticket

    return served.portal.call(hold)


def test_a_program_delegates_decides_and_ends_it(http: httpx.Client, served: Served) -> None:
    zoe, bob, stranger = key(served, "zoe"), key(served, "bob"), key(served, "eve", tenant="umbrella")
    ticket = held(served)
    wrong = http.post("/console/api/delegations/give", json={"to": "bob", "until": "soon"}, headers=bearer(zoe))
    assert wrong.status_code == 400
    now = served.core.clock.now()
    past = http.post(
        "/console/api/delegations/give",
        json={"to": "bob", "until": now.isoformat(), "reason": "x"},
        headers=bearer(zoe),
    )
    assert (past.status_code, past.json()["error"]["code"]) == (400, "delegation")
    until = (now + timedelta(hours=1)).isoformat()
    made = http.post(
        "/console/api/delegations/give", json={"to": "bob", "until": until, "reason": "away"}, headers=bearer(zoe)
    )
    assert made.status_code == 200, made.text
    place = f"/console/api/delegations/{made.json()['id']}"
    (listed,) = http.get("/console/api/delegations", headers=bearer(bob)).json()["delegations"]
    assert (listed["active"], listed["to"], listed["reason"]) == (True, "bob", "away")
    assert http.get("/console/api/delegations", headers=bearer(stranger)).json()["delegations"] == []
    assert http.post(f"{place}/end", headers=bearer(stranger)).status_code == 404
    assert http.post(f"{place}/end", headers=bearer(bob)).status_code == 403
    decided = http.post(f"/console/api/tickets/{ticket}/approve", headers=bearer(bob)).json()
    assert decided["state"] == "approved"
    assert decided["decisions"][0]["on_behalf_of"].startswith("zoe (key_")
    assert http.post(f"{place}/end", headers=bearer(zoe)).json()["active"] is False
    assert http.post(f"{place}/end", headers=bearer(zoe)).status_code == 409
    assert http.get("/console/api/delegations", headers=bearer(zoe)).json()["delegations"] == []


def test_a_form_must_be_of_our_own_page(http: httpx.Client, served: Served) -> None:
    key(served, "bob")
    csrf = signed_in(http, served, key(served, "zoe"))
    form = {"csrf": "x", "to": "bob", "hours": "8", "reason": "away"}
    assert http.post("/console/delegations/give", data=form, headers=ours(served)).status_code == 403
    bad = http.post("/console/delegations/give", data={**form, "csrf": csrf, "hours": "9"}, headers=ours(served))
    assert bad.status_code == 400
    bad = http.post("/console/delegations/give", data={**form, "csrf": csrf, "to": "eve"}, headers=ours(served))
    assert (bad.status_code, "is no user of a key" in bad.text) == (400, True)


def test_a_person_delegates_and_ends_it_in_chromium(served: Served, browser: Browser) -> None:
    key(served, "<b>bob</b>")
    page = browser.new_page(viewport={"width": 375, "height": 800})
    page.goto(f"{served.url}/console/login")
    page.get_by_label("key").fill(key(served, "zoe"))
    page.get_by_role("button", name="sign in").click()
    page.wait_for_url("**/console/**")
    page.goto(f"{served.url}/console/delegations")
    expect(page.get_by_text("Nobody decides for anybody else.")).to_be_visible()
    page.get_by_label("Who").select_option("<b>bob</b>")
    page.get_by_label("Reason").fill("a week in the mountains")
    page.get_by_role("button", name="Delegate").click()
    expect(page.locator("[data-delegation]")).to_contain_text("a week in the mountains")
    page.wait_for_load_state("load")
    assert page.evaluate("document.documentElement.scrollWidth") <= 375
    page.get_by_role("button", name="End the delegation").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_text("Nobody decides for anybody else.")).to_be_visible()
    page.close()
