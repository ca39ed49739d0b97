"""Values held to schemas: what fits, what does not, and what a hostile schema cannot do."""

from collections.abc import Callable
from time import process_time

import anyio
import pytest

from governance.catalog.bounded import TooMuchWorkError
from governance.catalog.schemas import MAX_BYTES, MAX_PARTS, Compiled, Schemas, UnusableSchemaError
from governance.jsontree import Json, JsonObject

SCHEMA: JsonObject = {
    "type": "object",
    "properties": {
        "path": {"type": "string", "pattern": "^/"},
        "limit": {"type": "integer", "minimum": 1},
        "options": {"type": "object", "properties": {"deep": {"type": "boolean"}}},
        "rows": {"type": "array", "items": {"type": "object", "properties": {"id": {"type": "integer"}}}},
    },
    "required": ["path"],
}
MANY: JsonObject = {f"a{number}": {} for number in range(MAX_PARTS)}
PATTERN_BOMB = "^(a+)+$"


def paths(schema: JsonObject, value: Json, *, strict: bool = False) -> list[str]:
    return [one.path for one in Compiled(schema, strict=strict).misfits(value, 100)]


def test_a_value_that_fits_has_no_misfits() -> None:
    assert paths(SCHEMA, {"path": "/a", "limit": 3, "options": {"deep": True}, "more": 1}) == []


def test_every_misfit_is_told_with_its_place() -> None:
    assert paths(SCHEMA, {"limit": 0, "options": {"deep": "yes"}}) == ["/limit", "/options/deep", ""]


def test_at_most_five_are_told() -> None:
    schema: JsonObject = {"items": {"type": "string"}}
    assert len(paths(schema, list[Json](range(100)))) == 5


def test_what_a_strict_server_does_not_name_is_a_misfit_at_the_top_and_below() -> None:
    value: JsonObject = {"path": "/a", "new": 1, "options": {"deep": True, "new": 1}, "rows": [{"id": 1, "new": 2}]}
    assert paths(SCHEMA, value) == []
    assert sorted(paths(SCHEMA, value, strict=True)) == ["", "/options", "/rows/0"]


def test_a_schema_that_says_itself_what_more_may_come_keeps_its_word_under_strict() -> None:
    schema: JsonObject = {"properties": {"a": {"properties": {}, "additionalProperties": {"type": "string"}}}}
    assert paths({**schema, "additionalProperties": True}, {"b": 1, "a": {"c": "d"}}, strict=True) == []


def test_strict_closes_an_older_dialect_too() -> None:
    schema: JsonObject = {"$schema": "http://json-schema.org/draft-07/schema#", "properties": {"a": {}}}
    assert paths(schema, {"b": 1}, strict=True) == [""]


def test_strict_leaves_alone_what_has_no_members() -> None:
    assert paths({"properties": {"a": True, "b": {"items": {"type": "string"}}}}, {"a": 1, "b": []}, strict=True) == []


def test_references_lead_into_the_schema_itself() -> None:
    schema: JsonObject = {
        "$id": "https://example.invalid/tool",
        "$defs": {
            "n": {"type": "integer"},
            "tree": {"properties": {"next": {"$ref": "#/$defs/tree"}, "n": {"$ref": "#/$defs/n"}}},
        },
        "$ref": "#/$defs/tree",
    }
    assert paths(schema, {"next": {"next": {"n": "x"}}}) == ["/next/next/n"]


@pytest.mark.parametrize("ref", ["https://example.invalid/x", "#/$defs/none", "file:///etc/passwd", "other.json"])
def test_a_reference_out_of_the_schema_is_not_followed(ref: str) -> None:
    with pytest.raises(UnusableSchemaError, match="nothing is fetched"):
        paths({"$ref": ref}, {})


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "strng"},
        {"properties": []},
        {"$schema": "urn:of-my-own"},
        {"$schema": 7},
        {"pattern": "("},
        {"description": "x" * MAX_BYTES},
        {"patternProperties": {"^a": {}}, "unevaluatedProperties": False},
        {"properties": MANY},
        {"$defs": dict.fromkeys(MANY, True)},
        {"allOf": list(MANY.values())},
    ],
)
def test_what_is_no_schema_cannot_be_used(schema: JsonObject) -> None:
    with pytest.raises(UnusableSchemaError):
        Compiled(schema)


