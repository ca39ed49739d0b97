"""Other ids in the same bytes."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcp_proxy.transports.splice import with_ids

_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=12,
)


def test_only_the_id_is_another() -> None:
    raw = b' { "a":[1e2,{"id":7}], "b":"\\"id\\":7,}", "id" : 7 ,"c":"\\u00fc\\\\"}\n'
    assert with_ids(raw, [(("id",), "x")]) == raw.replace(b'"id" : 7', b'"id" : "x"')


@pytest.mark.parametrize("old", [b"7", b"-7", b'"a\\"b"', b'"\xc3\xbc"', b'""', b"0"])
@pytest.mark.parametrize("form", [b'{"id":%b,"result":{"id":1}}', b'{"result":{"id":"}"},"id": %b }', b'{"id":%b}'])
def test_an_id_is_found_first_and_last(form: bytes, old: bytes) -> None:
    assert with_ids(form % old, [(("id",), 12)]) == form % b"12"


def test_names_may_be_spelled_with_escapes() -> None:
    assert with_ids(b'{"i\\u0064":1,"x":2}', [(("id",), 3)]) == b'{"i\\u0064":3,"x":2}'


def test_several_at_once_however_long_they_become() -> None:
    raw = b'{"params":{"arguments":{"_meta":{"progressToken":1}},"_meta":{"a":[],"progressToken":"t"}},"id":1,"z":1.0}'
    told = with_ids(raw, [(("id",), 123456), (("params", "_meta", "progressToken"), 99)])
    assert told == raw.replace(b'"id":1', b'"id":123456').replace(b'"t"', b"99")


def test_what_is_not_there_is_an_error() -> None:
    for path in (("id",), ("params", "x"), ("result",)):
        with pytest.raises(KeyError):
            with_ids(b'{"params":{"id":1}, "list":["id"]}', [(path, 1)])


@given(st.dictionaries(st.text(max_size=4), _VALUES, max_size=4), st.integers(0, 4), st.booleans())
def test_a_message_says_the_same_apart_from_its_id(members: dict[str, Any], place: int, ascii_only: bool) -> None:
    items = [(name, value) for name, value in members.items() if name != "id"]
    items.insert(place, ("id", "old"))
    raw = json.dumps(dict(items), ensure_ascii=ascii_only).encode("utf-8", "replace")
    assert json.loads(with_ids(raw, [(("id",), 5)])) == {**json.loads(raw), "id": 5}
