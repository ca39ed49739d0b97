"""`wicket kill ID`: both processes refuse within a second under load, and what runs is cut within two."""

import anyio
import openai
import pytest

from tests.e2e.provider import Provider
from tests.e2e.stack import Stack, eventually, text_of

pytestmark = pytest.mark.xdist_group("e2e-kill")


async def ask(stack: Stack, session: str) -> None:
    async with stack.model(session) as model:
        await model.chat.completions.create(model="gpt-4o-mini", messages=[{"role": "user", "content": "hi"}])


async def id_of(stack: Stack, session: str) -> str:
    """The id under which a run is listed."""
    return str(next(one["id"] for one in stack.cli("sessions", "list") if session in str(one)))


async def test_a_killed_run_is_refused_in_both_processes_within_a_second_under_load(stack: Stack) -> None:
    await ask(stack, "victim")
    victim = await id_of(stack, "victim")
    refused = {"llm": 0, "mcp": 0, "others": 0}
    begun = {"llm": anyio.Event(), "mcp": anyio.Event()}
    stopped = {"llm": anyio.Event(), "mcp": anyio.Event()}

    async def call_models(session: str) -> None:
        while True:
            try:
                await ask(stack, session)
                begun["llm"].set()
            except openai.PermissionDeniedError:
                stopped["llm"].set()
                refused["llm" if session == "victim" else "others"] += 1
                return

    async def call_tools(session: str) -> None:
        async with stack.tools(session=session) as tools:
            while True:
                result = await tools.call_tool("count", {"n": 0})
                if result.is_error:
                    assert "stopped" in text_of(result)
                    stopped["mcp"].set()
                    refused["mcp" if session == "victim" else "others"] += 1
                    return
                begun["mcp"].set()

    async with anyio.create_task_group() as tasks:
        for work in (call_models, call_models, call_tools):
            tasks.start_soon(work, "victim")
        tasks.start_soon(call_models, "bystander")
        with anyio.fail_after(30):
            for event in begun.values():
                await event.wait()
        await anyio.to_thread.run_sync(lambda: stack.cli("kill", victim, "--reason", "enough"))
        with anyio.fail_after(1):  # the bound that is promised
            for event in stopped.values():
                await event.wait()
        tasks.cancel_scope.cancel()
    assert refused["others"] == 0
    with pytest.raises(openai.PermissionDeniedError, match=r"kill\.session"):
        await ask(stack, "victim")
    stack.cli("revive", victim)
    with anyio.fail_after(2):
        while True:
            try:
                await ask(stack, "victim")
                break
            except openai.PermissionDeniedError:
                continue


async def test_a_running_stream_is_cut_within_two_seconds_and_its_upstream_closed(
    stack: Stack, provider: Provider
) -> None:
    left = provider.streams_left
    async with stack.model("streaming") as model:
        stream = await model.chat.completions.create(
            model="gpt-4o-mini", messages=[{"role": "user", "content": "endless please"}], stream=True
        )
        pieces = stream.__aiter__()
        await anext(pieces)
        run = await id_of(stack, "streaming")
        await anyio.to_thread.run_sync(lambda: stack.cli("kill", run, "--reason", "enough"))
        with anyio.fail_after(2), pytest.raises(openai.APIError, match="enough"):
            async for _ in pieces:
                pass
    await eventually(lambda: provider.streams_left > left)
    statuses = [one.get("status") for one in stack.cli("audit", "show", "--session", run)]
    assert "killed" in statuses


async def test_killing_what_is_not_there_says_so(stack: Stack) -> None:
    said = stack.cli("kill", "ses_that_never_was", "--reason", "enough", expect=4)
    assert "ses_that_never_was" in str(said)
