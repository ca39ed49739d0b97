"""People decide in a real browser."""

from dataclasses import replace

from playwright.sync_api import BrowserContext, Dialog, Page, expect

from approvals.desk import HeldState
from governance.exchange import Exchange
from governance.jsontree import Json
from governance.verdict import Relief
from tests.approvals.calls import HOLD, LOOP, tool_call
from tests.console.conftest import Served


def outcome(served: Served, call: Exchange) -> tuple[HeldState, str]:
    """What the agent gets that makes the call again."""
    held = served.portal.call(served.core.desk.hold, call, HOLD)
    return held.state, held.reason


def test_a_person_approves_and_the_call_may_run_once(page: Page, served: Served) -> None:
    ticket = served.portal.call(served.core.hold, tool_call())
    page.goto(f"{served.url}/console/approvals")
    page.get_by_role("link", name="write_file").first.click()
    expect(page.locator("[data-digest]")).to_have_text(_digest(served, ticket))
    page.get_by_label("Reason").fill("looks right")
    page.get_by_role("button", name="Approve once").click()
    expect(page.get_by_role("heading", name="Outcome")).to_be_visible()
    held = served.portal.call(served.core.desk.hold, tool_call(), HOLD)
    assert held.state is HeldState.APPROVED
    assert served.portal.call(served.core.desk.consume, held)
    assert outcome(served, tool_call())[0] is HeldState.PENDING


def test_a_person_denies_and_the_agent_is_told_why(page: Page, served: Served) -> None:
    ticket = served.portal.call(served.core.hold, tool_call())
    page.goto(f"{served.url}/console/approvals/{ticket}")
    page.get_by_label("Reason").fill("not on a Friday")
    page.get_by_role("button", name="Deny").click()
    expect(page.locator("blockquote")).to_have_text("not on a Friday")
    assert outcome(served, tool_call()) == (HeldState.DENIED, "a person denied this call: not on a Friday")


def test_a_person_allows_more_of_what_repeats(page: Page, served: Served) -> None:
    ticket = served.portal.call(served.core.desk.hold, tool_call(), LOOP).ticket
    page.goto(f"{served.url}/console/approvals/{ticket}")
    page.get_by_label("What you approve").select_option("this call, and 10 more like it")
    page.get_by_role("button", name="Approve").click()
    expect(page.get_by_text("10 more like it are let through.")).to_be_visible()
    held = served.portal.call(served.core.desk.hold, tool_call(), LOOP)
    assert (held.state, held.relief) == (HeldState.APPROVED, Relief(more=10))


def test_more_is_offered_only_of_what_repeats(page: Page, served: Served) -> None:
    page.goto(f"{served.url}/console/approvals/{served.portal.call(served.core.hold, tool_call())}")
    expect(page.get_by_role("button", name="Approve once")).to_be_visible()
    expect(page.get_by_label("What you approve")).to_have_count(0)


def test_the_list_shows_a_new_call_by_itself(page: Page, served: Served) -> None:
    page.goto(f"{served.url}/console/approvals")
    expect(page.get_by_text("Nothing waits.")).to_be_visible()
    served.portal.call(served.core.hold, tool_call())
    expect(page.locator(".ticket")).to_have_count(1)
    expect(page.locator("[data-waiting]")).to_have_text("1")


def test_an_open_ticket_shows_that_it_was_settled_elsewhere(page: Page, served: Served) -> None:
    ticket = served.portal.call(served.core.hold, tool_call())
    page.goto(f"{served.url}/console/approvals/{ticket}")
    served.portal.call(lambda: served.core.desk.deny(ticket, by="bob", reason="no"))
    expect(page.get_by_role("heading", name="Outcome")).to_be_visible()


def test_characters_that_cannot_be_seen_are_shown(page: Page, served: Served) -> None:
    spoof = "safe\u202etxt.exe\u200b p\u0430ypal \U000e0041"
    ticket = served.portal.call(served.core.hold, tool_call({"path": spoof}))
    page.goto(f"{served.url}/console/approvals/{ticket}")
    marked = page.locator(".arguments dd mark")
    assert marked.all_inner_texts() == ["\\u202e", "\\u200b", "\\u0430", "\\u{e0041}"]
    expect(page.get_by_role("note")).to_contain_text("4 characters")
    text = page.locator("main").inner_text()
    assert not set(text) & {"\u202e", "\u200b", "\u0430", "\U000e0041"}


PAYLOADS = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    '"><svg/onload=alert(1)>',
    "</pre></dd></dl><iframe srcdoc='<script>alert(1)</script>'>",
    "javascript:alert(1)",
    "{{7*7}}{% raw %}<b>",
    "<a href=//evil.test>click</a><form action=//evil.test><button>",
    "<style>@import url(//evil.test/x.css)</style>",
    "<!--<img src='--><img src=x onerror=alert(1)//'>",
    "<math><mi//xlink:href='data:x,<script>alert(1)</script>'>",
]


