"""Conditions on arguments, and that another type than the rule expects is never a quiet no."""

import pytest

from governance.jsontree import Json
from governance.policy.arguments import compile_test, pointers
from governance.policy.condition import Fault
from governance.policy.rules import Match

FAULT = Fault.ARGUMENT


def holds(written: Json, arguments: Json, pointer: str = "/a") -> bool | Fault:
    """Whether `written`, as it stands in a rule, holds of some arguments."""
    comparison = Match.model_validate({"args": {pointer: written}}).args[pointer]
    return compile_test(pointer, comparison).holds(arguments)


@pytest.mark.parametrize(
    ("written", "value", "expected"),
    [
        ("/etc/*", "/etc/passwd", True),
        ("/etc/*", "/tmp/x", False),
        ("/etc/*", ["/etc/passwd"], FAULT),
        ("/etc/*", {"path": "/etc/passwd"}, FAULT),
        ("/etc/*", 5, FAULT),
        ("/etc/*", None, False),
        (["a*", "b*"], "bx", True),
        ([1, "a*"], 1, True),
        ([1, "a*"], "ab", True),
        ([1, "a*"], 2, False),
        ([1, "a*"], True, FAULT),
        (True, True, True),
        (True, False, False),
        (True, 1, FAULT),
        (True, "true", FAULT),
        (1, 1.0, True),
        (1, "1", FAULT),
        (None, None, True),
        (None, "x", FAULT),
        ({"equals": "a*"}, "a*", True),
        ({"equals": "a*"}, "ab", False),
        ({"gt": 100}, 101, True),
        ({"gt": 100}, 100, False),
        ({"gt": 100}, "150", FAULT),
        ({"gt": 100}, True, FAULT),
        ({"gt": 100}, None, False),
        ({"gt": 100}, 2**63, True),
        ({"gt": 2**53}, 2**53 + 1, True),
        ({"le": 2**53}, 2**53 + 1, False),
        ({"ge": 1, "le": 2}, 2, True),
        ({"ge": 1, "lt": 2}, 2, False),
        ({"exists": True}, None, True),
        ({"exists": True, "gt": 1}, 2, True),
        ({"any_of": [1, 2], "gt": 1}, 1, False),
    ],
)
def test_a_comparison_says_yes_no_or_that_the_type_is_another(
    written: Json, value: Json, expected: bool | Fault
) -> None:
    assert holds(written, {"a": value}) is expected


@pytest.mark.parametrize(("written", "expected"), [("*", False), ({"exists": False}, True), ({"exists": True}, False)])
def test_an_argument_that_is_missing_matches_only_its_absence(written: Json, expected: bool) -> None:
    assert holds(written, {}) is expected


@pytest.mark.parametrize(
    ("pointer", "arguments", "expected"),
    [
        ("/items/*/id", {"items": [{"id": "y"}, {"id": "x"}]}, True),
        ("/items/*/id", {"items": []}, False),
        ("/items/*/id", {"items": [{"id": "x"}, {"id": 5}]}, FAULT),
        ("/*", {"k": "x"}, True),
        ("/items/1", {"items": ["y", "x"]}, True),
        ("/items/7", {"items": ["x"]}, False),
        ("/items/01", {"items": ["y", "x"]}, True),
        ("/a~1b/~0", {"a/b": {"~": "x"}}, True),
        ("/a/b", {"a": "x"}, False),
    ],
)
def test_a_pointer_reaches_into_objects_and_arrays(pointer: str, arguments: Json, expected: bool | Fault) -> None:
    assert holds("x", arguments, pointer) is expected


def test_the_plain_pointers_of_a_wild_one_are_escaped() -> None:
    assert list(pointers({"a/b": [1, 2]}, ("*", "*"))) == ["/a~1b/0", "/a~1b/1"]


@pytest.mark.parametrize(
    ("written", "impossible"),
    [
        ({"gt": 5, "lt": 5}, True),
        ({"ge": 5, "le": 5}, False),
        ({"gt": 5, "le": 5}, True),
        ({"gt": 9, "lt": 2}, True),
        ({"gt": 1, "lt": 2}, False),
        ({"any_of": ["a"], "gt": 1}, True),
        ({"equals": "a", "any_of": [1]}, True),
    ],
)
def test_a_comparison_that_nothing_passes_is_known(written: Json, impossible: bool) -> None:
    comparison = Match.model_validate({"args": {"/a": written}}).args["/a"]
    assert compile_test("/a", comparison).impossible() is impossible
