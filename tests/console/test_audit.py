"""The audit page searches the log, and says of its verification no more than was checked."""

import time
from collections.abc import Iterator

import httpx
import pytest
from playwright.sync_api import Page, expect

from governance.audit.event import Draft, Tag
from governance.identity.keys import KeyRole
from governance.store.backends import backend
from tests.console.conftest import Served
from tests.console.test_app import signed_in


@pytest.fixture
def http(served: Served) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=served.url, trust_env=False) as client:
        yield client


def more(served: Served, count: int) -> None:
    for _ in range(count):
        served.portal.call(served.core.audit.append, Draft(Tag.SESSION_KILLED, {"scope": "all", "actor": "bob"}))


def test_a_verification_is_begun_on_the_page_and_tells_what_it_covers(page: Page, served: Served) -> None:
    more(served, 30)
    page.goto(f"{served.url}/console/audit")
    said = page.locator("[data-verified]")
    expect(said).to_contain_text("Nobody has verified the whole log")
    page.get_by_role("button", name="Verify every event now").click()
    until_verified(page, served)
    expect(said).to_contain_text("verified")
    expect(said).to_contain_text("and their seals")
    expect(said).to_contain_text("by admin")
    last = int(said.inner_text().split("0 to ")[1].split()[0])
    assert last >= 29
    more(served, 5)
    page.reload()
    expect(said).to_contain_text("events since then were not")
    assert int(said.inner_text().split("0 to ")[1].split()[0]) == last


def until_verified(page: Page, served: Served) -> None:
    deadline = time.monotonic() + 30  # noqa: TID251 - a browser lives by the machine's clock
    while "being verified" in (text := page.locator("[data-verified]").inner_text()) or "Nobody" in text:
        assert time.monotonic() < deadline  # noqa: TID251 - as above
        page.goto(f"{served.url}/console/audit")


def test_a_changed_event_is_told_with_its_place(page: Page, served: Served) -> None:
    more(served, 12)
    place = backend(served.core.config.database)
    with place.writer() as connection, place.batch(connection):
        connection.exec_driver_sql("UPDATE audit_events SET body = replace(body, 'bob', 'eve') WHERE seq = 5")
    place.close()
    page.goto(f"{served.url}/console/audit")
    page.get_by_role("button", name="Verify every event now").click()
    until_verified(page, served)
    expect(page.locator("[data-verified]")).to_contain_text("broken at event 5 (changed)")


def test_only_an_administrator_has_the_log_verified(http: httpx.Client, served: Served) -> None:
    token = served.portal.call(lambda: served.core.key(KeyRole.APPROVER))
    form = signed_in(http, served, token)
    assert "Verify every event now" not in http.get("/console/audit").text
    origin = {"origin": served.url, "sec-fetch-site": "same-origin"}
    answer = http.post("/console/audit/verify", data={"csrf": form}, headers=origin)
    assert answer.status_code == 403
    assert http.get("/console/audit/verify").status_code == 405


def test_the_log_is_searched_on_the_page(page: Page, served: Served) -> None:
    more(served, 3)
    fields = {"session_id": "s1", "tenant_id": "acme", "tool": "rm", "rule": "no-deletes", "policy_decision": "deny"}
    served.portal.call(served.core.audit.append, Draft(Tag.EXCHANGE_REFUSED, fields))
    page.goto(f"{served.url}/console/audit")
    page.get_by_role("searchbox", name="Search").fill("no-del")
    page.get_by_role("button", name="Search", exact=True).click()
    expect(page.locator("tbody tr")).to_have_count(1)
    expect(page.locator("tbody tr")).to_contain_text("rm")
    page.goto(f"{served.url}/console/audit?principal=bob")
    expect(page.locator("tbody tr")).to_have_count(3)
