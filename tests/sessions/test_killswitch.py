"""`sessions.killswitch` and its table: what is stopped, for whom, and how soon others know."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import anyio
import pytest

from governance.audit.log import Journal
from governance.exchange import Action, Body, Exchange, Phase, Principal, Resource, SessionRef
from governance.store import StoreError, open_store
from governance.verdict import ALLOWED, Decision, Verdict
from sessions.killswitch import KillSwitch, ProbationStage, Scope
from sessions.store import FRESH_SECONDS, SqlKills
from tests.conftest import ManualClock
from tests.thoughts import told

AGENT = Principal("key_1", tenant="acme", team="core", agent="builder", user="anna")
RUN = SessionRef("ses_1", "explicit", 1)


def call(action: Action) -> Exchange:
    return Exchange("exc_1", datetime(2026, 11, 28, tzinfo=UTC), action, AGENT, Resource("files"), RUN, Body({}))


@asynccontextmanager
async def switch(url: str, clock: ManualClock) -> AsyncGenerator[KillSwitch]:
    """One process's switch on a database."""
    async with open_store(url) as store:
        audit = Journal(store, bytes(range(32)), clock)
        yield KillSwitch(SqlKills(store, audit, clock), audit, clock)


@pytest.mark.parametrize(
    ("scope", "target"),
    [
        (Scope.SESSION, "ses_1"),
        (Scope.KEY, "key_1"),
        (Scope.AGENT, "builder"),
        (Scope.USER, "anna"),
        (Scope.TEAM, "core"),
        (Scope.TENANT, "acme"),
        (Scope.SERVER, "files"),
        (Scope.ALL, ""),
    ],
)
async def test_every_scope_stops_what_it_names_until_it_is_lifted(
    database_url: str, clock: ManualClock, scope: Scope, target: str
) -> None:
    async with switch(database_url, clock) as kills:
        assert await kills.verdict(AGENT, RUN, "files") is ALLOWED
        assert await kills.kill(scope, target, reason="enough", actor="anna")
        verdict = await kills.verdict(AGENT, RUN, "files")
        assert (verdict.by, verdict.rule) == ("kill", f"kill.{scope.value}")
        assert "enough" in verdict.reason
        assert await kills.revive(scope, target, reason="sorry", actor="anna")
        assert await kills.verdict(AGENT, RUN, "files") is ALLOWED


async def test_nobody_else_is_stopped(database_url: str, clock: ManualClock) -> None:
    async with switch(database_url, clock) as kills:
        await kills.kill(Scope.SESSION, "ses_2", reason="enough", actor="anna")
        await kills.kill(Scope.KEY, "key_2", reason="enough", actor="anna")
        await kills.kill(Scope.SERVER, "mail", reason="enough", actor="anna")
        assert await kills.verdict(AGENT, RUN) is ALLOWED


async def test_killing_twice_and_reviving_twice_say_so(database_url: str, clock: ManualClock) -> None:
    async with switch(database_url, clock) as kills:
        assert await kills.kill(Scope.SESSION, "ses_1", reason="a", actor="anna")
        assert not await kills.kill(Scope.SESSION, "ses_1", reason="b", actor="ben")
        assert await kills.revive(Scope.SESSION, "ses_1", reason="", actor="anna")
        assert not await kills.revive(Scope.SESSION, "ses_1", reason="", actor="anna")
        assert await kills.kill(Scope.SESSION, "ses_1", reason="again", actor="ben")
        assert "again" in (await kills.verdict(AGENT, RUN)).reason


async def test_another_process_goes_by_it_after_a_few_milliseconds(database_url: str, clock: ManualClock) -> None:
    async with switch(database_url, clock) as here, switch(database_url, clock) as there:
        assert await there.verdict(AGENT, RUN) is ALLOWED
        await here.kill(Scope.SESSION, "ses_1", reason="enough", actor="anna")
        clock.advance(FRESH_SECONDS)
        assert (await there.verdict(AGENT, RUN)).by == "kill"


