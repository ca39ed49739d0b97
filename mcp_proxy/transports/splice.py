"""Puts other ids into a message without writing it anew, so that everything else stays byte for byte.

A message that is parsed and written again says the same, but no longer in the same bytes: `1e2` becomes `100.0`, an
escape a letter, a digit beyond a double is lost. It takes only what `message.py` has read and found sound.
"""

import re
from collections.abc import Iterable
from functools import lru_cache
from itertools import islice
from typing import TypeAlias

import orjson

from mcp_proxy.message import RequestId

LARGE = 16 * 1024
"""A larger message is not walked through for the sake of its spelling."""

_S = rb"[ \t\n\r]*"
_SPACE = b" \t\n\r"
_TEXT = rb'"[^"\\]*(?:\\.[^"\\]*)*"'
_VERSION = rb'"jsonrpc"%b:%b"2\.0"' % (_S, _S)
_NAMED_ID = rb'"id"%b:%b' % (_S, _S)
_SCALAR = re.compile(rb"%b|-?[0-9]+" % _TEXT, re.DOTALL)
_FIRST_ID = re.compile(rb"%b\{%b(?:%b%b,%b)?%b" % (_S, _S, _VERSION, _S, _S, _NAMED_ID))
_LAST_ID = re.compile(
    rb'[,{]%b%b(?=(?:"[^"\\]*"|-?[0-9]+)%b(?:,%b%b%b)?\}%b\Z)' % (_S, _NAMED_ID, _S, _S, _VERSION, _S, _S)
)
_TAIL_BYTES = 256
_MARK = re.compile(rb"%b|[{}\[\]]" % _TEXT, re.DOTALL)
"""What changes the depth, and texts, in which the same signs mean nothing."""
_COLON = re.compile(rb"%b:%b" % (_S, _S))
_ID = ("id",)

Path: TypeAlias = tuple[str, ...]


def with_ids(raw: bytes, changes: Iterable[tuple[Path, RequestId]]) -> bytes | None:
    """The same message with other ids in it.

    Args:
        raw: one JSON object in which no name appears twice.
        changes: the names that lead to a text or an integer that is known to stand there, and what shall stand there.

    Returns:
        None if one cannot be found at a reasonable price: write the message anew then.
    """
    found: list[tuple[int, int, bytes]] = []
    for path, new in changes:
        at = _quickly(raw, path)
        if at is None and len(raw) <= LARGE:
            at = _thoroughly(raw, path)
        scalar = None if at is None else _SCALAR.match(raw, at)
        if scalar is None:
            return None
        found.append((scalar.start(), scalar.end(), orjson.dumps(new)))
    for start, end, new_bytes in sorted(found, reverse=True):
        raw = raw[:start] + new_bytes + raw[end:]
    return raw


def _quickly(raw: bytes, path: Path) -> int | None:
    """Where the value at `path` begins, if that can be told without reading everything before it."""
    if path == _ID:
        # Right at the beginning, or right before the end, nothing but a member of the whole message can stand.
        placed = _FIRST_ID.match(raw) or _LAST_ID.search(raw, max(0, len(raw) - _TAIL_BYTES))
        return None if placed is None else placed.end()
    if b"\\u" in raw or b"\\/" in raw:
        return None  # a name may be spelled in another way than the one that is looked for
    # A quote within a text has a backslash before it, so only names are found. If there is one of that name, it is the
    # one that is known to be there; of two, one could stand in the arguments, which were judged as they are.
    named = list(islice(_named(path[-1]).finditer(raw), 2))
    return named[0].end() if len(named) == 1 else None


@lru_cache(maxsize=16)
def _named(name: str) -> re.Pattern[bytes]:
    return re.compile(rb'(?<=[{, \t\n\r])"%b"%b:%b' % (re.escape(name.encode()), _S, _S))


def _thoroughly(raw: bytes, path: Path) -> int | None:
    """Where the value at `path` begins."""
    at: int | None = len(raw) - len(raw.lstrip(_SPACE))
    for name in path:
        if at is None:
            break
        at = _member(raw, at, name)
    return at


def _member(raw: bytes, at: int, name: str) -> int | None:
    """Where the value of a member begins, in the object that begins at `at`."""
    depth = 0
    for mark in _MARK.finditer(raw, at):
        sign = raw[mark.start()]
        if sign in b"{[":
            depth += 1
        elif sign in b"}]":
            depth -= 1
        elif depth == 1:
            colon = _COLON.match(raw, mark.end())
            if colon is not None and orjson.loads(mark.group()) == name:
                return colon.end()
        if depth == 0:
            break
    return None