def test_markup_in_a_call_is_text_and_nothing_else(page: Page, served: Served) -> None:
    dialogs: list[str] = []
    asked: list[str] = []

    def note(dialog: Dialog) -> None:
        dialogs.append(dialog.message)
        dialog.dismiss()

    page.on("dialog", note)
    page.on("request", lambda request: asked.append(request.url))
    arguments: Json = {f"arg {payload}": payload for payload in PAYLOADS}
    hostile = tool_call(arguments, name=PAYLOADS[0], server=PAYLOADS[1])
    hostile = replace(hostile, principal=replace(hostile.principal, agent=PAYLOADS[2], user=PAYLOADS[3]))
    ticket = served.portal.call(served.core.hold, hostile)
    page.goto(f"{served.url}/console/approvals")
    expect(page.locator(".ticket h3")).to_contain_text(PAYLOADS[0])
    page.goto(f"{served.url}/console/approvals/{ticket}")
    assert sorted(page.locator(".arguments pre").all_inner_texts()) == sorted(PAYLOADS)
    page.get_by_label("Reason").fill(PAYLOADS[1])
    page.get_by_role("button", name="Deny").click()
    expect(page.locator("blockquote")).to_have_text(PAYLOADS[1])
    page.goto(f"{served.url}/console/approvals")
    page.goto(f"{served.url}/console/audit")
    expect(page.get_by_role("heading", name="Audit log")).to_be_visible()
    assert page.locator("main iframe, main script, main img, main style, main [onerror], main svg").count() == 0
    assert dialogs == []
    assert [url for url in asked if not url.startswith(served.url)] == []


def test_a_one_time_link_opens_the_console_once(context: BrowserContext, served: Served) -> None:
    link = served.link()
    first = context.new_page()
    first.goto(link)
    first.wait_for_url(f"{served.url}/console/")
    context.clear_cookies()
    second = context.new_page()
    second.goto(link)
    expect(second.get_by_role("alert")).to_contain_text("not valid")
    assert "#" not in second.url


def test_a_link_from_another_page_lands_on_the_ticket(page: Page, served: Served) -> None:
    ticket = served.portal.call(served.core.hold, tool_call())
    other = page.context.new_page()
    other.goto(f"data:text/html,<a href='{served.url}/console/approvals/{ticket}'>open</a>")
    other.get_by_role("link").click()
    expect(other.get_by_role("heading", name="Decide")).to_be_visible()


def test_a_page_of_another_site_cannot_decide(page: Page, served: Served) -> None:
    ticket = served.portal.call(served.core.hold, tool_call())
    other = page.context.new_page()
    target = f"{served.url}/console/approvals/{ticket}/approve"
    other.goto(f"data:text/html,<form method=post action='{target}'><button>go</button></form>")
    other.get_by_role("button").click()
    expect(other.get_by_role("heading")).to_have_text("not signed in")
    assert outcome(served, tool_call())[0] is HeldState.PENDING


def test_a_session_is_killed_and_revived_on_its_page(page: Page, served: Served) -> None:
    served.portal.call(served.core.seen, "ses_1")
    served.portal.call(served.core.hold, tool_call())
    page.goto(f"{served.url}/console/sessions")
    page.get_by_role("link", name="ses_1").click()
    page.get_by_label("Reason").fill("runs in circles")
    page.get_by_role("button", name="Kill session").click()
    expect(page.get_by_role("heading", name="Stopped")).to_be_visible()
    call = tool_call()
    verdict = served.portal.call(served.core.kills.verdict, call.principal, call.session)
    assert verdict.reason == "this session was stopped: runs in circles"
    assert served.portal.call(served.core.desk.tickets)[0].state == "invalidated"
    page.get_by_role("button", name="Revive session").click()
    expect(page.get_by_role("heading", name="Switch")).to_be_visible()


def test_nothing_on_a_page_is_refused_by_its_own_policy(page: Page, served: Served) -> None:
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    served.portal.call(served.core.seen, "ses_1")
    ticket = served.portal.call(served.core.hold, tool_call())
    for place in ("", "approvals", f"approvals/{ticket}", "sessions", "sessions/ses_1", "servers", "audit", "nowhere"):
        page.goto(f"{served.url}/console/{place}")
        expect(page.locator("h1")).to_be_visible()
    assert [text for text in said if "404" not in text] == []


def _digest(served: Served, ticket: str) -> str:
    found = served.portal.call(served.core.desk.get, ticket)
    assert found is not None
    return found.digest
