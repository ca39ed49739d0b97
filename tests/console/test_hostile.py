"""Whatever agents and servers call things: on the console it is text."""

from dataclasses import replace

from playwright.sync_api import Dialog, Page, expect

from approvals.visible import pieces
from governance.audit.event import Draft, Tag
from governance.jsontree import Json
from sessions.roll import Run
from tests.approvals.calls import tool_call
from tests.console.conftest import Served
from tests.console.core import Core
from tests.console.hostile import HIDDEN, strings
from tests.console.walk import pages

FOREIGN = (
    "main script, main iframe, main object, main embed, main base, main meta, main link, main style, main marquee, "
    "main video, main audio, main math, main template, main xss, main dialog, main form[action*='evil'], "
    "main [formaction*='evil'], main a[href^='javascript'], main [href*='evil'], main [src*='evil'], main svg script, "
    "main [autofocus]"
)
"""What the console itself never shows, so that it can only come from a name."""
HANDLERS = """() => [...document.querySelectorAll('*')].flatMap(
    one => one.getAttributeNames().filter(name => name.startsWith('on') || name === 'srcdoc'))"""
A_TICKET = 100
"""Arguments of one call."""


async def fill(core: Core, names: list[str]) -> list[str]:
    """Call everything there is by these names; returns the ids of the tickets that hold all of them as arguments."""
    tickets: list[str] = []
    for start in range(0, len(names), A_TICKET):
        some = names[start : start + A_TICKET]
        arguments: Json = {f"{number} {name[:200]}": name for number, name in enumerate(some)}
        call = tool_call(arguments, id=f"exc_{start}", name=some[0], server=some[1])
        principal = replace(call.principal, agent=some[2], user=some[3], team=some[4])
        tickets.append(await core.hold(replace(call, principal=principal)))
    now = core.clock.now().isoformat()
    for number, name in enumerate(names):
        run = Run(f"ses_{number}", "key_1", "acme", name, "agent_header", 2, f"x-session={name}", "mcp", now, now)
        await core.store.write(core.runs.upsert(run))
        fields = {
            "session_id": f"ses_{number}",
            "tenant_id": "acme",
            "action": "tool.call",
            "tool": name,
            "agent": name,
        }
        said = {"server": name, "user": name, "reason": name, "rule": name, "model": name}
        await core.audit.append(Draft(Tag.EXCHANGE_REFUSED, fields | said))
    return tickets


def test_there_are_five_hundred_hostile_strings() -> None:
    assert len(strings()) >= 500


def test_five_hundred_hostile_names_are_text_on_every_page(page: Page, served: Served) -> None:
    dialogs: list[str] = []
    asked: list[str] = []
    said: list[str] = []

    def note(dialog: Dialog) -> None:
        dialogs.append(dialog.message)
        dialog.dismiss()

    page.on("dialog", note)
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda message: said.append(message.text))
    page.add_init_script("window.hits = []; window.hit = what => { hits.push(what) }")
    tickets = served.portal.call(fill, served.core, strings())
    for path in pages(page, served.url, least=7):
        assert page.locator(FOREIGN).all_inner_texts() == [], path
        assert page.evaluate(HANDLERS) == [], path
        assert page.evaluate("hits") == [], path
        assert page.evaluate("document.querySelectorAll('#approve').length") <= 1, path
        assert not set(page.locator("body").inner_text()) & set(HIDDEN), path
    for ticket in tickets:
        page.goto(f"{served.url}/console/approvals/{ticket}")
        assert page.locator(FOREIGN).count() == 0
        assert page.evaluate(HANDLERS) == []
        assert page.evaluate("hits") == []
    assert dialogs == []
    assert [url for url in asked if not url.startswith(served.url)] == []
    assert [text for text in said if "Content Security Policy" in text] == []


def test_every_hostile_argument_is_shown_letter_for_letter(page: Page, served: Served) -> None:
    shown: list[str] = []
    for ticket in served.portal.call(fill, served.core, strings()):
        page.goto(f"{served.url}/console/approvals/{ticket}")
        shown += page.locator(".arguments pre").evaluate_all("all => all.map(one => one.textContent)")
    assert sorted(shown) == sorted("".join(piece.text for piece in pieces(one)) for one in strings())


def test_a_page_that_a_name_tries_to_leave_still_decides(page: Page, served: Served) -> None:
    """The person finds the real buttons, and what they press is what happens."""
    (ticket, *_) = served.portal.call(fill, served.core, strings())
    page.goto(f"{served.url}/console/approvals/{ticket}")
    page.get_by_label("Reason").fill(strings()[0])
    page.get_by_role("button", name="Deny").click()
    expect(page.locator("blockquote")).to_have_text(strings()[0])
