"""`pipeline.passage`: verdicts are acted on, and what happened is written down before it is done."""

from pathlib import Path

import anyio
import anyio.lowlevel
import pytest

from approvals.attendance import Unattended
from approvals.ticket import State
from governance.exchange import Body, Exchange
from governance.jsontree import Json, JsonObject
from governance.stage import Outcome, RefusedError
from governance.verdict import Decision
from sessions.killswitch import Scope
from tests.conftest import ManualClock
from tests.pipeline.world import World, open_world

ANSWER: JsonObject = {"jsonrpc": "2.0", "id": 1, "result": {"content": [{"type": "text", "text": "fine"}]}}


def policy(*rules: JsonObject) -> JsonObject:
    return {"version": 1, "default": "allow", "rules": list(rules)}


async def run(world: World, exchange: Exchange, forwarded: list[bytes]) -> Exchange:
    """Send an exchange through the guard to a server that answers `ANSWER`."""

    async def forward(judged: Exchange) -> Body:
        forwarded.append(judged.request.raw)
        return Body(ANSWER)

    return await world.runtime.guard.govern(exchange, forward)


async def test_what_is_allowed_is_forwarded_and_written_down_twice(
    database_url: str, tmp_path: Path, clock: ManualClock
) -> None:
    async with open_world(database_url, tmp_path, clock) as world:
        forwarded: list[bytes] = []
        exchange = world.call(text="hello")
        answered = await run(world, exchange, forwarded)
        assert forwarded == [exchange.request.raw]
        assert answered.response is not None
        assert answered.response.value == ANSWER
        admitted, completed = await world.events()
        assert (admitted["event_type"], admitted["policy_decision"]) == ("exchange.admitted", "allow")
        assert (completed["event_type"], completed["status"]) == ("exchange.completed", "ok")
        assert admitted["session_id"] == "ses_1"
        assert "hello" not in str(admitted) + str(completed)


async def test_the_decision_is_durable_before_anything_is_forwarded(
    database_url: str, tmp_path: Path, clock: ManualClock
) -> None:
    async with open_world(database_url, tmp_path, clock) as world:
        seen: list[list[str]] = []

        async def forward(_judged: Exchange) -> Body:
            seen.append(await world.types())
            return Body(ANSWER)

        await world.runtime.guard.govern(world.call(), forward)
        assert seen == [["exchange.admitted"]]


async def test_a_denied_call_is_not_forwarded_and_names_its_rule(
    database_url: str, tmp_path: Path, clock: ManualClock
) -> None:
    rule: JsonObject = {"id": "no-echo", "match": {"tool": "echo"}, "decide": "deny", "reason": "echo is out of bounds"}
    async with open_world(database_url, tmp_path, clock, policy(rule)) as world:
        forwarded: list[bytes] = []
        with pytest.raises(RefusedError) as refused:
            await run(world, world.call(), forwarded)
        assert forwarded == []
        assert (refused.value.verdict.rule, refused.value.verdict.reason) == ("no-echo", "echo is out of bounds")
        (event,) = await world.events()
        assert (event["event_type"], event["rule"], event["policy_decision"]) == ("exchange.refused", "no-echo", "deny")


async def test_what_is_redacted_is_what_is_forwarded(database_url: str, tmp_path: Path, clock: ManualClock) -> None:
    async with open_world(database_url, tmp_path, clock) as world:
        forwarded: list[bytes] = []
        await run(world, world.call(text="ssn 536-22-1234 please"), forwarded)
        assert b"536-22-1234" not in forwarded[0]
        assert b"[REDACTED:pii.ssn]" in forwarded[0]
        admitted = (await world.events())[0]
        assert (admitted["pii_entities"], admitted["pii_action"]) == (["pii.ssn"], "redact")


async def test_a_withheld_answer_is_told_as_refused(database_url: str, tmp_path: Path, clock: ManualClock) -> None:
    rule: JsonObject = {"id": "no-answers", "match": {"tool": "echo"}, "phase": "response", "decide": "deny"}
    async with open_world(database_url, tmp_path, clock, policy(rule)) as world:
        with pytest.raises(RefusedError):
            await run(world, world.call(), [])
        assert await world.types() == ["exchange.admitted", "exchange.withheld"]


