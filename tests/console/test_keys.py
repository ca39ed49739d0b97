"""The page of keys, in a real Chromium."""

import httpx
from playwright.sync_api import Page, expect

from governance.audit.query import Wanted, find
from governance.identity.keys import Grant, KeyRole, mint
from sessions.roll import Run
from tests.console.conftest import Served

HOSTILE = "<b>ann</b>\u202e"


def made(served: Served, grant: Grant) -> tuple[str, str]:
    """A new key's id and token."""
    minted = mint(grant, served.core.clock.now())
    served.portal.call(lambda: served.core.keys.add(minted.key, actor="test"))
    served.portal.call(served.core.identity.refresh)
    return minted.key.id, minted.token


def test_a_key_is_shown_with_owner_scopes_and_last_use_and_revoked_with_a_reason(page: Page, served: Served) -> None:
    key, _ = made(served, Grant(KeyRole.AGENT, tenant="acme", agent="builder", models=("gpt-*",), name="ci"))
    now = served.core.clock.now().isoformat()
    run = Run("ses_9", key, "acme", "builder", "explicit", 1, "x=abc", "mcp", now, now)
    served.portal.call(served.core.store.write, served.core.runs.upsert(run))
    page.goto(f"{served.url}/console/")
    page.get_by_role("link", name="Keys").click()
    row = page.get_by_role("row").filter(has_text=key)
    for text in ("ci", "builder", "acme", "gpt-*", "valid", "0 s ago"):
        expect(row).to_contain_text(text)
    row.get_by_text("Revoke", exact=True).click()
    row.get_by_label("Reason").fill("it leaked")
    row.get_by_role("button", name="Revoke key").click()
    expect(row).to_contain_text("revoked")
    (event,) = served.portal.call(find, served.core.store, Wanted(event_types=("key.revoked",)))
    assert (event.fields["key_id"], event.fields["reason"], event.fields["actor"]) == (key, "it leaked", "admin")


def test_a_key_without_a_reason_is_not_revoked(page: Page, served: Served) -> None:
    key, _ = made(served, Grant(KeyRole.AGENT))
    page.goto(f"{served.url}/console/keys")
    csrf = page.locator('input[name="csrf"]').first.get_attribute("value") or ""
    cookies = {one.get("name", ""): one.get("value", "") for one in page.context.cookies(f"{served.url}/console/")}
    ours = {"origin": served.url, "sec-fetch-site": "same-origin"}
    form = {"csrf": csrf, "reason": "  "}
    url = f"{served.url}/console/keys/{key}/revoke"
    answer = httpx.post(url, data=form, headers=ours, cookies=cookies, trust_env=False)
    assert answer.status_code == 400
    assert served.portal.call(find, served.core.store, Wanted(event_types=("key.revoked",))) == ()


def test_a_session_ends_when_its_key_is_revoked_on_the_page(page: Page, served: Served) -> None:
    key, token = made(served, Grant(KeyRole.ADMIN, user="bob"))
    other = page.context.browser.new_context() if page.context.browser else page.context
    bob = other.new_page()
    bob.goto(f"{served.url}/console/login")
    bob.get_by_label("Key").fill(token)
    bob.get_by_role("button", name="Sign in").click()
    expect(bob.get_by_role("heading", name="Overview")).to_be_visible()
    page.goto(f"{served.url}/console/keys")
    row = page.get_by_role("row").filter(has_text=key)
    row.get_by_text("Revoke", exact=True).click()
    row.get_by_label("Reason").fill("bob left")
    row.get_by_role("button", name="Revoke key").click()
    expect(row).to_contain_text("revoked")
    bob.goto(f"{served.url}/console/keys")
    expect(bob.get_by_role("heading", name="Sign in")).to_be_visible()
    other.close()


def test_names_on_the_page_are_text_and_fit_a_phone(page: Page, served: Served) -> None:
    made(served, Grant(KeyRole.AGENT, user=HOSTILE, name=HOSTILE))
    page.set_viewport_size({"width": 375, "height": 700})
    page.goto(f"{served.url}/console/keys")
    assert page.locator("main td b").count() == 0
    assert "\u202e" not in page.locator("main").inner_text()
    assert page.evaluate("document.documentElement.scrollWidth") <= 375
