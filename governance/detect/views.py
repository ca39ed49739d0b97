"""Other readings of a text: what a person or a model would read although the characters are others.

The plain view folds look-alikes to ASCII, drops invisible characters and undoes escapes (URL, HTML, backslash-u),
each with a map back to the text as it was. Encoded runs (base64, hex) are decoded one by one; what is found inside
belongs to the whole run. Pure functions of the text; what is looked for is not known here.
"""

# ruff: noqa: RUF001 - look-alike characters are what this file is about

import base64
import html
import re
import unicodedata
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from governance.detect.stretches import STRETCH, between_escapes

ESCAPE_GATES = (
    r"%[0-7][0-9a-fA-F]",
    r"&#|&[a-zA-Z]{2,8};",
    r"\\u[0-9a-fA-F]{4}|\\x[0-7][0-9a-fA-F]|\\/|\\[nrt][\w+(\\-]",
    r"[\x01-\x08\x0b\x0c\x0e-\x1f\x7f]",
)
"""Prefilter patterns of a text with escapes: where none matches, only what is not ASCII can read otherwise."""

# Base64 of ASCII text has a shape of its own: the high bit of each byte is 0, so in each group of four the first three
# characters come from half of the alphabet only, and `+` and `/` stand last if anywhere. Paths, identifiers, hashes
# and media therefore hardly ever look like it.
_QUAD = r"[A-Za-f][A-HQ-Xg-nw-z0-3][ABEFIJMNQRUVYZcdghklopstwx014589][A-Za-z0-9+/_-]"
_BYTE = r"(?:2[0-9a-fA-F]|[3-6][0-9a-fA-F]|7[0-9a-eA-E]|0[9adAD])"
RUN_GATES = (rf"(?:{_QUAD}){{5}}", rf"{_BYTE}{{12}}")
"""Prefilter patterns of a text that holds encoded text."""

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
_ODD = re.compile(_ODD_PATTERN)
_ODD_RUNS = re.compile(_ODD_PATTERN + "+")
_FOREIGN = re.compile(r"[^\x00-\x7f]")
_FOREIGN_RUNS = re.compile(r"[^\x00-\x7f]+")
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


_FOLDED = _Folded()
_FOLDED_CODES = _FoldedCodes()


def plain_text(text: str, *, escapes: bool = True) -> str:
    """The plain reading of a text, without a map back: for a first look. Without `escapes` there are none in it."""
    runs = _ODD_RUNS if escapes else _FOREIGN_RUNS
    if len(text) <= 2 * STRETCH:
        return runs.sub(_read_run, text)
    return "".join([runs.sub(_read_run, text[start:end]) for start, end in between_escapes(text)])


def _read_run(odd: re.Match[str]) -> str:
    run = odd[0]
    return run.translate(_FOLDED_CODES) if run[0] >= "\x80" else _read(run)


def plain(text: str, *, escapes: bool = True) -> View | None:
    """The plain reading of a text with its map back, or nothing if it reads as it is written."""
    pieces: list[str] = []
    starts: list[int] = []
    """View offset at which each piece starts."""
    raws: list[Span] = []
    """For each piece where it came from; a piece as long as its origin maps character by character."""
    done = length = 0
    for odd in _finds(_ODD if escapes else _FOREIGN, text):
        meant = _read(odd[0])
        if meant == odd[0]:
            continue
        for piece, start, end in ((text[done : odd.start()], done, odd.start()), (meant, odd.start(), odd.end())):
            if piece:
                pieces.append(piece)
                starts.append(length)
                raws.append(Span(start, end))
                length += len(piece)
        done = odd.end()
    if not done:
        return None
    pieces.append(text[done:])
    starts.append(length)
    raws.append(Span(done, len(text)))

    def origin(start: int, end: int) -> Span:
        return Span(_raw_offset(start).start, _raw_offset(end - 1).end)

    def _raw_offset(offset: int) -> Span:
        index = bisect_right(starts, offset) - 1
        raw, inside = raws[index], offset - starts[index]
        if len(pieces[index]) == raw.end - raw.start:
            return Span(raw.start + inside, raw.start + inside + 1)
        return raw

    return View("plain", "".join(pieces), origin)


def _finds(pattern: re.Pattern[str], text: str) -> Iterator[re.Match[str]]:
    for start, end in between_escapes(text):
        yield from pattern.finditer(text, start, end)


class _Run(NamedTuple):
    name: str
    pattern: re.Pattern[str]
    least: int
    """How many characters the run's gate matches."""
    decode: Callable[[str], str]


def _from_base64(run: str) -> str:
    whole = run[: len(run) // 4 * 4]
    rest = run[len(whole) :]
    padded = whole + (rest + "=" * (4 - len(rest)) if len(rest) > 1 else "")
    return base64.b64decode(padded.replace("-", "+").replace("_", "/")).decode("ascii", "ignore")


def _from_hex(run: str) -> str:
    return bytes.fromhex(run).decode("ascii", "ignore")


_RUNS = (
    _Run("base64", re.compile(rf"(?:{_QUAD}){{5,}}[A-Za-z0-9+/_-]{{0,3}}"), 20, _from_base64),
    _Run("hex", re.compile(rf"{_BYTE}{{12,}}"), 24, _from_hex),
)


def encoded(text: str, ends: Sequence[Sequence[int] | None] = ((), ())) -> Iterator[View]:
    """The encoded runs of a text, each decoded once. What is found in one belongs to all of the run.

    `ends` are the offsets at which matches of each of `RUN_GATES` end: nothing where there are none, and an empty
    sequence where they are not known.
    """
    for run, known in zip(_RUNS, ends, strict=True):
        if known is None:
            continue
        for match in _matches(run, text, known) if known else run.pattern.finditer(text):
            meant = plain_text(run.decode(match[0])).replace("\x00", " ")
            span = _whole_run(text, match.start(), match.end())
            yield View(run.name, meant, lambda _start, _end, span=span: span)


def _matches(run: _Run, text: str, ends: Sequence[int]) -> Iterator[re.Match[str]]:
    """What `finditer` would find: as a gate's matches are all equally long, their ends say where runs start."""
    done = 0
    for end in sorted(ends):
        match = run.pattern.match(text, end - run.least) if end - run.least >= done else None
        if match:
            done = match.end()
            yield match


def _whole_run(text: str, start: int, end: int) -> Span:
    """The run of encoding characters around a match, with its padding."""
    before = text[max(0, start - _RUN_MARGIN) : start]
    rest = _RUN_REST.match(text, end)
    return Span(start - len(before) + len(before.rstrip(_RUN_CHARACTERS)), rest.end() if rest else end)
