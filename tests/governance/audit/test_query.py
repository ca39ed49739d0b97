"""The log is searched by what people know: who, what, when."""

import json

import pytest

from governance.audit.event import Draft, Receipt, Tag, Value
from governance.audit.log import Journal
from governance.audit.query import Count, Wanted, export, find, head, per_minute
from governance.store import Store
from tests.conftest import ManualClock

EVENTS: list[tuple[Tag, dict[str, Value]]] = [
    (Tag.EXCHANGE_ADMITTED, {"exchange_id": "exc_1", "tenant_id": "acme", "session_id": "ses_1", "model": "large"}),
    (Tag.EXCHANGE_COMPLETED, {"exchange_id": "exc_1", "tenant_id": "acme", "session_id": "ses_1", "model": "large"}),
    (Tag.EXCHANGE_REFUSED, {"exchange_id": "exc_2", "tenant_id": "acme", "session_id": "ses_1", "tool": "write"}),
    (Tag.EXCHANGE_ADMITTED, {"exchange_id": "exc_3", "tenant_id": "other", "key_id": "key_1", "tool": "read"}),
    (Tag.SESSION_KILLED, {"session_id": "ses_1"}),
]


@pytest.fixture
async def receipts(journal: Journal, clock: ManualClock) -> list[Receipt]:
    """Five events, 40 seconds apart, from 12:00:00 on."""
    done: list[Receipt] = []
    for tag, fields in EVENTS:
        done.append(await journal.append(Draft(tag, fields)))
        clock.advance(40)
    return done


@pytest.mark.usefixtures("receipts")
@pytest.mark.parametrize(
    ("wanted", "places"),
    [
        (Wanted(), [0, 1, 2, 3, 4]),
        (Wanted(newest_first=True, limit=2), [4, 3]),
        (Wanted(newest_first=True, before=3, limit=2), [2, 1]),
        (Wanted(after=2), [3, 4]),
        (Wanted(session_id="ses_1"), [0, 1, 2, 4]),
        (Wanted(exchange_id="exc_1"), [0, 1]),
        (Wanted(tenant_id="other"), [3]),
        (Wanted(key_id="key_1"), [3]),
        (Wanted(model="large", event_types=("exchange.completed", "exchange.refused")), [1]),
        (Wanted(tool="write"), [2]),
        (Wanted(since="2026-11-21T12:00:40", until="2026-11-21T12:02:00"), [1, 2]),
        (Wanted(tool="' OR 1=1 --"), []),
    ],
)
async def test_events_are_found_by_what_is_wanted(store: Store, wanted: Wanted, places: list[int]) -> None:
    assert [record.seq for record in await find(store, wanted)] == places


async def test_the_head_is_the_newest_receipt(store: Store, receipts: list[Receipt]) -> None:
    assert await head(store) == receipts[-1]


async def test_an_empty_log_has_no_head(store: Store) -> None:
    assert await head(store) is None


@pytest.mark.usefixtures("receipts")
async def test_events_are_counted_by_minute_and_kind(store: Store) -> None:
    assert await per_minute(store, "2026-11-21T12:00", "2026-11-21T12:02:30") == (
        Count("2026-11-21T12:00", "exchange.admitted", 1),
        Count("2026-11-21T12:00", "exchange.completed", 1),
        Count("2026-11-21T12:01", "exchange.refused", 1),
        Count("2026-11-21T12:02", "exchange.admitted", 1),
    )


async def test_an_exported_line_carries_the_event_and_its_proof(store: Store, receipts: list[Receipt]) -> None:
    lines = [json.loads(line) async for line in export(store, Wanted(exchange_id="exc_3"))]

    assert [(line["seq"], line["hash"]) for line in lines] == [(receipts[3].seq, receipts[3].hash)]
    assert lines[0]["body"] == {
        "at": "2026-11-21T12:02:00.000000Z",
        "event_type": "exchange.admitted",
        "exchange_id": "exc_3",
        "key_id": "key_1",
        "tenant_id": "other",
        "tool": "read",
        "writer": "gateway",
    }
