"""Other ids in the same bytes."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcp_proxy.transports.splice import LARGE, Path, with_ids

_TOKEN = ("params", "_meta", "progressToken")
_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4) | st.just("id"), inner, max_size=3),
    max_leaves=12,
)


def test_only_the_id_is_another() -> None:
    raw = b' { "a":[1e2,{"id":7}], "b":"\\"id\\":7,}", "id" : 7 ,"c":"\\u00fc\\\\"}\n'
    assert with_ids(raw, [(("id",), "x")]) == raw.replace(b'"id" : 7', b'"id" : "x"')


@pytest.mark.parametrize("old", [b"7", b"-7", b'"a\\"b"', b'"\xc3\xbc"', b'""', b"0"])
@pytest.mark.parametrize(
    "form",
    [
        b'{"id":%b,"result":{"id":1}}',
        b'{"jsonrpc" : "2.0", "id": %b,"result":{"id":1}}',
        b'{"result":{"id":"}"},"id": %b }',
        b'{"result":{"id":"}"},"id": %b ,"jsonrpc":"2.0"}',
        b'{"result":{"id":"}"},"id":%b,"x":[{"id":2}]}',
        b'{"id":%b}',
    ],
)
def test_an_id_is_found_first_last_and_between(form: bytes, old: bytes) -> None:
    assert with_ids(form % old, [(("id",), 12)]) == form % b"12"


def test_names_may_be_spelled_with_escapes() -> None:
    assert with_ids(b'{"i\\u0064":1,"x":2}', [(("id",), 3)]) == b'{"i\\u0064":3,"x":2}'


@pytest.mark.parametrize(
    "arguments",
    [
        b'{"progressToken":"t"}',
        b'{"a":"\\"progressToken\\":","_meta":{"progressToken":"t"}}',
        b'{"\\"progressToken":"t"}',
        b'{"a":", \\"progressToken\\":1"}',
        b'{"x":"\\u00fc"}',
    ],
)
@pytest.mark.parametrize("name", [b"progressToken", b"progress\\u0054oken"])
def test_what_stands_in_the_arguments_is_never_touched(arguments: bytes, name: bytes) -> None:
    before = b'{"jsonrpc":"2.0","id":1,"params":{"arguments":' + arguments + b',"_meta":{"a":[],"' + name + b'":'
    told = with_ids(before + b'"t","z":1.0}}}', [(("id",), 123456), (_TOKEN, 99)])
    assert told == before.replace(b'"id":1', b'"id":123456') + b'99,"z":1.0}}}'


@pytest.mark.parametrize("path", [("id",), ("params", "x"), ("params", "list"), ("result",), ("a", "b")])
def test_what_cannot_be_found_is_said(path: Path) -> None:
    assert with_ids(b'{"params":{"id":1,"list":["id"]},"a":"b"}', [(path, 1)]) is None


def test_a_large_message_is_not_walked_through() -> None:
    long = b"[" + b"0," * LARGE + b"0]"
    assert with_ids(b'{"a":' + long + b',"id":1,"b":2}', [(("id",), 5)]) is None
    assert with_ids(b'{"a":' + long + b',"id":1}', [(("id",), 5)]) == b'{"a":' + long + b',"id":5}'


@given(st.dictionaries(st.text(max_size=4), _VALUES, max_size=4), st.integers(0, 4), st.booleans())
def test_a_message_says_the_same_apart_from_its_id(members: dict[str, Any], place: int, ascii_only: bool) -> None:
    items = [(name, value) for name, value in members.items() if name != "id"]
    items.insert(place, ("id", "old"))
    raw = json.dumps(dict(items), ensure_ascii=ascii_only).encode("utf-8", "replace")
    told = with_ids(raw, [(("id",), 5)])
    assert told is not None
    assert json.loads(told) == {**json.loads(raw), "id": 5}
