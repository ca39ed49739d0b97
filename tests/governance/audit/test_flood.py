"""Whoever has no key cannot fill the log, and no refusal goes uncounted."""

from typing import Any

import pytest

from governance.audit.event import AuditError, Draft, Receipt, Tag
from governance.audit.flood import BURST, PER_SECOND, UNWRITTEN, Bounded, BoundedByKey
from governance.store import Work
from tests.conftest import ManualClock

REFUSED = Draft(Tag.REQUEST_UNAUTHENTICATED, {"plane": "llm", "code": "invalid_api_key"})


class Kept:
    """A log that keeps drafts in a list, or fails."""

    def __init__(self) -> None:
        self.drafts: list[Draft] = []
        self.fails = False

    async def append(self, draft: Draft, within: Work[Any] | None = None) -> Receipt:
        if self.fails:
            raise AuditError("the disk is full")
        self.drafts.append(draft)
        return Receipt(len(self.drafts), "")


async def test_a_few_are_written_one_by_one(clock: ManualClock) -> None:
    kept = Kept()
    bounded = Bounded(kept, clock)
    receipts = [await bounded.append(REFUSED) for _ in range(BURST)]
    await bounded.tell()
    assert kept.drafts == [REFUSED] * BURST
    assert UNWRITTEN not in receipts


async def test_a_flood_is_counted_and_told_as_a_number(clock: ManualClock) -> None:
    kept = Kept()
    bounded = Bounded(kept, clock)
    for _ in range(BURST + 5_000):
        await bounded.append(REFUSED)
    await bounded.append(Draft(Tag.REQUEST_MALFORMED, {"plane": "mcp", "code": "host"}))
    assert len(kept.drafts) == BURST
    await bounded.tell()
    await bounded.tell()
    assert kept.drafts[BURST:] == [
        Draft(Tag.REQUEST_UNAUTHENTICATED, {"code": "flood", "count": 5_000}),
        Draft(Tag.REQUEST_MALFORMED, {"code": "flood", "count": 1}),
    ]


async def test_time_brings_back_the_room_for_single_events(clock: ManualClock) -> None:
    kept = Kept()
    bounded = Bounded(kept, clock)
    for _ in range(BURST * 2):
        await bounded.append(REFUSED)
    clock.advance(1)
    for _ in range(BURST):
        await bounded.append(REFUSED)
    assert len(kept.drafts) == BURST + PER_SECOND


async def test_a_number_that_cannot_be_written_is_kept_for_the_next_time(clock: ManualClock) -> None:
    kept = Kept()
    bounded = Bounded(kept, clock)
    for _ in range(BURST + 3):
        await bounded.append(REFUSED)
    kept.fails = True
    await bounded.tell()
    kept.fails = False
    await bounded.tell()
    assert kept.drafts[-1].fields == {"code": "flood", "count": 3}


async def test_what_cannot_be_written_one_by_one_is_said(clock: ManualClock) -> None:
    kept = Kept()
    kept.fails = True
    with pytest.raises(AuditError):
        await Bounded(kept, clock).append(REFUSED)


async def test_each_key_has_a_rate_of_its_own(clock: ManualClock) -> None:
    kept = Kept()
    bounded = BoundedByKey(kept, clock)
    for _ in range(BURST + 7):
        await bounded.append(Draft(Tag.MESSAGE_FLAGGED, {"tenant_id": "a", "key_id": "loud", "action": "message"}))
    quiet = Draft(Tag.MESSAGE_WITHHELD, {"tenant_id": "b", "key_id": "quiet"})
    await bounded.append(quiet)
    assert kept.drafts[BURST:] == [quiet]
    await bounded.tell()
    assert kept.drafts[BURST + 1 :] == [
        Draft(Tag.MESSAGE_FLAGGED, {"tenant_id": "a", "key_id": "loud", "code": "flood", "count": 7})
    ]
