"""Tool calls in answers of models, as they are found again when they are made."""

import json

import pytest

from gateway.dialects.calls import tool_use, tool_use_of_text
from governance import jsontree
from governance.exchange import ToolUse
from governance.jsontree import Json

GIVEN: Json = {"text": "hello"}
MEANT = ToolUse("call_1", "mcp__ledger__mark", jsontree.digest(GIVEN))


def test_a_call_by_way_of_another_tool_is_the_call_that_is_meant() -> None:
    carried: Json = {"name": "mcp__ledger__mark", "arguments": GIVEN}
    assert tool_use("call_1", "tool_call", carried) == MEANT
    assert tool_use_of_text("call_1", "tool_call", json.dumps(carried)) == MEANT


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("mark", {"name": "mcp__ledger__mark", "arguments": {}}),
        ("tool_call", {"name": "mcp__ledger__mark"}),
        ("tool_call", {"name": "mcp__ledger__mark", "arguments": {}, "more": 1}),
        ("tool_call", {"name": 1, "arguments": {}}),
        ("tool_call", {"name": "mcp__ledger__mark", "arguments": "{}"}),
    ],
)
def test_any_other_call_is_what_it_says(name: str, arguments: Json) -> None:
    assert tool_use("call_1", name, arguments) == ToolUse("call_1", name, jsontree.digest(arguments))


def test_arguments_that_are_no_json_have_no_digest() -> None:
    assert tool_use_of_text("call_1", "tool_call", '{"name": ') == ToolUse("call_1", "tool_call", "")
