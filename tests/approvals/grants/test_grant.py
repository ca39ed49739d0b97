"""What may be granted with a ticket, which calls it covers, and how it ends: on both databases."""

from dataclasses import replace
from datetime import timedelta

import pytest

from approvals.desk import Desk
from approvals.grants.grant import Grant, SpentError, Standing
from approvals.grants.store import SqlGrants
from approvals.quorum import Approver
from approvals.terms import GrantError, Wish
from approvals.ticket import State
from governance.audit.event import Tag
from governance.exchange import Exchange
from governance.jsontree import JsonObject
from governance.store import Store
from governance.verdict import Charter, Leave, Reach, Verdict
from sessions.killswitch import KillSwitch, Scope
from sessions.store import SqlKills
from tests.approvals.calls import HOLD, LOOP, tool_call
from tests.approvals.ledger import Ledger
from tests.conftest import ManualClock

LEAVE = Leave("ask-before-writing", "a" * 64, Reach.PATTERN, 3600, 5)
ASKS = replace(HOLD, leaves=(LEAVE,))
TMP = Wish({"/path": "/tmp/*"})
ANN, BOB = (Approver(user, f"user:{user}", user, "approver") for user in ("zoe", "bob"))


@pytest.fixture
def grants(store: Store, ledger: Ledger) -> SqlGrants:
    return SqlGrants(store, ledger)


async def give(desk: Desk, wish: Wish = TMP, verdict: Verdict = ASKS, exchange: Exchange | None = None) -> str:
    """Approve a call with a grant; returns the ticket."""
    held = await desk.hold(exchange or tool_call(), verdict)
    decided = await desk.approve(held.ticket, by="ann", grant=wish)
    assert decided is not None
    assert decided.made, decided.refusal
    return held.ticket


async def use(store: Store, grants: SqlGrants, grant: Grant, clock: ManualClock) -> None:
    await store.write(grants.use(grant, clock.now()))


async def test_it_begins_with_the_approval_and_is_told_in_its_event(
    desk: Desk, grants: SqlGrants, ledger: Ledger, clock: ManualClock
) -> None:
    ticket = await give(desk)
    (grant,) = await grants.listed(clock.now())
    assert (grant.ticket, grant.given_by, grant.tool, grant.terms.uses) == (ticket, "ann", "write_file", 5)
    assert grant.terms.arguments == {"/n": 1, "/path": "/tmp/*"}
    (granted,) = ledger.of(Tag.APPROVAL_GRANTED)
    assert (granted["grant_id"], granted["grant_uses"]) == (grant.id, 5)
    assert "/tmp" not in str(granted)
    held = await desk.hold(tool_call(), ASKS)
    assert held.arguments is None, "the call itself is the one that was asked for"
    assert await desk.consume(held)


@pytest.mark.parametrize(
    "change",
    [
        tool_call({"path": "/etc/a", "n": 1}),
        tool_call({"path": "/tmp/b", "n": 2}),
        tool_call({"path": "/tmp/b", "n": 1, "mode": "x"}),
        tool_call({"path": "/tmp/b"}),
        tool_call(key="key_2"),
        tool_call(user="eve"),
        tool_call(session="ses_2"),
        tool_call(name="delete_file"),
        tool_call(server="other"),
        tool_call(definition="e" * 64),
    ],
)
async def test_another_call_is_not_covered(desk: Desk, grants: SqlGrants, clock: ManualClock, change: Exchange) -> None:
    await give(desk)
    assert await grants.covering(tool_call({"path": "/tmp/b", "n": 1}), (LEAVE,), clock.now()) is not None
    assert await grants.covering(change, (LEAVE,), clock.now()) is None


@pytest.mark.parametrize(
    "leaves",
    [
        (),
        (replace(LEAVE, digest="b" * 64),),
        (replace(LEAVE, reach=Reach.ONCE),),
        (LEAVE, Leave("another", "c" * 64, Reach.PATTERN, 60, 1)),
    ],
)
async def test_a_call_that_another_rule_holds_is_not_covered(
    desk: Desk, grants: SqlGrants, clock: ManualClock, leaves: tuple[Leave, ...]
) -> None:
    await give(desk)
    assert await grants.covering(tool_call(), leaves, clock.now()) is None


async def test_it_is_good_in_other_sessions_only_if_a_person_says_so(
    desk: Desk, grants: SqlGrants, clock: ManualClock
) -> None:
    await give(desk, Wish({}, session=False))
    assert await grants.covering(tool_call(session="ses_2"), (LEAVE,), clock.now()) is not None


