"""Patterns are matched in linear time, and what each costs is known before."""

import pytest

from governance.catalog.patterns import matcher, weight


@pytest.mark.parametrize(
    ("pattern", "states"),
    [("abc", 4), ("a{3}", 4), ("a{2,30}", 31), ("(?:ab){10}", 31), ("((a{10}){10}){10}", 1001), (r"[\w.\]-]{5}", 6),
     (r"\{9\}", 4), ("", 1), ("a)b", 4)],
)  # fmt: skip
def test_the_states_of_a_pattern_are_estimated(pattern: str, states: int) -> None:
    assert weight(pattern)[0] == states


@pytest.mark.parametrize("pattern", [r"(?:\w{0,100}){0,10}x", "a" * 20_000, "(?!x)", "(", "((((a{99}){99}){99}){99})"])
def test_what_is_too_large_or_looks_around_is_not_matched(pattern: str) -> None:
    assert matcher(pattern) is None


@pytest.mark.parametrize(
    "pattern", [r"^[\w.-]+@[\w.-]+\.\w{2,}$", "^.{1,255}$", "^[0-9a-f]{8}-[0-9a-f]{4}$", r"\p{L}{3}"]
)
def test_honest_patterns_are_matched(pattern: str) -> None:
    assert matcher(pattern) is not None


def test_a_pattern_is_found_anywhere() -> None:
    found = matcher("b+")
    assert found is not None
    assert found.holds("abc")
    assert not found.holds("ac")
