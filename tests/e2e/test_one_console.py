"""One console for everything, over an installation that works: each part shows what the agent has just done."""

from functools import partial
from typing import Any

import anyio
import pytest
from playwright.async_api import Page, async_playwright

from tests.console.conftest import CHROMIUM, FLAGS
from tests.e2e.stack import POLICY, Stack, eventually
from tests.e2e.test_approval import open_page

pytestmark = pytest.mark.xdist_group("e2e-console")


@pytest.fixture(scope="module")
def settings() -> dict[str, Any]:
    return {"policy": POLICY, "replay": {"keep": "arguments"}}


async def follow(page: Page, name: str) -> str:
    """Go where the navigation leads; returns what the page says."""
    await page.get_by_role("navigation", name="Console").get_by_role("link", name=name).click()
    return await page.locator("main").inner_text()


async def shows(page: Page, *words: str) -> bool:
    """Whether a page shows all of it, opened anew: counts are written every few seconds."""
    await page.reload()
    text = await page.locator("main").inner_text()
    return all(word in text for word in words)


async def test_approvals_sessions_audit_spend_policies_and_tools_are_on_one_console(stack: Stack) -> None:
    done = anyio.Event()

    async def work() -> None:
        async with stack.model("one-console") as model:
            await model.chat.completions.create(model="gpt-4o-mini", messages=[{"role": "user", "content": "hi"}])
        async with stack.tools(session="one-console") as tools:
            await tools.call_tool("mark", {"text": "shadow"})
            await tools.call_tool("mark", {"text": "ask-console"})
        done.set()

    async with async_playwright() as playwright, anyio.create_task_group() as tasks:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        page = await browser.new_page()
        tasks.start_soon(work)
        ticket = await stack.pending("ask-console")
        await open_page(page, stack, "/console/")

        await follow(page, "Overview")
        await eventually(partial(shows, page, "Spend by model", "gpt-4o-mini", "$0.0", "mark"))
        assert "mark" in await follow(page, "Pins")
        assert "marks-wait" in await follow(page, "Approvals")
        audit = await follow(page, "Audit")
        assert "approval.requested" in audit
        assert "gpt-4o-mini" in audit

        rules = await follow(page, "Policies")
        places = [rules.index(rule) for rule in ("marks-wait", "never", "would-refuse", "no-secret-model")]
        assert places == sorted(places)
        await eventually(partial(shows, page, "1 exchange would have met it", "1 decided"))
        await page.locator("section", has=page.get_by_role("img", name="would-refuse")).get_by_role("link").click()
        why = page.get_by_role("region", name="Rules asked about the request").locator("tr", has_text="would-refuse")
        assert "would have decided deny" in await why.inner_text()

        await page.get_by_text("ses_").first.click()
        await stack.decide(ticket, "approve")
        await done.wait()
        await page.reload()
        await page.locator("tr", has_text="exchange.admitted").get_by_role("link", name="why").first.click()
        asked = page.get_by_role("region", name="Rules asked about the request")
        assert "this decided" in await asked.locator("tr", has_text="marks-wait").inner_text()

        await browser.close()
