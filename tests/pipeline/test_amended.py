"""A call whose arguments a person changed is judged as if it had come so, and made once (`pipeline.passage`)."""

import json
from pathlib import Path

import pytest

from approvals.quorum import Approver
from approvals.ticket import ReliefError
from governance.jsontree import JsonObject
from governance.stage import RefusedError
from governance.verdict import Relief
from tests.conftest import ManualClock
from tests.pipeline.test_passage import HOLD, policy, run
from tests.pipeline.world import World, open_world

AT_ONCE: JsonObject = {"wait_seconds": 0}
DENY: JsonObject = {"id": "never", "match": {"tool": "echo", "args": {"/to": "root"}}, "decide": "deny"}
ALSO: JsonObject = {"id": "also", "match": {"tool": "echo", "args": {"/to": "boss"}}, "decide": "hold"}
TWO: JsonObject = {"id": "ask", "match": {"tool": "echo"}, "decide": "hold", "quorum": 2}
ANN, BOB = (Approver(user, f"user:{user}", user, "approver") for user in ("ann", "bob"))


async def asked(world: World) -> str:
    """The ticket of a call that waits."""
    with pytest.raises(RefusedError) as pending:
        await run(world, world.call(to="all", n=1), [])
    return pending.value.ticket


async def changed(world: World, ticket: str, arguments: JsonObject, by: Approver = ANN, digest: str = "") -> None:
    found = await world.runtime.desk.get(ticket)
    assert found is not None
    decided = await world.runtime.desk.approve(ticket, by=by, digest=digest or found.current, arguments=arguments)
    assert decided is not None
    assert decided.made


async def again(world: World, forwarded: list[bytes]) -> list[str]:
    """Make the same call again; returns what the agent is told besides."""
    async with world.runtime.guard.passage(world.call(to="all", n=1)) as way:
        forwarded.append(way.exchange.request.raw)
    return way.notices


async def refused(world: World) -> RefusedError:
    with pytest.raises(RefusedError) as error:
        await again(world, [])
    return error.value


async def test_the_changed_call_is_made_once_and_the_agent_is_told_what_was_changed(
    database_url: str, tmp_path: Path, clock: ManualClock
) -> None:
    forwarded: list[bytes] = []
    async with open_world(database_url, tmp_path, clock, policy(HOLD), approvals=AT_ONCE) as world:
        ticket = await asked(world)
        await changed(world, ticket, {"to": "one", "more": [1]})
        told = await again(world, forwarded)
        assert json.loads(forwarded[0])["params"]["arguments"] == {"to": "one", "more": [1]}
        assert json.loads(forwarded[0])["params"]["name"] == "echo"
        said = 'a person changed the arguments of this call: /to was "all", and is "one"; /n was removed (it was 1)'
        assert told == [f"{said}; /more was added: [1]"]
        assert (await refused(world)).verdict.rule == "approval.pending"
        (granted,) = await world.events("approval.granted")
        (admitted,) = await world.events("exchange.admitted")
        found = await world.runtime.desk.get(ticket)
        assert found is not None
        assert granted["edited_digest"] == found.edited_digest != found.digest
        assert admitted["approval_id"] == ticket
        assert "one" not in json.dumps([granted, admitted])


async def test_what_a_person_wrote_is_redacted_where_something_is_found_in_it(
    database_url: str, tmp_path: Path, clock: ManualClock
) -> None:
    forwarded: list[bytes] = []
    async with open_world(database_url, tmp_path, clock, policy(HOLD), approvals=AT_ONCE) as world:
        await changed(world, await asked(world), {"to": "ssn 536-22-1234", "n": 1})
        (told,) = await again(world, forwarded)
        assert b"536-22-1234" not in forwarded[0]
        assert b"[REDACTED:pii.ssn]" in forwarded[0]
        assert "536-22-1234" not in told
        (admitted,) = await world.events("exchange.admitted")
        assert admitted["pii_entities"] == ["pii.ssn"]


