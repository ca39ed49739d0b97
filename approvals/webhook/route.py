"""A way by which people or programs are told: what the announcer and the courier ask of each, and what comes back.

Only shapes. Webhooks are one (`endpoint.py`), and each chat or mailbox is another (`approvals/channels/`).
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from approvals.ticket import Ticket
from approvals.webhook.resolving import Resolve
from governance.audit.event import Tag


@dataclass(frozen=True, slots=True)
class Delivery:
    """A message on its way by one route."""

    id: str
    """The same for every attempt, so that a receiver can drop what it has seen: a webhook's `webhook-id`."""
    endpoint: str
    """Which route, as `Route.id` names it: the address itself may hold a secret and is not stored."""
    body: str
    """What `Route.body` made."""
    attempt: int
    """Attempts made so far."""
    next_at: datetime


class Outcome(StrEnum):
    """What became of an attempt."""

    DELIVERED = "delivered"
    FAILED = "failed"
    GONE = "gone"
    """The receiver says that it is there no more: nothing is sent there until its address changes."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a receiver answered to an attempt."""

    outcome: Outcome
    code: int
    """Status of HTTP, or reply code of SMTP; 0 where none came."""
    text: str
    """The beginning of what the receiver said, as it said it; or in our words why nothing came."""


class Route(Protocol):
    """One way."""

    @property
    def name(self) -> str:
        """What it is called: the channel's name in the configuration, or `webhooks[0]`."""
        ...

    @property
    def kind(self) -> str:
        """`webhook`, or the type of a channel."""
        ...

    @property
    def id(self) -> str:
        """Its name in the table: another one when it leads elsewhere."""
        ...

    def wants(self, event: str) -> bool:
        """Whether events of this kind are told there."""
        ...

    def body(self, event: Tag, ticket: Ticket, at: datetime, base_url: str) -> str:
        """What is kept of an event until it is delivered. Pure, and never raises: it is made in a transaction."""
        ...

    def trial(self, now: datetime, base_url: str) -> str:
        """What is sent to see whether messages arrive."""
        ...

    async def send(self, delivery: Delivery, *, now: datetime, seconds: float, resolver: Resolve) -> Answer:
        """Make one attempt, in at most so many seconds. Never raises for what the other side does."""
        ...
