"""What is said about a misfit helps a model, and never repeats what was there."""

import pytest

from governance.catalog.schemas import Compiled
from governance.jsontree import Json, JsonObject

SECRET = "sk-live-0123456789"


def told(schema: JsonObject, value: Json) -> str:
    return "; ".join(one.told("the arguments") for one in Compiled(schema).misfits(value, 100))


@pytest.mark.parametrize(
    ("schema", "value", "words"),
    [
        ({"type": ["string", "null"]}, 7, "the arguments must be of type string or null"),
        ({"required": ["a", "b"]}, {"b": 1}, "the arguments must have the member `a`"),
        ({"properties": {"a": {"enum": ["x", 1]}}}, {"a": SECRET}, "`/a` must be one of `x`, `1`"),
        ({"enum": list[Json](range(30))}, SECRET, "and 10 more"),
        ({"const": {"a": 1}}, SECRET, 'must be `{"a":1}`'),
        ({"minLength": 100}, SECRET, "must have at least 100 characters"),
        ({"pattern": "^[0-9]+$"}, SECRET, "must match the pattern `^[0-9]+$`"),
        ({"additionalProperties": False}, {SECRET: 1}, "must have no other members than the schema names"),
        ({"properties": {"a": {}}, "additionalProperties": False}, {SECRET: 1}, "must have no other members than `a`"),
        ({"properties": {"a": False}}, {"a": SECRET}, "is not allowed"),
        ({"dependentRequired": {"a": ["b"]}}, {"a": 1}, "does not satisfy `dependentRequired`"),
        ({"anyOf": [{"type": "string"}, {"type": "null"}]}, 7, "must be of type string or null"),
        (
            {"anyOf": [{"properties": {"a": {"type": "string"}}}, {"type": "null"}]},
            {"a": 1},
            "`/a` must be of type string, in one of the alternatives",
        ),
        ({"oneOf": [{"minimum": 1}, {"minimum": 2}]}, 3, "must fit exactly one of the alternatives"),
        ({"additionalProperties": {"type": "integer"}}, {SECRET: SECRET}, "`/*` must be of type integer"),
        ({"items": {"type": "integer"}}, [1, SECRET], "`/1` must be of type integer"),
        ({"properties": {"a/b": {"type": "integer"}}}, {"a/b": SECRET}, "`/a~1b` must be of type integer"),
    ],
)
def test_the_place_and_what_was_expected_are_told_and_never_the_value(
    schema: JsonObject, value: Json, words: str
) -> None:
    text = told(schema, value)
    assert words in text
    assert SECRET not in text


def test_control_characters_of_a_schema_are_not_told() -> None:
    assert told({"const": "a\x1b[2Jb"}, 1) == "the arguments must be `a [2Jb`"
