"""Server-sent events: every chunking reads the same, and nothing of the stream is lost."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from governance.sse import KEEP_ALIVE, EventTooLargeError, SseEvent, SseParser, encode

STREAM = (
    "\ufeff: hello\r\n\r\n"
    'event: message\r\ndata: {"text":"grüße 🚪"}\r\nid: 1\r\n\r\n'
    "data: one\ndata:two\ndata\n\n"
    "\n\n"
    "retry: 1500\rid: x\r\r"
    "event:end\ndata:  two spaces\nunknown: y\n\r\n"
    "data: last\n\n"
).encode()


def seen(events: list[SseEvent]) -> list[tuple[str, bytes | None, str | None, int | None]]:
    return [(one.event, one.data, one.id, one.retry) for one in events]


def read(chunks: list[bytes]) -> tuple[list[SseEvent], bytes]:
    parser = SseParser()
    events = [event for chunk in chunks for event in parser.feed(chunk)]
    rest = parser.close()
    return events + rest, b"".join(event.raw for event in events + rest)


def cut(stream: bytes, places: list[int]) -> list[bytes]:
    edges = [0, *sorted(place % (len(stream) + 1) for place in places), len(stream)]
    return [stream[start:end] for start, end in pairwise(edges)]


def test_fields_are_read_as_the_specification_says() -> None:
    events, _ = read([STREAM])
    assert seen(events) == [
        ("", None, None, None),
        ("message", '{"text":"grüße 🚪"}'.encode(), "1", None),
        ("", b"one\ntwo\n", None, None),
        ("", None, None, None),
        ("", None, "x", 1500),
        ("end", b" two spaces", None, None),
        ("", b"last", None, None),
    ]


@given(st.lists(st.integers(0, 1000), max_size=40))
def test_every_chunking_gives_the_same_events_and_the_same_bytes(places: list[int]) -> None:
    events, raw = read(cut(STREAM, places))
    assert seen(events) == seen(read([STREAM])[0])
    assert raw == STREAM


def test_one_byte_at_a_time_gives_the_same_events() -> None:
    events, raw = read([STREAM[at : at + 1] for at in range(len(STREAM))])
    assert seen(events) == seen(read([STREAM])[0])
    assert raw == STREAM


@given(
    st.lists(st.sampled_from([b"\r", b"\n", b"\r\n", b"data: a", b"data", b":", b"id: 1", b"\xff", b"e"]), max_size=30),
    st.lists(st.integers(0, 200), max_size=10),
)
def test_any_mixture_of_line_ends_reads_the_same_however_it_is_cut(parts: list[bytes], places: list[int]) -> None:
    stream = b"".join(parts)
    whole, raw = read([stream])
    pieces, raw_of_pieces = read(cut(stream, places))
    assert raw == raw_of_pieces == stream
    # A lone LF cut off from the CR before it may stand alone at the very end, where it carries nothing.
    assert [one for one in seen(whole) if one[1:] != (None, None, None)] == [
        one for one in seen(pieces) if one[1:] != (None, None, None)
    ]


def test_an_event_that_ends_with_a_bare_cr_is_given_out_at_once() -> None:
    parser = SseParser()
    assert seen(parser.feed(b"data: a\r\r")) == [("", b"a", None, None)]
    assert parser.feed(b"\n") == []
    assert [event.raw for event in parser.feed(b"data: b\n\n")] == [b"\ndata: b\n\n"]


def test_an_event_without_its_blank_line_is_left_for_the_end() -> None:
    parser = SseParser()
    assert parser.feed(b"data: a\n") == []
    assert seen(parser.close()) == [("", b"a", None, None)]
    assert parser.close() == []


def test_a_retry_that_is_no_number_and_an_id_with_nul_are_ignored() -> None:
    events, _ = read([b"retry: soon\nid: a\0b\ndata: x\n\n", b"retry: " + b"9" * 5000 + b"\ndata: y\n\n"])
    assert seen(events) == [("", b"x", None, None), ("", b"y", None, None)]


def test_an_event_beyond_the_limit_stops_the_stream() -> None:
    with pytest.raises(EventTooLargeError, match="larger than 10 bytes"):
        SseParser(max_event_bytes=10).feed(b"data: 12345\n\n")
    parser = SseParser(max_event_bytes=10)
    parser.feed(b"data: 1234")
    with pytest.raises(EventTooLargeError):
        parser.feed(b"5")


def test_many_small_events_may_be_larger_together_than_the_limit() -> None:
    assert len(SseParser(max_event_bytes=10).feed(b"data: 12\n\n" * 100)) == 100


LABEL = st.text(st.characters(exclude_characters="\r\n\0", exclude_categories=["Cs"]))


@given(LABEL, st.none() | st.binary(), st.none() | LABEL, st.none() | st.integers(0, 10**9))
def test_what_is_encoded_is_read_back(name: str, data: bytes | None, event_id: str | None, retry: int | None) -> None:
    event = SseEvent(name, data, event_id, retry)
    expected = data if data is None else data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    assert seen(SseParser().feed(encode(event))) == [(name, expected, event_id, retry)]


def test_a_name_with_a_line_end_cannot_forge_a_field() -> None:
    with pytest.raises(ValueError, match="line end"):
        encode(SseEvent(event="a\ndata: b"))
    with pytest.raises(ValueError, match="line end"):
        encode(SseEvent(id="a\rb"))


def test_an_event_with_nothing_in_it_is_a_keep_alive() -> None:
    assert encode(SseEvent()) == KEEP_ALIVE
    assert seen(SseParser().feed(KEEP_ALIVE)) == [("", None, None, None)]
