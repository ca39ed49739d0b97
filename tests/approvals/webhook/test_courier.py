"""Messages reach a real receiver, and are tried again as the scheme says."""

import json
from dataclasses import replace

import anyio
from standardwebhooks import Webhook

from approvals.desk import Desk, Manners
from approvals.store import SqlTickets
from approvals.webhook.courier import SCHEDULE, Courier
from approvals.webhook.endpoint import Endpoint
from approvals.webhook.message import Announcer
from approvals.webhook.store import SqlDeliveries
from governance.audit.event import Tag
from governance.clock import SystemClock
from governance.store import Store
from tests.approvals.calls import HOLD, tool_call
from tests.approvals.ledger import Ledger
from tests.approvals.webhook.receiver import Receiver, on_loopback
from tests.conftest import ManualClock


async def test_a_receiver_with_the_reference_library_believes_a_message(
    desk: Desk, courier: Courier, receiver: Receiver, secret: str, clock: ManualClock
) -> None:
    clock.moment = SystemClock().now()
    await desk.hold(tool_call(), HOLD)
    assert await courier.send_due() == 1
    ((sent, body),) = receiver.received
    assert Webhook(secret).verify(body, sent)["type"] == "approval.requested"
    assert sent["host"].startswith("receiver.test:")


async def test_each_decision_is_told_once(desk: Desk, courier: Courier, receiver: Receiver, clock: ManualClock) -> None:
    approved, denied = await desk.hold(tool_call(), HOLD), await desk.hold(tool_call({"n": 2}), HOLD)
    await desk.hold(tool_call({"n": 3}), HOLD)
    await desk.approve(approved.ticket, by="ann")
    await desk.deny(denied.ticket, by="ann")
    clock.advance(299)
    assert await desk.consume(await desk.hold(tool_call(), HOLD))
    clock.advance(1)
    await desk.look()
    while await courier.send_due():
        pass
    told = sorted(json.loads(body)["type"].removeprefix("approval.") for _, body in receiver.received)
    assert told == ["denied", "expired", "granted", "requested", "requested", "requested"]


async def test_a_message_is_tried_again_on_the_schedule_with_the_same_id(
    desk: Desk, courier: Courier, receiver: Receiver, clock: ManualClock
) -> None:
    await desk.hold(tool_call(), HOLD)
    receiver.statuses = [500] * len(SCHEDULE)
    for pause in SCHEDULE:
        if pause:
            clock.advance(pause - 1)
            assert await courier.send_due() == 0
            clock.advance(1)
        assert await courier.send_due() == 1
    clock.advance(10 * SCHEDULE[-1])
    assert await courier.send_due() == 0
    assert len({sent["webhook-id"] for sent, _ in receiver.received}) == 1
    assert len({sent["webhook-timestamp"] for sent, _ in receiver.received}) == len(SCHEDULE)


async def test_a_redirect_is_a_failure_and_is_not_followed(
    desk: Desk, courier: Courier, receiver: Receiver, clock: ManualClock
) -> None:
    await desk.hold(tool_call(), HOLD)
    receiver.statuses = [302]
    assert await courier.send_due() == 1
    assert len(receiver.received) == 1
    clock.advance(5)
    assert await courier.send_due() == 1
    assert len(receiver.received) == 2


async def test_an_endpoint_that_is_gone_is_sent_nothing_more(
    desk: Desk, courier: Courier, receiver: Receiver, clock: ManualClock
) -> None:
    await desk.hold(tool_call(), HOLD)
    receiver.statuses = [410]
    await courier.send_due()
    await desk.hold(tool_call({"n": 2}), HOLD)
    await courier.send_due()
    clock.advance(10 * SCHEDULE[-1])
    await courier.send_due()
    assert len(receiver.received) == 1


