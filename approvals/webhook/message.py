"""What is said in a webhook message, to whom, and how it is signed.

Pure. A message has ids, names, the rule and the link: never the arguments of a call, only their digest. It is a notice:
nothing is ever decided by a webhook. Specification: Standard Webhooks (https://www.standardwebhooks.com).
"""

import base64
import binascii
import hashlib
import hmac
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from approvals.desk import link
from approvals.ticket import Ticket, elapsed
from approvals.webhook.route import Delivery, Route
from governance import jsontree
from governance.audit.event import Tag
from governance.clock import rfc3339
from governance.jsontree import JsonObject

EVENTS = frozenset(
    {
        Tag.APPROVAL_REQUESTED,
        Tag.APPROVAL_GRANTED,
        Tag.APPROVAL_DENIED,
        Tag.APPROVAL_EXPIRED,
        Tag.APPROVAL_REMINDED,
        Tag.APPROVAL_ESCALATED,
    }
)


def secret_key(secret: str) -> bytes:
    """The signing key of a `whsec_...` secret.

    Raises:
        ValueError: it is not one, or the key is not 24 to 64 bytes long.
    """
    if not secret.startswith("whsec_"):
        raise ValueError("a webhook secret starts with `whsec_`: put it before the output of `openssl rand -base64 32`")
    try:
        key = base64.b64decode(secret.removeprefix("whsec_"), validate=True)
    except binascii.Error:
        raise ValueError(
            "a webhook secret is `whsec_` and base64: put it before the output of `openssl rand -base64 32`"
        ) from None
    if not 24 <= len(key) <= 64:
        raise ValueError("a webhook secret holds 24 to 64 bytes: put it before the output of `openssl rand -base64 32`")
    return key


def new_secret() -> str:
    """A fresh signing secret of 32 bytes."""
    return "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode()


def sign(key: bytes, message_id: str, timestamp: int, body: bytes) -> str:
    """The `webhook-signature` of one attempt: `v1`, HMAC-SHA256 over `id.timestamp.body`."""
    mac = hmac.new(key, f"{message_id}.{timestamp}.".encode() + body, hashlib.sha256)
    return "v1," + base64.b64encode(mac.digest()).decode()


def headers(key: bytes, message_id: str, now: datetime, body: bytes) -> dict[str, str]:
    """The headers of one attempt. The timestamp is the attempt's, so late attempts pass a receiver's tolerance."""
    timestamp = int(now.timestamp())
    return {
        "content-type": "application/json",
        "user-agent": "wicket-webhooks",
        "webhook-id": message_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": sign(key, message_id, timestamp, body),
    }


def message(event: Tag, ticket: Ticket, at: datetime, base_url: str) -> JsonObject:
    """What is sent about a ticket."""
    principal = jsontree.as_object(ticket.bound.get("principal"))
    more: JsonObject = {"elapsed_percent": elapsed(ticket, at)} if event is Tag.APPROVAL_REMINDED else {}
    if event is Tag.APPROVAL_ESCALATED:
        more["escalated_to"] = list(ticket.escalated_to(at))
    return {
        "type": event.value,
        "timestamp": rfc3339(at),
        "data": {
            "ticket": ticket.id,
            "state": ticket.state.value,
            "exchange": ticket.exchange_id,
            "session": ticket.field("session"),
            "tenant": jsontree.as_text(principal.get("tenant")),
            "action": ticket.field("action"),
            "server": ticket.field("server"),
            "tool": ticket.field("name"),
            "provider": ticket.field("provider"),
            "model": ticket.field("model"),
            "rule": ticket.rule,
            "digest": ticket.digest,
            "requested_at": rfc3339(ticket.requested_at),
            "expires_at": rfc3339(ticket.expires_at),
            "decided_by": ticket.decided_by,
            "link": link(base_url, ticket.id),
            **more,
        },
    }


def trial(at: datetime, base_url: str) -> JsonObject:
    """What is sent to see whether messages arrive. It is about no ticket."""
    data: JsonObject = {"link": f"{base_url.rstrip('/')}/console/approvals"}
    return {"type": "test", "timestamp": rfc3339(at), "data": data}


def mint_message() -> str:
    """A fresh id of a message."""
    return "msg_" + secrets.token_hex(12)


@dataclass(frozen=True)
class Announcer:
    """Writes the messages of an event: one for each route that wants it."""

    routes: Sequence[Route]
    base_url: str = ""
    mint: Callable[[], str] = mint_message

    def wanted(self, event: Tag) -> bool:
        """Whether anybody wants messages of an event."""
        return event in EVENTS and any(one.wants(event.value) for one in self.routes)

    def messages(self, event: Tag, ticket: Ticket, at: datetime) -> list[Delivery]:
        """The messages to keep together with the change they speak of."""
        if event not in EVENTS:
            return []
        wanting = [one for one in self.routes if one.wants(event.value)]
        return [Delivery(self.mint(), one.id, one.body(event, ticket, at, self.base_url), 0, at) for one in wanting]
