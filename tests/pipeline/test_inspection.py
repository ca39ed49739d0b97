"""Messages that are no exchange: judged by the same checks, written down only when there is something to say."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from governance.audit.event import AuditError, Draft, Receipt
from governance.exchange import Action, Body, Exchange, Phase
from governance.stage import RefusedError
from governance.store import Work
from governance.verdict import Decision
from pipeline.inspection import Inspector
from sessions.killswitch import Scope
from tests.conftest import ManualClock
from tests.pipeline.test_passage import lose_the_log
from tests.pipeline.world import World, open_world

ACTIONS: Any = {"engine": "re", "actions": {"pii.email": "log", "pii.iban": "hold"}}
IBAN = "DE89 3704 0044 0532 0130 00"


@asynccontextmanager
async def world_of(folder: Path, clock: ManualClock, *rules: Any) -> AsyncGenerator[World]:
    policy: Any = {"version": 1, "default": "allow", "rules": list(rules)}
    async with open_world(f"sqlite:///{folder}/w.db", folder, clock, policy, detect=ACTIONS) as world:
        yield world


def note(world: World, text: str) -> Exchange:
    call = world.call()
    return replace(call, action=Action.MESSAGE, request=Body({"method": "x"}), response=Body({"params": {"a": text}}))


async def test_a_clean_message_comes_back_as_it_was_and_leaves_no_event(tmp_path: Path, clock: ManualClock) -> None:
    async with world_of(tmp_path, clock) as world:
        exchange = note(world, "all is well")
        judged = await world.runtime.guard.inspect(exchange, Phase.RESPONSE)
        assert judged.response is exchange.response
        assert await world.types() == []


async def test_what_is_only_logged_passes_whole_and_is_written_down(tmp_path: Path, clock: ManualClock) -> None:
    async with world_of(tmp_path, clock) as world:
        exchange = note(world, "ask anna@example.com")
        judged = await world.runtime.guard.inspect(exchange, Phase.RESPONSE)
        assert judged.response is exchange.response
        (event,) = await world.events("message.flagged")
        assert (event["classification"], event["policy_decision"]) == (["pii.email"], "allow")


async def test_nobody_is_asked_about_a_message(tmp_path: Path, clock: ManualClock) -> None:
    async with world_of(tmp_path, clock) as world:
        with pytest.raises(RefusedError) as refused:
            await world.runtime.guard.inspect(note(world, IBAN), Phase.RESPONSE)
        assert (refused.value.verdict.decision, refused.value.ticket) == (Decision.DENY, "")
        assert await world.types() == ["message.withheld"]


async def test_a_rule_in_shadow_mode_is_recorded_and_decides_nothing(tmp_path: Path, clock: ManualClock) -> None:
    rule = {"id": "later", "match": {"action": "message"}, "decide": "deny", "mode": "shadow", "phase": "response"}
    async with world_of(tmp_path, clock, rule) as world:
        await world.runtime.guard.inspect(note(world, "all is well"), Phase.RESPONSE)
        (event,) = await world.events("message.flagged")
        assert event["shadow"] == ["later: deny"]


async def test_nothing_passes_after_a_kill(tmp_path: Path, clock: ManualClock) -> None:
    async with world_of(tmp_path, clock) as world:
        await world.runtime.kills.kill(Scope.SESSION, "ses_1", reason="enough", actor="anna")
        for phase in Phase:
            with pytest.raises(RefusedError, match="enough"):
                await world.runtime.guard.inspect(note(world, "all is well"), phase)


async def test_a_revoked_key_sends_nothing(tmp_path: Path, clock: ManualClock) -> None:
    async with world_of(tmp_path, clock) as world:
        await world.runtime.keys.revoke(world.principal.key_id, actor="anna")
        await world.runtime.identity.refresh()
        with pytest.raises(RefusedError):
            await world.runtime.guard.inspect(note(world, "all is well"), Phase.REQUEST)


class Full:
    """A log on a full disk."""

    async def append(self, draft: Draft, within: Work[Any] | None = None) -> Receipt:
        raise AuditError("the disk is full")


@pytest.mark.parametrize("text", ["ssn 078-05-1121", IBAN])
async def test_what_cannot_be_written_down_does_not_pass(tmp_path: Path, clock: ManualClock, text: str) -> None:
    async with world_of(tmp_path, clock) as world:
        stages = world.runtime.guard.stages
        inspector = Inspector(stages, Full(), world.runtime.kills, world.runtime.labels, Full())
        with pytest.raises(RefusedError):
            await inspector.inspect(note(world, text), Phase.RESPONSE)
        await inspector.inspect(note(world, "all is well"), Phase.RESPONSE)


async def test_a_rule_that_kills_withholds_where_nothing_can_be_written(tmp_path: Path, clock: ManualClock) -> None:
    rule = {"id": "stop", "match": {"action": "message"}, "decide": "kill", "phase": "response"}
    async with world_of(tmp_path, clock, rule) as world:
        await world.runtime.store.write(lose_the_log)
        with pytest.raises(RefusedError):
            await world.runtime.guard.inspect(note(world, "all is well"), Phase.RESPONSE)