async def test_two_couriers_send_a_message_once(
    store: Store, desk: Desk, endpoint: Endpoint, courier: Courier, receiver: Receiver, clock: ManualClock
) -> None:
    for number in range(20):
        await desk.hold(tool_call({"n": number}), HOLD)
    other = Courier(SqlDeliveries(store), [endpoint], clock, resolver=on_loopback)
    while await courier.send_due() + await other.send_due():
        pass
    assert len(receiver.received) == len({sent["webhook-id"] for sent, _ in receiver.received}) == 20


async def test_nothing_is_sent_inside_unless_the_host_is_named(
    store: Store, desk: Desk, endpoint: Endpoint, receiver: Receiver, clock: ManualClock
) -> None:
    await desk.hold(tool_call(), HOLD)
    strict = Endpoint(endpoint.url, endpoint.key, allow_private=("other.test",))
    assert await Courier(SqlDeliveries(store), [strict], clock, resolver=on_loopback).send_due() == 1
    assert receiver.received == []


async def test_a_message_for_an_endpoint_that_was_taken_out_is_given_up(
    store: Store, desk: Desk, receiver: Receiver, clock: ManualClock
) -> None:
    await desk.hold(tool_call(), HOLD)
    without = Courier(SqlDeliveries(store), [], clock, resolver=on_loopback)
    assert await without.send_due() == 1
    assert await without.send_due() == 0


def elapsed(receiver: Receiver) -> list[int]:
    """What the reminders that were received say of the time."""
    said = [json.loads(body) for _, body in receiver.received]
    return [one["data"]["elapsed_percent"] for one in said if one["type"] == "approval.reminded"]


async def test_people_are_reminded_at_half_and_at_nine_tenths_of_the_time(
    desk: Desk, courier: Courier, receiver: Receiver, clock: ManualClock, ledger: Ledger
) -> None:
    await desk.hold(tool_call(), HOLD)
    told: list[list[int]] = []
    for seconds in (149, 1, 1, 118, 1, 1, 28):
        clock.advance(seconds)
        await desk.remind()
        while await courier.send_due():
            pass
        told.append(elapsed(receiver))
    assert told == [[], [50], [50], [50], [50, 90], [50, 90], [50, 90]]
    assert [one["elapsed_percent"] for one in ledger.of(Tag.APPROVAL_REMINDED)] == [50, 90]
    clock.advance(1)
    assert await desk.remind() == 0


async def test_what_is_decided_reminds_nobody_and_late_reminders_are_one(
    desk: Desk, courier: Courier, receiver: Receiver, clock: ManualClock
) -> None:
    decided, denied = await desk.hold(tool_call(), HOLD), await desk.hold(tool_call({"n": 2}), HOLD)
    await desk.hold(tool_call({"n": 3}), HOLD)
    await desk.approve(decided.ticket, by="ann")
    await desk.deny(denied.ticket, by="ann")
    clock.advance(280)
    assert [await desk.remind(), await desk.remind()] == [1, 0]
    while await courier.send_due():
        pass
    assert elapsed(receiver) == [90]


async def test_of_many_processes_one_reminds(desk: Desk, clock: ManualClock, ledger: Ledger) -> None:
    await desk.hold(tool_call(), HOLD)
    clock.advance(150)
    async with anyio.create_task_group() as group:
        for _ in range(20):
            group.start_soon(desk.remind)
    assert ledger.tags() == [Tag.APPROVAL_REQUESTED, Tag.APPROVAL_REMINDED]


async def test_where_no_webhook_wants_reminders_none_are_written(
    store: Store, endpoint: Endpoint, clock: ManualClock, ledger: Ledger
) -> None:
    quiet = Announcer([replace(endpoint, events=("approval.requested",))])
    desk = Desk(SqlTickets(store, ledger, quiet), clock, Manners(wait_seconds=0))
    await desk.hold(tool_call(), HOLD)
    clock.advance(150)
    assert await desk.remind() == 0
    assert ledger.tags() == [Tag.APPROVAL_REQUESTED]
