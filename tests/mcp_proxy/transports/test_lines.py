"""Lines out of chunks."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcp_proxy.transports.lines import LineSplitter, LineTooLongError


@given(st.lists(st.binary(max_size=20).filter(lambda line: b"\n" not in line)), st.lists(st.integers(0, 400)))
def test_every_chunking_gives_the_same_lines(lines: list[bytes], places: list[int]) -> None:
    stream = b"".join(line + b"\n" for line in lines)
    edges = [0, *sorted(place % (len(stream) + 1) for place in places), len(stream)]
    splitter = LineSplitter(20)
    found = [line for start, end in pairwise(edges) for line in splitter.feed(stream[start:end])]
    assert found == [text for line in lines if (text := line.removesuffix(b"\r"))]


def test_a_line_without_an_end_waits_for_it() -> None:
    splitter = LineSplitter(10)
    assert splitter.feed(b"ab") == []
    assert splitter.feed(b"c\r") == []
    assert splitter.feed(b"\nd") == [b"abc"]


def test_a_line_beyond_the_limit_is_an_error_before_it_is_complete() -> None:
    splitter = LineSplitter(3)
    assert splitter.feed(b"abc\nab") == [b"abc"]
    with pytest.raises(LineTooLongError, match="longer than 3 bytes"):
        splitter.feed(b"cd")


def test_overlong_lines_can_be_left_out_and_counted() -> None:
    splitter = LineSplitter(3, skip_overlong=True)
    assert splitter.feed(b"a\nabcd") == [b"a"]
    assert splitter.feed(b"efgh") == []
    assert splitter.feed(b"ij\nb\n1234567\nc\n") == [b"b", b"c"]
    assert splitter.skipped == 2