def test_a_schema_of_very_many_small_parts_is_refused_before_it_is_compiled() -> None:
    many: JsonObject = {f"a{number}": {} for number in range(11_000)}
    no_schema: JsonObject = {"properties": {**many, "b": {"type": 5}}}  # compiling it would say so
    with pytest.raises(UnusableSchemaError, match="more than 2000 parts"):
        Compiled(no_schema)


def test_a_schema_of_as_many_parts_as_may_be_is_used() -> None:
    schema: JsonObject = {"properties": {f"a{number}": {"type": "string"} for number in range(MAX_PARTS - 2)}}
    assert paths(schema, {"a7": 1}) == ["/a7"]


def test_an_older_dialect_is_understood() -> None:
    schema: JsonObject = {"$schema": "http://json-schema.org/draft-04/schema#", "maximum": 3, "exclusiveMaximum": True}
    assert paths(schema, 3) == [""]


def test_a_schema_that_asks_for_endless_work_is_given_up() -> None:
    defs: JsonObject = {"a0": {"type": "object"}}
    for level in range(1, 60):
        defs[f"a{level}"] = {"allOf": [{"$ref": f"#/$defs/a{level - 1}"}, {"$ref": f"#/$defs/a{level - 1}"}]}
    with pytest.raises(TooMuchWorkError):
        Compiled({"$defs": defs, "$ref": "#/$defs/a59"}).misfits({}, 2, 10_000)


def test_a_schema_that_refers_to_itself_without_end_is_given_up() -> None:
    with pytest.raises(TooMuchWorkError):
        Compiled({"$ref": "#"}).misfits({}, 2)


@pytest.mark.parametrize(
    "schema",
    [
        {"propertyNames": {"pattern": PATTERN_BOMB}},
        {"patternProperties": {PATTERN_BOMB: {"type": "integer"}}, "additionalProperties": False},
    ],
)
def test_a_pattern_that_would_take_for_ever_does_not(schema: JsonObject) -> None:
    assert paths(schema, {"a" * 5_000 + "!": 1}) != []


def test_members_by_pattern_are_held_to_its_schema() -> None:
    schema: JsonObject = {"patternProperties": {"^x-": {"type": "integer"}}, "additionalProperties": {"type": "string"}}
    assert paths(schema, {"x-a": 1, "b": "c"}) == []
    assert paths(schema, {"x-a": "1", "b": 2}) == ["/*", "/*"]
    assert paths(schema, "no object") == []


def test_a_pattern_that_looks_around_is_not_checked_and_under_strict_not_used() -> None:
    schema: JsonObject = {
        "pattern": "^(?!x)",
        "patternProperties": {"(?=y)": {"type": "string"}},
        "additionalProperties": False,
    }
    assert paths(schema, "x") == []
    assert paths(schema, {"y": 1}) == []
    with pytest.raises(UnusableSchemaError):
        Compiled({"pattern": "^(?!x)"}, strict=True)


@pytest.mark.parametrize(("items", "unique"), [([1, 2], True), ([{"a": 1}, {"a": 1.0}], False), ([True, 1], True)])
def test_items_are_compared_by_what_they_mean(items: list[Json], *, unique: bool) -> None:
    assert (paths({"uniqueItems": True}, items) == []) is unique
    assert paths({"uniqueItems": False}, items) == []


def test_many_items_are_told_apart_quickly() -> None:
    assert paths({"uniqueItems": True}, [{"n": number} for number in range(20_000)]) == []
    with pytest.raises(TooMuchWorkError):
        Compiled({"uniqueItems": True}).misfits(list[Json](range(200)), 400, 100)


