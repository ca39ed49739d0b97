"""What one process saw, the other one judges by: sessions are labelled by what they read, across both proxies."""

from typing import Any

import anyio
import pytest
from mcp_types import CallToolResult
from openai.types.chat import ChatCompletionMessageParam

from tests.e2e.stack import Stack, text_of

pytestmark = pytest.mark.xdist_group("e2e-labels")

RULES: list[dict[str, Any]] = [
    {"id": "sends", "match": {"tool": "mark", "labels": "personal_data"}, "decide": "hold", "reason": "look at it"},
    {"id": "counts", "match": {"tool": "count"}, "add_labels": "untrusted_content"},
    {"id": "both", "match": {"tool": "mark", "all_labels": ["untrusted_content", "personal_data"]}, "decide": "deny"},
]


@pytest.fixture(scope="module")
def settings() -> dict[str, Any]:
    return {"policy": {"version": 1, "default": "allow", "rules": RULES}}


async def read(stack: Stack, session: str, text: str) -> None:
    """Let an agent show its model what a tool of its own gave it."""
    call: Any = {"id": "c1", "type": "function", "function": {"name": "read", "arguments": "{}"}}
    messages: list[ChatCompletionMessageParam] = [
        {"role": "user", "content": "read my mail"},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c1", "content": text},
    ]
    async with stack.model(session) as model:
        await model.chat.completions.create(model="gpt-4o-mini", messages=messages)


def labels_of(stack: Stack, session: str) -> dict[str, str]:
    """The labels of a run, each with what set it."""
    return {one["label"]: one["source"] for one in stack.cli("sessions", "show", session)["labels"]}


async def test_personal_data_in_a_model_call_holds_the_tool_call_and_an_approval_is_for_one(stack: Stack) -> None:
    await read(stack, "taint-1", "write to ann@example.com")
    assert labels_of(stack, "taint-1") == {"personal_data": "finding:pii.email"}
    results: list[CallToolResult] = []
    async with stack.tools(session="taint-1") as tools:

        async def send() -> None:
            results.append(await tools.call_tool("mark", {"text": "once"}))

        for decision in ("approve", "deny"):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(send)
                await stack.decide(await stack.pending("once"), decision, "said so")
    assert [one.is_error for one in results] == [False, True]
    assert stack.marks().count("once") == 1
    async with stack.tools(session="taint-2") as other:
        assert "marked free" in text_of(await other.call_tool("mark", {"text": "free"}))


async def test_untrusted_content_and_personal_data_together_let_nothing_out(stack: Stack) -> None:
    await read(stack, "taint-3", "write to ann@example.com")
    async with stack.tools(session="taint-3") as tools:
        await tools.call_tool("count", {})
        refused = await tools.call_tool("mark", {"text": "out"})
    assert refused.is_error
    assert "both" in text_of(refused)
    assert "out" not in stack.marks()
    assert labels_of(stack, "taint-3")["untrusted_content"] == "rule:counts"
    run = stack.cli("sessions", "show", "taint-3")["id"]
    set_by = [event["labels_set"] for event in stack.cli("audit", "show", "--session", run) if "labels_set" in event]
    assert sorted(one for labels in set_by for one in labels) == [
        "personal_data: finding:pii.email",
        "untrusted_content: rule:counts",
    ]