HOLD: JsonObject = {"id": "ask", "match": {"tool": "echo"}, "decide": "hold", "reason": "ask first"}


async def open_ticket(world: World) -> str:
    """The id of the first ticket, as soon as there is one."""
    with anyio.fail_after(5):
        while not (tickets := await world.runtime.desk.tickets()):
            await anyio.lowlevel.checkpoint()
    return tickets[0].id


async def test_an_approved_call_runs_once(database_url: str, tmp_path: Path, clock: ManualClock) -> None:
    forwarded: list[bytes] = []
    async with open_world(database_url, tmp_path, clock, policy(HOLD)) as world, anyio.create_task_group() as tasks:
        tasks.start_soon(run, world, world.call(text="a"), forwarded)
        await world.runtime.desk.approve(await open_ticket(world), by="anna", reason="fine")
        with anyio.fail_after(5):
            while not forwarded:
                await anyio.lowlevel.checkpoint()
    async with open_world(database_url, tmp_path, clock, policy(HOLD)) as world:
        types = await world.types()
    assert len(forwarded) == 1
    assert types[:4] == ["approval.requested", "approval.granted", "approval.consumed", "exchange.admitted"]


async def test_a_call_that_differs_by_one_byte_from_the_approved_one_is_not_executed(
    database_url: str, tmp_path: Path, clock: ManualClock
) -> None:
    async with open_world(database_url, tmp_path, clock, policy(HOLD), approvals={"wait_seconds": 0}) as world:
        forwarded: list[bytes] = []
        with pytest.raises(RefusedError) as pending:
            await run(world, world.call(text="a"), forwarded)
        await world.runtime.desk.approve(pending.value.ticket, by="anna")
        with pytest.raises(RefusedError) as other:
            await run(world, world.call(text="b"), forwarded)
        assert (forwarded, other.value.verdict.rule) == ([], "approval.pending")
        await run(world, world.call(text="a"), forwarded)
        assert len(forwarded) == 1
        with pytest.raises(RefusedError):
            await run(world, world.call(text="a"), forwarded)
        assert len(forwarded) == 1


async def test_a_hundred_uses_of_one_approval_make_one_execution(
    database_url: str, tmp_path: Path, clock: ManualClock
) -> None:
    async with open_world(
        database_url,
        tmp_path,
        clock,
        policy(HOLD),
        approvals={"wait_seconds": 0},
        loop={"tools": {"*": {"exempt": True}}},
    ) as world:
        forwarded: list[bytes] = []
        refused: list[str] = []
        with pytest.raises(RefusedError) as pending:
            await run(world, world.call(text="a"), forwarded)
        await world.runtime.desk.approve(pending.value.ticket, by="anna")

        async def attempt() -> None:
            try:
                await run(world, world.call(text="a"), forwarded)
            except RefusedError as error:
                refused.append(error.verdict.rule)

        async with anyio.create_task_group() as tasks:
            for _ in range(100):
                tasks.start_soon(attempt)
        assert len(forwarded) == 1
        assert len(refused) == 99


async def test_an_approval_is_not_used_up_for_a_caller_that_is_gone(
    sqlite_url: str, tmp_path: Path, clock: ManualClock
) -> None:
    ask: JsonObject = {"id": "ask", "match": {"tool": "echo"}, "decide": "hold", "reason": "ask"}
    waits: JsonObject = {"wait_seconds": 0}
    async with open_world(sqlite_url, tmp_path, clock, policy(ask), approvals=waits) as world:
        guard, desk = world.runtime.guard, world.runtime.desk
        with pytest.raises(RefusedError) as asked:
            await run(world, world.call(), [])
        await desk.approve(asked.value.ticket, by="anna")
        with pytest.raises(RefusedError) as refused:
            async with guard.passage(world.call(), Unattended(present=False)):
                pytest.fail("it was let through")
        assert refused.value.verdict.rule == "client.left"
        ticket = await desk.get(asked.value.ticket)
        assert ticket is not None
        assert ticket.state is State.APPROVED
        assert (await world.events("exchange.refused"))[-1]["approval_id"] == ticket.id


