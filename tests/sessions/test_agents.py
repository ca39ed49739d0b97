"""The shapes in which five agents make model calls and tool calls, as observed on the wire: each run is one session.

The bodies are our own; names of headers, members and tools are those that the agents use.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import pytest

from governance.exchange import Proposed, SessionRef, ToolUse
from governance.jsontree import Json
from tests.conftest import ManualClock
from tests.sessions.joined import Joined, joined, use


@dataclass(frozen=True)
class Shape:
    """How one agent speaks."""

    headers: Callable[[str], Mapping[str, str]]
    """Of its model calls, by the name of its session."""
    body: Callable[[str], Mapping[str, Json]]
    history: Callable[[str, str, Json], Mapping[str, Json]]
    """A request that has one tool call behind it: its id, the tool, the arguments."""
    name: Callable[[str], str]
    """What its model calls a tool of the server `gw`."""
    meta: Callable[[str, str], Mapping[str, Json]]
    """Of its tool calls, by the session and the id of the call."""
    call_id: str
    """How the provider calls the calls of one run, with its number in it; empty = in no way."""


def _chat(call_id: str, name: str, arguments: Json) -> Mapping[str, Json]:
    call: Json = {"id": call_id, "type": "function", "function": {"name": name, "arguments": json.dumps(arguments)}}
    return {
        "messages": [
            {"role": "user", "content": "ping it"},
            {"role": "assistant", "content": None, "tool_calls": [call]},
            {"role": "tool", "tool_call_id": call_id, "content": "pong"},
        ]
    }


def _messages(call_id: str, name: str, arguments: Json) -> Mapping[str, Json]:
    return {
        "messages": [
            {"role": "user", "content": "ping it"},
            {"role": "assistant", "content": [{"type": "tool_use", "id": call_id, "name": name, "input": arguments}]},
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": call_id, "content": "pong"}]},
        ]
    }


def _responses(call_id: str, name: str, arguments: Json) -> Mapping[str, Json]:
    group, _, plain = name.rpartition("__")
    call: Json = {
        "type": "function_call", "call_id": call_id, "name": plain, "namespace": group,
        "arguments": json.dumps(arguments),
    }  # fmt: skip
    return {"input": [call, {"type": "function_call_output", "call_id": call_id, "output": [{"text": "pong"}]}]}


def _contents(call_id: str, name: str, arguments: Json) -> Mapping[str, Json]:
    return {
        "contents": [
            {"role": "user", "parts": [{"text": "ping it"}]},
            {"role": "model", "parts": [{"functionCall": {"name": name, "args": arguments}}]},
            {"role": "user", "parts": [{"functionResponse": {"id": "ping-1-x", "name": name, "response": {}}}]},
        ]
    }


def _nothing(*_: str) -> Mapping[str, Json]:
    return {}


SHAPES = {
    "Claude Code": Shape(
        lambda session: {"user-agent": "claude-cli/2.1.329", "x-claude-code-session-id": session},
        lambda session: {"metadata": {"user_id": json.dumps({"device_id": "d", "session_id": session})}},
        _messages,
        lambda tool: f"mcp__gw__{tool}",
        lambda _, call_id: {"claudecode/toolUseId": call_id, "progressToken": 3},
        "toolu_01Vd8sKq2mXw{}",
    ),
    "Codex": Shape(
        lambda session: {"originator": "codex_exec", "session-id": session, "thread-id": session},
        lambda session: {"prompt_cache_key": session, "client_metadata": {"session_id": session}},
        _responses,
        lambda tool: f"mcp__gw__{tool}",
        lambda session, call_id: {"callId": call_id, "sessionId": session, "threadId": session, "progressToken": 3},
        "call_kU2mBq7TzPd4sLwX{}",
    ),
    "OpenCode": Shape(
        lambda session: {"user-agent": "opencode/1.18.33", "x-session-id": session, "x-session-affinity": session},
        _nothing,
        _chat,
        lambda tool: f"gw_{tool}",
        lambda _session, _call: {"progressToken": 3},
        "call_Jb5nTq9WcXe1vRhM{}",
    ),
    "Gemini CLI": Shape(
        lambda _: {"user-agent": "GeminiCLI-tui/0.61.0"},
        _nothing,
        _contents,
        lambda tool: f"mcp_gw_{tool}",
        lambda _session, _call: {"progressToken": "6f1c"},
        "",
    ),
    "Qwen Code": Shape(
        lambda _: {"user-agent": "QwenCode/0.15.10"},
        _nothing,
        _chat,
        lambda tool: f"mcp__gw__{tool}",
        lambda _session, _call: {"progressToken": 3},
        "call_b7d1e0c94f5a4c2e{}",
    ),
}


@dataclass
class Run:
    """One run of an agent, step by step."""

    shape: Shape
    both: Joined
    session: str
    number: int
    """Makes the ids of its model's calls its own."""
    models: list[SessionRef] = field(default_factory=list[SessionRef])
    calls: list[SessionRef] = field(default_factory=list[SessionRef])
    asked: ToolUse | None = None
    history: Mapping[str, Json] = field(default_factory=dict[str, Json])

    @property
    def transport(self) -> str:
        return f"mcp-{self.number}"

    async def starts(self) -> None:
        await self.both.listing(self.transport)

    async def thinks(self, tool: str, arguments: Json) -> None:
        """The model is asked, and asks for a tool."""
        call_id = self.shape.call_id.format(f"{self.number}{len(self.models)}")
        name = self.shape.name(tool)
        self.asked = use(name, arguments, call_id)
        body = {**self.shape.body(self.session), **self.history}
        self.models.append(await self.both.model(self.asked, headers=self.shape.headers(self.session), body=body))
        self.history = self.shape.history(call_id, name, arguments)

    async def acts(self, tool: str, arguments: Json) -> None:
        """The tool that was asked for is called."""
        assert self.asked is not None
        meta = self.shape.meta(self.session, self.asked.id)
        self.calls.append(await self.both.call(tool, arguments, transport=self.transport, meta=meta))

    @property
    def ids(self) -> set[str]:
        """The sessions that its calls were counted to."""
        return {one.id for one in [*self.models, *self.calls]}


