"""Both processes, and agents that say of themselves only what real ones do: each run is one session across both."""

import contextlib
import json
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from typing import Any

import anthropic
import anyio
import httpx2
import pytest
from mcp import Client
from mcp.client.streamable_http import streamable_http_client
from mcp_types import CallToolResult

from tests.e2e.provider import Provider
from tests.e2e.stack import POLICY, Stack, text_of

pytestmark = pytest.mark.xdist_group("e2e-runs")

PROPOSED_ONLY = {
    "id": "only-what-a-model-asked-for",
    "match": {"tool": "mark", "findings": ["call.unproposed", "call.altered"]},
    "decide": "deny",
    "reason": "no model asked for this",
}


@pytest.fixture(scope="module")
def settings() -> dict[str, Any]:
    return {"policy": {**POLICY, "rules": [*POLICY["rules"], PROPOSED_ONLY]}}


@dataclass
class Agent:
    """An agent's run, with the headers and names that one of the known agents uses."""

    stack: Stack
    tools: Client
    headers: dict[str, str]
    prefix: str
    """What stands before a tool's name on the model's side."""
    messages: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])

    async def asks(self, tool: str, arguments: dict[str, Any]) -> tuple[str, dict[str, Any]]:
        """Have the model ask for a tool; returns the id and the arguments that came."""
        wanted = json.dumps({"use": f"{self.prefix}{tool}", "input": arguments})
        self.messages.append({"role": "user", "content": wanted})
        offered: Any = [{"type": "function", "function": {"name": f"{self.prefix}{tool}", "parameters": {}}}]
        messages: Any = self.messages
        async with self.stack.model() as model:
            answer = await model.chat.completions.create(
                model="gpt-4o-mini", messages=messages, tools=offered, extra_headers=self.headers
            )
        said = answer.choices[0].message
        assert said.tool_calls
        (call,) = said.tool_calls
        assert call.type == "function"
        self.messages.append(said.model_dump(exclude_none=True))
        self.messages.append({"role": "tool", "tool_call_id": call.id, "content": "done"})
        return call.id, json.loads(call.function.arguments)

    async def works(self, tool: str, arguments: dict[str, Any]) -> CallToolResult:
        """Have the model ask for a tool, and call it."""
        _, given = await self.asks(tool, arguments)
        return await self.tools.call_tool(tool, given)


@contextlib.asynccontextmanager
async def connected(stack: Stack) -> AsyncGenerator[Client]:
    """An MCP client as agents have it: with a key, and nothing else that would tell its run."""
    url = f"{stack.mcp}/mcp/ledger"
    async with (
        httpx2.AsyncClient(headers={"authorization": f"Bearer {stack.key}"}, timeout=60) as http,
        Client(streamable_http_client(url, http_client=http), mode="legacy") as client,
    ):
        await client.list_tools()
        yield client


def sessions_of(stack: Stack, since: str) -> dict[str, set[str]]:
    """The planes of each session in which a call was completed after a moment."""
    events = stack.cli("audit", "show", "--type", "exchange.completed", "--limit", "500")
    found: dict[str, set[str]] = {}
    for event in events:
        if event["action"] in ("llm.generate", "tool.call") and event["at"] > since:
            found.setdefault(event["session_id"], set()).add(event["plane"])
    return found


def now(stack: Stack) -> str:
    """The time of the newest event."""
    return max((event["at"] for event in stack.cli("audit", "show", "--limit", "1")), default="")


@pytest.mark.parametrize(
    ("named", "prefix"),
    [(True, "ledger_"), (False, "mcp__ledger__"), (False, "mcp_ledger_")],
    ids=["OpenCode", "Qwen Code", "without ids in its headers"],
)
async def test_two_parallel_runs_are_two_sessions_across_both_processes(named: bool, prefix: str, stack: Stack) -> None:
    since = now(stack)
    with anyio.fail_after(60):
        async with connected(stack) as first, connected(stack) as second:
            agents = [
                Agent(stack, tools, {"x-session-id": f"ses_{place}{prefix}"} if named else {}, prefix)
                for place, tools in enumerate((first, second))
            ]
            for turn in range(2):
                for place, agent in enumerate(agents):
                    result = await agent.works("mark", {"text": f"{prefix} {turn} of {place}"})
                    assert not result.is_error, text_of(result)
    found = sessions_of(stack, since)
    assert list(found.values()) == [{"llm", "mcp"}] * 2
    listed = {run["id"]: run for run in stack.cli("sessions", "list")}
    assert all(listed[run]["plane"] == "llm,mcp" and listed[run]["verified"] for run in found)


async def test_claude_code_makes_its_call_before_the_answer_is_over(stack: Stack, provider: Provider) -> None:
    since = now(stack)
    headers = {"x-claude-code-session-id": "3f1c6a52-0000-4000-8000-aaaaaaaaaaaa", "x-claude-code-agent-id": "helper"}
    wanted = json.dumps({"use": "mcp__ledger__mark", "input": {"text": "early"}, "stays": True})
    tool: Any = {"name": "mcp__ledger__mark", "input_schema": {"type": "object"}}
    with anyio.fail_after(60):
        async with (
            connected(stack) as tools,
            anthropic.AsyncAnthropic(base_url=stack.gateway, api_key=stack.key, max_retries=0) as model,
            model.messages.stream(
                model="claude-sonnet-5", max_tokens=64, tools=[tool], extra_headers=headers,
                messages=[{"role": "user", "content": wanted}],
            ) as stream,
        ):  # fmt: skip
            async for event in stream:
                if event.type == "content_block_stop":
                    block = event.content_block
                    assert block.type == "tool_use"
                    meta: Any = {"claudecode/toolUseId": block.id}
                    result = await tools.call_tool("mark", {"text": "early"}, meta=meta)
                    assert not result.is_error, text_of(result)
                    provider.goes_on.set()
    assert list(sessions_of(stack, since).values()) == [{"mcp", "llm"}]
    events = stack.cli("audit", "show", "--type", "exchange.admitted", "--limit", "500")
    (call,) = [one for one in events if one["at"] > since and one["action"] == "tool.call"]
    (asked,) = [one for one in events if one["at"] > since and one["action"] == "llm.generate"]
    assert (call["session_evidence"], call["session_verified"]) == ("tool_call", True)
    assert (call["proposed"], call["proposed_by"]) == ("exact", asked["exchange_id"])
    assert (call["subagent"], asked["subagent"]) == ("helper", "helper")
    assert (asked["session_evidence"], asked["session_verified"]) == ("agent_header", False)


async def test_what_no_model_asked_for_is_refused_by_a_rule_that_says_so(stack: Stack) -> None:
    marks = stack.marks()
    with anyio.fail_after(60):
        async with connected(stack) as tools:
            agent = Agent(stack, tools, {}, "ledger_")
            await agent.works("count", {})
            refused = await tools.call_tool("mark", {"text": "on its own"})
            _, given = await agent.asks("mark", {"text": "asked for"})
            altered = await tools.call_tool("mark", {**given, "text": "another thing"})
            for result in (refused, altered):
                assert result.is_error
                assert "only-what-a-model-asked-for" in text_of(result)
            assert stack.marks() == marks
            assert not (await agent.works("mark", {"text": "as asked"})).is_error
    assert stack.marks() == [*marks, "as asked"]
