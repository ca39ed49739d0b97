"""What every rule must keep to, so that the prefilter and the windows of exact matching are right by construction."""

import re
from re import _parser as parser  # pyright: ignore[reportMissingImports, reportAttributeAccessIssue, reportUnknownVariableType] - only tests measure widths
from typing import Any, cast

import pytest

from governance.detect.families import all_families
from governance.detect.rule import CONTEXT, SEPARATOR, WIDTH, Rule

RULES = all_families()


def width(pattern: str) -> int:
    """The most characters that `pattern` can match."""
    return int(cast("Any", parser).parse(pattern).getwidth()[1])


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.id)
def test_a_rule_says_how_wide_it_may_match(rule: Rule) -> None:
    assert width(rule.pattern) <= rule.width


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.id)
def test_a_rule_looks_around_at_most_two_characters(rule: Rule) -> None:
    for around in (rule.before, rule.after):
        for inside in re.findall(r"\(\?<?[!=]((?:\[[^\]]*\]|\\?.)*?)\)", around):
            assert width(inside) <= 2


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.id)
def test_a_rule_s_id_starts_with_its_kind(rule: Rule) -> None:
    assert rule.id == rule.kind or rule.id.startswith(rule.kind + ".")


@pytest.mark.parametrize("pattern", ["a.b", r"a\Sb", r"a\Wb", r"\D", "[^a]", r"a\\.b"])
def test_a_pattern_that_could_run_into_the_next_string_is_refused(pattern: str) -> None:
    with pytest.raises(ValueError, match="could match across two strings"):
        Rule("x", "x", pattern)


@pytest.mark.parametrize("pattern", [r"a\.b", "[.]", r"[^\x00a]", r"\w\s\d\b", r"[^\x00.]\."])
def test_a_pattern_that_cannot_is_taken(pattern: str) -> None:
    assert not Rule("x", "x", pattern).exact.search(SEPARATOR)


def test_a_caseless_pattern_must_be_written_in_lower_case() -> None:
    with pytest.raises(ValueError, match="lower case"):
        Rule("x", "x", "DROP", caseless=True)


@pytest.mark.parametrize(
    ("pattern", "gate"),
    [
        (r"a{36}", r"a{36}"),
        (r"a{2,5}b", r"a{2,}b"),
        (r"a{0,5}b", r"a*b"),
        (r"a{1,5}b", r"a+b"),
        (r"ba{1,5}", r"ba"),
        (r"ba{20,50}", r"ba{20}"),
        (r"(?:ab){0,4}c", r"(?:ab){0,4}c"),
        (r"(?:ab){0,40}c", r"(?:ab)*c"),
    ],
)
def test_the_gate_is_the_pattern_without_upper_bounds(pattern: str, gate: str) -> None:
    assert Rule("x", "x", pattern).loose == gate


def test_a_context_word_must_stand_near_and_in_the_same_string() -> None:
    rule = Rule("x", "x", r"\d{4}", context=r"\bpin\b")
    for text, found in (
        ("pin 1234", True),
        ("PIN: 1234", True),
        ("pin" + " " * (CONTEXT - 3) + "1234", True),
        ("pin" + " " * CONTEXT + "1234", False),
        (f"pin{SEPARATOR}1234", False),
        ("spinning 1234", False),
    ):
        match = rule.exact.search(text)
        assert match is not None
        assert (rule.found(text, match) is not None) is found, text


def test_the_first_group_is_what_was_found() -> None:
    rule = Rule("x", "x", r"key=(\d{4});")
    match = rule.exact.search("a key=1234;")
    assert match is not None
    assert rule.found("a key=1234;", match) == (6, 10)
    assert rule.width == WIDTH
