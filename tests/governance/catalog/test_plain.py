"""The quick test of plain schemas says yes only where the library does too."""

from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from governance.catalog.plain import shape_of
from governance.catalog.schemas import Compiled

LIBRARY: Any = jsonschema.Draft202012Validator
NOTHING: Any = {}
NAMES = st.sampled_from(["a", "b", "c", "d"])
TYPES = st.sampled_from(["string", "integer", "number", "boolean", "null", "object", "array"])
VALUES: Any = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.sampled_from([0.0, 1.0, 0.5]) | NAMES,
    lambda below: st.lists(below, max_size=3) | st.dictionaries(NAMES, below, max_size=3),
    max_leaves=8,
)


def schemas(below: Any) -> Any:
    parts = {
        "type": TYPES | st.lists(TYPES, min_size=1, max_size=3, unique=True),
        "properties": st.dictionaries(NAMES, below, max_size=3),
        "required": st.lists(NAMES, max_size=2, unique=True),
        "additionalProperties": st.booleans(),
        "items": below,
        "enum": st.lists(NAMES, min_size=1, max_size=3, unique=True),
        "anyOf": st.lists(below, min_size=1, max_size=3),
        "title": NAMES,
        "format": st.just("email"),
    }
    return st.fixed_dictionaries({}, optional=parts)


SCHEMAS = st.recursive(st.just(NOTHING) | st.fixed_dictionaries({"type": TYPES}), schemas, max_leaves=6)


@given(SCHEMAS, VALUES)
def test_what_surely_fits_fits_for_the_library_too(schema: Any, value: Any) -> None:
    shape = shape_of(schema)
    assert shape is not None
    valid = LIBRARY(schema).is_valid(value)
    assert valid or not shape.fits(value)


@given(SCHEMAS, VALUES, st.booleans())
def test_a_schema_refuses_the_same_with_and_without_the_quick_test(schema: Any, value: Any, strict: bool) -> None:
    quick, slow = Compiled(schema, strict=strict), Compiled(schema, strict=strict)
    slow._shape = None  # pyright: ignore[reportPrivateUsage] - what is compared is exactly its absence
    assert quick.misfits(value, 100) == slow.misfits(value, 100)


SENT: list[Any] = [
    {"text": "hello"},
    {"text": "hello", "count": 3, "ratio": 1, "mode": "b", "maybe": None, "tags": ["x"], "more": 1},
]
NOT_PLAIN: list[Any] = [
    True,
    {"minLength": 1},
    {"$ref": "#/$defs/x", "$defs": {"x": {}}},
    {"properties": {"a": {"pattern": "a"}}},
    {"items": {"not": {}}},
    {"items": [{}]},
    {"anyOf": [{"const": 1}]},
    {"additionalProperties": {}},
    {"enum": ["a", 1]},
    {"type": "any"},
]


@pytest.mark.parametrize("value", SENT)
def test_what_agents_usually_send_is_decided_at_once(value: Any) -> None:
    schema: Any = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "properties": {
            "text": {"type": "string", "description": "What to say"},
            "count": {"type": "integer", "default": 1},
            "ratio": {"type": "number"},
            "mode": {"enum": ["a", "b"]},
            "maybe": {"anyOf": [{"type": "string"}, {"type": "null"}]},
            "tags": {"type": "array", "items": {"type": "string"}},
        },
        "required": ["text"],
    }
    shape = shape_of(schema)
    assert shape is not None
    assert shape.fits(value)
    assert not shape.fits({**value, "text": 1})


@pytest.mark.parametrize("schema", NOT_PLAIN)
def test_what_says_more_than_is_plain_is_left_to_the_library(schema: Any) -> None:
    assert shape_of(schema) is None
