"""Other readings of a text: what a person or a model would read although the characters are others.

The plain view folds look-alikes to ASCII, drops invisible characters and undoes escapes (URL, HTML, backslash-u),
each with a map back to the text as it was. Encoded runs (base64, hex) are decoded one by one; what is found inside
belongs to the whole run. Pure functions of the text; what is looked for is not known here.
"""

# ruff: noqa: RUF001 - look-alike characters are what this file is about

import html
import re
import unicodedata
from array import array
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import NamedTuple

from governance.detect.runs import RUNS, find_runs
from governance.detect.stretches import between_escapes

ESCAPE_GATES = (
    r"%[0-7][0-9a-fA-F]",
    r"&#|&[a-zA-Z]{2,8};",
    r"\\u[0-9a-fA-F]{4}|\\x[0-7][0-9a-fA-F]|\\/|\\[nrt][\w+(\\-]",
    r"[\x01-\x08\x0b\x0c\x0e-\x1f\x7f]",
)
"""Prefilter patterns of a text with escapes: where none matches, only what is not ASCII can read otherwise."""

_INVISIBLE = re.compile(
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164\ufe00-\ufe0f"
    "\ufeff\uffa0\U000e0001\U000e007f\U000e0100-\U000e01ef]"
)
# Letters of other scripts that are read as Latin ones. Punctuation that NFKC leaves alone is made plain too.
_LOOKALIKES = str.maketrans(
    "АВЕКМНОРСТУХІЈЅԁаеорсухіјѕһԛԝѵΑΒΕΖΗΙΚΜΝΟΡΤΥΧαινορυχӏԀԌΙɡıɩɑℓ‘’‚‛“”„‟‐‑‒–—―−∕⁄。․：ǃ",
    "ABEKMHOPCTYXIJSdaeopcyxijshqwvABEZHIKMNOPTYXaivopuxldGIgiial''''\"\"\"\"-------//..:!",
)
_ODD_PATTERN = (
    r"%[0-7][0-9a-fA-F]|&#\d{1,7};?|&#[xX][0-9a-fA-F]{1,6};?|&[a-zA-Z]{2,8};"
    r"|\\u[0-9a-fA-F]{4}|\\x[0-7][0-9a-fA-F]|\\/|\\[nrt](?=[A-Za-z0-9_+(\\-])|[\x01-\x08\x0b\x0c\x0e-\x1f\x7f]|[^\x00-\x7f]"
)
# With a group around all of it, `split` gives what stands between and what is odd, by turns.
_ODD = re.compile(f"({_ODD_PATTERN})")
_ODD_RUNS = re.compile(f"({_ODD_PATTERN}+)")
_FOREIGN = re.compile(r"([^\x00-\x7f])")
_FOREIGN_RUNS = re.compile(r"([^\x00-\x7f]+)")
MOST_READINGS = 65_536
"""So many escapes are remembered with their meaning: a number can be written with any number of zeros before it."""
_RUN_REST = re.compile(r"[A-Za-z0-9+/_-]{0,4096}={0,2}")
_RUN_CHARACTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/_-"
_RUN_MARGIN = 4096
"""How far from what could be decoded the rest of an encoded run is looked for."""


class Span(NamedTuple):
    """A stretch of the text as it was."""

    start: int
    end: int


Origin = Callable[[int, int], Span]
"""Where a stretch of a reading stands in the text as it was."""


@dataclass(frozen=True, slots=True)
class View:
    """A reading of a text, and how its offsets map back."""

    name: str
    text: str
    origin: Origin


def fold(char: str) -> str:
    """The ASCII reading of one character where it has one, nothing if it is invisible, else the character itself."""
    if char < "\x80":
        return "" if (char < " " and char not in "\x00\t\n\r") or char == "\x7f" else char
    if "\U000e0020" <= char <= "\U000e007e":
        return chr(ord(char) - 0xE0000)
    if _INVISIBLE.match(char):
        return ""
    bare = "".join(one for one in unicodedata.normalize("NFKD", char) if not unicodedata.combining(one))
    folded = bare.translate(_LOOKALIKES)
    return folded if folded.isascii() else char


_ESCAPED = {"n": "\n", "r": "\r", "t": "\t"}


