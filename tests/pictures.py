"""The pictures in `docs/images`: `make pictures` takes them of an installation that works, with official clients."""

import tempfile
from pathlib import Path

import anyio
from playwright.async_api import Page, ViewportSize, async_playwright

from tests.console.conftest import CHROMIUM, FLAGS
from tests.e2e.provider import serve_provider
from tests.e2e.stack import POLICY, Stack, configure, eventually, running
from tests.e2e.test_approval import open_page

IMAGES = Path(__file__).resolve().parents[1] / "docs/images"
RUNS = ("invoices", "release-notes", "support")
WIDE: ViewportSize = {"width": 1280, "height": 860}
PHONE: ViewportSize = {"width": 390, "height": 844}


async def _work(stack: Stack, run: str) -> None:
    """What an agent does: models and tools, allowed and refused, and once a call that waits for a person."""
    async with stack.model(run) as model, stack.tools(session=run) as tools:
        for turn in range(4):
            said = f"What is left to do in step {turn} of {run}?"
            await model.chat.completions.create(model="gpt-4o-mini", messages=[{"role": "user", "content": said}])
            await tools.call_tool("count", {})
            await tools.call_tool("mark", {"text": f"{run}, step {turn}" if turn % 3 else "shadow"})
            await anyio.sleep(0.2)  # so that a timeline has some length
        if run == RUNS[0]:
            await tools.call_tool("mark", {"text": "ask: pay the invoice of Acme, 1,250.00 EUR"})


async def _take(page: Page, stack: Stack, path: str, name: str) -> None:
    await page.goto(f"{stack.gateway}/console/{path}")
    await page.wait_for_load_state("load")
    await page.screenshot(path=IMAGES / f"{name}.png")


async def _pictures(stack: Stack) -> None:
    async with async_playwright() as playwright, anyio.create_task_group() as tasks:
        for run in RUNS:
            tasks.start_soon(_work, stack, run)
        ticket = await stack.pending("ask: pay")
        await eventually(lambda: len(stack.marks()) >= 4 * len(RUNS))
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        page = await browser.new_page(viewport=WIDE)
        await open_page(page, stack, "/console/")
        session = str(stack.cli("approvals", "show", ticket)["session"])

        async def counted() -> bool:
            await page.goto(f"{stack.gateway}/console/policies")
            return "would have" in await page.locator("main").inner_text()

        await eventually(counted)
        for path, name in (
            ("", "overview"), ("policies", "policies"), (f"sessions/{session}", "session"), ("sessions", "sessions"),
            (f"approvals/{ticket}", "approval"),
        ):  # fmt: skip
            await _take(page, stack, path, name)
        await page.set_viewport_size(PHONE)
        await _take(page, stack, "approvals", "phone")
        await stack.decide(ticket, "deny", "ask finance first")
        await browser.close()


def main() -> None:
    """Take them all."""
    with tempfile.TemporaryDirectory() as place, serve_provider() as provider:
        folder = Path(place)
        configure(folder, provider.port, policy=POLICY, replay={"keep": "arguments"})
        with running(folder) as stack:
            anyio.run(_pictures, stack)


if __name__ == "__main__":
    main()
