"""Which messages are read, and which are refused unread."""

import json
from typing import Any

import pytest
from mcp_types.methods import SPEC_CLIENT_METHODS

from mcp_proxy.message import REQUEST_METHODS, MalformedMessageError, Message

CALL: dict[str, Any] = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "t"}}


def raw(**changes: Any) -> bytes:
    return json.dumps({**CALL, **changes}).encode()


def without(name: str) -> bytes:
    return json.dumps({key: value for key, value in CALL.items() if key != name}).encode()


def test_a_request_is_read_with_its_own_bytes() -> None:
    text = b' {"jsonrpc":"2.0","id":0,"method":"tools/call","params":{"name":"t"},"x":1} '
    message = Message.parse(text)
    assert (message.raw, message.id, message.method) == (text, 0, "tools/call")
    assert message.is_request
    assert not message.is_notification
    assert not message.is_response


def test_a_notification_and_a_response_are_told_apart() -> None:
    assert Message.parse(b'{"jsonrpc":"2.0","method":"notifications/x"}').is_notification
    assert Message.parse(b'{"jsonrpc":"2.0","id":"a","result":{}}').is_response


def test_every_request_of_every_revision_is_known() -> None:
    assert SPEC_CLIENT_METHODS <= REQUEST_METHODS


def test_absent_and_null_parameters_are_the_same() -> None:
    assert Message.parse(b'{"jsonrpc":"2.0","id":1,"method":"ping","params":null}').params == {}
    assert Message.parse(b'{"jsonrpc":"2.0","id":1,"method":"ping","params":{"_meta":null}}').meta == {}


@pytest.mark.parametrize(
    ("text", "code"),
    [
        (b"", -32700),
        (b"{", -32700),
        (b'{"jsonrpc":"2.0","id":1,"id":2,"method":"ping"}', -32700),
        (b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"a","\\u006eame":"b"}}', -32700),
        (b'\xef\xbb\xbf{"jsonrpc":"2.0","id":1,"method":"ping"}', -32700),
        ('{"jsonrpc":"2.0","id":1,"method":"ping"}'.encode("utf-16"), -32700),
        (b'{"jsonrpc":"2.0","id":1,"method":"ping","params":{"a":NaN}}', -32700),
        (b'{"jsonrpc":"2.0","id":1,"method":"ping","params":{"a":1e400}}', -32700),
        (b'{"jsonrpc":"2.0","id":1,"method":"ping","params":{"a":18446744073709551616}}', -32700),
        (b'{"jsonrpc":"2.0","id":1,"method":"ping","params":{"a":"\\ud800"}}', -32700),
        (b'{"jsonrpc":"2.0","id":1,"method":"ping","params":{"a":"\xff"}}', -32700),
        (b'{"jsonrpc":"2.0","id":1,"method":"x","params":' + b'{"a":' * 101 + b"1" + b"}" * 102, -32700),
        (b"[" + raw() + b"]", -32600),
        (b"[]", -32600),
        (b'"x"', -32600),
        (raw(id=None), -32600),
        (raw(id=1.0), -32600),
        (raw(id=1.5), -32600),
        (raw(id=True), -32600),
        (raw(id={}), -32600),
        (raw(id=[1]), -32600),
        (raw(id=2**53), -32600),
        (raw(jsonrpc="1.0"), -32600),
        (raw(jsonrpc=2.0), -32600),
        (without("jsonrpc"), -32600),
        (without("id"), -32600),
        (raw(params=[]), -32600),
        (raw(params="x"), -32600),
        (raw(result={}), -32600),
        (raw(error={}), -32600),
        (raw(ID=2), -32600),
        (raw(Method="ping"), -32600),
        (raw(PARAMS={}), -32600),
        ('{"jsonrpc":"2.0","id":1,"method":"ping","param\u017f":{}}'.encode(), -32600),
        (raw(params={"name": "a", "Name": "b"}), -32600),
        (raw(params={"name": "a", "ARGUMENTS": {}}), -32600),
        (raw(params={"name": 1}), -32602),
        (raw(params={}), -32602),
        (raw(params={"name": "a", "arguments": []}), -32602),
        (raw(params={"name": "a", "_meta": []}), -32602),
        (raw(method="resources/read", params={"uri": {}}), -32602),
        (raw(method="Tools/Call"), -32600),
        (raw(method=" tools/call "), -32600),
        (raw(method=""), -32600),
        (raw(method=7), -32600),
        (b'{"jsonrpc":"2.0","id":1}', -32600),
        (b'{"jsonrpc":"2.0","result":{}}', -32600),
        (b'{"jsonrpc":"2.0","id":1,"result":{},"error":{"code":1,"message":""}}', -32600),
    ],
)
def test_a_message_that_can_be_read_in_two_ways_is_refused(text: bytes, code: int) -> None:
    with pytest.raises(MalformedMessageError) as refused:
        Message.parse(text)
    assert refused.value.code == code


@pytest.mark.parametrize("text", [raw(params=[]), raw(jsonrpc="1"), raw(Method="x"), raw(method="TOOLS/CALL")])
def test_a_refusal_carries_the_id_where_there_is_one(text: bytes) -> None:
    with pytest.raises(MalformedMessageError) as refused:
        Message.parse(text)
    assert refused.value.request_id == 1


def test_an_escaped_method_is_the_method_it_spells() -> None:
    assert Message.parse(b'{"jsonrpc":"2.0","id":1,"m\\u0065thod":"tools/c\\u0061ll","params":{"name":"t"}}').is_request


def test_no_text_of_the_message_is_in_the_refusal() -> None:
    with pytest.raises(MalformedMessageError) as refused:
        Message.parse(raw(method="TOOLS/call", params={"secret": "hunter2"}))
    assert "hunter2" not in str(refused.value)
    assert "TOOLS" not in str(refused.value)


@pytest.mark.parametrize("tail", [b'"id":null,', b""])
def test_only_a_server_may_send_an_error_without_an_id(tail: bytes) -> None:
    text = b'{"jsonrpc":"2.0",' + tail + b'"error":{"code":-32700,"message":"?"}}'
    assert Message.parse_upstream(text).id is None
    with pytest.raises(MalformedMessageError):
        Message.parse(text)


def test_vendor_parameters_may_have_any_name() -> None:
    assert Message.parse(b'{"jsonrpc":"2.0","id":1,"method":"vendor/x","params":{"Name":1}}').params == {"Name": 1}


def test_a_message_of_our_own_reads_as_it_was_built() -> None:
    built = Message.build({"jsonrpc": "2.0", "id": "a", "result": {"x": [1]}})
    assert Message.parse_upstream(built.raw).value == built.value