async def test_what_a_rule_denies_stays_denied_whoever_wrote_it(
    database_url: str, tmp_path: Path, clock: ManualClock
) -> None:
    async with open_world(database_url, tmp_path, clock, policy(HOLD, DENY), approvals=AT_ONCE) as world:
        ticket = await asked(world)
        await changed(world, ticket, {"to": "root"})
        assert (await refused(world)).verdict.rule == "never"
        assert "exchange.admitted" not in await world.types()
        assert (await refused(world)).ticket not in ("", ticket)


async def test_a_rule_that_asks_only_about_the_changed_call_was_answered_by_nobody(
    database_url: str, tmp_path: Path, clock: ManualClock
) -> None:
    async with open_world(database_url, tmp_path, clock, policy(HOLD, ALSO), approvals=AT_ONCE) as world:
        await changed(world, await asked(world), {"to": "boss"})
        error = await refused(world)
        assert (error.verdict.rule, "held as well by `also`" in error.verdict.reason) == ("approval.stale", True)
        assert "exchange.admitted" not in await world.types()


async def test_where_two_must_approve_both_approve_the_same_change(
    database_url: str, tmp_path: Path, clock: ManualClock
) -> None:
    forwarded: list[bytes] = []
    async with open_world(database_url, tmp_path, clock, policy(TWO), approvals=AT_ONCE) as world:
        desk, ticket = world.runtime.desk, await asked(world)
        first = await desk.get(ticket)
        assert first is not None
        await desk.approve(ticket, by=ANN)
        await changed(world, ticket, {"to": "one"}, by=BOB)
        for unseen in (first.digest, ""):
            stale = await desk.approve(ticket, by=ANN, digest=unseen)
            assert stale is not None
            assert (stale.made, "look at it again" in stale.refusal) == (False, True)
        assert (await refused(world)).verdict.rule == "approval.pending"
        await changed(world, ticket, {"to": "one"}, by=ANN)
        await again(world, forwarded)
        assert json.loads(forwarded[0])["params"]["arguments"] == {"to": "one"}


async def test_a_change_back_to_what_was_asked_for_is_none(
    database_url: str, tmp_path: Path, clock: ManualClock
) -> None:
    forwarded: list[bytes] = []
    async with open_world(database_url, tmp_path, clock, policy(HOLD), approvals=AT_ONCE) as world:
        await changed(world, await asked(world), {"n": 1.0, "to": "all"})
        assert await again(world, forwarded) == []
        assert json.loads(forwarded[0])["params"]["arguments"] == {"to": "all", "n": 1}


async def test_of_a_call_that_repeats_the_changed_one_is_made_and_the_next_is_asked_about(
    database_url: str, tmp_path: Path, clock: ManualClock
) -> None:
    forwarded: list[bytes] = []
    repeats: JsonObject = {"repeat_observe": 0, "repeat_warn": 0, "repeat_hold": 3}
    async with open_world(database_url, tmp_path, clock, approvals=AT_ONCE, loop=repeats) as world:
        await run(world, world.call(to="all", n=1), forwarded)
        await run(world, world.call(to="all", n=1), forwarded)
        ticket = await asked(world)
        with pytest.raises(ReliefError):
            await world.runtime.desk.approve(ticket, by=ANN, arguments={"to": "one"}, relief=Relief(more=5))
        await changed(world, ticket, {"to": "one"})
        await again(world, forwarded)
        assert [json.loads(one)["params"]["arguments"]["to"] for one in forwarded] == ["all", "all", "one"]
        assert (await refused(world)).ticket not in ("", ticket)


async def test_a_change_in_the_table_is_used_by_no_call(database_url: str, tmp_path: Path, clock: ManualClock) -> None:
    async with open_world(database_url, tmp_path, clock, policy(HOLD), approvals=AT_ONCE) as world:
        ticket = await asked(world)
        await changed(world, ticket, {"to": "one"})
        await world.forge(ticket, "one", "two")
        assert (await refused(world)).verdict.rule == "approval.used"
        assert "exchange.admitted" not in await world.types()
