"""A held call, a person in a real browser, and exactly one execution."""

import json
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest
from mcp import Client
from playwright.async_api import Page, async_playwright

from tests.console.conftest import CHROMIUM, FLAGS
from tests.e2e.provider import Provider
from tests.e2e.stack import Stack, configure, eventually, running, text_of

pytestmark = pytest.mark.xdist_group("e2e-approval")


@pytest.fixture(scope="module")
def settings() -> dict[str, Any]:
    """A hundred equal calls would be a loop; here they are meant."""
    return {"loop": {"tools": {"*": {"exempt": True}}}}


async def open_page(page: Page, stack: Stack, path: str) -> None:
    """Sign in with the administrator's token, then go to a page."""
    await page.goto(f"{stack.gateway}/console/login")
    await page.get_by_label("key").fill(stack.admin)
    await page.get_by_role("button", name="sign in").click()
    await page.wait_for_url("**/console/**")
    await page.goto(f"{stack.gateway}{path}")


@pytest.mark.parametrize("mode", ["auto", "legacy"])
async def test_a_call_approved_in_chromium_is_executed_exactly_once(stack: Stack, mode: str) -> None:
    text = f"ask-chromium-{mode}"
    results: list[str] = []

    async def call() -> None:
        async with stack.tools(session="approving", mode=mode) as tools:
            results.append(text_of(await tools.call_tool("mark", {"text": text})))

    async with async_playwright() as playwright, anyio.create_task_group() as tasks:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        page = await browser.new_page()
        await open_page(page, stack, "/console/approvals")
        tasks.start_soon(call)
        await page.locator(f"a[href$='{await stack.pending(text)}']").first.click()
        assert text in await page.locator("main").inner_text()
        assert text not in stack.marks()
        await page.get_by_role("button", name="approve", exact=False).first.click()
        await eventually(lambda: bool(results))
        await browser.close()
    assert results == [f"marked {text}"]
    assert stack.marks().count(text) == 1


async def call_mark(tools: Client, text: str) -> tuple[bool, str]:
    """One call; whether it is an error, and its text."""
    result = await tools.call_tool("mark", {"text": text})
    return bool(result.is_error), text_of(result)


async def test_a_denied_call_is_not_executed_and_the_agent_is_told_why(stack: Stack) -> None:
    results: list[tuple[bool, str]] = []

    async def call() -> None:
        async with stack.tools() as tools:
            results.append(await call_mark(tools, "ask-denied"))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(call)
        await stack.decide(await stack.pending("ask-denied"), "deny", "not on a Friday")
    ((is_error, text),) = results
    assert is_error
    assert "not on a Friday" in text
    assert "ask-denied" not in stack.marks()


async def test_a_call_that_nobody_approves_in_time_is_denied(provider: Provider, tmp_path: Path) -> None:
    configure(tmp_path, provider.port, approvals={"timeout_seconds": 1, "wait_seconds": 20}, detect={"engine": "re"})
    with running(tmp_path) as stack:
        async with stack.tools() as tools:
            is_error, text = await call_mark(tools, "ask-nobody")
        assert is_error
        assert "nobody approved this call in time" in text
        assert stack.marks() == []


async def test_an_approval_is_for_one_call_to_the_byte(provider: Provider, tmp_path: Path) -> None:
    configure(tmp_path, provider.port, approvals={"timeout_seconds": 60, "wait_seconds": 0}, detect={"engine": "re"})
    with running(tmp_path) as stack:
        async with stack.tools() as tools:
            is_error, text = await call_mark(tools, "ask-byte-a")
            assert is_error
            assert "pending" in text
            await stack.decide(await stack.pending("ask-byte-a"), "approve")
            assert "pending" in (await call_mark(tools, "ask-byte-b"))[1]
            assert await call_mark(tools, "ask-byte-a") == (False, "marked ask-byte-a")
            assert "pending" in (await call_mark(tools, "ask-byte-a"))[1]
        assert stack.marks() == ["ask-byte-a"]


