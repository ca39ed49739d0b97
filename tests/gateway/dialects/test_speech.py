"""Which strings are words and which are data."""

import orjson
import pytest

from gateway.dialects import DIALECTS
from gateway.dialects.dialect import Dialect
from gateway.dialects.speech import event_value, is_opaque
from governance.jsontree import Json, MalformedError

BASE64 = "QUJD" * 30


@pytest.mark.parametrize(
    ("name", "text", "opaque"),
    [
        ("data", BASE64, True),
        ("signature", BASE64 + "QQ==", True),
        ("url", "data:image/png;base64," + BASE64, True),
        ("url", "data:image/png;base64," + BASE64 + " and 536-22-8726", False),
        ("data", "536-22-8726", False),
        ("data", "4111111111111111", False),
        ("data", "plain words that stand in a member called data, and more of them to be long", False),
        ("text", BASE64, False),
    ],
)
def test_only_encoded_bytes_are_opaque(name: str, text: str, opaque: bool) -> None:
    assert is_opaque(name, text) is opaque


@pytest.mark.parametrize("data", [b"", b"{", b'{"a":1,"a":1}', b'"\xff"', b"NaN", b"[" * 5000])
def test_data_that_parsers_read_differently_is_refused(data: bytes) -> None:
    with pytest.raises(MalformedError):
        event_value(data)


@pytest.mark.parametrize("dialect", DIALECTS, ids=lambda one: one.wire)
@pytest.mark.parametrize("messages", [{"0": {"content": "hidden"}}, "hidden", ["hidden"], [["hidden"]]])
def test_what_stands_where_messages_should_is_looked_at_all_the_same(dialect: Dialect, messages: Json) -> None:
    body = dialect.parse(orjson.dumps({"model": "m", "messages": messages})).body
    assert "hidden" in {one.text for one in body.segments}


@pytest.mark.parametrize("dialect", DIALECTS, ids=lambda one: one.wire)
def test_only_the_name_of_the_model_is_fixed(dialect: Dialect) -> None:
    body = dialect.parse(b'{"model":"m","messages":[{"role":"user","content":"m"}]}').body
    assert [one.pointer for one in body.segments if one.fixed] == ["/model"]
