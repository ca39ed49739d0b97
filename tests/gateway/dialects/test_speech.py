"""Which strings are words and which are data."""

import orjson
import pytest

from gateway.dialects import DIALECTS
from gateway.dialects.dialect import Dialect, Reading
from gateway.dialects.speech import event_value, is_opaque, spliced
from governance.jsontree import Json, MalformedError
from governance.sse import SseEvent

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


@pytest.mark.parametrize(
    ("data", "after"),
    [
        (b'{"x": {"a":"old"}, "n": 1.50}', b'{"x": {"a":"new \\"1\\""}, "n": 1.50}'),
        (b'{"x":{"a":"old"},"b":"older"}', b'{"x":{"a":"new \\"1\\""},"b":"older"}'),
        (b'{"x":{"a":"old"},"b":"old"}', None),
        (b'{"x":{"a":"old"},"old":1}', None),
        (b'{"x":{"a":"\\u006fld"},"b":"old"}', None),
        (b'{"x":{"a":"o\\u006cd"}}', None),
    ],
)
def test_a_text_is_replaced_in_its_own_bytes_only_where_it_is_certain_which_they_are(
    data: bytes, after: bytes | None
) -> None:
    event = SseEvent(data=data, raw=b"data: " + data + b"\n\n")
    spliced_event = spliced(Reading(event, orjson.loads(data)), {"/x/a": 'new "1"'})
    assert spliced_event == (None if after is None else b"data: " + after + b"\n\n")


def test_a_text_that_is_also_what_stands_between_two_others_is_not_taken_for_them() -> None:
    for data in (b'{"x":{"a":":"},"b":"c"}', b'{"x":{"a":":"}}'):
        event = SseEvent(data=data, raw=b"data: " + data + b"\n\n")
        assert spliced(Reading(event, orjson.loads(data)), {"/x/a": ""}) is None


def test_two_texts_are_left_to_whoever_writes_the_event_anew() -> None:
    data = b'{"a":"1","b":"2"}'
    assert spliced(Reading(SseEvent(data=data, raw=data), orjson.loads(data)), {"/a": "", "/b": ""}) is None
