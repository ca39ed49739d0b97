"""When nobody decides for part of a ticket's time, others may: as well, or instead."""

import json

import pytest
from sqlmodel import Session, select

from approvals.desk import Desk, Manners
from approvals.quorum import Approver, charters_in, form_of
from approvals.store import SqlTickets
from approvals.ticket import State
from approvals.webhook.endpoint import Endpoint
from approvals.webhook.message import Announcer
from governance.audit.event import Tag
from governance.policy.load import PolicyError, compile_sources
from governance.store import Store
from governance.store.tables import DeliveryRow
from governance.verdict import Charter, Decision, Escalation, Verdict
from tests.approvals.calls import tool_call
from tests.approvals.ledger import Ledger
from tests.conftest import ManualClock

BOB, EVE, ZOE = (
    Approver(f"{user} (key)", f"user:{user}", user, "approver", team)
    for user, team in (("bob", "pay"), ("eve", "board"), ("zoe", "pay"))
)
ALSO = Charter(("team:pay",), escalation=Escalation(50, ("team:board",)))
INSTEAD = Charter(("team:pay",), 2, escalation=Escalation(50, ("team:board",), replace=True))


async def held(desk: Desk, charter: Charter) -> str:
    verdict = Verdict(Decision.HOLD, by="policy", rule="pay", reason="money moves", version="v1", charters=(charter,))
    return (await desk.hold(tool_call(), verdict)).ticket


async def approved(desk: Desk, ticket: str, by: Approver) -> bool:
    decided = await desk.approve(ticket, by=by)
    assert decided is not None
    return decided.made


async def state_of(desk: Desk, ticket: str) -> State:
    found = await desk.get(ticket)
    assert found is not None
    return found.state


async def test_others_may_decide_from_their_moment_on_and_not_before(
    desk: Desk, ledger: Ledger, clock: ManualClock
) -> None:
    ticket = await held(desk, ALSO)
    clock.advance(149)
    assert not await approved(desk, ticket, EVE)
    clock.advance(1)
    assert await approved(desk, ticket, EVE)
    assert await state_of(desk, ticket) is State.APPROVED
    assert ledger.tags() == [Tag.APPROVAL_REQUESTED, Tag.APPROVAL_ESCALATED, Tag.APPROVAL_GRANTED]
    (event,) = ledger.of(Tag.APPROVAL_ESCALATED)
    assert event["escalated_to"] == ["team:board"]


async def test_those_who_might_before_still_may_unless_the_rule_replaces_them(desk: Desk, clock: ManualClock) -> None:
    ticket = await held(desk, ALSO)
    clock.advance(200)
    assert await approved(desk, ticket, BOB)
    assert await state_of(desk, ticket) is State.APPROVED


async def test_where_they_are_replaced_what_was_approved_before_still_counts(desk: Desk, clock: ManualClock) -> None:
    ticket = await held(desk, INSTEAD)
    assert await approved(desk, ticket, BOB)
    clock.advance(150)
    assert not await approved(desk, ticket, ZOE)
    assert await approved(desk, ticket, EVE)
    found = await desk.get(ticket)
    assert found is not None
    assert (found.state, found.standing.have, found.standing.wanted) == (State.APPROVED, 2, 2)


async def test_it_is_recorded_once_also_where_nobody_decides(desk: Desk, ledger: Ledger, clock: ManualClock) -> None:
    ticket = await held(desk, ALSO)
    before = await desk.pulse()
    for _ in range(3):
        clock.advance(60)
        await desk.store.escalate_due(clock.now())
    assert ledger.tags() == [Tag.APPROVAL_REQUESTED, Tag.APPROVAL_ESCALATED]
    assert await desk.pulse() != before, "an open page shows it"
    clock.advance(200)
    await desk.look()
    assert await state_of(desk, ticket) is State.EXPIRED
    await desk.store.escalate_due(clock.now())
    assert ledger.tags().count(Tag.APPROVAL_ESCALATED) == 1


async def test_a_ticket_without_it_is_never_escalated(desk: Desk, ledger: Ledger, clock: ManualClock) -> None:
    await held(desk, Charter(("team:pay",)))
    clock.advance(299)
    assert await desk.store.escalate_due(clock.now()) == 0
    assert ledger.tags() == [Tag.APPROVAL_REQUESTED]


async def test_a_webhook_is_told_to_whom(store: Store, ledger: Ledger, clock: ManualClock) -> None:
    endpoint = Endpoint("https://hooks.example.com/", bytes(32), ("approval.escalated",))
    desk = Desk(SqlTickets(store, ledger, Announcer((endpoint,))), clock, Manners(wait_seconds=0))
    ticket = await held(desk, ALSO)
    clock.advance(150)
    await desk.store.escalate_due(clock.now())

    def bodies(session: Session) -> list[str]:
        return [row.body for row in session.exec(select(DeliveryRow))]

    (message,) = map(json.loads, await store.read(bodies))
    assert (message["type"], message["data"]["ticket"]) == ("approval.escalated", ticket)
    assert message["data"]["escalated_to"] == ["team:board"]


def test_it_is_read_back_from_a_form() -> None:
    charters = (
        Charter(("team:pay",), escalation=Escalation(50, ("team:board",), replace=True, seconds=150)),
        Charter(),
    )
    assert charters_in({"charters": form_of(charters)}) == charters
    assert charters_in({"charters": [{"approvers": [], "quorum": 1, "escalation": {"percent": "x"}}]}) == (
        Charter(no_self_approval=True),
    )


def rule(more: str) -> str:
    return f"version: 1\nrules:\n- {{id: pay, match: {{tool: pay}}, decide: hold, {more}}}"


def test_a_rule_says_it() -> None:
    text = rule("approvers: team:pay, escalate: {after: 50%, to: [team:board, user:eve], replace: true}")
    (one,) = compile_sources([("policy.yaml", text)]).rules
    (charter,) = one.verdict.charters
    assert charter.escalation == Escalation(50, ("team:board", "user:eve"), replace=True)


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ("escalate: {after: 50%, to: team:board}", "adds nobody where everybody may decide"),
        ("approvers: team:pay, escalate: {after: 50, to: team:board}", "must be a part of the time"),
        ("approvers: team:pay, escalate: {after: 100%, to: team:board}", "must be a part of the time"),
        ("approvers: team:pay, escalate: {after: 0%, to: team:board}", "must be a part of the time"),
        ("approvers: team:pay, escalate: {after: 50%}", "is missing"),
        ("approvers: team:pay, escalate: {after: 50%, to: board}", "must be"),
        ("approvers: team:pay, escalate: {after: 50%, to: team:x, instead: true}", "is not a known key"),
    ],
)
def test_a_wrong_one_does_not_load(more: str, said: str) -> None:
    with pytest.raises(PolicyError, match=said):
        compile_sources([("policy.yaml", rule(more))])
