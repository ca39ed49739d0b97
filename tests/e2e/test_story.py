"""The main job, end to end: model calls and tool calls judged by one pipeline, and a log that proves it."""

import json
from dataclasses import replace

import anthropic
import anyio
import openai
import pytest
from openai.types.chat import ChatCompletion

from tests.e2e.provider import Provider
from tests.e2e.stack import POLICY, PROVIDER_KEY, Stack, eventually, text_of

pytestmark = pytest.mark.xdist_group("e2e-story")


async def ask(stack: Stack, text: str, *, model: str = "gpt-4o-mini", session: str = "story-1") -> ChatCompletion:
    """One model call with the official client."""
    async with stack.model(session) as client:
        return await client.chat.completions.create(model=model, messages=[{"role": "user", "content": text}])


async def test_a_model_call_reaches_the_provider_with_the_providers_key(stack: Stack, provider: Provider) -> None:
    answer = await ask(stack, "what is the answer?")
    assert answer.choices[0].message.content == "The answer is forty-two."
    assert answer.usage is not None
    assert answer.usage.total_tokens == 18
    assert provider.keys[-1] == f"Bearer {PROVIDER_KEY}"
    assert stack.key not in provider.seen[-1].decode()


async def test_a_stream_reaches_the_client_whole(stack: Stack) -> None:
    async with stack.model() as model:
        stream = await model.chat.completions.create(
            model="gpt-4o-mini", messages=[{"role": "user", "content": "stream it"}], stream=True
        )
        words = [chunk.choices[0].delta.content or "" async for chunk in stream]
    assert "".join(words) == "word0 word1 word2 word3 word4 "


async def test_the_messages_wire_is_served_to_its_own_client(stack: Stack, provider: Provider) -> None:
    async with anthropic.AsyncAnthropic(base_url=stack.gateway, api_key=stack.key, max_retries=0) as client:
        answer = await client.messages.create(
            model="claude-sonnet-5", max_tokens=64, messages=[{"role": "user", "content": "what is the answer?"}]
        )
    assert answer.usage.output_tokens == 4
    assert provider.keys[-1] == PROVIDER_KEY


async def test_a_denied_model_is_refused_with_rule_and_reason(stack: Stack) -> None:
    with pytest.raises(openai.PermissionDeniedError) as refused:
        await ask(stack, "hi", model="secret-1")
    assert "no-secret-model" in str(refused.value)
    assert "not for agents" in str(refused.value)


async def test_an_ssn_never_reaches_the_provider(stack: Stack, provider: Provider) -> None:
    await ask(stack, "file 536-22-1234 for me")
    assert b"536-22-1234" not in provider.seen[-1]
    assert b"[REDACTED:pii.ssn]" in provider.seen[-1]


async def test_a_client_without_a_key_is_told_so(stack: Stack) -> None:
    with pytest.raises(openai.AuthenticationError):
        await ask(replace(stack, key="wk_nobody"), "hi")


@pytest.mark.parametrize("mode", ["auto", "legacy"])
async def test_a_tool_call_goes_through_and_a_denied_tool_is_not_even_listed(stack: Stack, mode: str) -> None:
    async with stack.tools(session="story-1", mode=mode) as tools:
        listed = {tool.name for tool in (await tools.list_tools()).tools}
        assert listed == {"count", "mark"}
        before = len(stack.marks())
        assert "marked hello" in text_of(await tools.call_tool("mark", {"text": "hello"}))
        assert len(stack.marks()) == before + 1
        refused = await tools.call_tool("forbidden", {"text": "x"})
        assert refused.is_error
        assert "never" in text_of(refused)
        assert "out of bounds" in text_of(refused)


async def test_model_calls_and_tool_calls_of_one_run_stand_on_one_timeline(stack: Stack) -> None:
    await ask(stack, "hi", session="joined")
    async with stack.tools(session="joined") as tools:
        await tools.call_tool("count", {})
    run = next(one for one in stack.cli("sessions", "list") if "joined" in str(one))
    events = stack.cli("audit", "show", "--session", run["id"])
    assert {one.get("action") for one in events} >= {"llm.generate", "tool.call"}


async def test_a_loop_is_stopped(stack: Stack) -> None:
    refusals: list[str] = []
    async with stack.tools(session="looping") as tools, anyio.create_task_group() as tasks:
        tasks.start_soon(approve_everything, stack)
        with anyio.fail_after(90):
            while not refusals:
                result = await tools.call_tool("mark", {"text": "again"})
                if result.is_error:
                    refusals.append(text_of(result))
        tasks.cancel_scope.cancel()
    assert "loop.repeat" in refusals[0]
    assert stack.marks().count("again") == 49


async def approve_everything(stack: Stack) -> None:
    """A person who says yes to everything."""
    while True:
        await stack.decide(await stack.pending(), "approve")


async def test_a_rule_in_shadow_mode_only_says_what_it_would_do(stack: Stack) -> None:
    async with stack.tools(session="shadowed") as tools:
        assert not (await tools.call_tool("mark", {"text": "shadow"})).is_error
    run = next(one for one in stack.cli("sessions", "list") if "shadowed" in str(one))
    admitted = stack.cli("audit", "show", "--session", run["id"], "--type", "exchange.admitted")
    assert admitted[0]["shadow"] == ["would-refuse: deny"]


async def test_rules_change_without_a_restart(stack: Stack) -> None:
    file = stack.folder / "policy.yaml"
    before = file.read_text()
    new_rule = {"id": "brand-new", "match": {"tool": "count"}, "decide": "deny", "reason": "since a moment ago"}
    async with stack.tools() as tools:

        async def is_hidden() -> bool:
            return "count" not in {tool.name for tool in (await tools.list_tools()).tools}

        async def is_listed() -> bool:
            return not await is_hidden()

        assert await is_listed()
        file.write_text("rules: [this is: not: a policy")
        file.write_text(json.dumps({**POLICY, "rules": [*POLICY["rules"], new_rule]}))
        await eventually(is_hidden)
        file.write_text("rules: [this is: not: a policy")
        await eventually(lambda: bool(stack.cli("audit", "show", "--type", "policy.rejected")))
        assert (await tools.call_tool("count", {})).is_error
        file.write_text(before)
        await eventually(is_listed)


async def test_the_log_verifies_and_names_neither_content_nor_keys(stack: Stack, provider: Provider) -> None:
    assert stack.cli("audit", "verify")["checked"] > 0
    log = str(stack.cli("audit", "show", "--limit", "1000"))
    assert "exchange.admitted" in log
    for secret in (stack.key, PROVIDER_KEY, stack.admin, "536-22-1234", "what is the answer?"):
        assert secret not in log
        assert secret not in (stack.folder / "up.log").read_text()
