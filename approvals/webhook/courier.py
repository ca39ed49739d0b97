"""Sending webhook messages from the table, on the schedule of Standard Webhooks.

Messages are written in the transaction that changes the ticket (`approvals/store.py`), so none is lost and none is sent
for a change that never happened. What they say is `message.py`; where they may go is `transport.py`.
"""

import importlib
import logging
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Protocol

import anyio

from approvals.webhook.message import Announcer, Delivery, Endpoint, endpoints, headers
from approvals.webhook.resolving import Resolve, resolve
from governance.clock import Clock

__all__ = ["Announcer", "Courier", "DeliveryStore", "endpoints"]

log = logging.getLogger(__name__)

SCHEDULE = (0, 5, 5 * 60, 30 * 60, 2 * 3600, 5 * 3600, 10 * 3600, 14 * 3600, 20 * 3600, 24 * 3600)
"""Seconds to wait before each attempt, counted from the attempt before (Standard Webhooks, "Retry schedule")."""
LEASE_SECONDS = 60
"""How long one process has a message for itself. Longer than an attempt may take."""
ATTEMPT_SECONDS = 15
POLL_SECONDS = 1.0
GONE = 410


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
        # Not at the top of the file: most installations have no webhook, and whoever sends none needs no HTTP client.
        post = importlib.import_module("approvals.webhook.transport").post
        body = delivery.body.encode()
        signed = headers(endpoint.key, delivery.id, self._clock.now(), body)
        return int(await post(endpoint.url, body, signed, endpoint.allow_private, ATTEMPT_SECONDS, self._resolver))
