"""What a model's answer asks for is written down with its outcome, or before; what is withheld asks for nothing."""

import contextlib
from dataclasses import replace
from pathlib import Path

import pytest

from governance.exchange import Action, Body, Exchange, Phase, Proposed, Resource, SessionRef, ToolUse
from governance.jsontree import Json
from governance.stage import Outcome, RefusedError
from governance.store import StoreError
from governance.verdict import Finding
from sessions.proposals import Proposal
from sessions.store import SqlProposals
from tests.conftest import ManualClock
from tests.pipeline.world import World, open_world

PROVIDERS: dict[str, Json] = {"p": {"wire": "openai-chat", "base_url": "http://127.0.0.1/", "api_key": "x"}}
USES = [ToolUse("call_kU2mBq7TzPd4", "gw_ping", "ab" * 32), ToolUse("call_0", "gw_pong", "")]
WITHHELD: dict[str, Json] = {
    "version": 1,
    "default": "allow",
    "rules": [{"id": "no", "match": {"action": "llm.generate"}, "phase": "response", "decide": "deny"}],
}


def model_call(world: World) -> Exchange:
    session = SessionRef("ses_m", "agent_header", 2, "x-session-id=m", subagent="helper")
    return Exchange(
        "exc_model", world.runtime.clock.now(), Action.LLM_GENERATE, world.principal, Resource(provider="p", model="m"),
        session, Body({"model": "m"}), facts={"plane": "llm"},
    )  # fmt: skip


async def written(world: World) -> list[Proposal]:
    return await SqlProposals(world.runtime.store).after(0, "", 100)


async def test_it_is_written_with_the_outcome(database_url: str, tmp_path: Path, clock: ManualClock) -> None:
    async with open_world(database_url, tmp_path, clock, providers=PROVIDERS) as world:
        async with world.runtime.guard.passage(model_call(world)) as passage:
            await passage.respond(Body({}))
            passage.asks(USES)
            assert await written(world) == []
            await passage.settle(Outcome("ok"))
        first, second = await written(world)
        assert (first.run, first.exchange, first.subagent) == ("ses_m", "exc_model", "helper")
        assert (first.call_id, first.name, first.arguments) == USES[0]
        assert (second.call_id, second.name) == ("", "gw_pong")  # an id that says nothing is not kept


async def test_it_is_written_before_that_where_more_is_to_come(
    database_url: str, tmp_path: Path, clock: ManualClock
) -> None:
    async with open_world(database_url, tmp_path, clock, providers=PROVIDERS) as world:
        async with world.runtime.guard.passage(model_call(world)) as passage:
            passage.asks(USES[:1])
            await passage.tell()
            assert len(await written(world)) == 1
            passage.asks(USES[1:])
            await passage.settle(Outcome("ok"))
        assert [one.name for one in await written(world)] == ["gw_ping", "gw_pong"]


async def test_an_answer_that_is_withheld_asks_for_nothing(
    database_url: str, tmp_path: Path, clock: ManualClock
) -> None:
    async with open_world(database_url, tmp_path, clock, WITHHELD, providers=PROVIDERS) as world:

        async def answer() -> None:
            async with world.runtime.guard.passage(model_call(world)) as passage:
                passage.stream("text").feed("hi")
                passage.asks(USES)
                await passage.settle(Outcome("ok"))

        with pytest.raises(RefusedError):
            await answer()
        assert await written(world) == []


async def test_what_cannot_be_written_ends_the_answer(
    database_url: str, tmp_path: Path, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_world(database_url, tmp_path, clock, providers=PROVIDERS) as world:

        async def broken(*_: object) -> None:
            raise StoreError("the disk is full")

        async def answer() -> None:
            async with world.runtime.guard.passage(model_call(world)) as passage:
                passage.asks(USES)
                await passage.tell()

        monkeypatch.setattr(world.runtime.runs, "write", broken)
        with pytest.raises(RefusedError) as refused:
            await answer()
        assert refused.value.verdict.rule == "audit.unwritable"


async def test_without_a_model_that_is_served_nothing_is_written(
    database_url: str, tmp_path: Path, clock: ManualClock
) -> None:
    async with open_world(database_url, tmp_path, clock) as world:
        async with world.runtime.guard.passage(model_call(world)) as passage:
            passage.asks(USES)
            await passage.settle(Outcome("ok"))
        assert await written(world) == []


async def test_a_call_that_no_model_asked_for_says_so_and_its_text_is_left_alone(
    database_url: str, tmp_path: Path, clock: ManualClock
) -> None:
    async with open_world(database_url, tmp_path, clock, audit={"content": "masked"}) as world:
        call = world.call(text="hello")
        session = replace(call.session, proposed=Proposed.NONE)
        found = Finding("call.unproposed", "call.unproposed", "/params/name", 0, 0)
        call = replace(call, session=session, findings=(found,))
        async with world.runtime.guard.passage(call) as passage:
            await passage.respond(Body({}))
            await passage.settle(Outcome("ok"))
        (event,) = await world.events("exchange.admitted")
        assert (event["proposed"], event["session_verified"]) == ("none", False)
        assert "classification" not in event
        assert "call.unproposed" not in str(event["content"])
        message = replace(call, action=Action.MESSAGE, findings=())
        with contextlib.suppress(RefusedError):
            await world.runtime.guard.inspect(replace(message, request=Body({"a": "536-22-1234"})), Phase.REQUEST)
        assert all("proposed" not in one for one in await world.events("message.flagged", "message.withheld"))
