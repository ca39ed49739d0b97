"""Ceilings hold under concurrency, are settled by real use, and cost nothing where there are none."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal

import anyio
import pytest

from governance.budget.prices import Prices
from governance.budget.stage import Amount, BudgetStage, Claim
from governance.budget.store import SqlCounters
from governance.config.models import Budget
from governance.exchange import Action, Body, Exchange, Phase, Principal, Resource, SessionRef
from governance.jsontree import Json
from governance.stage import Outcome
from governance.store import Store, open_store
from governance.verdict import ALLOWED, Decision, Verdict
from tests.conftest import ManualClock
from tests.thoughts import told


@pytest.fixture
async def store(database_url: str) -> AsyncIterator[Store]:
    async with open_store(database_url) as opened:
        yield opened


def tool_call(number: int = 1, *, session: str = "ses_1", principal: Principal | None = None) -> Exchange:
    return exchange(f"exc_{number}", Action.TOOL_CALL, {"params": {"arguments": {}}}, session, principal)


def model_call(number: int = 1, *, model: str = "gpt-4o-mini", **request: Json) -> Exchange:
    value: Json = {"model": model, **request}
    return exchange(f"exc_{number}", Action.LLM_GENERATE, value, "ses_1", None, model=model)


def exchange(
    name: str, action: Action, value: Json, session: str, principal: Principal | None, model: str = ""
) -> Exchange:
    return Exchange(
        id=name,
        at=datetime(2026, 11, 21, tzinfo=UTC),
        action=action,
        principal=principal or Principal("key_1", tenant="acme"),
        resource=Resource(server="files", name="read", model=model),
        session=SessionRef(session, "explicit", 1),
        request=Body(value),
    )


def stage_of(store: Store, clock: ManualClock, *budgets: Budget) -> BudgetStage:
    return BudgetStage(budgets, counters=SqlCounters(store), prices=Prices({}, clock), clock=clock)


async def judged(stage: BudgetStage, one: Exchange) -> Verdict:
    return await told(stage.judge(one, Phase.REQUEST))


async def used(store: Store, scope: str, window: str = "session", started_at: str = "") -> Amount:
    """What a counter holds: reserving nothing below no ceiling tells."""
    claim = Claim(scope, window, started_at, Amount(None, None, None))
    return (await SqlCounters(store).reserve([claim], Amount()))[0]


async def test_a_ceiling_is_reached_and_then_holds(store: Store, clock: ManualClock) -> None:
    stage = stage_of(store, clock, Budget(scope="session", calls=2))
    said = [await judged(stage, tool_call(number)) for number in range(3)]
    assert [one.decision for one in said] == [Decision.ALLOW, Decision.ALLOW, Decision.DENY]
    assert said[2].rule == "budget.exceeded"
    assert said[2].reason == (
        "the budget of this session per session does not allow it: used or reserved are 2 of 2 calls"
    )
    assert await judged(stage, tool_call(9, session="ses_2")) is ALLOWED


async def test_a_ceiling_is_never_overrun_however_many_ask_at_once(store: Store, clock: ManualClock) -> None:
    stages = [stage_of(store, clock, Budget(scope="tenant", per="day", calls=10)) for _ in range(2)]
    allowed: list[int] = []

    async def ask(number: int) -> None:
        if (await judged(stages[number % 2], tool_call(number))).decision is Decision.ALLOW:
            allowed.append(number)

    async with anyio.create_task_group() as group:
        for number in range(60):
            group.start_soon(ask, number)
    assert len(allowed) == 10


async def test_what_was_really_used_replaces_what_was_reserved(store: Store, clock: ManualClock) -> None:
    stage = stage_of(store, clock, Budget(scope="session", usd=Decimal(1), tokens=10_000))
    call = model_call(max_tokens=1000)
    await judged(stage, call)
    assert ((await used(store, "session:ses_1")).tokens or 0) > 1000
    await stage.settle(call, Outcome("ok", input_tokens=12, output_tokens=30, cost_usd="0.0000198"))
    assert await used(store, "session:ses_1") == Amount(20, 42, 1)


async def test_a_refused_call_gives_everything_back(store: Store, clock: ManualClock) -> None:
    stage = stage_of(store, clock, Budget(scope="session", tokens=10_000))
    call = model_call()
    await judged(stage, call)
    await stage.settle(call, Outcome("refused"))
    assert await used(store, "session:ses_1") == Amount(0, 0, 0)


async def test_a_call_that_was_made_counts_although_its_answer_was_withheld(store: Store, clock: ManualClock) -> None:
    stage = stage_of(store, clock, Budget(scope="session", per="session", calls=1))
    call = tool_call(1)
    assert await judged(stage, call) is ALLOWED
    await stage.settle(replace(call, response=Body({"result": {}})), Outcome("refused"))
    assert (await judged(stage, tool_call(2))).rule == "budget.exceeded"


async def test_the_highest_of_several_limits_is_reserved(store: Store, clock: ManualClock) -> None:
    stage = stage_of(store, clock, Budget(scope="session", per="session", tokens=5000))
    verdict = await judged(stage, model_call(max_completion_tokens=1, max_tokens=6000.0))
    assert verdict.rule == "budget.exceeded"


async def test_an_operation_that_nobody_pays_for_reserves_no_tokens(store: Store, clock: ManualClock) -> None:
    stage = stage_of(store, clock, Budget(scope="session", per="session", tokens=10, calls=2))
    call = replace(model_call(max_tokens=6000), facts={"metered": False})
    assert await judged(stage, call) is ALLOWED
    await stage.settle(call, Outcome("ok"))
    assert (await used(store, "session:ses_1")) == Amount(0, 0, 1)


async def test_a_call_whose_use_nobody_knows_stays_reserved(store: Store, clock: ManualClock) -> None:
    stage = stage_of(store, clock, Budget(scope="session", tokens=10_000))
    call = model_call(max_tokens=500)
    await judged(stage, call)
    await stage.settle(call, Outcome("unknown"))
    assert ((await used(store, "session:ses_1")).tokens or 0) >= 500


async def test_every_counter_is_reserved_or_none(store: Store, clock: ManualClock) -> None:
    stage = stage_of(store, clock, Budget(scope="tenant", per="day", calls=100), Budget(scope="session", calls=1))
    await judged(stage, tool_call(1))
    assert (await judged(stage, tool_call(2))).decision is Decision.DENY
    assert (await used(store, "tenant:acme", "day", "2026-11-21T00:00:00.000000Z")).calls == 1


async def test_a_window_begins_anew(store: Store, clock: ManualClock) -> None:
    stage = stage_of(store, clock, Budget(scope="key", per="day", calls=1))
    assert await judged(stage, tool_call(1)) is ALLOWED
    assert (await judged(stage, tool_call(2))).decision is Decision.DENY
    clock.advance(12 * 3600)
    assert await judged(stage, tool_call(3)) is ALLOWED


async def test_the_lowest_of_two_ceilings_on_one_counter_holds(store: Store, clock: ManualClock) -> None:
    stage = stage_of(store, clock, Budget(scope="session", calls=5), Budget(scope="session", calls=1))
    assert await judged(stage, tool_call(1)) is ALLOWED
    assert (await judged(stage, tool_call(2))).decision is Decision.DENY
    assert (await used(store, "session:ses_1")).calls == 1


async def test_a_model_without_a_price_is_refused_where_money_is_limited(store: Store, clock: ManualClock) -> None:
    dear = stage_of(store, clock, Budget(scope="session", usd=Decimal(5)))
    verdict = await judged(dear, model_call(model="house-model"))
    assert (verdict.decision, verdict.rule) == (Decision.DENY, "budget.price")
    only_calls = stage_of(store, clock, Budget(scope="session", calls=5))
    assert await judged(only_calls, model_call(model="house-model")) is ALLOWED


async def test_utilization_is_that_of_the_fullest_ceiling(store: Store, clock: ManualClock) -> None:
    stage = stage_of(store, clock, Budget(scope="session", calls=4, tokens=10_000_000))
    await judged(stage, tool_call(1))
    assert stage.utilization("exc_1") == 25
    await stage.settle(tool_call(1), Outcome("ok"))
    assert stage.utilization("exc_1") is None


async def test_a_team_budget_says_nothing_of_those_without_a_team(store: Store, clock: ManualClock) -> None:
    stage = stage_of(store, clock, Budget(scope="team", calls=1))
    for number in range(3):
        assert await judged(stage, tool_call(number)) is ALLOWED
    member = Principal("key_2", tenant="acme", team="red")
    assert await judged(stage, tool_call(7, principal=member)) is ALLOWED
    assert (await judged(stage, tool_call(8, principal=member))).decision is Decision.DENY


async def test_without_budgets_nothing_is_looked_up(clock: ManualClock) -> None:
    class Untouchable:
        async def reserve(self, claims: object, amount: object) -> list[Amount]:
            raise AssertionError("asked though there is no budget")

        async def adjust(self, claims: object, by: object) -> None:
            raise AssertionError("asked though there is no budget")

    stage = BudgetStage((), counters=Untouchable(), prices=Prices({}, clock), clock=clock)
    assert await judged(stage, model_call()) is ALLOWED
    await stage.settle(model_call(), Outcome("ok", input_tokens=5))


@pytest.mark.parametrize("answers", [3, 3.0, "3"])
@pytest.mark.parametrize("limit", [100, 100.0, "100"])
async def test_numbers_are_reserved_for_however_they_are_written(
    store: Store, clock: ManualClock, answers: Json, limit: Json
) -> None:
    """Some servers read `3.0` and `"3"` as 3."""
    stage = stage_of(store, clock, Budget(scope="session", tokens=100_000))
    await judged(stage, model_call(n=answers, max_tokens=limit))
    assert 300 <= ((await used(store, "session:ses_1")).tokens or 0) < 400


async def test_a_client_that_leaves_while_its_call_is_reserved_leaves_nothing_reserved(
    store: Store, clock: ManualClock
) -> None:
    stage = stage_of(store, clock, Budget(scope="session", calls=2))
    call = tool_call()
    with anyio.CancelScope() as scope:
        scope.cancel()
        await judged(stage, call)
    await stage.settle(call, Outcome("refused"))
    assert (await used(store, "session:ses_1")).calls == 0
