"""Which era a request speaks, and which headers go with its body."""

import pytest

from governance.jsontree import JsonObject
from mcp_proxy.eras import ParamHeaders, check_modern, era_of, status_of
from mcp_proxy.link import Era
from mcp_proxy.message import MalformedMessageError, Message
from tests.mcp_proxy.harness import SeenTools

SCHEMA: JsonObject = {
    "type": "object",
    "properties": {"region": {"type": "string", "x-mcp-header": "Region"}, "free": {"type": "string"}},
}


def call(arguments: JsonObject, method: str = "tools/call") -> Message:
    return Message.build({"jsonrpc": "2.0", "id": 1, "method": method, "params": {"name": "t", "arguments": arguments}})


async def known(schema: JsonObject) -> ParamHeaders:
    catalog = SeenTools()
    await catalog.learn("up", [{"name": "t", "inputSchema": schema}])
    return ParamHeaders(catalog)


@pytest.mark.parametrize("version", [None, "2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25"])
def test_no_version_and_handshake_versions_are_legacy(version: str | None) -> None:
    assert era_of(version) is Era.LEGACY


@pytest.mark.parametrize("version", ["2026-07-28", "2099-01-01", "", "zzz"])
def test_every_other_version_is_modern_and_must_prove_itself(version: str) -> None:
    assert era_of(version) is Era.MODERN


@pytest.mark.parametrize(("code", "status"), [(-32601, 404), (-32602, 400), (-32020, 400), (-32603, 200), (7, 200)])
def test_the_status_fits_the_error(code: int, status: int) -> None:
    error = Message.build({"jsonrpc": "2.0", "id": 1, "error": {"code": code, "message": ""}})
    assert status_of(error, 200) == status
    assert status_of(error, 503) == 503


def test_a_result_is_a_success() -> None:
    assert status_of(Message.build({"jsonrpc": "2.0", "id": 1, "result": {}}), 200) == 200


async def test_a_header_must_equal_its_argument() -> None:
    rules = await known(SCHEMA)
    rules.check("up", call({"region": "eu"}), {"mcp-param-region": "eu"})
    rules.check("up", call({"region": "ü"}), {"mcp-param-region": "=?base64?w7w=?="})
    rules.check("up", call({}), {})
    for headers in ({}, {"mcp-param-region": "us"}, {"mcp-param-region": "=?base64?!?="}):
        with pytest.raises(MalformedMessageError) as refused:
            rules.check("up", call({"region": "eu"}), headers)
        assert refused.value.code == -32020


async def test_an_unlisted_tool_is_left_to_its_server() -> None:
    rules = ParamHeaders(SeenTools())
    rules.check("up", call({"region": "eu", "n": [3, True]}), {"mcp-param-a": "eu", "mcp-param-b": "3"})


async def test_a_header_says_nothing_that_the_arguments_do_not() -> None:
    for rules in (ParamHeaders(SeenTools()), await known(SCHEMA)):
        for text in ("secret", "=?base64?c2VjcmV0?=", "=?base64?!?="):
            with pytest.raises(MalformedMessageError) as refused:
                rules.check("up", call({"region": "eu"}), {"mcp-param-region": "eu", "mcp-param-other": text})
            assert refused.value.code == -32020
        with pytest.raises(MalformedMessageError):
            rules.check("up", call({}, "tools/list"), {"mcp-param-region": "eu"})


@pytest.mark.parametrize(
    "headers", [{"mcp-method": "notifications/other"}, {"mcp-name": "secret"}, {"mcp-method": "secret"}]
)
def test_a_notification_has_no_headers_about_something_else(headers: dict[str, str]) -> None:
    note = Message.build({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 1}})
    with pytest.raises(MalformedMessageError):
        check_modern(note, {"mcp-protocol-version": "2026-07-28", **headers}, [])


async def test_headers_are_rewritten_from_the_edited_body() -> None:
    rules = await known(SCHEMA)
    before = {"mcp-param-region": "secret", "mcp-param-other": "secret", "mcp-name": "old", "accept": "x"}
    assert dict(rules.rewritten("up", call({"region": "ü"}), before)) == {
        "mcp-param-region": "=?base64?w7w=?=",
        "mcp-name": "t",
        "accept": "x",
    }


async def test_what_is_not_known_is_left_out() -> None:
    rules = ParamHeaders(SeenTools())
    assert dict(rules.rewritten("up", call({"region": "eu"}), {"mcp-param-region": "secret"})) == {}


async def test_an_invalid_annotation_checks_nothing() -> None:
    rules = await known({"type": "object", "properties": {"a": {"type": "number", "x-mcp-header": "A"}}})
    rules.check("up", call({"a": 1}), {})
