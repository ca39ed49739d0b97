"""The ladder: told, asked, refused, stopped."""

from datetime import UTC, datetime

import pytest

from governance.config.models import Loop
from governance.exchange import Action, Body, Exchange, Phase, Principal, Resource, SessionRef
from governance.jsontree import Json
from governance.verdict import ALLOWED, Decision, Verdict
from sessions.loop_stage import LoopStage
from tests.conftest import ManualClock


def exchange(arguments: Json, *, action: Action = Action.TOOL_CALL) -> Exchange:
    return Exchange(
        id="exc_1",
        at=datetime(2026, 11, 21, tzinfo=UTC),
        action=action,
        principal=Principal("key_1"),
        resource=Resource(server="files", name="read"),
        session=SessionRef("ses_1", "explicit", 1),
        request=Body({"params": {"name": "read", "arguments": arguments}}),
    )


async def ladder(stage: LoopStage, calls: int) -> list[Verdict]:
    return [await stage.judge(exchange({"path": "a"}), Phase.REQUEST) for _ in range(calls)]


async def test_the_ladder_has_four_rungs_and_stops_hard_at_fifty(clock: ManualClock) -> None:
    said = [verdict.decision for verdict in await ladder(LoopStage(Loop(), clock=clock), 100)]
    assert said[:9] == [Decision.ALLOW] * 9
    assert said[9:19] == [Decision.WARN] * 10
    assert said[19:49] == [Decision.HOLD] * 30
    assert said[49:99] == [Decision.DENY] * 50
    assert said[99] is Decision.KILL


async def test_the_reason_carries_the_numbers(clock: ManualClock) -> None:
    twentieth = (await ladder(LoopStage(Loop(), clock=clock), 20))[-1]
    assert twentieth.rule == "loop.repeat"
    assert twentieth.reason == (
        "the same call was made 20 times in this session: from 20 times on a person must approve it"
    )


@pytest.mark.parametrize("rung", ["repeat_warn", "repeat_hold", "repeat_deny", "repeat_kill"])
async def test_a_rung_of_zero_is_switched_off(clock: ManualClock, rung: str) -> None:
    stage = LoopStage(Loop.model_validate({"rate_per_minute": 0, rung: 0}), clock=clock)
    decision = {"warn": Decision.WARN, "hold": Decision.HOLD, "deny": Decision.DENY, "kill": Decision.KILL}
    said = {verdict.decision for verdict in await ladder(stage, 120)}
    assert said == {Decision.ALLOW, *decision.values()} - {decision[rung.removeprefix("repeat_")]}


async def test_an_approval_lets_one_call_through_and_the_ladder_goes_on(clock: ManualClock) -> None:
    """The stage is not told of approvals, so the next equal call is held again and the stop still comes."""
    stage = LoopStage(Loop(repeat_warn=0, repeat_hold=2, repeat_deny=4, repeat_kill=0), clock=clock)
    said = [verdict.decision for verdict in await ladder(stage, 5)]
    assert said == [Decision.ALLOW, Decision.HOLD, Decision.HOLD, Decision.DENY, Decision.DENY]


async def test_a_cycle_is_held(clock: ManualClock) -> None:
    stage = LoopStage(Loop(), clock=clock)
    said = [await stage.judge(exchange({"step": index % 2}), Phase.REQUEST) for index in range(12)]
    verdict = said[-1]
    assert {one.decision for one in said[:-1]} == {Decision.ALLOW}
    assert (verdict.decision, verdict.rule) == (Decision.HOLD, "loop.cycle")
    assert "the same 2 calls went round 6 times" in verdict.reason


async def test_too_many_calls_a_minute_are_refused(clock: ManualClock) -> None:
    stage = LoopStage(Loop(rate_per_minute=3), clock=clock)
    said: list[Verdict] = []
    for index in range(4):
        clock.advance(1)
        said.append(await stage.judge(exchange({"n": index}), Phase.REQUEST))
    assert [verdict.decision for verdict in said] == [Decision.ALLOW] * 3 + [Decision.DENY]
    assert said[-1].reason == "more than 3 calls within a minute in this session: wait a little"
    clock.advance(60)
    assert await stage.judge(exchange({"n": 9}), Phase.REQUEST) is ALLOWED


async def test_only_requests_of_tool_calls_count(clock: ManualClock) -> None:
    stage = LoopStage(Loop(repeat_deny=1, repeat_kill=0), clock=clock)
    assert await stage.judge(exchange({}, action=Action.TOOL_LIST), Phase.REQUEST) is ALLOWED
    assert await stage.judge(exchange({}), Phase.RESPONSE) is ALLOWED
    assert (await stage.judge(exchange({}), Phase.REQUEST)).decision is Decision.DENY
    assert stage.loops.calls("ses_1") == 1


async def test_no_reason_carries_an_argument(clock: ManualClock) -> None:
    stage = LoopStage(Loop(rate_per_minute=40), clock=clock)
    for _ in range(120):
        verdict = await stage.judge(exchange({"password": "hunter2"}), Phase.REQUEST)
        assert "hunter2" not in verdict.reason