async def test_it_ends_at_its_time_and_after_its_uses(
    desk: Desk, grants: SqlGrants, store: Store, clock: ManualClock
) -> None:
    await give(desk, replace(TMP, uses=2, seconds=60))
    (grant,) = await grants.listed(clock.now())
    await use(store, grants, grant, clock)
    await use(store, grants, grant, clock)
    with pytest.raises(SpentError):
        await use(store, grants, grant, clock)
    assert await grants.covering(tool_call(), (LEAVE,), clock.now()) is None
    (spent,) = await grants.listed(clock.now(), active=False)
    assert (spent.standing(clock.now()), spent.used) == (Standing.USED_UP, 2)
    await give(desk, replace(TMP, seconds=60), exchange=tool_call({"path": "/tmp/b", "n": 1}))
    (late,) = await grants.listed(clock.now())
    clock.advance(60)
    assert await grants.covering(tool_call(), (LEAVE,), clock.now()) is None
    with pytest.raises(SpentError):
        await use(store, grants, late, clock)


@pytest.mark.parametrize(
    ("wish", "leave", "said"),
    [
        (TMP, replace(LEAVE, reach=Reach.ONCE), "wants to be asked about each call"),
        (TMP, replace(LEAVE, reach=Reach.SESSION), "lets only the same call be granted"),
        (Wish({}, session=False), replace(LEAVE, reach=Reach.SESSION), "lets only the same call be granted"),
        (replace(TMP, uses=6), LEAVE, "give 1 to 5 uses"),
        (replace(TMP, uses=0), LEAVE, "give 1 to 5 uses"),
        (replace(TMP, seconds=3601), LEAVE, "it must end between now and"),
        (replace(TMP, seconds=1e300), LEAVE, "it must end between now and"),
        (replace(TMP, seconds=-1), LEAVE, "it must end between now and"),
    ],
)
async def test_a_rule_bounds_what_may_be_granted(
    desk: Desk, ledger: Ledger, wish: Wish, leave: Leave, said: str
) -> None:
    held = await desk.hold(tool_call(), replace(HOLD, leaves=(leave,)))
    with pytest.raises(GrantError, match=said):
        await desk.approve(held.ticket, by="ann", grant=wish)
    assert ledger.tags() == [Tag.APPROVAL_REQUESTED]


async def test_of_several_rules_the_strictest_bounds(desk: Desk, grants: SqlGrants, clock: ManualClock) -> None:
    other = Leave("other", "b" * 64, Reach.SESSION, 60, 2)
    await give(desk, Wish({}), replace(HOLD, leaves=(LEAVE, other)))
    (grant,) = await grants.listed(clock.now())
    assert (grant.terms.uses, grant.terms.until) == (2, clock.now() + timedelta(seconds=60))
    assert await grants.covering(tool_call(), (LEAVE,), clock.now()) is not None


@pytest.mark.parametrize(("verdict", "call"), [(LOOP, tool_call()), (ASKS, tool_call(definition=""))])
async def test_where_no_rule_asks_or_the_tool_is_not_known_nothing_can_be_granted(
    desk: Desk, verdict: Verdict, call: Exchange
) -> None:
    held = await desk.hold(call, verdict)
    with pytest.raises(GrantError):
        await desk.approve(held.ticket, by="ann", grant=Wish({}))


async def test_a_changed_call_is_granted_nothing(desk: Desk) -> None:
    held = await desk.hold(tool_call(), ASKS)
    with pytest.raises(GrantError, match="approve it alone"):
        await desk.approve(held.ticket, by="ann", arguments={"path": "/tmp/b"}, grant=Wish({}))


async def test_it_begins_when_as_many_as_the_rule_wants_agree_on_the_same(
    desk: Desk, grants: SqlGrants, clock: ManualClock
) -> None:
    held = await desk.hold(tool_call(), replace(ASKS, charters=(Charter(quorum=2, no_self_approval=True),)))
    first = await desk.approve(held.ticket, by=ANN, grant=TMP)
    assert first is not None
    assert (first.ticket.state, await grants.listed(clock.now())) == (State.PENDING, [])
    blind = await desk.approve(held.ticket, by=BOB)
    assert blind is not None
    assert not blind.made, "who has not seen what is proposed does not agree to it"
    own = await desk.approve(held.ticket, by=Approver("ann", "user:ann", "ann", "admin"), digest=first.ticket.current)
    assert own is not None
    assert "the call was made for you" in own.refusal
    wider = await desk.approve(held.ticket, by=BOB, digest=first.ticket.current, grant=Wish({"/*": {"exists": True}}))
    assert wider is not None
    assert (wider.ticket.state, wider.ticket.standing.have) == (State.PENDING, 1), "another proposal begins anew"
    agreed = await desk.approve(held.ticket, by=ANN, digest=wider.ticket.current)
    assert agreed is not None
    assert agreed.ticket.state is State.APPROVED
    (grant,) = await grants.listed(clock.now())
    assert grant.terms.arguments == {"/*": {"exists": True}}
    assert grant.given_by == "bob, zoe"


