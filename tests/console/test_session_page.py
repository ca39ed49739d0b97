"""The page of a session: its timeline by keyboard, its pages, its kin, and how it grows before one's eyes."""

from collections.abc import Callable
from functools import partial
from typing import Any

import httpx
import pytest
from playwright.sync_api import Page, expect

from console.pages import sessions as session_pages
from governance.audit.event import Tag
from tests.console.conftest import Served
from tests.console.core import ADMIN
from tests.sessions.index.story import Scene

Tell = Callable[..., None]


@pytest.fixture
def tell(served: Served) -> Tell:
    """Does something in the story of the console's log: `tell("call", "s1", tool="search")`."""
    core = served.core
    here = Scene(core.store, core.audit, core.clock, core.runs, None, None)  # type: ignore[arg-type] - it only tells

    def told(what: str, *arguments: Any, **more: Any) -> None:
        served.portal.call(partial(getattr(here, what), *arguments, **more))

    return told


@pytest.fixture
def http(served: Served) -> Any:
    headers = {"authorization": f"Bearer {ADMIN}"}
    with httpx.Client(base_url=served.url, headers=headers, trust_env=False) as client:
        yield client


def test_the_timeline_is_walked_by_keyboard(page: Page, served: Served, tell: Tell) -> None:
    tell("run", "s1")
    tell("call", "s1")
    tell("call", "s1", tool="search")
    tell("call", "s1", tool="<b>rm</b>", decision="deny", rule="no-deletes", reason="not that")
    tell(
        "event", Tag.APPROVAL_REQUESTED, {"approval_id": "t1", "session_id": "s1", "tool": "send", "tenant_id": "acme"}
    )
    page.goto(f"{served.url}/console/sessions/s1")
    points = page.locator("[data-point]")
    expect(points).to_have_count(4)
    assert page.locator("[data-point][tabindex='-1']").count() == 3  # one tab stop for all
    points.first.focus()
    detail = page.locator("[data-detail]")
    expect(detail).to_contain_text("model calls")
    page.keyboard.press("ArrowRight")
    expect(detail).to_contain_text("search: allow")
    page.keyboard.press("ArrowRight")
    expect(detail).to_contain_text("<b>rm</b>: deny no-deletes")
    page.keyboard.press("ArrowDown")
    expect(detail).to_contain_text("approvals")
    page.keyboard.press("ArrowUp")
    expect(detail).to_contain_text("tool calls")
    page.keyboard.press("Home")
    expect(detail).to_contain_text("model calls")
    page.keyboard.press("End")
    expect(detail).to_contain_text("approvals")
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("Enter")
    row = page.locator("tr:target")
    expect(row).to_contain_text("no-deletes")
    expect(row).to_contain_text("<b>rm</b>")


def test_what_happens_meanwhile_shows_by_itself_and_the_focus_stays(page: Page, served: Served, tell: Tell) -> None:
    tell("run", "s1")
    tell("call", "s1", tool="first")
    page.goto(f"{served.url}/console/sessions/s1")
    expect(page.locator("[data-live-state]")).to_have_text("live")
    point = page.locator("[data-point]").first
    point.focus()
    name = point.get_attribute("id")
    tell("call", "s1", tool="second")
    expect(page.locator("[data-point]")).to_have_count(2)
    expect(page.locator(f"#{name}")).to_be_focused()


def test_a_narrow_page_is_not_wider_than_its_screen(page: Page, served: Served, tell: Tell) -> None:
    tell("run", "s1")
    tell("call", "s1", tool="search", labels_set=["untrusted_content: server:web"])
    page.set_viewport_size({"width": 375, "height": 740})
    for path in ("/console/", "/console/sessions", "/console/sessions/s1", "/console/audit"):
        page.goto(f"{served.url}{path}")
        assert page.evaluate("document.documentElement.scrollWidth") <= 375, path


def test_a_long_session_is_turned_page_by_page(
    http: httpx.Client, served: Served, tell: Tell, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session_pages, "EVENTS", 6)
    tell("run", "s1")
    for number in range(10):
        tell("call", "s1", tool=f"tool-{number}")
    seen: list[str] = []
    address: str | None = "/console/sessions/s1?after=-1"
    while address:
        answer = http.get(address).text
        assert answer.count("<circle") <= 6
        rows = [part.split('"', 1)[0] for part in answer.split('<tr id="event-')[1:]]
        seen += reversed(rows)
        newer = (
            answer.split('rel="next"')[0].rpartition('href="')[2].partition('"')[0] if 'rel="next"' in answer else None
        )
        address = newer
    assert seen == sorted(seen, key=int)
    assert len(set(seen)) == 20
    newest = http.get("/console/sessions/s1").text
    assert 'rel="prev"' in newest
    assert 'rel="next"' not in newest
    assert 'data-live="/console/api/sessions/s1/live"' in newest
    assert "data-live=" not in http.get("/console/sessions/s1?before=8").text


def test_kin_and_sub_agents_are_drawn_as_trees(http: httpx.Client, tell: Tell) -> None:
    tell("run", "s1")
    tell("run", "s2", parent="s1")
    tell("run", "s3", parent="s2")
    tell("call", "s3", tool="search", subagent="reviewer")
    tell("call", "s3", tool="search", subagent="critic", subagent_of="reviewer")
    page = http.get("/console/sessions/s3").text
    tree = page.split('aria-label="Runs that started one another"')[1].split("</section>")[0]
    assert tree.index("s1") < tree.index("s2") < tree.index("s3")
    assert tree.count("<ul>") == 2
    assert 'class="depth-0">reviewer' in page
    assert 'class="depth-1">critic' in page
    assert "started 1" in http.get("/console/sessions?text=s1").text


def test_a_filter_is_an_address_that_can_be_shared(page: Page, served: Served, tell: Tell) -> None:
    for name, tool in (("s1", "search"), ("s2", "delete")):
        tell("run", name)
        tell("call", name, tool=tool)
    page.goto(f"{served.url}/console/sessions")
    page.get_by_label("Tool").fill("delete")
    page.get_by_role("button", name="Filter").click()
    expect(page.locator("tbody tr")).to_have_count(1)
    assert "tool=delete" in page.url
    page.goto(page.url)
    expect(page.locator("tbody tr")).to_contain_text("s2")
    page.goto(f"{served.url}/console/sessions?tool=nothing")
    expect(page.get_by_text("No session fits.")).to_be_visible()


def test_a_filter_that_is_none_says_how_to_write_it(http: httpx.Client) -> None:
    for path, words in (
        ("/console/sessions?since=yesterday", "`yesterday` is not a time"),
        ("/console/sessions?state=asleep", "`state` is one of"),
        ("/console/audit?verdict=maybe", "`verdict` is one of"),
    ):
        answer = http.get(path)
        assert (answer.status_code, words in answer.text) == (400, True)
    assert http.get("/console/api/sessions?state=asleep").status_code == 400
    assert http.get("/console/sessions?before=nonsense").status_code == 200
    assert http.get("/console/sessions/s1?before=-5").status_code == 404