def _read(odd: str) -> str:
    """What an escape or an odd character stands for."""
    if len(odd) == 1:
        return _FOLDED[odd]
    if odd[0] == "%":
        return _FOLDED[chr(int(odd[1:], 16))]
    if odd[0] == "&":
        meant = html.unescape(odd)
        return "".join(_FOLDED[one] for one in meant) if meant != odd else odd
    if odd[1] not in "ux":
        return _ESCAPED.get(odd[1], odd[1])
    digits = odd[2:]
    code = int(digits, 16)
    return odd if 0xD800 <= code < 0xE000 else _FOLDED[chr(code)]


class _Folded(dict[str, str]):
    """Remembers how characters fold; bounded by the number of characters there are."""

    def __missing__(self, char: str) -> str:
        folded = self[char] = " " if char == "\x00" else fold(char)
        return folded


class _FoldedCodes(dict[int, str]):
    """The same by code point, as `str.translate` asks for it."""

    def __missing__(self, code: int) -> str:
        folded = self[code] = fold(chr(code))
        return folded


class _Readings(dict[str, str]):
    """What escapes and foreign runs stand for, so that a text full of them costs a look-up for each."""

    def __missing__(self, odd: str) -> str:
        if len(odd) > 1 and odd[0] >= "\x80":
            return odd.translate(_FOLDED_CODES)  # somebody's words, which are not to be remembered
        meant = _read(odd)
        if len(self) < MOST_READINGS:
            self[odd] = meant
        return meant


_FOLDED = _Folded()
_FOLDED_CODES = _FoldedCodes()
READINGS = _Readings()


def plain_text(text: str, *, escapes: bool = True) -> str:
    """The plain reading of a text, without a map back: for a first look. Without `escapes` there are none in it."""
    pieces = _pieces(_ODD_RUNS if escapes else _FOREIGN_RUNS, text)
    return "".join(["".join(meant) for _, meant in pieces])


def plain(text: str, *, escapes: bool = True) -> View | None:
    """The plain reading of a text with its map back, or nothing if it reads as it is written."""
    out: list[str] = []
    ends, raw_ends = array("q"), array("q")
    """Where each piece ends in the view, and in the text; one as long in both maps character by character."""
    length = raw_length = 0
    for raw, meant in _pieces(_ODD if escapes else _FOREIGN, text):
        out.append("".join(meant))
        ends.extend(accumulate(map(len, meant[1:]), initial=length + len(meant[0])))
        raw_ends.extend(accumulate(map(len, raw[1:]), initial=raw_length + len(raw[0])))
        length, raw_length = ends[-1], raw_ends[-1]
    reading = "".join(out)
    if reading == text:
        return None

    def origin(start: int, end: int) -> Span:
        return Span(_raw_offset(start).start, _raw_offset(end - 1).end)

    def _raw_offset(offset: int) -> Span:
        index = bisect_right(ends, offset)
        start, raw_start = (ends[index - 1], raw_ends[index - 1]) if index else (0, 0)
        if raw_ends[index] - raw_start == ends[index] - start:
            return Span(raw_start + offset - start, raw_start + offset - start + 1)
        return Span(raw_start, raw_ends[index])

    return View("plain", reading, origin)


def _pieces(pattern: re.Pattern[str], text: str) -> Iterator[tuple[list[str], list[str]]]:
    """A text, stretch by stretch, in pieces as they are written and as they read."""
    for start, end in between_escapes(text):
        raw = pattern.split(text[start:end])
        meant = raw.copy()
        meant[1::2] = map(READINGS.__getitem__, raw[1::2])
        yield raw, meant


def encoded(text: str, ends: Sequence[Sequence[int] | None] = ((), ())) -> Iterator[View]:
    """The encoded runs of a text, each decoded once. What is found in one belongs to all of the run.

    `ends` are the offsets at which matches of each of `RUN_GATES` end: nothing where there are none, and an empty
    sequence where they are not known.
    """
    for run, known in zip(RUNS, ends, strict=True):
        if known is None:
            continue
        for start, end in find_runs(run, text, known):
            meant = plain_text(run.decoded(text, start, end)).replace("\x00", " ")
            span = _whole_run(text, start, end)
            yield View(run.name, meant, lambda _start, _end, span=span: span)


def _whole_run(text: str, start: int, end: int) -> Span:
    """The run of encoding characters around a match, with its padding."""
    before = text[max(0, start - _RUN_MARGIN) : start]
    rest = _RUN_REST.match(text, end)
    return Span(start - len(before) + len(before.rstrip(_RUN_CHARACTERS)), rest.end() if rest else end)
