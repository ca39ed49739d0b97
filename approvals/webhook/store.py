"""The tables of webhook messages, and of endpoints that are gone."""

from dataclasses import replace
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import text
from sqlmodel import Session, col, select, update

from approvals.webhook.route import Delivery
from approvals.webhook.standing import Counted
from governance.clock import rfc3339
from governance.store import Store
from governance.store.tables import DeliveryRow, EndpointRow

_COUNTED = text(
    """
    SELECT url_digest, state, count(*), sum(CASE WHEN attempt > 0 THEN 1 ELSE 0 END), min(next_at), max(created_at)
    FROM deliveries GROUP BY url_digest, state
    """
)


def keep(session: Session, delivery: Delivery, *, about: str) -> None:
    """Write a new message down, in the transaction of what it tells of."""
    at = rfc3339(delivery.next_at)
    session.add(
        DeliveryRow(
            id=delivery.id,
            event_id=about,
            url_digest=delivery.endpoint,
            body=delivery.body,
            state="waiting",
            attempt=0,
            next_at=at,
            created_at=at,
        )
    )


class SqlDeliveries:
    """`approvals.webhook.courier.DeliveryStore` on a database."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def claim(self, *, now: datetime, until: datetime, limit: int) -> list[Delivery]:
        """Take due messages for this process alone until `until`."""
        due = (
            select(DeliveryRow)
            .where(DeliveryRow.state == "waiting", col(DeliveryRow.next_at) <= rfc3339(now))
            .order_by(col(DeliveryRow.next_at), col(DeliveryRow.id))
            .limit(limit)
        )
        found = await self._store.read(lambda session: [_delivery(row) for row in session.exec(due)])
        if not found:
            return []

        def work(session: Session) -> list[Delivery]:
            return [one for one in found if self._take(session, one, until)]

        return await self._store.write(work)

    async def delivered(self, delivery_id: str) -> None:
        """The receiver has it."""
        await self._finish(delivery_id, "delivered", None)

    async def failed(self, delivery_id: str, *, next_at: datetime | None) -> None:
        """An attempt failed; try again at `next_at`, or never where there is none."""
        await self._finish(delivery_id, "failed" if next_at is None else "waiting", next_at)

    async def disable(self, endpoint: str, *, now: datetime) -> None:
        """The endpoint is gone: give up every message for it, now and later."""
        give_up = update(DeliveryRow).where(
            col(DeliveryRow.url_digest) == endpoint, col(DeliveryRow.state) == "waiting"
        )

        def work(session: Session) -> None:
            if session.get(EndpointRow, endpoint) is None:
                session.add(EndpointRow(url_digest=endpoint, disabled_at=rfc3339(now)))
            session.exec(give_up.values(state="failed"))

        await self._store.write(work)

    async def disabled(self, endpoint: str) -> bool:
        """Whether the endpoint said that it is gone."""
        return await self._store.read(lambda session: session.get(EndpointRow, endpoint) is not None)

    async def counted(self) -> dict[str, Counted]:
        """What the table holds of each route, by the route's id."""

        def work(session: Session) -> dict[str, Counted]:
            found = {row.url_digest: Counted(disabled_at=row.disabled_at) for row in session.exec(select(EndpointRow))}
            for row in session.connection().execute(_COUNTED):
                route, group = str(row[0]), _Group(str(row[1]), int(row[2]), int(row[3]), str(row[4]), str(row[5]))
                found[route] = group.added(found.get(route, Counted()))
            return found

        return await self._store.read(work)

    def _take(self, session: Session, delivery: Delivery, until: datetime) -> bool:
        take = update(DeliveryRow).where(
            col(DeliveryRow.id) == delivery.id,
            col(DeliveryRow.state) == "waiting",
            col(DeliveryRow.next_at) == rfc3339(delivery.next_at),
        )
        return session.exec(take.values(next_at=rfc3339(until))).rowcount == 1

    async def _finish(self, delivery_id: str, state: str, next_at: datetime | None) -> None:
        change = update(DeliveryRow).where(col(DeliveryRow.id) == delivery_id, col(DeliveryRow.state) == "waiting")
        change = change.values(state=state, attempt=col(DeliveryRow.attempt) + 1)
        if next_at is not None:
            change = change.values(next_at=rfc3339(next_at))
        await self._store.write(lambda session: session.exec(change).rowcount)


class _Group(NamedTuple):
    """Messages of one route in one state."""

    state: str
    messages: int
    retried: int
    next_at: str
    newest: str

    def added(self, before: Counted) -> Counted:
        """What is counted with these."""
        if self.state == "delivered":
            return replace(before, delivered_at=max(before.delivered_at, self.newest))
        if self.state == "failed":
            given_up = before.given_up + self.messages
            return replace(before, given_up=given_up, given_up_at=max(before.given_up_at, self.newest))
        return replace(
            before,
            waiting=before.waiting + self.messages,
            retried=before.retried + self.retried,
            next_at=min(filter(None, (before.next_at, self.next_at))),
        )


def _delivery(row: DeliveryRow) -> Delivery:
    return Delivery(
        id=row.id,
        endpoint=row.url_digest,
        body=row.body,
        attempt=row.attempt,
        next_at=datetime.fromisoformat(row.next_at),
    )
