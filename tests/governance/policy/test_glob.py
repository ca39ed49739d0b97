"""Patterns of names: what they match, what they cover, and that they cannot be made slow."""

import re
from fnmatch import translate

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from governance.policy.glob import Globs

PATTERNS = st.text("ab*?", max_size=8)
TEXTS = st.text("ab*?\n", max_size=10)


@pytest.mark.parametrize(
    ("pattern", "text", "matched"),
    [
        ("read", "read", True),
        ("read", "Read", False),
        ("read", "reader", False),
        ("read*", "read_file", True),
        ("*", "", True),
        ("?", "", False),
        ("/etc/*", "/etc/ssh/key", True),
        ("*.key", "a\nb.key", True),
        ("a.b", "axb", False),
        ("[ab]", "a", False),
        ("a*b*c", "a-b-b-c", True),
        ("a*b*c", "a-c-b", False),
    ],
)
def test_a_pattern_is_a_glob_and_nothing_else(pattern: str, text: str, matched: bool) -> None:
    assert Globs([pattern]).match(text) is matched


@given(PATTERNS, TEXTS)
@example("*a*ab", "aab")
def test_it_matches_what_the_usual_translation_matches(pattern: str, text: str) -> None:
    assert Globs([pattern]).match(text) is bool(re.compile(translate(pattern)).match(text))


@given(PATTERNS, PATTERNS, TEXTS)
def test_a_pattern_that_covers_another_matches_all_that_it_matches(mine: str, theirs: str, text: str) -> None:
    if Globs([mine]).covers(Globs([theirs])) and Globs([theirs]).match(text):
        assert Globs([mine]).match(text)


def test_the_common_ways_of_covering_are_recognised() -> None:
    assert Globs(["*"]).covers(Globs(["a", "b?*"]))
    assert Globs(["write_*"]).covers(Globs(["write_file", "write_all_*"]))
    assert not Globs(["write_*"]).covers(Globs(["write*"]))
    assert not Globs(["?"]).covers(Globs(["*"]))


def test_a_hostile_text_takes_no_longer_than_its_length() -> None:
    """Quadratic or worse, this would take minutes: the middle parts occur everywhere and the end never fits."""
    assert not Globs(["*a*a*a*a*a*a*a*a*b"]).match("a" * 300_000)
