"""The desk: where a held call waits for a person, and where a person decides.

It keeps no truth of its own: the table is the truth, and one shared watch reads it for every waiting call, so that a
decision made in another process, or on the command line, is seen as well. It forwards nothing and judges nothing: that
is the guard's business (`pipeline/`).
"""

import contextlib
import logging
import secrets
from collections import Counter
from collections.abc import Callable, Collection, Generator
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum

import anyio

from approvals.amendment import amended
from approvals.attendance import UNATTENDED, Attendance
from approvals.grants.grant import granted_form, terms_of
from approvals.quorum import APPROVE, DENY, Approver, Vote, timed
from approvals.shelf import CrowdedError, Decided, TicketStore
from approvals.terms import GrantError, Wish
from approvals.ticket import OPEN, State, Ticket, binding
from governance import jsontree
from governance.clock import Clock
from governance.exchange import Exchange
from governance.jsontree import JsonObject
from governance.verdict import NO_RELIEF, Relief, Verdict

log = logging.getLogger(__name__)

POLL_SECONDS = 0.25
"""How soon a decision made elsewhere is seen."""
SWEEP_SECONDS = 5.0
"""How often tickets nobody waits for are looked at for their deadline."""
REASON_CHARACTERS = 500


class HeldState(StrEnum):
    """What became of a held call."""

    APPROVED = "approved"
    """A person allowed it. The approval is not used up yet: `Desk.consume` does that, as the last step."""
    DENIED = "denied"
    EXPIRED = "expired"
    INVALIDATED = "invalidated"
    CROWDED = "crowded"
    """So many calls of this key wait already that nobody was asked."""
    PENDING = "pending"
    """Nobody decided while the call waited. The same call made again attaches to the same ticket."""


@dataclass(frozen=True, slots=True)
class Held:
    """What the guard learns about a call it held."""

    state: HeldState
    ticket: str
    link: str
    """Page on which a person decides."""
    reason: str
    """For the agent, in words."""
    exchange_id: str = ""
    """The exchange that waited, which need not be the one that asked first."""
    relief: Relief = NO_RELIEF
    """What the person allowed beyond this call, where it was held because something repeats."""
    arguments: JsonObject | None = None
    """What a person wants the call to be made with instead: judge that anew."""


@dataclass(frozen=True, slots=True)
class Manners:
    """How long people and calls wait, and where people go."""

    timeout_seconds: float = 300
    wait_seconds: float = 45
    base_url: str = ""
    most_pending: int = 50
    """Calls of one key that may wait at the same time: an agent must not bury what a person should see."""