async def test_a_killed_run_is_refused_everywhere_and_cut_where_it_is(
    database_url: str, tmp_path: Path, clock: ManualClock
) -> None:
    async with open_world(database_url, tmp_path, clock) as world:
        running = anyio.Event()
        outcome: list[str] = []

        async def long_call() -> None:
            try:
                async with world.runtime.guard.passage(world.call()):
                    running.set()
                    await anyio.sleep_forever()
            except RefusedError as error:
                outcome.append(error.verdict.rule)

        with anyio.fail_after(5):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(long_call)
                await running.wait()
                await world.runtime.kills.kill(Scope.SESSION, "ses_1", reason="enough", actor="anna")
        assert outcome == ["kill.session"]
        with pytest.raises(RefusedError) as refused:
            await run(world, world.call(), [])
        assert refused.value.verdict.decision is Decision.KILL
        await run(world, world.call(session="ses_2"), [])
        killed = (await world.events("exchange.completed", "exchange.withheld"))[0]
        assert killed["status"] == "killed"


async def test_a_kill_in_another_process_cuts_what_runs_here(
    database_url: str, tmp_path: Path, clock: ManualClock
) -> None:
    async with (
        open_world(database_url, tmp_path, clock) as here,
        open_world(database_url, tmp_path, clock) as there,
    ):

        async def call_and_kill() -> None:
            async with here.runtime.guard.passage(here.call()):
                await there.runtime.kills.kill(Scope.SESSION, "ses_1", reason="enough", actor="anna")
                await anyio.sleep_forever()

        with anyio.fail_after(5), pytest.raises(RefusedError) as refused:
            await call_and_kill()
        assert refused.value.verdict.by == "kill"


async def test_an_approval_does_not_outlive_a_change_of_the_rules(
    database_url: str, tmp_path: Path, clock: ManualClock
) -> None:
    async with open_world(database_url, tmp_path, clock, policy(HOLD)) as world:
        forwarded: list[bytes] = []
        refused: list[str] = []

        async def attempt() -> None:
            try:
                await run(world, world.call(text="a"), forwarded)
            except RefusedError as error:
                refused.append(error.verdict.rule)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(attempt)
            ticket = await open_ticket(world)
            (tmp_path / "policy.yaml").write_text('{"version":1,"default":"deny","rules":[]}')
            await world.runtime.policies.reload()
            await world.runtime.desk.approve(ticket, by="anna")
        assert forwarded == []
        assert len(refused) == 1


async def test_a_client_that_leaves_is_settled_as_cancelled(
    database_url: str, tmp_path: Path, clock: ManualClock
) -> None:
    async with open_world(database_url, tmp_path, clock) as world:
        with anyio.CancelScope() as scope:
            async with world.runtime.guard.passage(world.call()):
                scope.cancel()
                await anyio.sleep_forever()
        (completed,) = await world.events("exchange.completed")
        assert completed["status"] == "cancelled"


def lose_the_log(session: object) -> None:
    """Let nothing be written into the audit log any more."""
    session.connection().exec_driver_sql("ALTER TABLE audit_events RENAME TO lost")  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType] - SQL stays out of types here


async def test_a_log_that_cannot_be_written_refuses(sqlite_url: str, tmp_path: Path, clock: ManualClock) -> None:
    async with open_world(sqlite_url, tmp_path, clock) as world:
        await run(world, world.call(), [])
        await world.runtime.store.write(lose_the_log)
        forwarded: list[bytes] = []
        with pytest.raises(RefusedError) as refused:
            await run(world, world.call(), forwarded)
        assert (forwarded, refused.value.verdict.rule) == ([], "audit.unwritable")


async def test_settling_comes_before_the_last_byte(database_url: str, tmp_path: Path, clock: ManualClock) -> None:
    async with open_world(database_url, tmp_path, clock) as world:
        async with world.runtime.guard.passage(world.call()) as passage:
            await passage.respond(Body(ANSWER))
            await passage.settle(Outcome("ok", input_tokens=3))
            assert await world.types() == ["exchange.admitted", "exchange.completed"]
        assert await world.types() == ["exchange.admitted", "exchange.completed"]


