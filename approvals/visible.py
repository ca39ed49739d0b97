"""Text as a person must see it before deciding: nothing invisible, nothing turned round, nothing in disguise.

Pure. Cuts text into pieces; the templates show the marked ones as escapes. What each covers is in `docs/approvals.md`.
"""

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

from governance import jsontree
from governance.jsontree import Json

_BLANK_LETTERS = frozenset("\u00ad\u034f\u115f\u1160\u17b4\u17b5\u180b\u180c\u180d\u180e\u180f\u2800\u3164\uffa0")
_HIDDEN = frozenset({"Cc", "Cf", "Cn", "Co", "Cs", "Zl", "Zp"})
_PLAIN_SPACES = frozenset(" \n\t")
_LOOKALIKE_SCRIPTS = ("CYRILLIC", "GREEK", "ARMENIAN", "CHEROKEE", "COPTIC", "LISU", "GEORGIAN")
_SUSPECT = re.compile(r"[^\x20-\x7e\n\t]")
_WORD = re.compile(r"\w+")


@dataclass(frozen=True, slots=True)
class Piece:
    """A run of text. `note` is empty for ordinary text, else it says what the escape stands for."""

    text: str
    note: str = ""


def pieces(text: str) -> list[Piece]:
    """`text` cut into ordinary runs and escapes; joining the ordinary runs and decoding the escapes gives it back."""
    if not _SUSPECT.search(text):
        return [Piece(text)] if text else []
    marked = _lookalikes(text)
    found: list[Piece] = []
    start = 0
    for place, character in enumerate(text):
        note = _note(character) or (marked.get(place, ""))
        if note:
            if place > start:
                found.append(Piece(text[start:place]))
            found.append(Piece(_escape(character), note))
            start = place + 1
    if start < len(text):
        found.append(Piece(text[start:]))
    return found


def revealed(text: str) -> str:
    """`text` with escapes in the place of what cannot be seen, for where nothing can be marked."""
    return "".join(piece.text for piece in pieces(text))


def escapes(text: str) -> int:
    """How many characters of `text` are shown as escapes."""
    return sum(1 for piece in pieces(text) if piece.note)


@dataclass(frozen=True, slots=True)
class Line:
    """One value of a call, as the page lists it."""

    path: str
    """Where it stands: `edits[0].text`."""
    kind: str
    """`text`, `number`, `true or false`, `nothing`, `empty list` or `empty object`."""
    value: str


def lines(value: Json, path: str = "") -> Iterator[Line]:
    """Every leaf of a JSON value in its own order, numbers with all their digits."""
    if isinstance(value, dict) and value:
        for name, child in value.items():
            yield from lines(child, f"{path}.{name}" if path else name)
    elif isinstance(value, list) and value:
        for index, child in enumerate(value):
            yield from lines(child, f"{path}[{index}]")
    else:
        yield Line(path, *_leaf(value))


def plainly(value: Json) -> str:
    """A value in one text: a text as it is, anything else as JSON."""
    return value if isinstance(value, str) else jsontree.dump(value).decode()


def _leaf(value: Json) -> tuple[str, str]:
    if isinstance(value, str):
        return "text", value
    if isinstance(value, bool):
        return "true or false", "true" if value else "false"
    if isinstance(value, int | float):
        return "number", repr(value)
    if value is None:
        return "nothing", "null"
    return ("empty object", "{}") if isinstance(value, dict) else ("empty list", "[]")


@lru_cache(maxsize=4096)
def _note(character: str) -> str:
    """What a character that cannot be seen, or is not what it looks like, is called; empty for an honest one."""
    if character in _PLAIN_SPACES or "\x20" < character < "\x7f":
        return ""
    category = unicodedata.category(character)
    if category == "Zs" or category in _HIDDEN or character in _BLANK_LETTERS or _is_variation_selector(character):
        return f"{unicodedata.name(character, 'unnamed character')}: cannot be seen"
    if category == "Mn" and unicodedata.combining(character) == 0:
        return f"{unicodedata.name(character, 'unnamed mark')}: cannot be seen"
    folded = unicodedata.normalize("NFKC", character)
    if folded != character and folded.isascii() and folded.isalnum():
        return f"{unicodedata.name(character)}: looks like {folded}"
    return ""


def _is_variation_selector(character: str) -> bool:
    return "\ufe00" <= character <= "\ufe0f" or "\U000e0100" <= character <= "\U000e01ef"


def _lookalikes(text: str) -> dict[int, str]:
    """Letters of another script inside a word of Latin ones: `paypal` with a Cyrillic letter in it."""
    found: dict[int, str] = {}
    for word in _WORD.finditer(text):
        letters = word[0]
        if letters.isascii() or not any(_script(one) == "LATIN" for one in letters):
            continue
        for offset, letter in enumerate(letters):
            if _script(letter) in _LOOKALIKE_SCRIPTS:
                found[word.start() + offset] = f"{unicodedata.name(letter)}: a letter of another script inside a word"
    return found


@lru_cache(maxsize=4096)
def _script(letter: str) -> str:
    return unicodedata.name(letter, "").partition(" ")[0] if letter.isalpha() else ""


def _escape(character: str) -> str:
    point = ord(character)
    return f"\\u{point:04x}" if point <= 0xFFFF else f"\\u{{{point:x}}}"
