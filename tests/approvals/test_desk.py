"""What a held call meets at the desk."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import replace

import anyio
import anyio.lowlevel
import pytest

from approvals.attendance import Unattended
from approvals.desk import Desk, Held, HeldState, Manners
from approvals.store import SqlTickets
from approvals.ticket import State
from governance.audit.event import Tag
from governance.store import Store, StoreError
from tests.approvals.calls import HOLD, tool_call
from tests.approvals.ledger import Ledger
from tests.conftest import ManualClock

PATIENT = Manners(wait_seconds=45, base_url="http://127.0.0.1:8080")


async def approved(desk: Desk, ticket: str) -> None:
    decided = await desk.approve(ticket, by="ann", reason="fine")
    assert decided is not None
    assert decided.made


async def held_while(desk: Desk, *decisions: str) -> Held:
    """Hold a call at a patient desk, and decide once it waits."""
    found: list[Held] = []

    async def hold() -> None:
        found.append(await desk.hold(tool_call(), HOLD))

    with anyio.fail_after(10):
        async with anyio.create_task_group() as group:
            group.start_soon(hold)
            while not desk.waiting:
                await anyio.lowlevel.checkpoint()
            (ticket,) = desk.waiting
            if "approve" in decisions:
                await desk.approve(ticket, by="ann")
            if "deny" in decisions:
                await desk.deny(ticket, by="ann", reason="not on a Friday")
            if "invalidate" in decisions:
                await desk.invalidate("session", "ses_1")
    return found[0]


async def test_a_held_call_is_pending_when_nobody_decides_in_time(desk: Desk) -> None:
    held = await desk.hold(tool_call(), HOLD)
    assert held.state is HeldState.PENDING
    assert held.link == f"http://127.0.0.1:8080/console/approvals/{held.ticket}"
    assert held.link in held.reason


async def test_the_same_call_made_again_attaches_to_its_ticket(desk: Desk, ledger: Ledger) -> None:
    first = await desk.hold(tool_call(), HOLD)
    again = await desk.hold(tool_call(id="exc_2"), HOLD)
    assert again.ticket == first.ticket
    assert ledger.tags() == [Tag.APPROVAL_REQUESTED]


async def test_another_call_gets_a_ticket_of_its_own(desk: Desk) -> None:
    first = await desk.hold(tool_call(), HOLD)
    assert (await desk.hold(tool_call({"path": "/tmp/b"}), HOLD)).ticket != first.ticket
    assert (await desk.hold(tool_call(session="ses_2"), HOLD)).ticket != first.ticket
    assert (await desk.hold(tool_call(), replace(HOLD, version="v2"))).ticket != first.ticket


async def test_a_key_with_too_many_waiting_calls_asks_nobody(
    tickets: SqlTickets, clock: ManualClock, ledger: Ledger
) -> None:
    desk = Desk(tickets, clock, Manners(wait_seconds=0, most_pending=2))
    first = await desk.hold(tool_call(), HOLD)
    await desk.hold(tool_call({"n": 2}), HOLD)
    crowded = await desk.hold(tool_call({"n": 3}), HOLD)
    assert (crowded.state, crowded.ticket) == (HeldState.CROWDED, "")
    assert crowded.reason == "2 calls of this key wait for a person already: wait for those first"
    assert (await desk.hold(tool_call(), HOLD)).ticket == first.ticket
    await desk.deny(first.ticket, by="ann", reason="no")
    assert (await desk.hold(tool_call({"n": 3}), HOLD)).state is HeldState.PENDING
    assert ledger.tags().count(Tag.APPROVAL_REQUESTED) == 3


async def test_an_approved_call_made_again_may_run_once(desk: Desk, ledger: Ledger) -> None:
    await approved(desk, (await desk.hold(tool_call(), HOLD)).ticket)
    held = await desk.hold(tool_call(id="exc_2"), HOLD)
    assert held.state is HeldState.APPROVED
    assert await desk.consume(held)
    assert not await desk.consume(held)
    assert ledger.tags() == [Tag.APPROVAL_REQUESTED, Tag.APPROVAL_GRANTED, Tag.APPROVAL_CONSUMED]
    assert ledger.of(Tag.APPROVAL_CONSUMED)[0]["exchange_id"] == "exc_2"
    assert (await desk.hold(tool_call(), HOLD)).state is HeldState.PENDING


async def test_only_an_approved_call_can_be_used_up(desk: Desk) -> None:
    held = await desk.hold(tool_call(), HOLD)
    assert not await desk.consume(held)
    assert not await desk.consume(replace(held, state=HeldState.APPROVED))


async def test_a_waiting_call_goes_on_when_a_person_approves(tickets: SqlTickets, clock: ManualClock) -> None:
    held = await held_while(Desk(tickets, clock, PATIENT), "approve")
    assert held.state is HeldState.APPROVED


async def test_a_waiting_call_is_told_why_it_was_denied(tickets: SqlTickets, clock: ManualClock) -> None:
    held = await held_while(Desk(tickets, clock, PATIENT), "deny")
    assert (held.state, held.reason) == (HeldState.DENIED, "a person denied this call: not on a Friday")


async def test_stopping_the_session_ends_the_wait(tickets: SqlTickets, clock: ManualClock) -> None:
    held = await held_while(Desk(tickets, clock, PATIENT), "invalidate")
    assert held.state is HeldState.INVALIDATED


async def test_a_call_may_wait_shorter_than_others(tickets: SqlTickets, clock: ManualClock) -> None:
    with anyio.fail_after(10):
        held = await Desk(tickets, clock, PATIENT).hold(tool_call(), HOLD, attendance=Unattended(seconds=0))
    assert held.state is HeldState.PENDING


async def test_whoever_attends_to_a_call_is_told_the_page_and_may_end_the_waiting(
    tickets: SqlTickets, clock: ManualClock
) -> None:
    told: list[str] = []

    class Brief(Unattended):
        @asynccontextmanager
        async def waiting(self, ticket_id: str, link: str, *, detached: bool) -> AsyncGenerator[None]:
            with anyio.CancelScope() as scope:
                scope.cancel()
                told.append(link)
                assert link.endswith(ticket_id)
                yield

    with anyio.fail_after(10):
        held = await Desk(tickets, clock, PATIENT).hold(tool_call(), HOLD, attendance=Brief())
    assert (held.state, [held.link]) == (HeldState.PENDING, told)


async def test_a_decision_made_elsewhere_is_seen_by_the_watch(tickets: SqlTickets, clock: ManualClock) -> None:
    here, elsewhere = Desk(tickets, clock, PATIENT, poll_seconds=0.01), Desk(tickets, clock, PATIENT)
    found: list[Held] = []

    async def hold() -> None:
        found.append(await here.hold(tool_call(), HOLD))
        group.cancel_scope.cancel()

    with anyio.fail_after(10):
        async with anyio.create_task_group() as group:
            group.start_soon(here.watch)
            group.start_soon(hold)
            while not here.waiting:
                await anyio.lowlevel.checkpoint()
            await elsewhere.approve(*here.waiting, by="bob")
    assert found[0].state is HeldState.APPROVED


async def test_a_denial_given_while_the_agent_was_away_is_told_once(desk: Desk) -> None:
    first = await desk.hold(tool_call(), HOLD)
    await desk.deny(first.ticket, by="ann", reason="no")
    told = await desk.hold(tool_call(), HOLD)
    assert (told.state, told.ticket) == (HeldState.DENIED, first.ticket)
    asked = await desk.hold(tool_call(), HOLD)
    assert (asked.state, asked.ticket == first.ticket) == (HeldState.PENDING, False)


async def test_an_old_denial_is_not_told_any_more(desk: Desk, clock: ManualClock) -> None:
    first = await desk.hold(tool_call(), HOLD)
    await desk.deny(first.ticket, by="ann")
    clock.advance(601)
    assert (await desk.hold(tool_call(), HOLD)).state is HeldState.PENDING


async def test_silence_is_a_denial(desk: Desk, clock: ManualClock, ledger: Ledger) -> None:
    first = await desk.hold(tool_call(), HOLD)
    clock.advance(300)
    late = await desk.approve(first.ticket, by="ann")
    assert late is not None
    assert not late.made
    await desk.look()
    held = await desk.hold(tool_call(), HOLD)
    assert (held.state, held.ticket) == (HeldState.EXPIRED, first.ticket)
    assert ledger.tags() == [Tag.APPROVAL_REQUESTED, Tag.APPROVAL_EXPIRED]


async def test_a_call_does_not_wait_past_the_deadline_of_its_ticket(desk: Desk, clock: ManualClock) -> None:
    await desk.hold(tool_call(), HOLD)
    clock.advance(299.99)
    with anyio.fail_after(10):
        held = await Desk(desk.store, clock, PATIENT).hold(tool_call(), HOLD)
    assert held.state is HeldState.PENDING


async def test_an_approval_that_was_not_used_in_time_runs_out(desk: Desk, clock: ManualClock) -> None:
    first = await desk.hold(tool_call(), HOLD)
    clock.advance(299)
    await approved(desk, first.ticket)
    clock.advance(299)
    held = await desk.hold(tool_call(), HOLD)
    assert held.state is HeldState.APPROVED
    clock.advance(1)
    assert not await desk.consume(held)
    again = await desk.hold(tool_call(), HOLD)
    assert (again.state, again.ticket == first.ticket) == (HeldState.PENDING, False)


async def test_a_call_that_is_cancelled_leaves_its_ticket_to_be_decided(
    tickets: SqlTickets, clock: ManualClock
) -> None:
    desk = Desk(tickets, clock, PATIENT)
    with anyio.fail_after(10):
        async with anyio.create_task_group() as group:
            group.start_soon(desk.hold, tool_call(), HOLD)
            while not desk.waiting:
                await anyio.lowlevel.checkpoint()
            group.cancel_scope.cancel()
    assert not desk.waiting
    ticket = (await desk.tickets())[0].id
    await approved(desk, ticket)
    assert (await desk.hold(tool_call(), HOLD)).state is HeldState.APPROVED


async def test_a_ticket_is_decided_once(desk: Desk) -> None:
    held = await desk.hold(tool_call(), HOLD)
    await approved(desk, held.ticket)
    for second in (await desk.deny(held.ticket, by="bob"), await desk.approve(held.ticket, by="bob")):
        assert second is not None
        assert (second.made, second.ticket.state, second.ticket.decided_by) == (False, State.APPROVED, "ann")
    assert await desk.approve("tkt_unknown", by="ann") is None


async def test_stopping_a_session_takes_back_its_approvals(desk: Desk, ledger: Ledger) -> None:
    mine, other = await desk.hold(tool_call(), HOLD), await desk.hold(tool_call(session="ses_2"), HOLD)
    await approved(desk, mine.ticket)
    assert await desk.invalidate("session", "ses_1", by="kill", reason="stopped") == 1
    assert not await desk.consume(replace(mine, state=HeldState.APPROVED))
    assert ledger.of(Tag.APPROVAL_DENIED)[0]["state"] == "invalidated"
    await approved(desk, other.ticket)


async def test_one_of_a_hundred_uses_of_an_approval_wins(desk: Desk, ledger: Ledger) -> None:
    await approved(desk, (await desk.hold(tool_call(), HOLD)).ticket)
    held = await desk.hold(tool_call(), HOLD)
    won: list[bool] = []

    async def use() -> None:
        won.append(await desk.consume(held))

    async with anyio.create_task_group() as group:
        for _ in range(100):
            group.start_soon(use)
    assert (won.count(True), len(won)) == (1, 100)
    assert ledger.tags().count(Tag.APPROVAL_CONSUMED) == 1


async def test_a_hundred_like_calls_at_once_open_one_ticket(desk: Desk, ledger: Ledger) -> None:
    found: set[str] = set()

    async def hold(number: int) -> None:
        found.add((await desk.hold(tool_call(id=f"exc_{number}"), HOLD)).ticket)

    async with anyio.create_task_group() as group:
        for number in range(100):
            group.start_soon(hold, number)
    assert len(found) == 1
    assert ledger.tags() == [Tag.APPROVAL_REQUESTED]


async def test_a_call_is_not_let_through_when_the_tickets_cannot_be_kept(desk: Desk, store: Store) -> None:
    await store.close()
    with pytest.raises(StoreError):
        await desk.hold(tool_call(), HOLD)