async def test_a_hundred_uses_of_one_approval_make_one_execution(stack: Stack) -> None:
    """Raw HTTP, so that a hundred calls really are on the way at the same time."""
    call: dict[str, Any] = {
        "jsonrpc": "2.0", "id": 1, "method": "tools/call",
        "params": {
            "name": "mark", "arguments": {"text": "ask-hundred"},
            "_meta": {
                "io.modelcontextprotocol/protocolVersion": "2026-07-28",
                "io.modelcontextprotocol/clientCapabilities": {},
            },
        },
    }  # fmt: skip
    headers = {
        "authorization": f"Bearer {stack.key}", "content-type": "application/json", "x-wicket-session": "hundred",
        "accept": "application/json, text/event-stream", "mcp-protocol-version": "2026-07-28",
        "mcp-method": "tools/call", "mcp-name": "mark",
    }  # fmt: skip
    answers: list[str] = []

    async with httpx.AsyncClient(headers=headers, timeout=90, limits=httpx.Limits(max_connections=120)) as http:

        async def use() -> None:
            answer = await http.post(f"{stack.mcp}/mcp/ledger", content=json.dumps(call))
            answers.append(answer.text)

        async with anyio.create_task_group() as tasks:
            for _ in range(100):
                tasks.start_soon(use)
            await stack.decide(await stack.pending("ask-hundred"), "approve")
            await eventually(lambda: "ask-hundred" in stack.marks(), 60)
            tasks.start_soon(_deny_everything, stack)
            await eventually(lambda: len(answers) == 100, 60)
            tasks.cancel_scope.cancel()
    assert stack.marks().count("ask-hundred") == 1
    assert sum("marked ask-hundred" in answer for answer in answers) == 1


async def _deny_everything(stack: Stack) -> None:
    while True:
        await stack.decide(await stack.pending(), "deny")


async def test_a_changed_call_is_executed_as_changed_and_the_agent_is_told(stack: Stack) -> None:
    results: list[tuple[bool, str]] = []

    async def call() -> None:
        async with stack.tools() as tools:
            results.append(await call_mark(tools, "ask-changed"))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(call)
        ticket = await stack.pending("ask-changed")
        async with httpx.AsyncClient(base_url=stack.gateway, trust_env=False) as http:
            bearer = {"authorization": f"Bearer {stack.admin}"}
            shown = (await http.get(f"/console/api/tickets/{ticket}", headers=bearer)).json()
            body = {"digest": shown["digest"], "arguments": {"text": "by-a-person"}}
            answer = await http.post(f"/console/api/tickets/{ticket}/approve", json=body, headers=bearer)
            assert answer.status_code == 200, answer.text
    ((is_error, text),) = results
    assert not is_error
    assert text.startswith("marked by-a-person")
    assert 'a person changed the arguments of this call: /text was "ask-changed", and is "by-a-person"' in text
    assert stack.marks().count("by-a-person") == 1
    assert "ask-changed" not in stack.marks()


async def test_what_a_person_granted_is_made_without_asking_as_often_as_they_said(
    provider: Provider, tmp_path: Path
) -> None:
    """Official clients, real processes, the real front door."""
    configure(tmp_path, provider.port, approvals={"timeout_seconds": 60, "wait_seconds": 0}, detect={"engine": "re"})
    with running(tmp_path) as stack:
        async with stack.tools(session="granted") as tools:
            assert "pending" in (await call_mark(tools, "ask-1"))[1]
            ticket = await stack.pending("ask-1")
            stack.cli("approvals", "approve", ticket, "--arg", "/text=ask-?", "--uses", "2")
            assert await call_mark(tools, "ask-1") == (False, "marked ask-1")
            assert await call_mark(tools, "ask-2") == (False, "marked ask-2")
            assert "pending" in (await call_mark(tools, "ask-other"))[1]
            assert await call_mark(tools, "ask-3") == (False, "marked ask-3")
            assert "pending" in (await call_mark(tools, "ask-4"))[1]
        assert stack.marks() == ["ask-1", "ask-2", "ask-3"]
        (grant,) = stack.cli("grants", "list", "--all")
        assert (grant["state"], grant["used"], grant["given_by"][:3]) == ("used_up", 2, "cli")
        events = stack.cli("audit", "show", "--limit", "200")
        assert (
            sum(one.get("grant_id") == grant["id"] for one in events if one["event_type"] == "exchange.admitted") == 2
        )
