"""Which strings are words and which are data."""

import pytest

from gateway.dialects.speech import event_value, is_opaque
from governance.jsontree import MalformedError

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
