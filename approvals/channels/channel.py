"""What every channel has in common as a route: its settings, its name in the table, and the notice that it keeps.

How a notice looks in each place, and how it gets there, is a file of its own beside this one.
"""

import fnmatch
import hashlib
from abc import ABC, abstractmethod
from dataclasses import dataclass
from datetime import datetime

from approvals.channels.notice import Notice, load, notice, sample
from approvals.ticket import Ticket
from approvals.webhook.resolving import Resolve
from approvals.webhook.route import Answer, Delivery
from governance.audit.event import Tag
from governance.config.models_channels import Channel as Settings


@dataclass(frozen=True)
class Channel(ABC):
    """One channel of the configuration. A kind of channel says only how to send a notice."""

    name: str
    settings: Settings

    @property
    def kind(self) -> str:
        """Its type in the configuration."""
        return self.settings.type

    @property
    def id(self) -> str:
        """Its name in the table: another one when it leads elsewhere."""
        told = (self.kind, self.name, self.settings.url, self.settings.host, *self.settings.recipients)
        return hashlib.sha256("\0".join(told).encode()).hexdigest()[:32]

    def wants(self, event: str) -> bool:
        """Whether events of this kind are told there."""
        return any(fnmatch.fnmatchcase(event, pattern) for pattern in self.settings.events)

    def body(self, event: Tag, ticket: Ticket, at: datetime, base_url: str) -> str:
        """The notice, before it takes its form."""
        return notice(event, ticket, at, base_url, arguments=self.settings.arguments).dump()

    def trial(self, now: datetime, base_url: str) -> str:
        """A notice that tells of nothing."""
        return sample(base_url).dump()

    async def send(self, delivery: Delivery, *, now: datetime, seconds: float, resolver: Resolve) -> Answer:
        """Make one attempt."""
        return await self.tell(load(delivery.body), delivery.id, now=now, seconds=seconds, resolver=resolver)

    @abstractmethod
    async def tell(self, told: Notice, message_id: str, *, now: datetime, seconds: float, resolver: Resolve) -> Answer:
        """Send a notice there; `message_id` is the same in every attempt. Never raises for what the other side does."""