@dataclass(frozen=True)
class Desk:
    """Holds calls for people."""

    store: TicketStore
    clock: Clock
    manners: Manners = Manners()
    mint: Callable[[], str] = lambda: "tkt_" + secrets.token_hex(12)
    poll_seconds: float = POLL_SECONDS
    _waiting: dict[str, set[anyio.Event]] = field(default_factory=dict[str, set[anyio.Event]])
    _counts: Counter[str] = field(default_factory=Counter[str])
    """How many calls wait for each ticket, as their attendances know it too."""

    # -- for the guard ----------------------------------------------------------------------------------------------

    async def hold(
        self,
        exchange: Exchange,
        verdict: Verdict,
        policy_version: str | None = None,
        attendance: Attendance = UNATTENDED,
    ) -> Held:
        """Ask a person about a call, and wait for the answer as long as a call may wait.

        A call that is cancelled while it waits leaves its ticket as it is: the same call made again finds it.
        `policy_version` is the verdict's own where none is given.
        """
        ticket = self._ticket(exchange, verdict, verdict.version if policy_version is None else policy_version)
        try:
            ticket = await self._told(ticket) or await self._opened(ticket)
        except CrowdedError:
            reason = f"{self.manners.most_pending} calls of this key wait for a person already: wait for those first"
            return Held(HeldState.CROWDED, "", "", reason, exchange.id)
        with self._waiter(ticket.id) as event:
            # The decision may have been made between attaching and waiting: look again before going to sleep.
            ticket = await self._fresh(ticket)
            async with attendance.waiting(ticket.id, self.link(ticket.id), detached=verdict.detached):
                if ticket.state is State.PENDING:
                    with self._counted(ticket.id), anyio.move_on_after(self._patience(ticket, attendance.seconds)):
                        await event.wait()
            ticket = await self._fresh(ticket)
        if ticket.state in (State.DENIED, State.EXPIRED, State.INVALIDATED):
            await self.store.tell(ticket.digest, since=ticket.requested_at, now=self.clock.now())
        return self._held(ticket, exchange)

    async def consume(self, held: Held) -> bool:
        """Use an approval up, as the last step before the call is made. True for exactly one caller."""
        if held.state is not HeldState.APPROVED:
            return False
        return await self.store.consume(held.ticket, exchange_id=held.exchange_id, now=self.clock.now())

    async def prolong(self, held: Held) -> None:
        """Keep an approval that was not used, as what it waits for may take a person as long again as it did itself.

        Once: it is good for twice `timeout_seconds` after it was given, and never longer.
        """
        ticket = await self.store.get(held.ticket)
        if ticket is not None and ticket.state is State.APPROVED and ticket.decided_at is not None:
            until = ticket.decided_at + timedelta(seconds=2 * self.manners.timeout_seconds)
            await self.store.prolong(ticket.id, until=until, now=self.clock.now())

    # -- for people -------------------------------------------------------------------------------------------------

    async def approve(
        self,
        ticket_id: str,
        *,
        by: str | Approver,
        reason: str = "",
        digest: str = "",
        arguments: JsonObject | None = None,
        relief: Relief = NO_RELIEF,
        grant: Wish | None = None,
    ) -> Decided | None:
        """Allow a call once, within `timeout_seconds` from now; None if there is no such ticket.

        Args:
            ticket_id: the ticket.
            by: who approves. Whoever is only known by a name (text) decides nothing where a rule says who may decide.
            reason: why, as it is kept.
            digest: of the call that was on the screen (`Ticket.current`); may be left out where nobody changed it.
            arguments: what the call is to be made with instead.
            relief: what is allowed beyond this call, of a ticket of a loop.
            grant: which further calls are allowed with it. Without it, what others proposed stays proposed.

        Raises:
            AmendmentError: the call has no arguments that could be changed.
            GrantError: this much cannot be granted (`approvals.grants`).
            ReliefError: more than the call cannot be allowed here (`approvals.ticket.check_relief`).
        """
        return await self._decide(ticket_id, APPROVE, by, reason, digest, arguments, relief, grant)

    async def deny(self, ticket_id: str, *, by: str | Approver, reason: str = "") -> Decided | None:
        """Refuse a call; the agent is told the reason. None if there is no such ticket."""
        return await self._decide(ticket_id, DENY, by, reason)

    async def invalidate(self, scope: str, target: str, *, by: str = "kill", reason: str = "it was stopped") -> int:
        """Close every open ticket of what was stopped; returns how many."""
        closed = await self.store.invalidate(scope, target, by=by, reason=plain(reason), now=self.clock.now())
        self._wake(closed)
        return len(closed)

    async def withdraw(self, ticket_id: str, *, by: str, reason: str) -> bool:
        """Close a ticket because whoever asked wants the call no more; false if it was closed before."""
        closed = await self.store.withdraw(ticket_id, by=by, reason=plain(reason), now=self.clock.now())
        if closed:
            self._wake([ticket_id])
        return closed

    def waiters(self, ticket_id: str) -> int:
        """How many calls of this process wait for a ticket right now."""
        return self._counts[ticket_id]

    async def objection(self, ticket: Ticket, by: Approver) -> str:
        """Why somebody may not approve a ticket, in words for them; empty if they may."""
        return await self.store.objection(ticket, by, APPROVE, ticket.current, self.clock.now())

    async def get(self, ticket_id: str) -> Ticket | None:
        """A ticket by its id."""
        return await self.store.get(ticket_id)

    async def tickets(
        self, states: Collection[State] = (), limit: int = 200, tenant: str | None = None
    ) -> list[Ticket]:
        """Tickets in these states (none given: any) of one tenant (none given: all), newest first."""
        return await self.store.tickets(states, limit, tenant)

    @property
    def waiting(self) -> tuple[str, ...]:
        """Tickets that calls of this process wait for right now."""
        return tuple(self._waiting)

    async def pulse(self) -> str:
        """A text that changes whenever a list of tickets would look different."""
        return await self.store.pulse()

    def link(self, ticket_id: str) -> str:
        """The page of a ticket."""
        return link(self.manners.base_url, ticket_id)

    # -- the watch --------------------------------------------------------------------------------------------------

    async def watch(self) -> None:
        """See decisions made elsewhere, and expire what nobody decided. Never returns: run it in a task group.

        A table that cannot be read leaves the calls waiting: they end as `pending`, never as approved.
        """
        rounds = max(1, round(SWEEP_SECONDS / self.poll_seconds))
        count = 0
        while True:
            if self._waiting or count % rounds == 0:
                try:
                    await self.look()
                    if count % rounds == 0:
                        await self.remind()
                        await self.store.escalate_due(self.clock.now())
                except Exception as error:  # noqa: BLE001 - whatever broke, the next round may work; nobody is let through
                    log.warning("the tickets cannot be read, so held calls keep waiting: %s", type(error).__name__)
            count += 1
            await anyio.sleep(self.poll_seconds)

    async def remind(self) -> int:
        """Remind people of what waits for long; returns of how many tickets."""
        return await self.store.remind_due(self.clock.now())

    async def look(self) -> None:
        """One round of the watch."""
        self._wake(await self.store.expire_due(self.clock.now()))
        if self._waiting:
            self._wake(await self.store.decided(list(self._waiting)))

    # -- within -----------------------------------------------------------------------------------------------------

    def _ticket(self, exchange: Exchange, verdict: Verdict, policy_version: str) -> Ticket:
        now = self.clock.now()
        form = self.form(exchange, verdict, policy_version)
        return Ticket(
            id=self.mint(),
            digest=jsontree.digest(form),
            form=jsontree.canonical(form).decode(),
            state=State.PENDING,
            exchange_id=exchange.id,
            rule=verdict.rule or verdict.by,
            reason=verdict.reason,
            requested_at=now,
            expires_at=now + timedelta(seconds=self.manners.timeout_seconds),
            findings=tuple(sorted({one.kind for one in exchange.findings})),
        )

    def form(self, exchange: Exchange, verdict: Verdict, policy_version: str) -> JsonObject:
        """What the decision about a held call is bound to."""
        charters = timed(verdict.charters, self.manners.timeout_seconds)
        return binding(exchange, policy_version, charters, verdict.leaves)

    async def _opened(self, ticket: Ticket) -> Ticket:
        return await self.store.open_or_attach(ticket, self.clock.now(), most=self.manners.most_pending)

    async def _told(self, asked: Ticket) -> Ticket | None:
        """The refusal that this call has coming: the agent went away before it was decided, and asks again now."""
        since = asked.requested_at - timedelta(seconds=self.manners.timeout_seconds)
        return await self.store.tell(asked.digest, since=since, now=asked.requested_at)

    async def _fresh(self, ticket: Ticket) -> Ticket:
        now = self.clock.now()
        if ticket.state in OPEN and ticket.overdue(now):
            self._wake(await self.store.expire_due(now))
        return await self.store.get(ticket.id) or ticket

    def _patience(self, ticket: Ticket, seconds: float | None) -> float:
        left = (ticket.expires_at - self.clock.now()).total_seconds()
        return max(0.0, min(self.manners.wait_seconds if seconds is None else seconds, left))

    @contextlib.contextmanager
    def _waiter(self, ticket_id: str) -> Generator[anyio.Event]:
        event = anyio.Event()
        self._waiting.setdefault(ticket_id, set()).add(event)
        try:
            yield event
        finally:
            self._waiting[ticket_id].discard(event)
            if not self._waiting[ticket_id]:
                del self._waiting[ticket_id]

    @contextlib.contextmanager
    def _counted(self, ticket_id: str) -> Generator[None]:
        self._counts[ticket_id] += 1
        try:
            yield
        finally:
            self._counts[ticket_id] -= 1
            if not self._counts[ticket_id]:
                del self._counts[ticket_id]

    async def _decide(
        self,
        ticket_id: str,
        decision: str,
        by: str | Approver,
        reason: str,
        digest: str = "",
        arguments: JsonObject | None = None,
        relief: Relief = NO_RELIEF,
        grant: Wish | None = None,
    ) -> Decided | None:
        ticket = await self.store.get(ticket_id)
        if ticket is None:
            return None
        seen, about, edited = digest or ticket.digest, ticket.current, None
        if arguments is not None:
            form, about = amended(ticket.bound, arguments)
            edited = ("", "") if about == ticket.digest else (form, about)
        now, approver = self.clock.now(), Approver(by) if isinstance(by, str) else by
        if ticket.escalated_to(now):  # recorded before anybody makes use of it
            await self.store.escalate_due(now)
        if grant is not None:
            if edited and edited[0]:
                raise GrantError("a call that you change is another one than what asked: approve it alone")
            edited = granted_form(ticket, terms_of(ticket, grant, now))
            about = edited[1]
        vote = Vote(approver, decision, about, plain(reason), now)
        until = now + timedelta(seconds=self.manners.timeout_seconds)
        decided = await self.store.decide(ticket_id, vote, until=until, seen=seen, relief=relief, edited=edited)
        if decided is not None and decided.made and decided.ticket.state is not State.PENDING:
            self._wake([ticket_id])
        return decided

    def _wake(self, ids: list[str]) -> None:
        for ticket_id in ids:
            for event in self._waiting.get(ticket_id, ()):
                event.set()

    def _held(self, ticket: Ticket, exchange: Exchange) -> Held:
        place = self.link(ticket.id)
        because = f": {ticket.decision_reason}" if ticket.decision_reason else ""
        state, reason = {
            State.APPROVED: (HeldState.APPROVED, "a person approved this call"),
            State.PENDING: (
                HeldState.PENDING,
                f"this call waits for a person to approve it at {place} ; make the same call again to continue",
            ),
            State.DENIED: (HeldState.DENIED, f"a person denied this call{because}"),
            State.EXPIRED: (HeldState.EXPIRED, "nobody approved this call in time, so it is denied"),
            State.INVALIDATED: (HeldState.INVALIDATED, f"the request for approval was withdrawn{because}"),
            State.CONSUMED: (
                HeldState.EXPIRED,
                "the approval was used by the same call made at the same time: make it again to ask again",
            ),
        }[ticket.state]
        return Held(
            state, ticket.id, place, reason, exchange.id, relief=ticket.relief, arguments=ticket.edited_arguments
        )


def link(base_url: str, ticket_id: str) -> str:
    """The page of a ticket on the console at `base_url`."""
    return f"{base_url.rstrip('/')}/console/approvals/{ticket_id}"


def plain(reason: str) -> str:
    """A reason as it is kept and told: one line of printable text, bounded."""
    return " ".join("".join(one if one.isprintable() else " " for one in reason).split())[:REASON_CHARACTERS]
