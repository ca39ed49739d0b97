"""Who may decide about a ticket, and when enough people have."""

import anyio
import pytest

from approvals.desk import Desk, HeldState
from approvals.quorum import APPROVE, DENY, Approver, charters_in, form_of, objection, person_of
from approvals.ticket import State
from governance.audit.event import Tag
from governance.exchange import Exchange
from governance.identity.keys import Grant, mint
from governance.identity.store import SqlKeys
from governance.jsontree import JsonObject
from governance.store import Store
from governance.verdict import Charter, Decision, Verdict
from tests.approvals.calls import HOLD, tool_call
from tests.approvals.ledger import Ledger
from tests.conftest import ManualClock


def someone(user: str, key: str = "key_9", *, role: str = "approver", team: str = "") -> Approver:
    return Approver(f"{user} ({key})", person_of(user, key), user, role, team)


ANN, BOB, EVE = someone("ann"), someone("bob", team="pay"), someone("eve", role="admin")
NOBODY = someone("", "key_7")


def holding(*charters: Charter) -> Verdict:
    return Verdict(Decision.HOLD, by="policy", rule="pay", reason="money moves", version="v1", charters=charters)


async def held(desk: Desk, *charters: Charter, exchange: Exchange | None = None) -> str:
    return (await desk.hold(exchange or tool_call(), holding(*charters))).ticket


async def state_of(desk: Desk, ticket: str) -> State:
    found = await desk.get(ticket)
    assert found is not None
    return found.state


async def made(desk: Desk, ticket: str, by: Approver | str, *, approve: bool = True) -> bool:
    decided = await (desk.approve if approve else desk.deny)(ticket, by=by)
    assert decided is not None
    return decided.made


async def test_a_call_runs_when_as_many_people_as_the_rule_wants_have_approved(desk: Desk, ledger: Ledger) -> None:
    charter = Charter(quorum=2)
    ticket = await held(desk, charter)
    assert await made(desk, ticket, BOB)
    assert (await desk.hold(tool_call(), holding(charter))).state is HeldState.PENDING
    assert await made(desk, ticket, EVE)
    again = await desk.hold(tool_call(), holding(charter))
    assert again.state is HeldState.APPROVED
    assert await desk.consume(again)
    assert ledger.tags() == [
        Tag.APPROVAL_REQUESTED,
        Tag.APPROVAL_VOTED,
        Tag.APPROVAL_GRANTED,
        Tag.APPROVAL_CONSUMED,
    ]
    (voted,), (granted,) = ledger.of(Tag.APPROVAL_VOTED), ledger.of(Tag.APPROVAL_GRANTED)
    assert (voted["actor"], voted["approvals"], voted["quorum"]) == (BOB.name, 1, 2)
    assert (granted["actor"], granted["approvals"]) == (EVE.name, 2)


async def test_one_person_counts_once_whatever_the_number_of_their_keys(desk: Desk) -> None:
    ticket = await held(desk, Charter(quorum=2))
    assert await made(desk, ticket, someone("bob", "key_1"))
    assert not await made(desk, ticket, someone("Bob ", "key_2"))
    assert await state_of(desk, ticket) is State.PENDING
    assert await made(desk, ticket, someone("", "key_3"))
    assert await state_of(desk, ticket) is State.APPROVED


async def test_one_denial_denies_also_by_somebody_who_approved(desk: Desk, ledger: Ledger) -> None:
    ticket = await held(desk, Charter(quorum=3))
    assert await made(desk, ticket, BOB)
    assert await made(desk, ticket, EVE)
    assert await made(desk, ticket, BOB, approve=False)
    assert await state_of(desk, ticket) is State.DENIED
    assert not await made(desk, ticket, ANN)
    found = await desk.get(ticket)
    assert found is not None
    assert [(one.by.user, one.decision) for one in found.votes] == [("bob", APPROVE), ("eve", APPROVE), ("bob", DENY)]
    assert ledger.of(Tag.APPROVAL_DENIED)[0]["actor"] == BOB.name


@pytest.mark.parametrize(
    ("approvers", "may"),
    [
        (("role:approver",), {"ann", "bob"}),
        (("role:admin",), {"eve"}),
        (("team:pay",), {"bob"}),
        (("user:ann", "role:admin"), {"ann", "eve"}),
        (("team:ann", "user:pay", "role:bob"), set[str]()),
    ],
)
def test_those_decide_whom_the_rule_names_by_role_team_or_name(approvers: tuple[str, ...], may: set[str]) -> None:
    for decision in (APPROVE, DENY):
        may_decide = {by.user for by in (ANN, BOB, EVE) if not objection([Charter(approvers)], by, ["zoe"], decision)}
        assert may_decide == may


