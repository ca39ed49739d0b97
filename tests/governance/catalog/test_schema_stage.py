"""Calls and results that do not fit their schemas are refused with what would fit."""

from dataclasses import replace
from typing import Any

import pytest

from governance.catalog.catalog import Catalog, MemoryDefinitions
from governance.catalog.schema_stage import SchemaStage
from governance.config.models import McpServer
from governance.exchange import Action, Body, Exchange, Phase
from governance.jsontree import Json, JsonObject
from governance.verdict import ALLOWED, Decision, Verdict
from tests.governance.catalog.test_stage import call
from tests.thoughts import told

TOOL: JsonObject = {
    "name": "read",
    "inputSchema": {"type": "object", "properties": {"path": {"type": "string"}}, "required": ["path"]},
    "outputSchema": {"type": "object", "properties": {"size": {"type": "integer"}}},
}


async def judged(exchange: Exchange, phase: Phase = Phase.REQUEST, tool: JsonObject = TOOL, **settings: Any) -> Verdict:
    catalog = Catalog(MemoryDefinitions())
    await catalog.learn("files", [tool])
    return await told(SchemaStage(catalog, {"files": McpServer(**settings)} if settings else {}).judge(exchange, phase))


def answered(result: Json) -> Exchange:
    return replace(call(), response=Body({"jsonrpc": "2.0", "id": 1, "result": result}))


async def test_arguments_that_fit_are_let_through() -> None:
    assert await judged(call(arguments={"path": "a"})) is ALLOWED


async def test_arguments_that_do_not_fit_are_refused_with_the_place() -> None:
    verdict = await judged(call(arguments={"path": 7}))
    assert (verdict.decision, verdict.rule) == (Decision.DENY, "schema.arguments")
    assert "`/path` must be of type string" in verdict.reason


@pytest.mark.parametrize(
    "of",
    [
        {"type": "integer"},
        {"anyOf": [{"type": "integer"}, {"type": "string"}]},
        {"enum": [1, 2]},
        {"$ref": "#/$defs/n"},
    ],
)
async def test_a_null_for_an_optional_argument_is_refused_and_the_model_told_to_leave_it_out(of: JsonObject) -> None:
    schema: JsonObject = {"$defs": {"n": {"type": "integer"}}, "type": "object", "properties": {"limit": of}}
    verdict = await judged(call(arguments={"limit": None}), tool={"name": "read", "inputSchema": schema})
    assert (verdict.decision, verdict.rule) == (Decision.DENY, "schema.arguments")
    assert verdict.reason.endswith("call again; leave an optional argument out instead of sending `null`")


async def test_a_null_that_the_schema_allows_is_let_through() -> None:
    schema: JsonObject = {"properties": {"limit": {"type": ["integer", "null"]}}}
    assert await judged(call(arguments={"limit": None}), tool={"name": "read", "inputSchema": schema}) is ALLOWED


async def test_however_much_does_not_fit_the_model_is_told_to_leave_nulls_out() -> None:
    words: list[Json] = ["x" * 150 for _ in range(20)]
    schema: JsonObject = {"properties": {f"a{number}": {"enum": words} for number in range(5)}}
    arguments: JsonObject = {f"a{number}": None for number in range(5)}
    verdict = await judged(call(arguments=arguments), tool={"name": "read", "inputSchema": schema})
    assert verdict.reason.endswith("instead of sending `null`")


async def test_nothing_is_said_of_nulls_where_there_is_none() -> None:
    assert "null" not in (await judged(call(arguments={"path": 7}))).reason


async def test_missing_arguments_are_an_empty_object() -> None:
    verdict = await judged(call())
    assert "the arguments object must have the member `path`" in verdict.reason


async def test_unknown_members_are_refused_where_the_server_is_strict() -> None:
    exchange = call(arguments={"path": "a", "x": 1})
    assert await judged(exchange) is ALLOWED
    assert (await judged(exchange, strict=True)).rule == "schema.arguments"


async def test_a_server_may_be_warned_of_only_or_left_alone() -> None:
    assert (await judged(call(), schemas="warn")).decision is Decision.WARN
    assert await judged(call(), schemas="off") is ALLOWED


async def test_a_structured_result_is_held_to_its_schema() -> None:
    assert await judged(answered({"structuredContent": {"size": 1}}), Phase.RESPONSE) is ALLOWED
    verdict = await judged(answered({"structuredContent": {"size": "1"}}), Phase.RESPONSE)
    assert (verdict.decision, verdict.rule) == (Decision.DENY, "schema.result")
    assert "the tool ran" in verdict.reason


@pytest.mark.parametrize("result", [{"content": []}, {"isError": True, "structuredContent": {"size": "1"}}])
async def test_an_error_and_an_unstructured_result_need_not_fit(result: Json) -> None:
    assert await judged(answered(result), Phase.RESPONSE) is ALLOWED


async def test_a_structured_result_without_a_schema_passes() -> None:
    assert await judged(answered({"structuredContent": 1}), Phase.RESPONSE, {"name": "read"}) is ALLOWED
    assert await judged(call(), Phase.RESPONSE) is ALLOWED


async def test_a_tool_without_a_schema_takes_anything() -> None:
    assert await judged(call(arguments={"x": 1}), tool={"name": "read"}) is ALLOWED
    assert await judged(call(arguments={"x": 1}), tool={"name": "other"}) is ALLOWED


@pytest.mark.parametrize("schema", ["text", 7, {"type": "strng"}, {"$ref": "https://example.invalid/"}])
async def test_a_schema_that_cannot_be_used_refuses(schema: Json) -> None:
    tool: JsonObject = {"name": "read", "inputSchema": schema, "outputSchema": schema}
    verdict = await judged(call(arguments={}), tool=tool)
    assert (verdict.decision, verdict.rule) == (Decision.DENY, "schema.unusable")
    verdict = await judged(answered({"structuredContent": {}}), Phase.RESPONSE, tool)
    assert (verdict.decision, verdict.rule) == (Decision.DENY, "schema.unusable")


async def test_a_schema_without_end_refuses() -> None:
    tool: JsonObject = {"name": "read", "inputSchema": {"$ref": "#"}, "outputSchema": {"$ref": "#"}}
    assert (await judged(call(arguments={}), tool=tool)).rule == "schema.endless"
    assert (await judged(answered({"structuredContent": {}}), Phase.RESPONSE, tool)).rule == "schema.endless"


async def test_a_large_value_is_held_to_its_schema_in_a_thread() -> None:
    tool: JsonObject = {"name": "read", "inputSchema": {"properties": {"n": {"items": {"type": "integer"}}}}}
    assert await judged(call(arguments={"n": list[Json](range(20_000))}), tool=tool) is ALLOWED
    assert (await judged(call(arguments={"n": [*range(20_000), "x"]}), tool=tool)).rule == "schema.arguments"


async def test_it_has_nothing_to_say_about_other_requests() -> None:
    assert await judged(call(action=Action.PROMPT_GET)) is ALLOWED
