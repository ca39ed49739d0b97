"""What a hostile schema cannot do with the keywords that print, compare and match."""

import tracemalloc

import pytest

from governance.catalog.bounded import TooMuchWorkError
from governance.catalog.schemas import FIRST_STEPS, Compiled
from governance.jsontree import Json, JsonObject

PATTERN_BOMB = "^(a+)+$"
DRAFT_7 = "http://json-schema.org/draft-07/schema#"
DRAFT_2020 = "https://json-schema.org/draft/2020-12/schema"


def is_given_up(schema: JsonObject, value: Json, size: int) -> bool:
    try:
        Compiled(schema).misfits(value, size, FIRST_STEPS)
    except TooMuchWorkError:
        return True
    return False


@pytest.mark.parametrize(
    "schema",
    [
        {"properties": {"a": {"$schema": DRAFT_7, "pattern": PATTERN_BOMB}}},
        {"$schema": DRAFT_2020, "pattern": PATTERN_BOMB, "additionalProperties": {"$ref": "#"}},
    ],
)
def test_a_part_that_names_a_dialect_is_bounded_too(schema: JsonObject) -> None:
    found = Compiled(schema).misfits({"a": "a" * 5_000 + "!"}, 5_000)
    assert [one.expected for one in found] == [f"must match the pattern `{PATTERN_BOMB}`"]


def test_a_part_in_an_older_dialect_keeps_its_meaning() -> None:
    old: JsonObject = {"$schema": DRAFT_7, "dependencies": {"x": ["y"]}}
    assert Compiled({"properties": {"a": old}}).misfits({"a": {"x": 1}}, 10) != []
    assert Compiled({"properties": {"a": {**old, "$schema": DRAFT_2020}}}).misfits({"a": {"x": 1}}, 10) == []


def test_looking_for_what_was_evaluated_is_counted() -> None:
    defs: JsonObject = {"n60": {}}
    for number in range(60):
        defs[f"n{number}"] = {"dependentSchemas": {key: {"$ref": f"#/$defs/n{number + 1}"} for key in "ab"}}
    assert is_given_up({"unevaluatedProperties": False, "$ref": "#/$defs/n0", "$defs": defs}, {"a": 1, "b": 1}, 20)


def test_a_value_is_not_printed_again_and_again() -> None:
    schema: JsonObject = {"anyOf": [{"allOf": list[Json]([{"type": "string"}]) * 1000}]}
    compiled, value = Compiled(schema), list[Json](["x" * 200_000])
    tracemalloc.start()
    try:
        with pytest.raises(TooMuchWorkError):
            compiled.misfits(value, 200_000, 100_000)
        assert tracemalloc.get_traced_memory()[1] < 20_000_000
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("keyword", ["const", "enum", "uniqueItems"])
def test_large_values_are_compared_a_few_times_at_most(keyword: str) -> None:
    value = list[Json](range(10_000))
    every: JsonObject = {"const": list(value), "enum": [list(value)], "uniqueItems": True}
    schema: JsonObject = {"$defs": {"c": {keyword: every[keyword]}}, "allOf": list[Json]([{"$ref": "#/$defs/c"}]) * 500}
    assert is_given_up(schema, value, 60_000)


def test_a_pattern_of_many_states_is_not_tried_on_a_large_text() -> None:
    assert is_given_up({"pattern": "[01]*1[01]{3000}x"}, "01" * 100_000, 200_000)


@pytest.mark.parametrize(
    ("wanted", "value", "fits"),
    [
        (1, 1.0, True), (1, True, False), (0, False, False), (True, True, True), ("a", "a", True), (None, None, True),
        ([1, {"a": 2}], [1.0, {"a": 2}], True), ([1], [True], False), ([1], [2], False), ([1], 1, False),
        (1, [1], False), ({"a": 1}, {"a": 1, "b": 2}, False), ({"a": [0]}, {"a": [False]}, False),
        ({}, [], False), (None, 0, False),
    ],
)  # fmt: skip
def test_values_are_equal_that_mean_the_same(wanted: Json, value: Json, *, fits: bool) -> None:
    assert (Compiled({"const": wanted}).misfits(value, 10) == []) is fits
    assert (Compiled({"enum": ["other", wanted]}).misfits(value, 10) == []) is fits