async def test_a_table_that_cannot_be_read_is_an_error_and_never_an_answer(sqlite_url: str, clock: ManualClock) -> None:
    async with switch(sqlite_url, clock) as kills:
        assert await kills.verdict(AGENT, RUN) is ALLOWED
    clock.advance(1)
    with pytest.raises(StoreError):
        await kills.verdict(AGENT, RUN)


async def test_what_runs_is_cut_by_the_watch(database_url: str, clock: ManualClock) -> None:
    async with switch(database_url, clock) as here, switch(database_url, clock) as there:
        cut: list[Verdict] = []
        done = anyio.Event()

        def stop(verdict: Verdict) -> None:
            cut.append(verdict)
            done.set()

        with here.track(AGENT, RUN, stop), anyio.fail_after(5):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(here.watch)
                await there.kill(Scope.AGENT, "builder", reason="enough", actor="anna")
                await done.wait()
                tasks.cancel_scope.cancel()
        assert [verdict.rule for verdict in cut] == ["kill.agent"]


async def test_a_watch_that_is_blind_for_a_second_cuts_everything(sqlite_url: str, clock: ManualClock) -> None:
    async with switch(sqlite_url, clock) as kills:
        pass
    done = anyio.Event()
    with kills.track(AGENT, RUN, lambda _verdict: done.set()), anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(kills.watch)
            await done.wait()
            tasks.cancel_scope.cancel()


@pytest.mark.parametrize(("reason", "actor"), [("", "anna"), ("  ", "anna"), ("enough", "")])
async def test_nothing_is_stopped_without_a_reason_and_a_name(
    sqlite_url: str, clock: ManualClock, reason: str, actor: str
) -> None:
    async with switch(sqlite_url, clock) as kills:
        with pytest.raises(ValueError, match="needs a reason"):
            await kills.kill(Scope.SESSION, "ses_1", reason=reason, actor=actor)
        assert await kills.verdict(AGENT, RUN) is ALLOWED


async def test_on_probation_it_goes_on_and_each_tool_call_is_held(database_url: str, clock: ManualClock) -> None:
    async with switch(database_url, clock) as kills:
        await kills.kill(Scope.SESSION, "ses_1", reason="it looped", actor="anna")
        assert await kills.revive(Scope.SESSION, "ses_1", reason="let us see", actor="anna", probation=True)
        assert await kills.verdict(AGENT, RUN) is ALLOWED
        stage = ProbationStage(kills)
        verdict = await told(stage.judge(call(Action.TOOL_CALL), Phase.REQUEST))
        assert (verdict.decision, verdict.rule) == (Decision.HOLD, "probation.session")
        assert "it looped" in verdict.reason
        for action in (Action.LLM_GENERATE, Action.TOOL_LIST):
            assert await told(stage.judge(call(action), Phase.REQUEST)) is ALLOWED
        assert not await kills.revive(Scope.SESSION, "ses_1", reason="", actor="anna", probation=True)
        assert await kills.kill(Scope.SESSION, "ses_1", reason="it loops again", actor="ben")
        assert "loops again" in (await kills.verdict(AGENT, RUN)).reason
        assert await kills.revive(Scope.SESSION, "ses_1", reason="", actor="anna", probation=True)
        assert await kills.revive(Scope.SESSION, "ses_1", reason="", actor="anna")
        assert await told(stage.judge(call(Action.TOOL_CALL), Phase.REQUEST)) is ALLOWED


async def test_what_is_on_probation_is_not_cut(sqlite_url: str, clock: ManualClock) -> None:
    async with switch(sqlite_url, clock) as kills:
        await kills.kill(Scope.SESSION, "ses_1", reason="enough", actor="anna")
        await kills.revive(Scope.SESSION, "ses_1", reason="", actor="anna", probation=True)
        cut: list[Verdict] = []
        with kills.track(AGENT, RUN, cut.append):
            await kills.kill(Scope.SESSION, "ses_9", reason="another", actor="anna")
        assert cut == []
