"""The page of MCP servers, and its API."""

from collections.abc import Iterator
from dataclasses import replace

import httpx
import pytest
from playwright.sync_api import Browser, Page, expect

from governance.clock import rfc3339
from governance.health.report import STALE_SECONDS, Report
from governance.health.store import SqlHealth
from tests.console.conftest import Served
from tests.console.core import ADMIN
from tests.console.test_app import signed_in

BEARER = {"authorization": f"Bearer {ADMIN}"}


@pytest.fixture
def http(served: Served) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=served.url, trust_env=False) as client:
        yield client


def say(served: Served, *reports: Report, process: str = "one") -> None:
    """As an MCP proxy says it, in a process of its own."""
    served.portal.call(SqlHealth(served.core.store, served.core.clock).say, process, reports)


def failing(served: Served, error: str = "it exited with 7") -> Report:
    now = rfc3339(served.core.clock.now())
    return Report(
        "files", transport="stdio", state="failing", since=now, starts=4, restarts=3, failures=2, last_error=error,
        last_error_at=now, tools=12,
    )  # fmt: skip


def test_nobody_is_let_in_without_a_key(http: httpx.Client) -> None:
    assert http.get("/console/servers").status_code == 303
    for path in ("/console/api/servers", "/console/api/servers/live"):
        assert http.get(path).status_code == 401


def test_nothing_can_be_changed_at_these_addresses(http: httpx.Client, served: Served) -> None:
    token = signed_in(http, served)
    for path in ("/console/servers", "/console/servers/files", "/console/api/servers"):
        posted = http.post(path, data={"csrf": token, "command": "touch /tmp/x"}, headers=BEARER)
        assert posted.status_code in (404, 405)


def test_programs_are_told_how_a_server_is_and_when_nobody_vouches_for_it_any_more(
    http: httpx.Client, served: Served
) -> None:
    say(served, failing(served))
    (one,) = http.get("/console/api/servers", headers=BEARER).json()["servers"]
    assert (one["server"], one["state"], one["restarts"], one["tools"]) == ("files", "failing", 3, 12)
    assert one["last_error"] == "it exited with 7"
    served.core.clock.advance(STALE_SECONDS)
    (one,) = http.get("/console/api/servers", headers=BEARER).json()["servers"]
    assert (one["state"], one["last_error"]) == ("unknown", "it exited with 7")


def test_the_page_shows_a_change_by_itself(page: Page, served: Served) -> None:
    page.goto(f"{served.url}/console/servers")
    expect(page.locator("tbody .pill")).to_have_text("unknown")
    expect(page.locator("tbody tr")).to_contain_text("never heard of")
    say(served, failing(served))
    expect(page.locator("tbody .pill")).to_have_text("failing")
    expect(page.locator("tbody tr")).to_contain_text("it exited with 7")
    expect(page.locator("tbody td.number").nth(1)).to_have_text("3")
    say(served, replace(failing(served), state="ready"))
    expect(page.locator("tbody .pill")).to_have_text("ready")
    served.core.clock.advance(STALE_SECONDS)
    expect(page.locator("tbody .pill")).to_have_text("unknown")
    expect(page.locator("tbody tr")).to_contain_text("last heard of 45 s ago")


def test_two_proxies_are_shown_side_by_side(page: Page, served: Served) -> None:
    say(served, failing(served))
    say(served, replace(failing(served), state="ready"), process="two")
    page.goto(f"{served.url}/console/servers")
    expect(page.locator("tbody .pill")).to_have_text(["failing", "ready"])


def test_the_page_works_without_a_script_and_shows_markup_as_text(browser: Browser, served: Served) -> None:
    say(served, failing(served, "<script>alert(1)</script>\u202e"))
    plain = browser.new_context(java_script_enabled=False)
    opened = plain.new_page()
    opened.goto(f"{served.url}/console/login")
    opened.locator("[name=secret]").fill(ADMIN)
    opened.get_by_role("button").click()
    opened.goto(f"{served.url}/console/servers")
    expect(opened.locator("tbody tr")).to_contain_text("<script>alert(1)</script>")
    expect(opened.locator("tbody mark")).to_have_text("\\u202e")
    assert opened.locator("main script").count() == 0
    plain.close()