async def test_who_proposed_is_outvoted_by_an_approval_of_the_call_alone(
    desk: Desk, grants: SqlGrants, clock: ManualClock
) -> None:
    held = await desk.hold(tool_call(), replace(ASKS, charters=(Charter(quorum=2),)))
    first = await desk.approve(held.ticket, by=ANN, grant=TMP)
    assert first is not None
    alone: JsonObject = {"path": "/tmp/a", "n": 1}
    for by in (BOB, ANN):
        ticket = await desk.get(held.ticket)
        assert ticket is not None
        await desk.approve(held.ticket, by=by, digest=ticket.current, arguments=alone)
    ticket = await desk.get(held.ticket)
    assert ticket is not None
    assert (ticket.state, ticket.terms, await grants.listed(clock.now())) == (State.APPROVED, None, [])


async def test_a_person_ends_it_once(
    desk: Desk, grants: SqlGrants, store: Store, ledger: Ledger, clock: ManualClock
) -> None:
    await give(desk)
    (grant,) = await grants.listed(clock.now())
    assert await grants.revoke(grant.id, by="bob", reason="no more", now=clock.now())
    assert not await grants.revoke(grant.id, by="bob", reason="", now=clock.now())
    assert not await grants.revoke("grt_none", by="bob", reason="", now=clock.now())
    assert await grants.covering(tool_call(), (LEAVE,), clock.now()) is None
    with pytest.raises(SpentError):
        await use(store, grants, grant, clock)
    (ended,) = ledger.of(Tag.APPROVAL_GRANT_ENDED)
    assert (ended["grant_id"], ended["actor"], ended["reason"]) == (grant.id, "bob", "no more")


@pytest.mark.parametrize(
    ("scope", "target"),
    [
        ("session", "ses_1"), ("key", "key_1"), ("agent", "builder"), ("user", "ann"), ("tenant", "acme"),
        ("server", "files"), ("all", ""),
    ],
)  # fmt: skip
async def test_a_kill_ends_it_and_reviving_does_not_bring_it_back(
    desk: Desk, grants: SqlGrants, store: Store, ledger: Ledger, clock: ManualClock, scope: str, target: str
) -> None:
    """Nobody tells this desk of the kill: the table alone must do."""
    await give(desk)
    switch = KillSwitch(SqlKills(store, ledger, clock), ledger, clock)
    clock.advance(1)
    await switch.kill(Scope(scope), target, reason="enough", actor="eve")
    assert await grants.covering(tool_call(), (LEAVE,), clock.now()) is None
    await switch.revive(Scope(scope), target, reason="fine", actor="eve")
    assert await grants.covering(tool_call(), (LEAVE,), clock.now()) is None
    clock.advance(1)
    await give(desk, exchange=tool_call({"path": "/tmp/b", "n": 1}))
    assert await grants.covering(tool_call(), (LEAVE,), clock.now()) is not None


async def test_a_kill_that_the_desk_hears_of_is_written_on_the_grant(
    desk: Desk, grants: SqlGrants, clock: ManualClock
) -> None:
    await give(desk)
    await give(desk, exchange=tool_call(session="ses_2"))
    await desk.invalidate("session", "ses_1", by="eve", reason="enough")
    assert [one.session for one in await grants.listed(clock.now())] == ["ses_2"]
    ended = [one for one in await grants.listed(clock.now(), active=False) if one.ended_at]
    assert [(one.session, one.ended_by, one.end_reason) for one in ended] == [("ses_1", "eve", "enough")]


async def test_a_new_definition_of_the_tool_ends_it_for_good(desk: Desk, grants: SqlGrants, clock: ManualClock) -> None:
    await give(desk)
    assert await grants.covering(tool_call(definition="e" * 64), (LEAVE,), clock.now()) is None
    assert await grants.covering(tool_call(), (LEAVE,), clock.now()) is None
    (ended,) = await grants.listed(clock.now(), active=False)
    assert ended.end_reason == "the tool's definition changed"


async def test_it_ends_when_its_rule_is_not_in_force_any_more(
    desk: Desk, grants: SqlGrants, clock: ManualClock
) -> None:
    await give(desk)
    assert await grants.end_outdated({LEAVE.digest, "b" * 64}, clock.now()) == 0
    assert await grants.end_outdated({"b" * 64}, clock.now()) == 1
    assert await grants.listed(clock.now()) == []


async def test_a_list_is_of_one_tenant(desk: Desk, grants: SqlGrants, clock: ManualClock) -> None:
    await give(desk)
    assert len(await grants.listed(clock.now(), tenant="acme")) == 1
    assert await grants.listed(clock.now(), tenant="umbrella") == []
    assert await grants.get("grt_none") is None
