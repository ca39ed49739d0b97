"""Puts other ids into a message without writing it anew, so that everything else stays byte for byte.

A message that is parsed and written again says the same, but no longer in the same bytes: `1e2` becomes `100.0`, an
escape a letter, a digit beyond a double is lost. It takes only what `message.py` has read and found sound.
"""

import re
from collections.abc import Iterable

import orjson

from mcp_proxy.message import RequestId

_MARK = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"|[{}\[\]]', re.DOTALL)
"""What changes the depth, and strings, in which the same signs mean nothing."""
_SPACE = b" \t\n\r"
_COLON = re.compile(rb"[ \t\n\r]*:[ \t\n\r]*")
_SCALAR = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"|[^ \t\n\r,}\]]+', re.DOTALL)
_LAST_ID = re.compile(rb'[,{][ \t\n\r]*"id"[ \t\n\r]*:[ \t\n\r]*("[^"\\]*"|-?[0-9]+)[ \t\n\r]*\}[ \t\n\r]*\Z')
_TAIL_BYTES = 256
_ID = ("id",)

Path = tuple[str, ...]


def with_ids(raw: bytes, changes: Iterable[tuple[Path, RequestId]]) -> bytes:
    """The same message with other ids in it.

    Args:
        raw: one JSON object in which no name appears twice.
        changes: where a text or a number stands, as the names that lead to it, and what shall stand there.

    Raises:
        KeyError: nothing stands there.
    """
    found = sorted(((_place(raw, path), new) for path, new in changes), reverse=True)
    for (start, end), new in found:
        raw = raw[:start] + orjson.dumps(new) + raw[end:]
    return raw


def _place(raw: bytes, path: Path) -> tuple[int, int]:
    """Where the value at `path` begins and ends."""
    if path == _ID:
        # Many servers write it last, behind a result that may be long. Nothing but a member of the whole message can
        # stand right before its end.
        last = _LAST_ID.search(raw, max(0, len(raw) - _TAIL_BYTES))
        if last is not None:
            return last.span(1)
    at = len(raw) - len(raw.lstrip(_SPACE))
    for name in path:
        at = _member(raw, at, name)
    scalar = _SCALAR.match(raw, at)
    if scalar is None:
        raise KeyError(path)
    return scalar.span()


def _member(raw: bytes, at: int, name: str) -> int:
    """Where the value of a member begins, in the object that begins at `at`."""
    depth = 0
    for mark in _MARK.finditer(raw, at):
        sign = raw[mark.start()]
        if sign in b"{[":
            depth += 1
        elif sign in b"}]":
            depth -= 1
            if depth == 0:
                break
        elif depth == 1:
            colon = _COLON.match(raw, mark.end())
            if colon is not None and orjson.loads(mark.group()) == name:
                return colon.end()
    raise KeyError(name)
