"""Telling other systems that a ticket waits or was decided, by the Standard Webhooks scheme.

Messages are written in the transaction that changes the ticket (`approvals/store.py`) and sent from the table, so none
is lost and none is sent for a change that never happened. A message has ids, names, the rule and the link: never the
arguments of a call, only their digest. It is a notice: nothing is ever decided by a webhook.
"""

import base64
import binascii
import fnmatch
import hashlib
import hmac
import logging
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

import anyio
import httpx

from approvals.desk import link
from approvals.outbound import BlockedError, Resolve, client, resolve
from approvals.ticket import Ticket
from governance import jsontree
from governance.audit.event import Tag
from governance.clock import Clock, rfc3339
from governance.jsontree import JsonObject

log = logging.getLogger(__name__)

SCHEDULE = (0, 5, 5 * 60, 30 * 60, 2 * 3600, 5 * 3600, 10 * 3600, 14 * 3600, 20 * 3600, 24 * 3600)
"""Seconds to wait before each attempt, counted from the attempt before (Standard Webhooks, "Retry schedule")."""
EVENTS = frozenset({Tag.APPROVAL_REQUESTED, Tag.APPROVAL_GRANTED, Tag.APPROVAL_DENIED, Tag.APPROVAL_EXPIRED})
LEASE_SECONDS = 60
"""How long one process has a message for itself. Longer than an attempt may take."""
ATTEMPT_SECONDS = 15
POLL_SECONDS = 1.0
GONE = 410


@dataclass(frozen=True, slots=True)
class Delivery:
    """A message on its way to one endpoint."""

    id: str
    """The `webhook-id`: the same for every attempt, so that a receiver can drop what it has seen."""
    endpoint: str
    """Which endpoint, as `Endpoint.id` names it: the address itself may hold a secret and is not stored."""
    body: str
    attempt: int
    """Attempts made so far."""
    next_at: datetime


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where messages go, with the key that signs them."""

    url: str
    key: bytes
    events: tuple[str, ...] = ("approval.*",)
    allow_private: tuple[str, ...] = ()

    @property
    def id(self) -> str:
        """The endpoint's name in the table."""
        return hashlib.sha256(self.url.encode()).hexdigest()[:32]

    def wants(self, event: str) -> bool:
        """Whether events of this kind are sent there."""
        return any(fnmatch.fnmatchcase(event, pattern) for pattern in self.events)


class DeliveryStore(Protocol):
    """The messages that are on their way."""

    async def claim(self, *, now: datetime, until: datetime, limit: int) -> list[Delivery]:
        """Take due messages for this process alone until `until`."""
        ...

    async def delivered(self, delivery_id: str) -> None:
        """The receiver has it."""
        ...

    async def failed(self, delivery_id: str, *, next_at: datetime | None) -> None:
        """An attempt failed; try again at `next_at`, or never where there is none."""
        ...

    async def disable(self, endpoint: str, *, now: datetime) -> None:
        """The endpoint is gone: give up every message for it, now and later."""
        ...

    async def disabled(self, endpoint: str) -> bool:
        """Whether the endpoint said that it is gone."""
        ...


def secret_key(secret: str) -> bytes:
    """The signing key of a `whsec_...` secret.

    Raises:
        ValueError: it is not one, or the key is not 24 to 64 bytes long.
    """
    if not secret.startswith("whsec_"):
        raise ValueError("a webhook secret starts with `whsec_`: make one with `wicket keys webhook`")
    try:
        key = base64.b64decode(secret.removeprefix("whsec_"), validate=True)
    except binascii.Error:
        raise ValueError("a webhook secret is `whsec_` and base64: make one with `wicket keys webhook`") from None
    if not 24 <= len(key) <= 64:
        raise ValueError("a webhook secret holds 24 to 64 bytes: make one with `wicket keys webhook`")
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
        },
    }


@dataclass(frozen=True)
class Announcer:
    """Writes the messages of an event: one for each endpoint that wants it."""

    endpoints: Sequence[Endpoint]
    base_url: str = ""
    mint: Callable[[], str] = lambda: "msg_" + secrets.token_hex(12)

    def messages(self, event: Tag, ticket: Ticket, at: datetime) -> list[Delivery]:
        """The messages to keep together with the change they speak of."""
        if event not in EVENTS:
            return []
        wanting = [one for one in self.endpoints if one.wants(event.value)]
        if not wanting:
            return []
        body = jsontree.dump(message(event, ticket, at, self.base_url)).decode()
        return [Delivery(self.mint(), one.id, body, 0, at) for one in wanting]


class Courier:
    """Sends what is in the table. Any number of processes may run one: each message is claimed by one at a time."""

    def __init__(
        self, store: DeliveryStore, endpoints: Sequence[Endpoint], clock: Clock, *, resolver: Resolve = resolve
    ) -> None:
        self._store = store
        self._clock = clock
        self._endpoints = {one.id: one for one in endpoints}
        self._resolver = resolver

    async def watch(self) -> None:
        """Send messages as they fall due. Never returns: run it in a task group."""
        while True:
            try:
                await self.send_due()
            except Exception as error:  # noqa: BLE001 - a broken table must not end the sending for good
                log.warning("webhooks cannot be sent for now: %s", type(error).__name__)
            await anyio.sleep(POLL_SECONDS)

    async def send_due(self, limit: int = 16) -> int:
        """Make one attempt for each due message; returns how many attempts were made."""
        now = self._clock.now()
        claimed = await self._store.claim(now=now, until=now + timedelta(seconds=LEASE_SECONDS), limit=limit)
        async with anyio.create_task_group() as group:
            for delivery in claimed:
                group.start_soon(self._attempt, delivery)
        return len(claimed)

    async def _attempt(self, delivery: Delivery) -> None:
        endpoint = self._endpoints.get(delivery.endpoint)
        if endpoint is None or await self._store.disabled(delivery.endpoint):
            await self._store.failed(delivery.id, next_at=None)
            return
        status = await self._post(endpoint, delivery)
        now = self._clock.now()
        if 200 <= status < 300:
            await self._store.delivered(delivery.id)
        elif status == GONE:
            log.warning("a webhook endpoint answered 410 and is switched off: change its `url` to switch it on again")
            await self._store.disable(delivery.endpoint, now=now)
        else:
            await self._store.failed(delivery.id, next_at=self._next(delivery, now))

    def _next(self, delivery: Delivery, now: datetime) -> datetime | None:
        made = delivery.attempt + 1
        return None if made >= len(SCHEDULE) else now + timedelta(seconds=SCHEDULE[made])

    async def _post(self, endpoint: Endpoint, delivery: Delivery) -> int:
        """The status of one attempt; 0 where no answer came. A redirect is an answer like any other: a failure."""
        body = delivery.body.encode()
        signed = headers(endpoint.key, delivery.id, self._clock.now(), body)
        try:
            async with client(endpoint.allow_private, seconds=ATTEMPT_SECONDS, resolver=self._resolver) as http:
                with anyio.fail_after(ATTEMPT_SECONDS):
                    async with http.stream("POST", endpoint.url, content=body, headers=signed) as response:
                        return response.status_code
        except BlockedError as error:
            log.warning("a webhook was not sent: %s", error)
        except (httpx.HTTPError, httpx.InvalidURL, TimeoutError) as error:
            log.info("a webhook attempt failed: %s", type(error).__name__)
        return 0
