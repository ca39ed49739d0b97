"""The page about extending is right: it shows its examples word for word, and each works where it is plugged in."""

import re
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import get_args

import pytest

from docs.examples import api_key_header, case_numbers
from docs.examples.working_hours import WorkingHoursStage
from gateway import routing
from gateway.providers import AUTH
from gateway.routing import Routes
from governance.budget.stage import BudgetStage
from governance.budget.store import SqlCounters
from governance.catalog.schema_stage import SchemaStage
from governance.catalog.stage import CatalogStage
from governance.config.models import Provider
from governance.detect.actions import Actions
from governance.detect.detector import Detector
from governance.detect.engine import Choice
from governance.detect.families import all_families
from governance.detect.stage import DetectStage
from governance.exchange import Action, Body, Exchange, Role, Segment
from governance.identity.stage import IdentityStage
from governance.pins.stage import PinStage
from governance.policy.stage import PolicyStage
from governance.stage import RefusedError
from governance.verdict import Decision
from pipeline import passage, stages
from pipeline.guard import Guard
from pipeline.runtime import Runtime
from pipeline.stream import StreamGuard
from sessions.killswitch import KillStage, ProbationStage
from sessions.loop_stage import LoopStage
from tests.conftest import ManualClock
from tests.pipeline.world import World, open_world

DOCS = Path(__file__).resolve().parent.parent / "docs"
PAGE = (DOCS / "extending.md").read_text()
EXAMPLES = {path.name: path.read_text() for path in (DOCS / "examples").glob("*.py") if path.name != "__init__.py"}
CASE = "CASE-2024-001234-8"


def test_the_page_shows_every_example_word_for_word_and_no_other() -> None:
    assert len(EXAMPLES) == 3
    assert sorted(re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)) == sorted(EXAMPLES.values())
    assert [name for name in EXAMPLES if f"(examples/{name})" not in PAGE] == []


@pytest.mark.parametrize("engine", ["hyperscan", "re"])
def test_the_detector_finds_a_case_number_among_all_families(engine: Choice) -> None:
    detector = Detector((*all_families(), *case_numbers.rules()), engine)
    text = f"see {CASE} please"
    (found,) = detector.scan([Segment("/text", Role.USER, text)])
    assert (found.kind, found.rule, text[found.start : found.end]) == ("company.case", "company.case_number", CASE)


@pytest.mark.parametrize("text", ["CASE-2024-001234-7", "XCASE-2024-001234-8", f"{CASE}0", "CASE-24-1234-1"])
def test_the_detector_leaves_near_misses_alone(text: str) -> None:
    assert Detector(case_numbers.rules(), "re").scan([Segment("/text", Role.USER, text)]) == ()


def test_the_way_to_authenticate_sends_its_header_through_the_routes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(routing, "AUTH", {**AUTH, "api-key": api_key_header.headers})  # the line that the page names
    given = Provider.model_validate(
        {"wire": "openai-chat", "base_url": "http://x/v1", "api_key": "k", "headers": {"X-Team": "t"}}
    )
    routes = Routes({"azure": given.model_copy(update={"auth": "api-key"})})
    target = routes.choose("openai-chat", "m")
    assert dict(target.headers) == {"x-team": "t", "api-key": "k"}
    assert target.secret == b"k"
    keyless = Routes({"azure": given.model_copy(update={"auth": "api-key", "api_key": ""})})
    assert dict(keyless.choose("openai-chat", "m").headers) == {"x-team": "t"}


def test_the_configuration_knows_every_way_to_authenticate_and_no_other() -> None:
    assert set(get_args(Provider.model_fields["auth"].annotation)) == set(AUTH)


def extended(runtime: Runtime, clock: ManualClock) -> Guard:
    """The guard of a runtime, with the example in the two places that the page names."""
    actions = Actions(runtime.config.detect)
    policy = PolicyStage(runtime.policies, clock=clock, calls=lambda _session: 0, labels=runtime.labels.carried_by)
    budget = BudgetStage((), counters=SqlCounters(runtime.store), prices=runtime.prices, clock=clock)
    usual = stages.default_stages(
        stages.Organs(
            kill=KillStage(runtime.kills),
            identity=IdentityStage(runtime.identity),
            catalog=CatalogStage(),
            pins=PinStage(runtime.pins),
            detect=DetectStage(runtime.detector, actions),
            policy=policy,
            schema=SchemaStage(runtime.catalog, {}),
            loop=LoopStage(runtime.config.loop, clock=clock),
            probation=ProbationStage(runtime.kills),
            budget=budget,
        )
    )
    hours = WorkingHoursStage(clock)
    organs = passage.Organs(
        stages=replace(usual, request=(*usual.request, hours), rejudge=(*usual.rejudge, hours)),
        audit=runtime.audit,
        desk=runtime.desk,
        grants=runtime.grants,
        kills=runtime.kills,
        clock=clock,
        sight=policy,
        roll=runtime.roll,
        labels=runtime.labels,
        stream=lambda exchange, role: StreamGuard(runtime.detector, actions, exchange.principal.tenant, role),
    )
    return Guard(organs)


async def send(world: World, exchange: Exchange, clock: ManualClock, forwarded: list[bytes]) -> None:
    """Send an exchange through the extended guard to a server that answers."""

    async def forward(judged: Exchange) -> Body:
        forwarded.append(judged.request.raw)
        return Body({"jsonrpc": "2.0", "id": 1, "result": {"content": []}})

    await extended(world.runtime, clock).govern(exchange, forward)


SATURDAY, MONDAY = datetime(2026, 11, 21, 12, 0, tzinfo=UTC), datetime(2026, 11, 23, 12, 0, tzinfo=UTC)


async def test_the_check_refuses_a_tool_call_through_the_guard_and_it_is_recorded(
    sqlite_url: str, tmp_path: Path
) -> None:
    clock = ManualClock(SATURDAY)
    forwarded: list[bytes] = []
    async with open_world(sqlite_url, tmp_path, clock) as world:
        with pytest.raises(RefusedError, match="tools may be used from 8 to 18 h UTC") as refused:
            await send(world, world.call(text="hello"), clock, forwarded)
        (event,) = await world.events()
    verdict = refused.value.verdict
    assert (verdict.decision, verdict.by, verdict.rule) == (Decision.DENY, "hours", "hours.closed")
    assert (event["event_type"], event["policy_decision"], forwarded) == ("exchange.refused", "deny", [])


@pytest.mark.parametrize(("moment", "action"), [(MONDAY, Action.TOOL_CALL), (SATURDAY, Action.RESOURCE_READ)])
async def test_the_check_lets_through_what_comes_in_working_hours_or_is_no_tool_call(
    sqlite_url: str, tmp_path: Path, moment: datetime, action: Action
) -> None:
    clock = ManualClock(moment)
    forwarded: list[bytes] = []
    async with open_world(sqlite_url, tmp_path, clock) as world:
        exchange = replace(world.call(text="hello"), action=action)
        await send(world, exchange, clock, forwarded)
        assert forwarded == [exchange.request.raw]