async def test_what_each_of_several_rules_asks_must_be_met(desk: Desk) -> None:
    ticket = await held(desk, Charter(("team:pay",)), Charter(("role:admin",)))
    assert not await made(desk, ticket, ANN)
    assert await made(desk, ticket, EVE)
    assert await state_of(desk, ticket) is State.PENDING
    assert await made(desk, ticket, BOB)
    assert await state_of(desk, ticket) is State.APPROVED


async def test_the_person_whom_the_callers_key_stands_for_may_not_decide(desk: Desk) -> None:
    ticket = await held(desk, Charter(no_self_approval=True))
    decided = await desk.approve(ticket, by=someone("ANN", "key_of_her_own"))
    assert decided is not None
    assert (decided.made, decided.refusal) == (
        False,
        "the call was made for you, and the rule wants somebody else to decide",
    )
    assert not await made(desk, ticket, ANN, approve=False)
    assert await made(desk, ticket, BOB)
    assert await state_of(desk, ticket) is State.APPROVED


async def test_a_header_that_names_somebody_else_does_not_let_the_keys_person_decide(
    desk: Desk, store: Store, ledger: Ledger, clock: ManualClock
) -> None:
    key = mint(Grant(user="bob"), clock.now()).key
    await SqlKeys(store, ledger, clock).add(key, actor="test")
    call = tool_call(key=key.id)
    assert call.principal.user == "ann"
    ticket = await held(desk, Charter(no_self_approval=True), exchange=call)
    assert not await made(desk, ticket, BOB)
    assert not await made(desk, ticket, ANN)
    assert await made(desk, ticket, EVE)


async def test_where_nobody_knows_who_a_key_stands_for_only_a_denial_is_taken(desk: Desk) -> None:
    mine = await held(desk, Charter(no_self_approval=True))
    assert not await made(desk, mine, NOBODY)
    assert await made(desk, mine, NOBODY, approve=False)
    nobodys = await held(desk, Charter(no_self_approval=True), exchange=tool_call(user=""))
    assert not await made(desk, nobodys, BOB)
    assert await made(desk, nobodys, BOB, approve=False)


async def test_a_bare_name_decides_only_where_no_rule_says_who_may(desk: Desk) -> None:
    ticket = await held(desk, Charter(quorum=2))
    assert not await made(desk, ticket, "in-band:ann")
    assert not await made(desk, ticket, "in-band:ann", approve=False)
    assert await made(desk, (await desk.hold(tool_call({"n": 2}), HOLD)).ticket, "in-band:ann")


async def test_of_people_who_approve_at_the_same_moment_each_counts(desk: Desk, ledger: Ledger) -> None:
    ticket = await held(desk, Charter(quorum=5))
    async with anyio.create_task_group() as group:
        for number in range(5):
            group.start_soon(made, desk, ticket, someone(f"p{number}"))
    assert await state_of(desk, ticket) is State.APPROVED
    assert ledger.tags().count(Tag.APPROVAL_VOTED) == 4
    assert ledger.tags().count(Tag.APPROVAL_GRANTED) == 1


async def test_a_hundred_clicks_of_one_person_are_one_approval(desk: Desk, ledger: Ledger) -> None:
    ticket = await held(desk, Charter(quorum=2))
    async with anyio.create_task_group() as group:
        for number in range(100):
            group.start_soon(made, desk, ticket, someone("bob", f"key_{number}"))
    assert await state_of(desk, ticket) is State.PENDING
    assert ledger.tags() == [Tag.APPROVAL_REQUESTED, Tag.APPROVAL_VOTED]


async def test_too_few_approvals_in_time_are_a_denial(desk: Desk, clock: ManualClock) -> None:
    ticket = await held(desk, Charter(quorum=2))
    assert await made(desk, ticket, BOB)
    clock.advance(300)
    assert not await made(desk, ticket, EVE)
    await desk.look()
    assert (await desk.hold(tool_call(), holding(Charter(quorum=2)))).state is HeldState.EXPIRED


async def test_a_rule_that_asks_others_is_not_met_by_an_approval_that_was_given_before(desk: Desk) -> None:
    assert await made(desk, await held(desk), "ann")
    assert (await desk.hold(tool_call(), holding(Charter(quorum=2)))).state is HeldState.PENDING


def test_charters_are_read_back_from_the_form_and_a_broken_one_is_met_by_nobody() -> None:
    charters = (Charter(("team:pay",), 2, no_self_approval=True), Charter(quorum=3))
    assert charters_in({"charters": form_of(charters)}) == charters
    wrong: tuple[JsonObject, ...] = (
        {},
        {"quorum": 0, "approvers": []},
        {"quorum": 1, "approvers": [1]},
        {"quorum": "1"},
    )
    for broken in wrong:
        read = charters_in({"charters": [broken]})
        assert objection(read, EVE, ["zoe"], APPROVE)
