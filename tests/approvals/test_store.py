"""Whatever happens to tickets in whatever order, the table and the pure machine agree."""

import asyncio
from collections.abc import Coroutine
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeVar

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, rule

from approvals.store import SqlTickets
from approvals.ticket import MOVES, OPEN, Move, State, Ticket, allowed
from governance.audit.event import Tag
from governance.store import open_store
from governance.verdict import NO_RELIEF
from tests.approvals.calls import ticket_of, tool_call, vote_of
from tests.approvals.ledger import Ledger
from tests.conftest import ManualClock

T = TypeVar("T")

MOST = 1_000
"""More than these tests open."""


class Tickets(RuleBasedStateMachine):
    """Opens, decides, uses and ages tickets of three calls, beside a model that only knows the table of moves."""

    ids = Bundle("ids")

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.folder = TemporaryDirectory()
        self.opening = open_store(f"sqlite:///{Path(self.folder.name)}/t.db")
        self.store = self.run(self.opening.__aenter__())
        self.ledger = Ledger(self.store)
        self.tickets = SqlTickets(self.store, self.ledger)
        self.clock = ManualClock()
        self.model: dict[str, Ticket] = {}
        self.events: list[Tag] = []

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return self.loop.run_until_complete(work)

    def teardown(self) -> None:
        self.run(self.opening.__aexit__(None, None, None))
        self.loop.close()
        self.folder.cleanup()

    def expect(self, ticket_id: str, move: Move, **changes: Any) -> bool:
        """Make a move in the model, if the table has it."""
        ticket = self.model[ticket_id]
        if not allowed(move, ticket.state, overdue=ticket.overdue(self.clock.now())):
            return False
        self.model[ticket_id] = replace(ticket, state=MOVES[move].target, **changes)
        self.events.append(MOVES[move].tag)
        return True

    @rule(target=ids, call=st.integers(0, 2))
    def open_or_attach(self, call: int) -> str:
        now = self.clock.now()
        fresh = replace(
            ticket_of(tool_call({"n": call}, session=f"ses_{call}")),
            id=f"tkt_{len(self.model)}",
            requested_at=now,
            expires_at=now + timedelta(seconds=300),
        )
        standing = [one for one in self.model.values() if one.digest == fresh.digest and one.state in OPEN]
        for one in standing:
            if self.expect(one.id, Move.EXPIRE):
                standing = []
        got = self.run(self.tickets.open_or_attach(fresh, now, most=MOST))
        if standing:
            assert got.id == standing[0].id
        else:
            assert got.id == fresh.id
            self.model[fresh.id] = fresh
            self.events.append(Tag.APPROVAL_REQUESTED)
        return got.id

    @rule(ticket=ids, move=st.sampled_from([Move.APPROVE, Move.DENY]))
    def decide(self, ticket: str, move: Move) -> None:
        now = self.clock.now()
        until = now + timedelta(seconds=300)
        expected = self.expect(ticket, move, **({"expires_at": until} if move is Move.APPROVE else {}))
        decided = self.run(
            self.tickets.decide(
                ticket,
                vote_of(move.value, self.model[ticket], now),
                until=until,
                seen=self.model[ticket].digest,
                relief=NO_RELIEF,
            )
        )
        assert decided is not None
        assert decided.made is expected

    @rule(ticket=ids)
    def consume(self, ticket: str) -> None:
        expected = self.expect(ticket, Move.CONSUME)
        assert self.run(self.tickets.consume(ticket, exchange_id="exc_9", now=self.clock.now())) is expected

    @rule(ticket=ids, seconds=st.sampled_from([100, 450]))
    def prolong(self, ticket: str, seconds: int) -> None:
        until = self.clock.now() + timedelta(seconds=seconds)
        expected = self.model[ticket].expires_at < until and self.expect(ticket, Move.PROLONG, expires_at=until)
        assert self.run(self.tickets.prolong(ticket, until=until, now=self.clock.now())) is expected

    @rule()
    def sweep(self) -> None:
        expected = {ticket for ticket in self.model if self.expect(ticket, Move.EXPIRE)}
        assert set(self.run(self.tickets.expire_due(self.clock.now()))) == expected

    @rule(call=st.integers(0, 2))
    def stop_the_session(self, call: int) -> None:
        mine = [one.id for one in self.model.values() if one.field("session") == f"ses_{call}"]
        expected = {ticket for ticket in mine if self.expect(ticket, Move.INVALIDATE)}
        got = self.run(self.tickets.invalidate("session", f"ses_{call}", by="kill", reason="", now=self.clock.now()))
        assert set(got) == expected

    @rule(seconds=st.sampled_from([1, 150, 300]))
    def wait(self, seconds: int) -> None:
        self.clock.advance(seconds)

    @invariant()
    def the_table_says_what_the_model_says(self) -> None:
        table = {ticket.id: ticket.state for ticket in self.run(self.tickets.tickets(limit=1000))}
        assert table == {ticket.id: ticket.state for ticket in self.model.values()}

    @invariant()
    def every_change_has_its_event(self) -> None:
        assert sorted(self.ledger.tags()) == sorted(self.events)

    @invariant()
    def a_call_has_at_most_one_open_ticket(self) -> None:
        standing = [one.digest for one in self.model.values() if one.state in OPEN]
        assert len(standing) == len(set(standing))


TestTickets = Tickets.TestCase
TestTickets.settings = settings(
    max_examples=15, stateful_step_count=25, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)


async def test_a_list_is_of_one_tenant_and_newest_first(tickets: SqlTickets, clock: ManualClock) -> None:
    for number in range(3):
        clock.advance(1)
        fresh = replace(ticket_of(tool_call({"n": number})), id=f"tkt_{number}", requested_at=clock.now())
        await tickets.open_or_attach(fresh, clock.now(), most=MOST)
    assert [one.id for one in await tickets.tickets(tenant="acme", limit=2)] == ["tkt_2", "tkt_1"]
    assert await tickets.tickets(tenant="umbrella") == []
    assert await tickets.tickets([State.APPROVED]) == []


async def test_a_ticket_comes_back_as_it_was_kept(tickets: SqlTickets) -> None:
    kept = replace(ticket_of(tool_call({"text": "\u202e\x00 ❤"})), findings=("pii.ssn", "secret.aws"))
    await tickets.open_or_attach(kept, kept.requested_at, most=MOST)
    assert await tickets.get(kept.id) == kept


async def test_the_pulse_beats_when_something_changes(tickets: SqlTickets) -> None:
    still = await tickets.pulse()
    assert await tickets.pulse() == still
    kept = ticket_of(tool_call())
    await tickets.open_or_attach(kept, kept.requested_at, most=MOST)
    assert await tickets.pulse() != still


async def test_a_form_changed_in_the_table_cannot_be_used(tickets: SqlTickets) -> None:
    kept = replace(ticket_of(tool_call()), state=State.APPROVED)
    await tickets.open_or_attach(
        replace(kept, form=kept.form.replace("/tmp/a", "/tmp/b"), state=State.PENDING),
        kept.requested_at,
        most=MOST,
    )
    now = kept.requested_at
    decided = await tickets.decide(
        kept.id, vote_of("approve", kept, now), until=kept.expires_at, seen=kept.digest, relief=NO_RELIEF
    )
    assert decided is not None
    assert not await tickets.consume(kept.id, exchange_id="exc_1", now=now)