def two_runs(shape: Shape, both: Joined) -> tuple[Run, Run]:
    return (
        Run(shape, both, "11111111-2222-4333-8444-555555555555", 1),
        Run(shape, both, "99999999-8888-4777-8666-555555555555", 2),
    )


@pytest.mark.parametrize("agent", SHAPES)
async def test_each_of_two_parallel_runs_is_one_session(agent: str, database_url: str, clock: ManualClock) -> None:
    async with joined(database_url, clock) as both:
        runs = two_runs(SHAPES[agent], both)
        for run in runs:
            await run.starts()
        for turn in range(3):
            for run in runs:
                await run.thinks("ping", {"of": run.number, "turn": turn})
            for run in reversed(runs):
                await run.acts("ping", {"turn": turn, "of": run.number})
        first, second = (run.ids for run in runs)
        assert len(first) == len(second) == 1
        assert first != second
        for run in runs:
            assert all(one.verified and one.proposed is Proposed.EXACT for one in run.calls)
            assert (await both.listing(run.transport)).id in run.ids
        assert {one.id for one in await both.runs.newest()} == first | second
        assert {one.plane for one in await both.runs.newest()} == {"llm,mcp"}


@pytest.mark.parametrize("agent", SHAPES)
async def test_two_parallel_runs_that_do_the_very_same_never_merge(
    agent: str, database_url: str, clock: ManualClock
) -> None:
    async with joined(database_url, clock) as both:
        runs = two_runs(SHAPES[agent], both)
        for order in ((0, 1), (1, 0), (0, 1, 0), (1,), (0, 1)):
            for place in order:
                if not runs[place].models:
                    await runs[place].starts()
                await runs[place].thinks("ping", {"n": 1})
            for place in order:
                await runs[place].acts("ping", {"n": 1})
        first, second = (run.ids for run in runs)
        assert not first & second
        if SHAPES[agent].call_id and SHAPES[agent].headers("s") != SHAPES[agent].headers("t"):
            assert {len({one.id for one in run.models}) for run in runs} == {1}


@pytest.mark.parametrize("agent", SHAPES)
async def test_a_call_that_its_model_did_not_ask_for_is_told(agent: str, database_url: str, clock: ManualClock) -> None:
    async with joined(database_url, clock) as both:
        run, _ = two_runs(SHAPES[agent], both)
        await run.thinks("ping", {"n": 1})
        await run.acts("ping", {"n": 1})
        await run.thinks("ping", {"n": 2})
        await run.acts("ping", {"n": 3})
        await run.acts("search", {"q": "x"})
        assert [one.proposed for one in run.calls] == [Proposed.EXACT, Proposed.ALTERED, Proposed.NONE]
        assert len(run.ids) == 1


async def test_a_side_call_without_tools_begins_no_run(database_url: str, clock: ManualClock) -> None:
    async with joined(database_url, clock) as both:
        side = await both.model(headers={"user-agent": "QwenCode/0.15.10"}, body={"tools": []})
        assert side.evidence == "key"


async def test_a_conversation_that_names_itself_in_no_way_is_listed_with_its_first_tool_call(
    database_url: str, clock: ManualClock
) -> None:
    async with joined(database_url, clock) as both:
        assert (await both.model(body={"messages": []})).evidence == "conversation"
        assert await both.runs.newest() == []
        run = await both.model(use("ping", {}))
        assert [one.id for one in await both.runs.newest()] == [run.id]