async def test_a_schema_is_compiled_once_and_what_cannot_be_used_is_remembered() -> None:
    schemas = Schemas(most=2)
    first = await schemas.compiled("d1", "inputSchema", SCHEMA)
    assert await schemas.compiled("d1", "inputSchema", SCHEMA) is first
    assert await schemas.compiled("d1", "inputSchema", SCHEMA, strict=True) is not first
    for _ in range(2):
        with pytest.raises(UnusableSchemaError):
            await schemas.compiled("d2", "inputSchema", {"type": "strng"})
    assert await schemas.compiled("d1", "inputSchema", SCHEMA) is not first


async def test_a_large_schema_is_compiled_in_a_thread() -> None:
    large: JsonObject = {"properties": {f"a{number}": {"type": "string"} for number in range(100)}}
    compiled = await Schemas().compiled("d1", "inputSchema", large)
    assert compiled.misfits({"a99": 1}, 10) != []


async def test_many_calls_at_once_compile_a_schema_once() -> None:
    large: JsonObject = {"properties": {f"a{number}": {"type": "string"} for number in range(100)}}
    schemas, found = Schemas(), list[Compiled]()

    async def one() -> None:
        found.append(await schemas.compiled("d1", "inputSchema", large))

    async with anyio.create_task_group() as group:
        for _ in range(5):
            group.start_soon(one)
    assert len({id(compiled) for compiled in found}) == 1


async def test_a_schema_waits_for_no_other_that_takes_long(monkeypatch: pytest.MonkeyPatch) -> None:
    schemas, going, may_end = Schemas(), anyio.Event(), anyio.Event()

    async def slowly(work: Callable[[], Compiled], **more: object) -> Compiled:
        going.set()
        await may_end.wait()
        return work()

    monkeypatch.setattr("governance.catalog.schemas.to_thread.run_sync", slowly)
    large: JsonObject = {"properties": {f"a{number}": {"type": "string"} for number in range(500)}}
    with anyio.fail_after(30):
        async with anyio.create_task_group() as group:
            group.start_soon(schemas.compiled, "large", "inputSchema", large)
            await going.wait()
            await schemas.compiled("small", "inputSchema", SCHEMA)
            may_end.set()
    assert await schemas.compiled("large", "inputSchema", large)


async def test_a_call_that_leaves_while_its_schema_is_compiled_holds_up_no_other(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    schemas, going = Schemas(), anyio.Event()

    async def never(work: Callable[[], Compiled], **more: object) -> Compiled:
        going.set()
        await anyio.sleep_forever()
        return work()

    large: JsonObject = {"properties": {f"a{number}": {"type": "string"} for number in range(500)}}
    with monkeypatch.context() as patched:
        patched.setattr("governance.catalog.schemas.to_thread.run_sync", never)
        async with anyio.create_task_group() as group:
            group.start_soon(schemas.compiled, "large", "inputSchema", large)
            await going.wait()
            group.cancel_scope.cancel()
    with anyio.fail_after(30):
        assert await schemas.compiled("large", "inputSchema", large)


def test_an_anchor_is_found_without_looking_through_the_schema_again() -> None:
    many: JsonObject = {f"x{number}": {"type": "string"} for number in range(1400)}
    schema: JsonObject = {"$defs": {**many, "c": {"$anchor": "foo"}}, "allOf": list[Json]([{"$ref": "#foo"}]) * 500}
    compiled = Compiled(schema)
    begun = process_time()
    assert compiled.misfits(1, 1) == []
    assert process_time() - begun < 20  # half a million looks took minutes


def test_a_reference_to_a_dialect_leads_to_it_and_nothing_is_fetched() -> None:
    schema: JsonObject = {"$ref": "https://json-schema.org/draft/2020-12/schema"}
    assert paths(schema, {"type": "object"}) == []
    assert paths(schema, {"type": 5}) != []
