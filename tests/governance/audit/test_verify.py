"""Whatever was done to a log is found, and told apart."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from governance.audit import chain
from governance.audit.columns import columns
from governance.audit.event import Receipt, Value
from governance.audit.verify import BROKEN, NOTHING, VERIFIED, Entry, Fault, Report, noted, verify

KEY = bytes(range(32))


def log(count: int, *, key: bytes = KEY, word: str = "event") -> list[Entry]:
    """A good log."""
    entries: list[Entry] = []
    previous = chain.GENESIS
    for seq in range(count):
        fields: dict[str, Value] = {"event_type": "exchange.admitted", "tool": f"{word}_{seq}", "number": seq}
        body = chain.encode(fields)
        previous = chain.link(previous, seq, body)
        entries.append(Entry(seq, body, previous.hex(), chain.seal(key, previous).hex(), tuple(columns(fields))))
    return entries


def head(entries: list[Entry]) -> Receipt:
    return Receipt(entries[-1].seq, entries[-1].hash) if entries else Receipt(-1, chain.GENESIS.hex())


def found(entries: list[Entry], known: Receipt | None = None) -> tuple[Fault | None, int]:
    report = verify(entries, key=KEY, head=head(log(10)), known=known)
    return report.fault, report.seq


def test_a_good_log_is_verified_with_its_head() -> None:
    entries = log(10)
    report = verify(entries, key=KEY, head=head(entries), known=head(entries[:4]))

    assert report == Report(10, head(entries), sealed=True)
    assert report.exit_code == VERIFIED
    assert str(report) == f"verified 10 events, head 9:{entries[-1].hash}"


def test_without_the_key_the_report_says_that_seals_were_not_checked() -> None:
    assert str(verify(log(2))).endswith("; the seals were not checked, because no key was given")


def test_an_empty_log_is_nothing_checked() -> None:
    report = verify([], key=KEY, head=head([]))

    assert report.exit_code == NOTHING
    assert str(report) == "nothing checked: the log is empty"


@given(st.integers(0, 9), st.data())
def test_one_changed_byte_is_found_at_its_event(seq: int, data: st.DataObject) -> None:
    entries = log(10)
    body = bytearray(entries[seq].body)
    place = data.draw(st.integers(0, len(body) - 1))
    body[place] ^= data.draw(st.integers(1, 255))
    entries[seq] = entries[seq]._replace(body=bytes(body))

    assert found(entries) == (Fault.CHANGED, seq)


@pytest.mark.parametrize("field", ["hash", "mac"])
@pytest.mark.parametrize("seq", [0, 5, 9])
def test_a_changed_hash_or_seal_is_found_at_its_event(field: str, seq: int) -> None:
    entries = log(10)
    entries[seq] = entries[seq]._replace(**{field: "0" * 64})

    assert found(entries) == (Fault.CHANGED if field == "hash" else Fault.FORGED, seq)


@pytest.mark.parametrize("seq", [0, 5, 8])
def test_a_removed_event_is_found_at_its_place(seq: int) -> None:
    entries = log(10)
    del entries[seq]

    assert found(entries) == (Fault.MISSING, seq)


@pytest.mark.parametrize("seq", [0, 5, 8])
def test_two_lines_that_changed_places_are_found(seq: int) -> None:
    entries = log(10)
    entries[seq], entries[seq + 1] = entries[seq + 1], entries[seq]

    assert found(entries) == (Fault.MOVED, seq)


@pytest.mark.parametrize(("one", "other"), [(0, 1), (4, 5), (2, 9)])
def test_two_events_whose_contents_changed_places_are_found(one: int, other: int) -> None:
    entries = log(10)
    entries[one], entries[other] = (
        entries[other]._replace(seq=one),
        entries[one]._replace(seq=other),
    )

    assert found(entries)[1] == one


def test_neighbours_whose_contents_changed_places_are_told_as_moved() -> None:
    entries = log(10)
    entries[4], entries[5] = entries[5]._replace(seq=4), entries[4]._replace(seq=5)

    report = verify(entries, key=KEY)

    assert (report.fault, report.seq, report.checked) == (Fault.MOVED, 4, 4)
    assert "it stands at place 5" in str(report)


def test_an_event_that_comes_twice_is_found() -> None:
    entries = log(10)
    entries.insert(6, entries[3])

    assert found(entries) == (Fault.MOVED, 3)


def test_a_cut_tail_is_told_by_the_logs_own_head() -> None:
    assert found(log(10)[:7]) == (Fault.CUT, 7)


@pytest.mark.parametrize("left", [0, 1, 7])
def test_a_tail_cut_together_with_the_head_is_told_by_a_noted_head(left: int) -> None:
    entries = log(10)[:left]

    assert verify(entries, key=KEY, head=head(entries)).exit_code == (VERIFIED if left else NOTHING)

    report = verify(entries, key=KEY, head=head(entries), known=head(log(10)))
    assert (report.fault, report.seq, report.exit_code) == (Fault.CUT, left, BROKEN)
    assert "but event 9 was noted: the tail was cut off" in str(report)


def test_a_log_written_anew_with_the_key_is_told_by_a_noted_head() -> None:
    anew = log(10, word="other")

    assert verify(anew, key=KEY, head=head(anew)).exit_code == VERIFIED

    report = verify(anew, key=KEY, head=head(anew), known=head(log(10)[:6]))
    assert (report.fault, report.seq) == (Fault.REWRITTEN, 5)


def test_a_log_written_anew_without_the_key_is_told_by_its_seals() -> None:
    anew = log(10, key=bytes(32))

    assert verify(anew).exit_code == VERIFIED
    assert found(anew) == (Fault.FORGED, 0)


def test_a_head_that_stands_before_the_end_is_found() -> None:
    entries = log(10)

    assert verify(entries, head=head(entries[:5])).fault is Fault.CHANGED


def test_a_column_that_says_something_else_is_found_and_named() -> None:
    entries = log(10)
    copies = list(entries[3].copies or ())
    copies[-1] = "another tool"
    entries[3] = entries[3]._replace(copies=copies)

    report = verify(entries, key=KEY)

    assert (report.fault, report.seq) == (Fault.COLUMN, 3)
    assert "the column `tool` does not say" in str(report)


@pytest.mark.parametrize("body", [b"no json", b"[]", b'"text"'])
def test_a_body_that_is_no_object_is_unreadable(body: bytes) -> None:
    linked = chain.link(chain.GENESIS, 0, body)
    entry = Entry(0, body, linked.hex(), chain.seal(KEY, linked).hex(), ("",) * 8)

    assert verify([entry], key=KEY).fault is Fault.UNREADABLE


def test_a_noted_head_is_read() -> None:
    assert noted(f" 12:{'ab' * 32}\n") == Receipt(12, "ab" * 32)


@pytest.mark.parametrize("text", ["", "12", "12:", f"x:{'a' * 64}", f"-1:{'a' * 64}", f"1:{'A' * 64}", f"²:{'a' * 64}"])
def test_a_head_noted_otherwise_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="a noted head is written `SEQ:HASH`"):
        noted(text)


def test_a_broken_report_names_the_event_and_the_fault() -> None:
    report = replace(verify(log(1)), fault=Fault.CUT, seq=1, why="because")

    assert str(report) == "broken at event 1 (cut): because"
    assert report.exit_code == BROKEN
