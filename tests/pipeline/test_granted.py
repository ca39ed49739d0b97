"""Calls that a person granted before go on without asking, through the one path that every call takes."""

from dataclasses import replace
from pathlib import Path

import anyio
import pytest

from approvals.terms import Wish
from governance.exchange import Exchange
from governance.jsontree import JsonObject
from governance.stage import RefusedError
from sessions.killswitch import Scope
from tests.conftest import ManualClock
from tests.e2e.stack import eventually
from tests.pipeline.test_passage import policy, run
from tests.pipeline.world import World, open_world

WRITES: JsonObject = {"id": "writes", "match": {"tool": "write"}, "decide": "hold"}
AT_ONCE: JsonObject = {"wait_seconds": 0}
TMP = Wish({"/path": "/tmp/*"})


def write(world: World, path: str = "/tmp/a", session: str = "ses_1", **more: int) -> Exchange:
    call = world.call("write", session, path=path, **more)
    return replace(call, resource=replace(call.resource, definition="d" * 64))


async def asked(world: World, call: Exchange, forwarded: list[bytes]) -> str:
    """The ticket of a call that a person is asked about."""
    with pytest.raises(RefusedError) as refused:
        await run(world, call, forwarded)
    assert refused.value.verdict.rule == "approval.pending"
    return refused.value.ticket


async def grant(world: World, wish: Wish = TMP, **more: int) -> None:
    """Approve a call with a grant, and make it."""
    forwarded: list[bytes] = []
    ticket = await asked(world, write(world, "/tmp/a", "ses_1", **more), forwarded)
    decided = await world.runtime.desk.approve(ticket, by="zoe", grant=wish)
    assert decided is not None
    assert decided.made, decided.refusal
    await run(world, write(world, "/tmp/a", "ses_1", **more), forwarded)
    assert len(forwarded) == 1


async def test_a_granted_call_is_made_without_asking_and_its_record_says_by_whom(
    database_url: str, tmp_path: Path, clock: ManualClock
) -> None:
    async with open_world(database_url, tmp_path, clock, policy(WRITES), approvals=AT_ONCE) as world:
        await grant(world)
        forwarded: list[bytes] = []
        call = write(world, "/tmp/other")
        await run(world, call, forwarded)
        assert forwarded == [call.request.raw]
        admitted = (await world.events("exchange.admitted"))[-1]
        (given,) = await world.runtime.grants.listed(clock.now())
        assert (admitted["grant_id"], admitted["granted_by"]) == (given.id, "zoe")
        assert (admitted["policy_decision"], admitted["rule"], admitted["approval_id"]) == (
            "hold", "writes", given.ticket
        )  # fmt: skip
        assert given.used == 1
        assert world.runtime.tally.held["granted"] == 1
        await asked(world, write(world, "/etc/passwd"), forwarded)
        await asked(world, write(world, "/tmp/other", "ses_2"), forwarded)
        assert len(forwarded) == 1


async def test_a_denial_wins_over_what_was_granted(database_url: str, tmp_path: Path, clock: ManualClock) -> None:
    no: JsonObject = {"id": "no", "match": {"tool": "write", "args": {"/path": "/tmp/secret*"}}, "decide": "deny"}
    async with open_world(database_url, tmp_path, clock, policy(WRITES, no), approvals=AT_ONCE) as world:
        await grant(world)
        forwarded: list[bytes] = []
        with pytest.raises(RefusedError) as refused:
            await run(world, write(world, "/tmp/secret.txt"), forwarded)
        assert (refused.value.verdict.rule, forwarded) == ("no", [])


@pytest.mark.parametrize(
    "other",
    [
        {"id": "big", "match": {"tool": "write", "args": {"/size": {"gt": 9}}}, "decide": "hold"},
        {"id": "big", "match": {"tool": "write", "args": {"/size": {"gt": 9}}}, "decide": "hold", "grants": False},
    ],
)
async def test_a_rule_that_was_not_asked_is_not_answered(
    database_url: str, tmp_path: Path, clock: ManualClock, other: JsonObject
) -> None:
    async with open_world(database_url, tmp_path, clock, policy(WRITES, other), approvals=AT_ONCE) as world:
        await grant(world, Wish({"/path": "/tmp/*", "/size": {"exists": True}}), size=1)
        forwarded: list[bytes] = []
        await run(world, write(world, size=9), forwarded)
        await asked(world, write(world, size=10), forwarded)
        assert len(forwarded) == 1


