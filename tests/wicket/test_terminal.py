"""Text for people or a document for programs, and nothing that commands the terminal."""

import io
import json
import logging

import pytest

from wicket.logs import LineFormatter
from wicket.terminal import Terminal, reveal, table


class Seat(io.StringIO):
    """A stream with a person in front of it."""

    def isatty(self) -> bool:
        return True


def test_a_result_is_said_once_in_the_form_that_was_asked_for():
    people, programs = Terminal(io.StringIO(), io.StringIO()), Terminal(io.StringIO(), io.StringIO(), as_json=True)
    for terminal in (people, programs):
        terminal.show({"a": [1]}, ["one", "two"])
    assert isinstance(people.out, io.StringIO)
    assert isinstance(programs.out, io.StringIO)
    assert people.out.getvalue() == "one\ntwo\n"
    assert json.loads(programs.out.getvalue()) == {"a": [1]}


@pytest.mark.parametrize(
    ("seat", "as_json", "shown"), [(True, False, True), (True, True, False), (False, False, False)]
)
def test_progress_is_shown_only_where_a_person_sits(seat: bool, as_json: bool, shown: bool):
    err = Seat() if seat else io.StringIO()
    with Terminal(io.StringIO(), err, as_json=as_json).progress("thinking"):
        pass
    assert bool(err.getvalue()) is shown


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain", "plain"),
        ("a\nb", "a\\nb"),
        ("a\x1b[2J", "a\\u001b[2J"),
        ("a\r\tb", "a\\u000d\\tb"),
        ("\u202e", "\\u202e"),
    ],
)
def test_what_cannot_be_seen_is_shown_as_an_escape(text: str, shown: str):
    assert reveal(text) == shown


def test_a_table_is_aligned_and_says_what_is_empty():
    assert table([{"a_b": "x", "c": ""}, {"a_b": "long", "c": 1}], ("a_b", "c"), "nothing") == [
        "a b   c",
        "x     -",
        "long  1",
    ]
    assert table([], ("a",), "nothing") == ["nothing"]


def test_no_text_of_a_client_can_make_a_line_of_the_log():
    error = ValueError("first\nsecond\x1b")
    record = logging.LogRecord("x", logging.WARNING, "", 0, "a\r\x1b[2J%s", ("\u202e",), (ValueError, error, None))
    lines = LineFormatter("gateway").format(record).split("\n")
    assert lines[0].endswith("gateway WARNING x: a\\u000d\\u001b[2J\\u202e")
    assert all(line.startswith("  | ") for line in lines[1:])
    assert "\x1b" not in "".join(lines)
