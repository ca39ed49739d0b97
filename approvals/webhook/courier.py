"""Sending messages from the table, by whatever route, on the schedule of Standard Webhooks.

Messages are written in the transaction that changes the ticket (`approvals/store.py`), so none is lost and none is sent
for a change that never happened. What they say and how they travel is the business of each route (`route.py`).
"""

import logging
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Protocol

import anyio

from approvals.webhook.resolving import Resolve, resolve
from approvals.webhook.route import Answer, Delivery, Outcome, Route
from governance.clock import Clock

log = logging.getLogger(__name__)

SCHEDULE = (0, 5, 5 * 60, 30 * 60, 2 * 3600, 5 * 3600, 10 * 3600, 14 * 3600, 20 * 3600, 24 * 3600)
"""Seconds to wait before each attempt, counted from the attempt before (Standard Webhooks, "Retry schedule")."""
LEASE_SECONDS = 60
"""How long one process has a message for itself. Longer than an attempt may take."""
ATTEMPT_SECONDS = 15
POLL_SECONDS = 1.0


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
        self, store: DeliveryStore, routes: Sequence[Route], clock: Clock, *, resolver: Resolve = resolve
    ) -> None:
        self._store = store
        self._clock = clock
        self._routes = {one.id: one for one in routes}
        self._resolver = resolver

    async def watch(self) -> None:
        """Send messages as they fall due. Never returns: run it in a task group."""
        while True:
            try:
                await self.send_due()
            except Exception as error:  # noqa: BLE001 - a broken table must not end the sending for good
                log.warning("messages cannot be sent for now: %s", type(error).__name__)
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
        route = self._routes.get(delivery.endpoint)
        if route is None or await self._store.disabled(delivery.endpoint):
            await self._store.failed(delivery.id, next_at=None)
            return
        answer = await self._sent(route, delivery)
        now = self._clock.now()
        if answer.outcome is Outcome.DELIVERED:
            await self._store.delivered(delivery.id)
        elif answer.outcome is Outcome.GONE:
            log.warning(
                "`%s` answered %d and is switched off: change its `url` to switch it on again", route.name, answer.code
            )
            await self._store.disable(delivery.endpoint, now=now)
        else:
            await self._store.failed(delivery.id, next_at=self._next(delivery, now))

    async def _sent(self, route: Route, delivery: Delivery) -> Answer:
        """One attempt. A route that breaks has failed, and takes no other message with it."""
        try:
            return await route.send(delivery, now=self._clock.now(), seconds=ATTEMPT_SECONDS, resolver=self._resolver)
        except Exception as error:  # noqa: BLE001 - whatever broke; its words may hold the address, which is a secret
            log.error("a message could not be sent to `%s`: %s", route.name, type(error).__name__)  # noqa: TRY400
            return Answer(Outcome.FAILED, 0, "")

    def _next(self, delivery: Delivery, now: datetime) -> datetime | None:
        made = delivery.attempt + 1
        return None if made >= len(SCHEDULE) else now + timedelta(seconds=SCHEDULE[made])
