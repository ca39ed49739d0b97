"""The page on which it is decided what is trusted of servers, and its API."""

import json
from collections.abc import Iterator

import httpx
import pytest
from playwright.sync_api import Page

from governance.identity.keys import KeyRole
from governance.jsontree import JsonObject
from tests.console.conftest import Served
from tests.console.core import ADMIN
from tests.console.test_app import ours, signed_in

READ: JsonObject = {"name": "read_file", "description": "reads"}
CHANGED: JsonObject = {"name": "read_file", "description": "reads <b>and</b> mails\u202e"}
BEARER = {"authorization": f"Bearer {ADMIN}"}


@pytest.fixture
def http(served: Served) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=served.url, trust_env=False) as client:
        yield client


@pytest.fixture
def changed(served: Served) -> str:
    """Id of a change that waits."""
    served.portal.call(served.core.lists, READ)
    served.portal.call(served.core.lists, CHANGED)
    return str(httpx.get(f"{served.url}/console/api/pins?waiting=1", headers=BEARER).json()["pins"][0]["id"])


def test_nobody_is_let_in_without_a_key(http: httpx.Client) -> None:
    assert http.get("/console/pins").status_code == 303
    for path in ("/console/api/pins", "/console/api/pins/x", "/console/api/pins/live"):
        assert http.get(path).status_code == 401


def test_a_change_is_listed_shown_and_decided_by_programs(http: httpx.Client, changed: str) -> None:
    shown = http.get(f"/console/api/pins/{changed}", headers=BEARER).json()
    assert (shown["state"], shown["rule"]) == ("pending", "pin.drift")
    assert shown["differences"] == [{"path": "/description", "before": "reads", "after": CHANGED["description"]}]
    path = f"/console/api/pins/{changed}/approve"
    decided = http.post(path, headers=BEARER, json={"reason": "fine"})
    assert (decided.status_code, decided.json()["state"], decided.json()["decided_by"]) == (200, "trusted", "admin")
    assert http.post(path, headers=BEARER).status_code == 409
    for missing in (
        http.get("/console/api/pins/pin_0", headers=BEARER),
        http.post("/console/api/pins/pin_0/reject", headers=BEARER),
    ):
        assert missing.status_code == 404


def test_an_approver_may_look_and_not_decide(http: httpx.Client, served: Served, changed: str) -> None:
    key = served.portal.call(served.core.key, KeyRole.APPROVER)
    bearer = {"authorization": f"Bearer {key}"}
    assert http.get(f"/console/api/pins/{changed}", headers=bearer).status_code == 200
    assert http.post(f"/console/api/pins/{changed}/approve", headers=bearer).status_code == 403
    csrf = signed_in(http, served, key)
    assert "Only an administrator" in http.get(f"/console/pins/{changed}").text
    answer = http.post(f"/console/pins/{changed}/approve", data={"csrf": csrf}, headers=ours(served))
    assert answer.status_code == 403


def test_the_page_shows_both_forms_with_nothing_invisible(http: httpx.Client, served: Served, changed: str) -> None:
    csrf = signed_in(http, served)
    text = http.get(f"/console/pins/{changed}").text
    assert "reads &lt;b&gt;and&lt;/b&gt; mails" in text
    assert "\u202e" not in text
    assert "1 character cannot be seen" in text
    assert "read_file" in http.get("/console/pins").text
    path = f"/console/pins/{changed}/reject"
    assert http.post(path, data={"csrf": "0" * 64}, headers=ours(served)).status_code == 403
    assert http.post(path, data={"csrf": csrf}, headers=ours(served)).status_code == 303
    assert http.post(path, data={"csrf": csrf}, headers=ours(served)).status_code == 409
    assert http.get("/console/pins/pin_0").status_code == 404
    assert http.post("/console/pins/pin_0/reject", data={"csrf": csrf}, headers=ours(served)).status_code == 404


def test_the_stream_begins_with_the_list_as_it_stands(http: httpx.Client, changed: str) -> None:
    with http.stream("GET", "/console/api/pins/live", headers=BEARER) as stream:
        lines = stream.iter_lines()
        assert next(lines) == "event: list"
        assert changed in json.loads(next(lines).removeprefix("data: "))["html"]


def test_a_change_appears_by_itself_and_is_trusted_with_one_click(page: Page, served: Served) -> None:
    served.portal.call(served.core.lists, READ)
    page.goto(f"{served.url}/console/pins")
    page.get_by_text("Nothing waits.").wait_for()
    served.portal.call(served.core.lists, CHANGED)
    page.locator("li.ticket a.whole").click()
    page.locator("pre.was", has_text="reads").wait_for()
    page.get_by_label("Reason").fill("seen")
    page.get_by_role("button", name="Trust this").click()
    page.get_by_text("Nothing: what the server gives is what is trusted.").wait_for()
    assert page.locator(".pill.allow", has_text="trusted").is_visible()
