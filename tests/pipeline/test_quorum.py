"""What rules ask of those who decide holds for the calls that pass (`pipeline.passage`)."""

from pathlib import Path

import pytest

from approvals.quorum import Approver
from governance.jsontree import JsonObject
from governance.stage import RefusedError
from tests.conftest import ManualClock
from tests.pipeline.test_passage import policy, run
from tests.pipeline.world import World, open_world

PAY: JsonObject = {
    "id": "pay", "match": {"tool": "pay"}, "decide": "hold", "approvers": "team:pay", "quorum": 2,
    "no_self_approval": True,
}  # fmt: skip
ANN, BOB = (Approver(user, f"user:{user}", user, "approver", "pay") for user in ("ann", "bob"))
AT_ONCE: JsonObject = {"wait_seconds": 0}


async def waits(world: World, forwarded: list[bytes], rule: str = "approval.pending") -> str:
    with pytest.raises(RefusedError) as refused:
        await run(world, world.call("pay", amount=1), forwarded)
    assert refused.value.verdict.rule == rule
    return refused.value.ticket


async def test_a_call_is_made_once_when_enough_of_the_right_people_agree(
    database_url: str, tmp_path: Path, clock: ManualClock
) -> None:
    forwarded: list[bytes] = []
    rule = {**PAY, "no_self_approval": False}
    async with open_world(database_url, tmp_path, clock, policy(rule), approvals=AT_ONCE) as world:
        desk, ticket = world.runtime.desk, await waits(world, forwarded)
        for by in (ANN, Approver("zoe", "user:zoe", "zoe", "admin"), Approver("ann", "user:ann", "ann", team="pay")):
            await desk.approve(ticket, by=by)
        assert await waits(world, forwarded) == ticket
        await desk.approve(ticket, by=BOB)
        await run(world, world.call("pay", amount=1), forwarded)
        assert len(forwarded) == 1
        assert await waits(world, forwarded) != ticket
        types = await world.types()
    assert types[:2] == ["approval.requested", "exchange.refused"]
    assert [types.count(f"approval.{one}") for one in ("voted", "granted", "consumed")] == [1, 1, 1]


async def test_a_hold_without_a_rule_asks_no_less_of_those_who_decide(
    database_url: str, tmp_path: Path, clock: ManualClock
) -> None:
    ssn: JsonObject = {"actions": {"pii.ssn": "hold"}}
    settings = {"approvals": AT_ONCE, "detect": {"engine": "re", **ssn}}
    async with open_world(database_url, tmp_path, clock, policy(PAY), **settings) as world:
        with pytest.raises(RefusedError) as refused:
            await run(world, world.call("pay", to="536-22-1234"), [])
        ticket = await world.runtime.desk.get(refused.value.ticket)
        assert ticket is not None
        assert ticket.findings == ("pii.ssn",)
        assert [(one.approvers, one.quorum, one.no_self_approval) for one in ticket.charters] == [
            (("team:pay",), 2, True)
        ]


async def test_an_approval_does_not_outlive_a_rule_that_now_asks_for_more_people(
    database_url: str, tmp_path: Path, clock: ManualClock
) -> None:
    """The rules are the same file, and so the same version: what they ask changes with the time of day."""
    later: JsonObject = {
        "id": "late", "match": {"tool": "pay"}, "decide": "hold", "quorum": 2,
        "when": f"now > timestamp('{clock.now().isoformat().replace('+00:00', 'Z')}')",
    }  # fmt: skip
    ask: JsonObject = {"id": "ask", "match": {"tool": "pay"}, "decide": "hold"}
    forwarded: list[bytes] = []
    async with open_world(database_url, tmp_path, clock, policy(ask, later), approvals=AT_ONCE) as world:
        ticket = await waits(world, forwarded)
        await world.runtime.desk.approve(ticket, by="ann")
        clock.advance(1)
        assert await waits(world, forwarded) not in ("", ticket)
        assert forwarded == []
