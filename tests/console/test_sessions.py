"""The pages of runs show what they are labelled with, and so does the page on which a call is approved."""

from collections.abc import Iterator

import httpx
import pytest
from playwright.sync_api import Page, expect

from governance.identity.keys import KeyRole
from tests.approvals.calls import tool_call
from tests.console.conftest import Served
from tests.console.core import ADMIN
from tests.console.test_app import signed_in

HOSTILE = "server:<script>document.title='pwned'</script>"


@pytest.fixture
def http(served: Served) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=served.url, trust_env=False) as client:
        yield client


@pytest.fixture
def labelled(served: Served) -> str:
    """A run with two labels."""
    session = tool_call().session.id
    served.portal.call(served.core.seen, session)
    served.portal.call(served.core.label, session, "untrusted_content", "server:web")
    served.portal.call(served.core.label, session, "personal_data", HOSTILE)
    return session


def test_the_page_of_a_run_says_what_it_is_labelled_with_and_why(page: Page, served: Served, labelled: str) -> None:
    page.goto(f"{served.url}/console/sessions")
    expect(page.get_by_role("row").filter(has_text=labelled)).to_contain_text("untrusted_content")
    page.goto(f"{served.url}/console/sessions/{labelled}")
    expect(page.locator(".labels")).to_contain_text("set by server:web")
    expect(page.locator(".labels")).to_contain_text(HOSTILE)
    expect(page.locator(".timeline")).to_contain_text("labelled untrusted_content: server:web")
    assert page.locator(".labelled").count() == 2
    assert "pwned" not in page.title()


def test_who_approves_sees_the_labels_of_the_session(http: httpx.Client, served: Served, labelled: str) -> None:
    ticket = served.portal.call(served.core.hold, tool_call())
    signed_in(http, served)
    page = http.get(f"/console/approvals/{ticket}").text
    assert "untrusted_content" in page
    assert "approving lets this one call through" in page


def test_programs_read_labels_and_only_of_their_own_tenant(http: httpx.Client, served: Served, labelled: str) -> None:
    admin = {"authorization": f"Bearer {ADMIN}"}
    (listed,) = http.get("/console/api/sessions", headers=admin).json()["sessions"]
    assert listed["labels"] == ["untrusted_content", "personal_data"]
    shown = http.get(f"/console/api/sessions/{labelled}", headers=admin).json()["labels"]
    assert [one["source"] for one in shown] == ["server:web", HOSTILE]
    key = served.portal.call(lambda: served.core.key(KeyRole.APPROVER, tenant="else"))
    stranger = {"authorization": f"Bearer {key}"}
    assert http.get(f"/console/api/sessions/{labelled}", headers=stranger).status_code == 404
    assert http.get("/console/api/sessions", headers=stranger).json() == {"sessions": []}
