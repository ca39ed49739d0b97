"""The chain holds to its vectors, and the canonical form to RFC 8785."""

import hashlib
import hmac
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from governance.audit import chain
from governance.audit.event import Value

NAMES = st.from_regex(r"[a-z][a-z0-9_]{0,20}", fullmatch=True)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]))
INTEGERS = st.integers(-(2**53) + 1, 2**53 - 1)
VALUES = st.none() | st.booleans() | TEXTS | INTEGERS | st.lists(TEXTS)


def rfc_8785(fields: dict[str, Value]) -> bytes:
    """The canonical form by another hand, for flat fields without floats."""
    ordered = sorted(fields.items(), key=lambda item: item[0].encode("utf-16-be"))
    return json.dumps(dict(ordered), ensure_ascii=False, separators=(",", ":")).encode()


def test_the_first_two_links_are_those_of_the_published_vectors() -> None:
    first = chain.link(chain.GENESIS, 0, b'{"seq":0}')
    second = chain.link(first, 1, b'{"seq":1}')

    assert first.hex() == "29eabac9a7d90dfd29f3fa6d82cc8dbec97ea0dfe1d9c3ea221be4ace00fbafc"
    assert second.hex() == "627df1f7e6256c421b4fbcb440d750a650d84f4b9721b0c0d18cc55f69eb0046"


def test_the_seal_is_that_of_the_published_vector() -> None:
    first = chain.link(chain.GENESIS, 0, b'{"seq":0}')

    assert chain.seal(bytes(range(32)), first).hex() == (
        "3b8711fb39c123546b78e590916d8f81a9c7466d1198f11110f14b0f29792d4e"
    )


@given(st.binary(min_size=32, max_size=32), st.integers(0, 2**64 - 1), st.binary())
def test_a_link_is_the_hash_of_previous_place_and_body(previous: bytes, seq: int, body: bytes) -> None:
    whole = previous + seq.to_bytes(8, "big") + hashlib.sha256(body).digest()

    assert chain.link(previous, seq, body) == hashlib.sha256(whole).digest()
    assert chain.seal(previous, whole) == hmac.new(previous, whole, "sha256").digest()


@given(st.dictionaries(NAMES, VALUES))
def test_the_canonical_form_is_that_of_rfc_8785(fields: dict[str, Value]) -> None:
    assert chain.encode(fields) == rfc_8785(fields)


@given(st.dictionaries(NAMES, VALUES))
def test_what_was_encoded_reads_back_and_encodes_the_same(fields: dict[str, Value]) -> None:
    body = chain.encode(fields)

    assert json.loads(body) == fields
    assert chain.encode(json.loads(body)) == body


@pytest.mark.parametrize(
    "value",
    [1.0, float("nan"), b"bytes", ["text", 1], [["text"]], {"a": "b"}, ("text",), object()],
    ids=["float", "nan", "bytes", "mixed list", "nested list", "object", "tuple", "thing"],
)
def test_a_value_of_another_kind_is_refused_by_the_name_of_its_field(value: object) -> None:
    fields: dict[str, object] = {"good": "x", "cost": value}

    with pytest.raises(ValueError, match="field `cost` holds neither text, a whole number"):
        chain.encode(fields)  # pyright: ignore[reportArgumentType] - the very mistake that is tried


@pytest.mark.parametrize("number", [2**53, -(2**53), 2**63, 2**64, 10**40])
def test_an_integer_that_readers_would_round_is_refused(number: int) -> None:
    with pytest.raises(ValueError, match=r"field `tokens` holds a number beyond 2\^53-1"):
        chain.encode({"tokens": number})


@pytest.mark.parametrize("value", ["half \ud83d", ["fine", "\udc00"]])
def test_half_a_character_is_refused(value: Value) -> None:
    with pytest.raises(ValueError, match="field `reason` holds half a character"):
        chain.encode({"reason": value})


@pytest.mark.parametrize("name", ["", "Größe", "with space", "Upper", "9th", "a" * 65, "a\n"])
def test_a_name_outside_ascii_lower_case_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="a field has a name that is not"):
        chain.encode({name: "x"})


def test_no_error_tells_a_value() -> None:
    with pytest.raises(ValueError, match="field `reason`") as caught:
        chain.encode({"reason": "secret-token \ud83d"})

    assert "secret-token" not in str(caught.value)
