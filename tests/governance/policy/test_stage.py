"""The stage hands exchanges to the policy in force, with the time and the history."""

from dataclasses import dataclass
from datetime import UTC, datetime

import pytest

from governance.exchange import Phase, SessionRef
from governance.policy.engine import Policy
from governance.policy.stage import PolicyStage
from governance.verdict import Decision
from tests.conftest import ManualClock
from tests.governance.policy.calls import call, policy_of
from tests.thoughts import told


@dataclass
class Holder:
    current: Policy


async def unlabelled(session: SessionRef) -> frozenset[str]:
    return frozenset()


def stage_of(policy: Policy, clock: ManualClock, calls: int = 0) -> PolicyStage:
    return PolicyStage(Holder(policy), clock=clock, calls=lambda session: calls, labels=unlabelled)


@pytest.mark.parametrize(("hour", "decision"), [(9, Decision.ALLOW), (22, Decision.DENY)])
async def test_a_rule_may_ask_for_the_time_of_day(hour: int, decision: Decision, clock: ManualClock) -> None:
    clock.moment = datetime(2026, 1, 7, hour, 30, tzinfo=UTC)
    policy = policy_of("- {id: night, when: now.getHours('Europe/Berlin') >= 20, decide: deny}")
    assert (await told(stage_of(policy, clock).judge(call(), Phase.REQUEST))).decision is decision


@pytest.mark.parametrize(("calls", "decision"), [(99, Decision.ALLOW), (100, Decision.HOLD)])
async def test_a_rule_may_ask_for_the_calls_of_the_session(calls: int, decision: Decision, clock: ManualClock) -> None:
    policy = policy_of("- {id: long, when: session.calls >= 100, decide: hold}")
    assert (await told(stage_of(policy, clock, calls).judge(call(), Phase.REQUEST))).decision is decision


async def test_both_phases_are_judged(clock: ManualClock) -> None:
    stage = stage_of(policy_of("- {id: out, phase: response, decide: deny}"), clock)
    exchange = call(phase="response", result="x")
    assert (await told(stage.judge(exchange, Phase.REQUEST))).decision is Decision.ALLOW
    assert (await told(stage.judge(exchange, Phase.RESPONSE))).decision is Decision.DENY


async def test_it_follows_the_policy_in_force(clock: ManualClock) -> None:
    holder = Holder(policy_of(""))
    stage = PolicyStage(holder, clock=clock, calls=lambda session: 0, labels=unlabelled)
    assert stage.visible(call())
    holder.current = policy_of("- {id: never, decide: deny}")
    assert (await told(stage.judge(call(), Phase.REQUEST))).rule == "never"
    assert not stage.visible(call())
