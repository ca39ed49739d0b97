"""What cannot be seen is shown, and what is honest is left alone."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from approvals.visible import escapes, lines, pieces
from governance.jsontree import Json


def restored(text: str) -> str:
    def character(match: re.Match[str]) -> str:
        return chr(int(match[1] or match[2], 16))

    return "".join(
        re.sub(r"\\u(?:\{([0-9a-f]+)\}|([0-9a-f]{4}))", character, piece.text) if piece.note else piece.text
        for piece in pieces(text)
    )


HONEST = [
    "plain",
    "line\nand\ttab",
    "Grüße aus Köln",
    "Привет, мир",
    "日本語 テキスト",
    "שלום",
    "مرحبا",
    "naïve café",
    "2 ≤ 3 → ok",
    "Ελλάδα",
]
HIDDEN = (
    "202a 202e 2066 2069 200e 200f 061c 200b 200c 200d 2060 feff ad 034f 180e 3164 2800 115f a0 2003 3000 2028 2029 "
    "0 1b 7f 85 fe0f e0041 e0100 e000 ffa0"
)


@pytest.mark.parametrize("honest", HONEST)
def test_honest_text_is_left_alone(honest: str) -> None:
    assert escapes(honest) == 0


@pytest.mark.parametrize("point", HIDDEN.split())
def test_what_cannot_be_seen_is_an_escape(point: str) -> None:
    (before, escape, after) = pieces(f"a{chr(int(point, 16))}b")
    assert (before.text, after.text) == ("a", "b")
    assert escape.text.startswith("\\u")
    assert escape.note


@pytest.mark.parametrize("spoof", ["p\u0430ypal", "\u0430pple", "g\u03bfogle", "\uff41bc", "\U0001d41a", "\u2170"])
def test_a_letter_that_looks_like_another_is_an_escape(spoof: str) -> None:
    assert escapes(spoof) == 1


@given(st.text())
def test_nothing_is_lost(text: str) -> None:
    assert restored(text) == text


def test_every_leaf_of_a_call_has_a_line_with_all_its_digits() -> None:
    call: Json = {"a": [1, {"b": 2**63 - 1}], "c": None, "d": True, "e": [], "f": {}, "g": 1.5, "h": ""}
    assert [(line.path, line.kind, line.value) for line in lines(call)] == [
        ("a[0]", "number", "1"),
        ("a[1].b", "number", "9223372036854775807"),
        ("c", "nothing", "null"),
        ("d", "true or false", "true"),
        ("e", "empty list", "[]"),
        ("f", "empty object", "{}"),
        ("g", "number", "1.5"),
        ("h", "text", ""),
    ]
