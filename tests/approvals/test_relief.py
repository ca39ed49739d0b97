"""What a person allows beyond one call that a loop held."""

from dataclasses import replace

import pytest

from approvals.desk import Desk
from approvals.quorum import Approver
from approvals.store import SqlTickets
from approvals.ticket import ReliefError, State
from governance.audit.event import Tag
from governance.verdict import MOST_MORE, NO_RELIEF, Charter, Relief, relief_of
from tests.approvals.calls import HOLD, LOOP, tool_call
from tests.approvals.ledger import Ledger

ANN, BOB = (Approver(user, f"user:{user}", user, "approver") for user in ("ann", "bob"))


@pytest.mark.parametrize("relief", [Relief(more=7), Relief(exempt=True), NO_RELIEF])
async def test_it_is_kept_told_and_recorded(desk: Desk, ledger: Ledger, relief: Relief) -> None:
    held = await desk.hold(tool_call(), LOOP)
    assert held.relief == NO_RELIEF
    decided = await desk.approve(held.ticket, by="ann", relief=relief)
    assert decided is not None
    assert (decided.made, decided.ticket.relief) == (True, relief)
    assert (await desk.hold(tool_call(id="exc_2"), LOOP)).relief == relief
    assert ledger.of(Tag.APPROVAL_GRANTED)[0].get("relief", "") == relief.text


async def test_it_is_for_calls_of_loops_alone(desk: Desk, ledger: Ledger) -> None:
    held = await desk.hold(tool_call(), HOLD)
    with pytest.raises(ReliefError):
        await desk.approve(held.ticket, by="ann", relief=Relief(exempt=True))
    assert ledger.tags() == [Tag.APPROVAL_REQUESTED]
    decided = await desk.approve(held.ticket, by="ann")
    assert decided is not None
    assert decided.made


async def test_the_first_decision_says_what_is_allowed(desk: Desk, tickets: SqlTickets) -> None:
    held = await desk.hold(tool_call(), LOOP)
    await desk.approve(held.ticket, by="ann", relief=Relief(more=1))
    again = await desk.approve(held.ticket, by="bob", relief=Relief(exempt=True))
    assert again is not None
    assert not again.made
    kept = await tickets.get(held.ticket)
    assert kept is not None
    assert kept.relief == Relief(more=1)


@pytest.mark.parametrize("charters", [(Charter(quorum=2),), (Charter(("user:ann",)), Charter(("user:bob",)))])
async def test_where_several_must_agree_they_agree_on_the_call_alone(
    desk: Desk, ledger: Ledger, charters: tuple[Charter, ...]
) -> None:
    held = await desk.hold(tool_call(), replace(LOOP, charters=charters))
    with pytest.raises(ReliefError, match="several people must agree"):
        await desk.approve(held.ticket, by=ANN, relief=Relief(more=5))
    assert ledger.tags() == [Tag.APPROVAL_REQUESTED]
    await desk.approve(held.ticket, by=ANN)
    with pytest.raises(ReliefError):
        await desk.approve(held.ticket, by=BOB, relief=Relief(exempt=True))
    decided = await desk.approve(held.ticket, by=BOB)
    assert decided is not None
    assert (decided.ticket.state, decided.ticket.relief) == (State.APPROVED, NO_RELIEF)


async def test_one_person_whom_a_rule_names_may_allow_more(desk: Desk) -> None:
    held = await desk.hold(tool_call(), replace(LOOP, charters=(Charter(("user:ann",)),)))
    refused = await desk.approve(held.ticket, by=BOB, relief=Relief(more=5))
    assert refused is not None
    assert (refused.made, refused.ticket.relief) == (False, NO_RELIEF)
    decided = await desk.approve(held.ticket, by=ANN, relief=Relief(more=5))
    assert decided is not None
    assert (decided.made, decided.ticket.relief) == (True, Relief(more=5))


async def test_it_is_not_for_a_call_that_a_person_changed(desk: Desk, ledger: Ledger) -> None:
    held = await desk.hold(tool_call(), LOOP)
    with pytest.raises(ReliefError, match="a changed call"):
        await desk.approve(held.ticket, by=ANN, arguments={"path": "/tmp/b"}, relief=Relief(more=5))
    assert ledger.tags() == [Tag.APPROVAL_REQUESTED]
    decided = await desk.approve(held.ticket, by=ANN, arguments={"n": 1, "path": "/tmp/a"}, relief=Relief(more=5))
    assert decided is not None
    assert (decided.made, decided.ticket.relief) == (True, Relief(more=5))


@pytest.mark.parametrize("relief", [NO_RELIEF, Relief(more=1), Relief(more=MOST_MORE), Relief(exempt=True)])
def test_it_is_read_as_it_was_written(relief: Relief) -> None:
    assert relief_of(relief.text) == relief


@pytest.mark.parametrize(
    "text", ["0", "-1", "1001", "1e3", " 5", "\N{ARABIC-INDIC DIGIT FIVE}", "5.0", "always", "Exempt", "9" * 5000]
)
def test_nothing_else_is_read(text: str) -> None:
    with pytest.raises(ValueError, match="1 to 1000"):
        relief_of(text)