async def test_what_holds_without_a_rule_is_not_answered(database_url: str, tmp_path: Path, clock: ManualClock) -> None:
    settings: JsonObject = {"approvals": AT_ONCE, "detect": {"engine": "re", "actions": {"pii.ssn": "hold"}}}
    async with open_world(database_url, tmp_path, clock, policy(WRITES), **settings) as world:
        await grant(world, Wish({"/path": {"exists": True}}))
        ticket = await asked(world, write(world, "536-22-1234"), [])
        found = await world.runtime.desk.get(ticket)
        assert found is not None
        assert found.leaves == ()


async def test_it_dies_with_the_rule_that_asked(database_url: str, tmp_path: Path, clock: ManualClock) -> None:
    async with open_world(database_url, tmp_path, clock, policy(WRITES), approvals=AT_ONCE) as world:
        await grant(world)
    changed: JsonObject = {**WRITES, "reason": "look closely"}
    async with open_world(database_url, tmp_path, clock, policy(changed), approvals=AT_ONCE) as opened:
        grants = opened.runtime.grants
        (given,) = await grants.listed(clock.now(), active=False)
        caller = replace(opened.principal, key_id=given.principal["key_id"])
        world = replace(opened, principal=caller)
        await asked(world, write(world), [])

        async def ended() -> bool:
            return not await grants.listed(clock.now())

        await eventually(ended)
        (given,) = await grants.listed(clock.now(), active=False)
        assert given.end_reason == "the rule that asked has changed"


async def test_a_killed_session_has_nothing_granted_when_it_is_revived(
    database_url: str, tmp_path: Path, clock: ManualClock
) -> None:
    async with open_world(database_url, tmp_path, clock, policy(WRITES), approvals=AT_ONCE) as world:
        await grant(world)
        kills, forwarded = world.runtime.kills, list[bytes]()
        await kills.kill(Scope.SESSION, "ses_1", reason="enough", actor="eve")
        with pytest.raises(RefusedError) as refused:
            await run(world, write(world), forwarded)
        assert refused.value.verdict.rule == "kill.session"
        await kills.revive(Scope.SESSION, "ses_1", reason="fine", actor="eve")
        await asked(world, write(world), forwarded)
        assert forwarded == []


async def test_of_many_calls_at_the_same_moment_in_two_processes_no_more_are_made_than_were_granted(
    database_url: str, tmp_path: Path, clock: ManualClock
) -> None:
    """Two runtimes with a connection pool and a writer each, as two processes have them."""
    uses = 7
    async with open_world(database_url, tmp_path, clock, policy(WRITES), approvals=AT_ONCE) as one:
        await grant(one, Wish({"/path": "/tmp/*"}, uses=uses))
        async with open_world(database_url, tmp_path, clock, policy(WRITES), approvals=AT_ONCE) as opened:
            await opened.runtime.identity.refresh()
            two = replace(opened, principal=one.principal)
            forwarded, refused = list[bytes](), list[str]()

            async def call(world: World, number: int) -> None:
                exchange = replace(write(world, f"/tmp/{number}"), id=f"exc_{number}_of_many")
                try:
                    await run(world, exchange, forwarded)
                except RefusedError as error:
                    refused.append(error.verdict.rule)

            async with anyio.create_task_group() as tasks:
                for number in range(40):
                    tasks.start_soon(call, (one, two)[number % 2], number)
            assert len(forwarded) == uses
            assert len(refused) == 40 - uses
            assert set(refused) <= {"approval.pending", "approval.spent"}
            (spent,) = await one.runtime.grants.listed(clock.now(), active=False)
            assert spent.used == uses
        used = [one for one in await one.events("exchange.admitted") if "grant_id" in one]
        assert len(used) == uses


async def test_no_table_of_grants_is_read_for_a_call_that_no_rule_holds(
    sqlite_url: str, tmp_path: Path, clock: ManualClock
) -> None:
    async with open_world(sqlite_url, tmp_path, clock, policy(WRITES), approvals=AT_ONCE) as world:
        await world.runtime.store.write(
            lambda session: session.connection().exec_driver_sql("DROP TABLE approval_grants")
        )
        forwarded: list[bytes] = []
        await run(world, world.call("read", path="/tmp/a"), forwarded)
        assert len(forwarded) == 1
        await asked(world, write(world), forwarded)
        assert len(forwarded) == 1, "grants that cannot be read let nothing go: a person is asked"
