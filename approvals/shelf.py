"""Where tickets are kept, as the desk asks for it, and how a decision went. On a database: `approvals/store.py`."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from approvals.quorum import Approver, Vote
from approvals.ticket import State, Ticket
from governance.verdict import Relief

STALE = "this is not the call as it waits now: look at it again, and decide about what you see"

Edited = tuple[str, str] | None
"""Form and digest of a call as a person changed it, or with what they allow beyond it, or empty ones to change it back;
None = nobody changes it now."""


@dataclass(frozen=True, slots=True)
class Decided:
    """How a decision went."""

    ticket: Ticket
    """The ticket as it stands now."""
    made: bool
    """False: the ticket was decided, used or past its deadline before, and nothing was changed."""
    refusal: str = ""
    """Why this person may not decide, or not so, where that is why nothing was changed."""


class CrowdedError(Exception):
    """So many calls of a key wait for a person that no more are taken."""


class TicketStore(Protocol):
    """Where tickets are kept. Every change writes its audit event in the same transaction."""

    async def open_or_attach(self, ticket: Ticket, now: datetime, *, most: int) -> Ticket:
        """Keep a new ticket, or return the open one of the same digest.

        Raises:
            CrowdedError: `most` tickets of this key are pending already.
        """
        ...

    async def get(self, ticket_id: str) -> Ticket | None:
        """A ticket by its id."""
        ...

    async def decided(self, ids: Collection[str]) -> list[str]:
        """Those of these tickets that are pending no more."""
        ...

    async def tickets(
        self, states: Collection[State] = (), limit: int = 200, tenant: str | None = None
    ) -> list[Ticket]:
        """Tickets in these states (none given: any) of one tenant (none given: all), newest first."""
        ...

    async def pulse(self) -> str:
        """A text that changes whenever a list of tickets would look different."""
        ...

    async def decide(
        self, ticket_id: str, vote: Vote, *, until: datetime, seen: str, relief: Relief, edited: Edited = None
    ) -> Decided | None:
        """Count what somebody decided about a pending ticket, and settle it if that settles it; None = no such ticket.

        Args:
            ticket_id: the ticket.
            vote: the decision, with the digest of the call that it is about.
            until: how long an approval can be used, should this one be the last that is wanted.
            seen: digest of the call that was on the screen; an approval of another one than waits is none.
            relief: what an approval allows beyond the call.
            edited: form and digest of the call as this person changed it, or empty ones to change it back.

        Raises:
            ReliefError: more than the call cannot be allowed here. Nothing was changed.
        """
        ...

    async def objection(self, ticket: Ticket, by: Approver, decision: str, digest: str, now: datetime) -> str:
        """Why somebody may not decide about a ticket now, or not so; empty if they may."""
        ...

    async def consume(self, ticket_id: str, *, exchange_id: str, now: datetime) -> bool:
        """Use an approval up. True for exactly one caller."""
        ...

    async def prolong(self, ticket_id: str, *, until: datetime, now: datetime) -> bool:
        """Let an approval be used until then; false if it is none any more, or is good for as long already."""
        ...

    async def expire_due(self, now: datetime) -> list[str]:
        """Expire every open ticket whose deadline has passed; returns their ids."""
        ...

    async def remind_due(self, now: datetime) -> int:
        """Remind people of every ticket whose next reminder is due; returns of how many."""
        ...

    async def escalate_due(self, now: datetime) -> int:
        """Let others decide, too, about every ticket for which that is due; returns about how many."""
        ...

    async def invalidate(self, scope: str, target: str, *, by: str, reason: str, now: datetime) -> list[str]:
        """Close every open ticket, and end every grant, of a run, key, agent, ... (`sessions.killswitch.Scope`).

        Returns the ids of the tickets.
        """
        ...

    async def withdraw(self, ticket_id: str, *, by: str, reason: str, now: datetime) -> bool:
        """Close one open ticket; false if it was closed before."""
        ...

    async def tell(self, digest: str, *, since: datetime, now: datetime) -> Ticket | None:
        """The refusal of this call that no agent was told yet, settled after `since`; it counts as told from now on."""
        ...
