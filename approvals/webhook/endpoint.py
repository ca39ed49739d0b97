"""A webhook: where signed messages go, as a route. What they say and how they are signed is `message.py`."""

import fnmatch
import hashlib
import importlib
from dataclasses import dataclass, field
from datetime import datetime

from approvals.ticket import Ticket
from approvals.webhook.message import headers, message, secret_key, trial
from approvals.webhook.resolving import Resolve
from approvals.webhook.route import Answer, Delivery
from governance import jsontree
from governance.audit.event import Tag
from governance.config.models import Approvals


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where messages go, with the key that signs them."""

    url: str = field(repr=False)
    key: bytes = field(repr=False)
    events: tuple[str, ...] = ("approval.*",)
    allow_private: tuple[str, ...] = ()
    name: str = "webhook"
    kind: str = "webhook"

    @property
    def id(self) -> str:
        """The endpoint's name in the table."""
        return hashlib.sha256(self.url.encode()).hexdigest()[:32]

    def wants(self, event: str) -> bool:
        """Whether events of this kind are sent there."""
        return any(fnmatch.fnmatchcase(event, pattern) for pattern in self.events)

    def body(self, event: Tag, ticket: Ticket, at: datetime, base_url: str) -> str:
        """The message, as it is signed and sent."""
        return jsontree.dump(message(event, ticket, at, base_url)).decode()

    def trial(self, now: datetime, base_url: str) -> str:
        """A message that tells of nothing, of the type `test`."""
        return jsontree.dump(trial(now, base_url)).decode()

    async def send(self, delivery: Delivery, *, now: datetime, seconds: float, resolver: Resolve) -> Answer:
        """Make one attempt, signed anew: its timestamp is its own."""
        # Not at the top of the file: most installations have no webhook, and whoever sends none needs no HTTP client.
        post = importlib.import_module("approvals.webhook.transport").post
        body = delivery.body.encode()
        signed = headers(self.key, delivery.id, now, body)
        answer: Answer = await post(self.url, body, signed, self.allow_private, seconds, resolver)
        return answer


def endpoints(settings: Approvals) -> list[Endpoint]:
    """The webhooks of a configuration whose secrets were read.

    Raises:
        ValueError: a secret is none.
    """
    return [
        Endpoint(one.url, secret_key(one.secret), one.events, one.allow_private, f"webhooks[{index}]")
        for index, one in enumerate(settings.webhooks)
    ]
