"""Structured content in which something was replaced: it fits its tool's schema, or the result is refused."""

from pathlib import Path
from typing import Any

import pytest

from governance.jsontree import Json
from mcp_proxy.output_schemas import fits
from tests.mcp_proxy.walled import SSN, walled

REDACTED = "[REDACTED:pii.ssn]"
DOUBLING: dict[str, Json] = {
    f"a{n}": {"allOf": [{"$ref": f"#/$defs/a{n + 1}"}, {"$ref": f"#/$defs/a{n + 1}"}]} for n in range(40)
}


@pytest.mark.parametrize(
    ("schema", "value", "fitting"),
    [
        ({"type": "object", "properties": {"a": {"type": "string"}}}, {"a": REDACTED}, True),
        ({"properties": {"a": {"maxLength": 11}}}, {"a": REDACTED}, False),
        ({"properties": {"a": {"enum": ["x", "y"]}}}, {"a": REDACTED}, False),
        ({"properties": {"a": {"pattern": "^[0-9-]+$"}}}, {"a": REDACTED}, False),
        ({"properties": {"b": {"pattern": "^(a+)+$"}}}, {"a": REDACTED, "b": "a" * 40 + "!"}, True),
        ({"patternProperties": {"^(a+)+$": {"maxLength": 3}}}, {"a" * 40 + "!": REDACTED}, False),
        ({"uniqueItems": True}, [REDACTED, REDACTED], False),
        ({"uniqueItems": True}, [REDACTED, 1], True),
        ({"$ref": "#"}, REDACTED, False),
        ({"$ref": "https://example.invalid/schema"}, REDACTED, False),
        ({"$ref": "#/$defs/a0", "$defs": {**DOUBLING, "a40": {}}}, REDACTED, False),
        ({"type": 7}, REDACTED, False),
        ({"maxLength": "x"}, REDACTED, False),
    ],
)
def test_an_edited_value_fits_or_is_said_not_to(schema: dict[str, Json], value: Json, fitting: bool) -> None:
    assert fits(schema, value) is fitting


@pytest.mark.parametrize(("bound", "passes"), [({}, True), ({"maxLength": 11}, False)])
async def test_structured_content_that_fits_no_more_is_refused(tmp_path: Path, bound: Any, passes: bool) -> None:
    async with walled(tmp_path) as wall:
        schema = {"type": "object", "properties": {"ssn": {"type": "string", **bound}}}
        wall.answers("tools/list", {"tools": [{"name": "t", "inputSchema": {}, "outputSchema": schema}]})
        await wall.client.call("tools/list")
        wall.answers("tools/call", {"content": [], "structuredContent": {"ssn": SSN}})
        result = (await wall.client.tool("t"))["result"]
        if passes:
            assert result["structuredContent"] == {"ssn": REDACTED}
        else:
            assert "`outputSchema`" in result["content"][0]["text"]
            assert [one["rule"] for one in await wall.world.events("exchange.withheld")] == ["catalog.output"]
        wall.answers("tools/call", {"content": [], "structuredContent": {"ssn": "too long, but the server's own"}})
        assert "structuredContent" in (await wall.client.tool("t"))["result"]