async def requested(world: World) -> None:
    """Wait until a person was asked."""
    while not await world.events("approval.requested"):
        await anyio.lowlevel.checkpoint()


async def test_a_client_that_leaves_before_anything_is_decided_leaves_a_record(
    database_url: str, tmp_path: Path, clock: ManualClock
) -> None:
    async with open_world(database_url, tmp_path, clock, policy(HOLD)) as world:
        forwarded: list[bytes] = []
        with anyio.CancelScope() as scope:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(run, world, world.call(), forwarded)
                await requested(world)
                scope.cancel()
        (refused,) = await world.events("exchange.admitted", "exchange.refused")
        assert (refused["event_type"], refused["rule"], forwarded) == ("exchange.refused", "client.left", [])


async def test_a_run_that_is_killed_before_anything_is_decided_leaves_a_record(
    database_url: str, tmp_path: Path, clock: ManualClock
) -> None:
    async with open_world(database_url, tmp_path, clock, policy(HOLD)) as world:
        forwarded: list[bytes] = []
        rules: list[str] = []

        async def call() -> None:
            with pytest.raises(RefusedError) as refused:
                await run(world, world.call(), forwarded)
            rules.append(refused.value.verdict.rule)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(call)
            await requested(world)
            await world.runtime.kills.kill(Scope.SESSION, "ses_1", reason="enough", actor="anna")
        (refused,) = await world.events("exchange.admitted", "exchange.refused")
        assert (rules, forwarded) == (["kill.session"], [])
        assert (refused["event_type"], refused["policy_decision"], refused["rule"]) == (
            "exchange.refused", "kill", "kill.session",
        )  # fmt: skip


async def test_a_rule_that_kills_is_recorded_by_its_name_and_closes_what_waits_for_a_person(
    database_url: str, tmp_path: Path, clock: ManualClock
) -> None:
    stop: JsonObject = {"id": "stop", "match": {"tool": "rm"}, "decide": "kill", "reason": "never"}
    async with open_world(database_url, tmp_path, clock, policy(HOLD, stop)) as world:
        forwarded: list[bytes] = []

        async def call(tool: str) -> None:
            with pytest.raises(RefusedError):
                await run(world, world.call(tool), forwarded)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(call, "echo")
            await requested(world)
            await call("rm")
        recorded = {str(one["tool"]): one for one in await world.events("exchange.refused")}
        assert (recorded["rm"]["rule"], recorded["rm"]["policy_decision"]) == ("stop", "kill")
        assert recorded["rm"]["policy_version"]
        assert recorded["echo"]["rule"] == "kill.session"
        assert [ticket.state for ticket in await world.runtime.desk.tickets()] == [State.INVALIDATED]
        assert forwarded == []


@pytest.mark.parametrize("phase", ["request", "response"])
async def test_a_rule_that_kills_refuses_where_nothing_can_be_written(
    sqlite_url: str, tmp_path: Path, clock: ManualClock, phase: str
) -> None:
    stop: JsonObject = {"id": "stop", "match": {"tool": "rm"}, "phase": phase, "decide": "kill", "reason": "never"}
    async with open_world(sqlite_url, tmp_path, clock, policy(stop)) as world:

        async def forward(_judged: Exchange) -> Body:
            await world.runtime.store.write(lose_the_log)
            return Body(ANSWER)

        if phase == "request":
            await world.runtime.store.write(lose_the_log)
        with pytest.raises(RefusedError):
            await world.runtime.guard.govern(world.call("rm"), forward)


async def test_a_call_that_was_given_up_before_it_was_forwarded_uses_up_no_budget(
    database_url: str, tmp_path: Path, clock: ManualClock
) -> None:
    budgets: list[Json] = [{"scope": "session", "calls": 1}]
    async with open_world(database_url, tmp_path, clock, budgets=budgets) as world:
        forwarded: list[bytes] = []
        # The look at the kill switch is fresh, so the reservation is the first thing that is waited for.
        await world.runtime.kills.verdict(world.principal, world.call().session)
        with anyio.CancelScope() as scope:
            scope.cancel()
            await run(world, world.call(), forwarded)
        assert forwarded == []
        await run(world, world.call(), forwarded)
        assert len(forwarded) == 1
