"""A log is verified where it lies, on each database, and as an exported file."""

import json
from collections.abc import Callable
from typing import TypeAlias

import pytest

from governance.audit import keys
from governance.audit.event import Draft, Tag
from governance.audit.log import Journal
from governance.audit.query import export
from governance.audit.sources import exported, verify_database
from governance.audit.verify import Fault, noted, verify
from governance.store import Store, StoreError
from governance.store.backends import backend
from tests.governance.audit.appender import MASTER

KEY = keys.derive(MASTER, keys.AUDIT_MAC)
Lines: TypeAlias = list[bytes]
CHANGES: list[tuple[Callable[[Lines], Lines], Fault]] = [
    (lambda lines: [*lines[:3], lines[3].replace(b"tool_3", b"tool_4"), *lines[4:]], Fault.CHANGED),
    (lambda lines: [*lines[:3], *lines[4:]], Fault.MISSING),
    (lambda lines: [*lines[:3], lines[4], lines[3], *lines[5:]], Fault.MOVED),
    (lambda lines: [*lines[:3], b"{", *lines[4:]], Fault.UNREADABLE),
    (lambda lines: [*lines[:3], b"[]", *lines[4:]], Fault.UNREADABLE),
    (lambda lines: [*lines[:3], lines[3].replace(b'"tool":', b'"tool":1.5,"tool":'), *lines[4:]], Fault.UNREADABLE),
    (lambda lines: [*lines[:3], lines[3].replace(b'"tool":', b'"more":1.5,"tool":'), *lines[4:]], Fault.UNREADABLE),
]


@pytest.fixture
async def ten(journal: Journal) -> str:
    """Ten events; the head as a person would note it."""
    receipts = [
        await journal.append(Draft(Tag.EXCHANGE_ADMITTED, {"tool": f"tool_{number}", "label": "größer ☃"}))
        for number in range(10)
    ]
    return f"{receipts[-1].seq}:{receipts[-1].hash}"


def alter(url: str, statement: str) -> None:
    place = backend(url)
    with place.writer() as connection, place.batch(connection):
        connection.exec_driver_sql(statement)
    place.close()


@pytest.mark.usefixtures("ten")
@pytest.mark.parametrize(
    ("statement", "fault", "seq"),
    [
        ("UPDATE audit_events SET body = replace(body, 'tool_3', 'tool_4') WHERE seq = 3", Fault.CHANGED, 3),
        ("UPDATE audit_events SET hash = replace(hash, '0', '1') WHERE seq = 3", Fault.CHANGED, 3),
        ("UPDATE audit_events SET mac = replace(mac, 'a', 'b') || '' WHERE seq = 3", Fault.FORGED, 3),
        ("DELETE FROM audit_events WHERE seq = 3", Fault.MISSING, 3),
        ("UPDATE audit_events SET seq = 20 WHERE seq = 3", Fault.MISSING, 3),
        ("DELETE FROM audit_events WHERE seq > 6", Fault.CUT, 7),
        ("UPDATE audit_events SET tool = 'tool_4' WHERE seq = 3", Fault.COLUMN, 3),
        ("UPDATE audit_events SET at = '2020' WHERE seq = 3", Fault.COLUMN, 3),
        ("DELETE FROM audit_head", Fault.UNREADABLE, 0),
        ("UPDATE audit_head SET seq = 4", Fault.CHANGED, 4),
    ],
)
def test_what_was_done_to_a_database_is_told(database_url: str, statement: str, fault: Fault, seq: int) -> None:
    alter(database_url, statement)

    report = verify_database(database_url, key=KEY)

    assert (report.fault, report.seq, report.exit_code) == (fault, seq, 1)


def test_a_tail_cut_with_its_head_is_told_only_by_the_noted_head(database_url: str, ten: str) -> None:
    alter(database_url, "DELETE FROM audit_events WHERE seq > 6")
    alter(database_url, "UPDATE audit_head SET seq = 6, hash = (SELECT hash FROM audit_events WHERE seq = 6)")

    assert verify_database(database_url, key=KEY).exit_code == 0
    assert verify_database(database_url, key=KEY, known=noted(ten)).fault is Fault.CUT


def test_a_good_database_is_verified_up_to_the_noted_head(database_url: str, ten: str) -> None:
    report = verify_database(database_url, key=KEY, known=noted(ten))

    assert (report.exit_code, report.checked, report.head) == (0, 10, noted(ten))


@pytest.mark.usefixtures("store")
def test_an_empty_database_is_nothing_checked(database_url: str) -> None:
    assert verify_database(database_url, key=KEY).exit_code == 2


def test_an_empty_postgres_database_cannot_be_read(postgres_url: str) -> None:
    with pytest.raises(StoreError, match="cannot be read"):
        verify_database(postgres_url)


@pytest.mark.usefixtures("ten")
async def test_an_exported_file_is_verified(store: Store) -> None:
    lines = [line.encode() async for line in export(store)]

    assert verify(exported(lines), key=KEY).checked == 10


@pytest.mark.usefixtures("ten")
async def test_a_file_that_another_program_formatted_is_verified(store: Store) -> None:
    lines = [json.dumps(json.loads(line), indent=None).encode() async for line in export(store)]

    assert verify(exported([*lines, b"\n"]), key=KEY).checked == 10


@pytest.mark.usefixtures("ten")
@pytest.mark.parametrize(
    ("change", "fault"),
    CHANGES,
    ids=["changed", "removed", "swapped", "cut line", "no object", "twice the same name", "a float"],
)
async def test_what_was_done_to_a_file_is_told(store: Store, change: Callable[[Lines], Lines], fault: Fault) -> None:
    lines = change([line.encode() async for line in export(store)])

    report = verify(exported(lines), key=KEY)

    assert (report.fault, report.seq, report.checked) == (fault, 3, 3)


@pytest.mark.usefixtures("ten")
async def test_a_cut_file_is_told_by_the_noted_head(store: Store, ten: str) -> None:
    lines = [line.encode() async for line in export(store)][:7]

    assert verify(exported(lines), key=KEY).exit_code == 0
    assert verify(exported(lines), key=KEY, known=noted(ten)).fault is Fault.CUT
