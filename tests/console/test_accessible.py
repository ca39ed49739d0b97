"""Everybody can use the console: with a screen reader, without a mouse, on a phone, in the dark."""

from importlib.resources import files

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from approvals.desk import HeldState
from governance.jsontree import Json
from sessions.killswitch import Scope
from tests.approvals.calls import HOLD, tool_call
from tests.console.conftest import Served
from tests.console.judging import judge, take_up
from tests.console.test_policies import POLICY
from tests.console.walk import pages

AXE = (files("axe_playwright_python") / "axe.min.js").read_text()

DESKTOP = {"width": 1280, "height": 860}
PHONE = {"width": 375, "height": 740}
READ: dict[str, Json] = {"name": "read_file", "inputSchema": {"type": "object"}, "description": "Reads a file."}


@pytest.fixture(params=[("light", DESKTOP), ("dark", PHONE)], ids=["light-desktop", "dark-phone"])
def context(request: pytest.FixtureRequest, browser: Browser) -> BrowserContext:
    scheme, viewport = request.param
    opened = browser.new_context(viewport=viewport, color_scheme=scheme, reduced_motion="reduce")
    opened.set_default_timeout(15_000)
    return opened


def _fill(served: Served) -> str:
    """Something on every page; returns the id of a ticket."""
    core, call = served.core, served.portal.call
    call(core.seen, "ses_1")
    call(core.label, "ses_1", "untrusted_content", "tool fetch")
    call(core.lists, READ)
    call(core.lists, {**READ, "description": "Reads a file, and sends it somewhere."})
    call(lambda: core.kills.kill(Scope.AGENT, "runner", reason="runs in circles", actor="ann"))
    policy = call(take_up, core, POLICY)
    call(lambda: judge(core, policy, "exc_judged", tool="read_file"))
    return call(core.hold, tool_call())


def _grave(page: Page) -> list[str]:
    """What axe finds serious or critical on a page, in words."""
    page.evaluate(AXE)
    found = page.evaluate("axe.run()")
    return [
        f"{one['id']}: {one['help']}: {node['html'][:160]}"
        for one in found["violations"]
        if one["impact"] in ("serious", "critical")
        for node in one["nodes"]
    ]


def test_axe_finds_nothing_serious_on_any_page(page: Page, served: Served) -> None:
    _fill(served)
    said: dict[str, list[str]] = {}
    for path in pages(page, served.url, least=8):
        if grave := _grave(page):
            said[path] = grave
    assert said == {}, "\n".join(f"{path}: {one}" for path, all_of in said.items() for one in all_of)


def test_axe_does_find_what_is_wrong(page: Page, served: Served) -> None:
    page.goto(f"{served.url}/console/")
    before = {one.partition(":")[0] for one in _grave(page)}
    page.evaluate("document.querySelector('main').innerHTML += '<img src=/console/static/wicket.svg><button></button>'")
    assert {one.partition(":")[0] for one in _grave(page)} - before == {"image-alt", "button-name"}


def test_no_page_is_wider_than_the_screen(page: Page, served: Served) -> None:
    _fill(served)
    wide = [
        path
        for path in pages(page, served.url, least=8)
        if page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth")
    ]
    assert wide == []


def test_an_approver_does_everything_with_the_keyboard(context: BrowserContext, served: Served) -> None:
    ticket = served.portal.call(served.core.hold, tool_call())
    page = context.new_page()
    page.goto(served.link())
    page.wait_for_url(f"{served.url}/console/")
    _tab_to(page, "Approvals")
    page.keyboard.press("Enter")
    page.wait_for_url(f"{served.url}/console/approvals")
    _tab_to(page, "write_file")
    page.keyboard.press("Enter")
    page.wait_for_url(f"{served.url}/console/approvals/{ticket}")
    _tab_to(page, "Reason")
    page.keyboard.type("looks right")
    _tab_to(page, "Approve once")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Outcome")).to_be_visible()
    expect(page.locator("blockquote")).to_have_text("looks right")
    held = served.portal.call(served.core.desk.hold, tool_call(), HOLD)
    assert held.state is HeldState.APPROVED


def test_what_has_the_focus_can_be_seen(page: Page, served: Served) -> None:
    served.portal.call(served.core.hold, tool_call())
    page.goto(f"{served.url}/console/approvals")
    page.keyboard.press("Tab")
    for _ in range(12):
        page.keyboard.press("Tab")
        outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
        assert outline != "none", page.evaluate("document.activeElement.outerHTML.slice(0, 160)")


def _tab_to(page: Page, name: str) -> None:
    """Press Tab until what has this name is in focus.

    Raises:
        AssertionError: it cannot be reached.
    """
    for _ in range(80):
        page.keyboard.press("Tab")
        found = page.evaluate(
            "(({innerText, labels, value}) => [innerText, labels?.[0]?.innerText].join(' '))(document.activeElement)"
        )
        if name in found:
            return
    raise AssertionError(f"`{name}` is not reached with the keyboard")
