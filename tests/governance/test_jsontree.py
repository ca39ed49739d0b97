"""`governance.jsontree`: what is judged is what every parser reads."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from governance import jsontree
from governance.jsontree import Json, MalformedError

leaves = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"]))
)
trees = st.recursive(
    leaves,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner, max_size=4)
    ),
    max_leaves=20,
)


@pytest.mark.parametrize(
    ("raw", "says"),
    [
        (b'{"a":1,"a":2}', "duplicate member name at line 1, column 12"),
        (b'{"x":{"b":1,"\\u0062":2}}', "duplicate member name"),
        (b"\xef\xbb\xbf{}", "byte order mark"),
        ("{}".encode("utf-16"), "byte order mark"),
        (b'{"a":18446744073709551616}', "beyond 64 bits"),
        (b'{"a":-9223372036854775809}', "beyond 64 bits"),
        (b'{"a":[1e999]}', "out of range"),
        (b'{"a":-1e999}', "out of range"),
        (b'{"a":NaN}', "not valid JSON at line 1, column 6"),
        (b'{"a":Infinity}', "not valid JSON"),
        (b'{"a":"\\ud800"}', "not valid JSON"),
        (b'{"a":"\xff"}', "invalid UTF-8 at byte 6"),
        (b'{"a":1} x', "not valid JSON"),
        (b'{"a":"b\nc"}', "not valid JSON"),
        (b"[" * 101 + b"]" * 101, "nested deeper than 100 levels"),
        (b'{"a":' * 101 + b"1" + b"}" * 101, "nested deeper than 100 levels"),
        (b"[" * 100_000, "nested deeper than 100 levels"),
        (b'{"n":' + b"9" * 5000 + b"}", "not valid JSON"),
        (b"", "not valid JSON"),
    ],
)
def test_a_text_that_parsers_read_differently_is_refused(raw: bytes, says: str) -> None:
    with pytest.raises(MalformedError, match=says):
        jsontree.parse(raw)


def test_a_hundred_levels_and_the_largest_integers_are_fine() -> None:
    assert jsontree.parse(b"[" * 100 + b"]" * 100) is not None
    assert jsontree.parse(b"[18446744073709551615,-9223372036854775808]") == [2**64 - 1, -(2**63)]


@given(trees)
def test_every_string_is_seen_by_both_walks(tree: Json) -> None:
    assert sorted(text for level in jsontree.strings(tree) for text in level) == sorted(
        text for _, text, _ in jsontree.walk(tree)
    )


@given(trees)
def test_a_pointer_leads_back_to_its_string(tree: Json) -> None:
    for pointer, text, is_name in jsontree.walk(tree):
        if not is_name:
            assert jsontree.at(tree, pointer) == text


@given(trees)
def test_what_is_written_is_read_back_the_same(tree: Json) -> None:
    assert jsontree.parse(jsontree.dump(tree)) == tree


@given(trees)
def test_the_canonical_form_means_the_same_value(tree: Json) -> None:
    assert json.loads(jsontree.canonical(tree)) == tree


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1e-7, "1e-7"), (1e21, "1e+21"), (0.1, "0.1"), (1e16, "10000000000000000"), (-0.0, "0"), (1.5e-5, "0.000015"),
        (1.23e-6, "0.00000123"), (5e-324, "5e-324"), (1e23, "1e+23"),
        (123456789012345680000.0, "1.2345678901234568e+20"),
        (-1.5e-7, "-1.5e-7"), (1.0, "1"), (-2.5, "-2.5"), (333333333.33333329, "333333333.3333333"),
    ],
)  # fmt: skip
def test_numbers_are_printed_as_rfc_8785_asks(value: float, text: str) -> None:
    assert jsontree.canonical([value]) == f"[{text}]".encode()


def test_the_digest_ignores_order_and_spelling_of_numbers_but_not_value() -> None:
    assert jsontree.digest({"a": 1, "b": 2}) == jsontree.digest({"b": 2.0, "a": 1})
    assert jsontree.digest(2**60) != jsontree.digest(2**60 + 1)
    assert jsontree.digest("1") != jsontree.digest(1)


def test_member_names_are_sorted_by_utf_16() -> None:
    assert jsontree.canonical({"\U0001f600": 1, "\ufb33": 2}) == '{"\U0001f600":1,"\ufb33":2}'.encode()


def test_replacing_leaves_the_original_and_other_branches_alone() -> None:
    tree: Json = {"a": {"b/c": ["x", {"d": "y"}]}, "e": [1]}
    changed = jsontree.replaced(tree, {"/a/b~1c/1/d": "z"})
    assert changed == {"a": {"b/c": ["x", {"d": "z"}]}, "e": [1]}
    assert tree == {"a": {"b/c": ["x", {"d": "y"}]}, "e": [1]}
    assert jsontree.as_object(changed)["e"] is jsontree.as_object(tree)["e"]


def test_replacing_what_is_not_there_is_an_error() -> None:
    with pytest.raises(KeyError):
        jsontree.replaced({"a": 1}, {"/b": 2})
