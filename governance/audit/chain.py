"""How events are written down and tied to one another. Pure: bytes in, bytes out.

    body = canonical JSON (RFC 8785) of the event
    hash = SHA-256(previous hash || seq as 8 bytes, big-endian || SHA-256(body))
    mac  = HMAC-SHA-256(audit key, hash)

The hash of the event before the first is 32 zero bytes; the first event has seq 0. What this proves, and what it
does not, is said in `docs/audit.md`.
"""

import hashlib
import hmac
import re
from collections.abc import Mapping
from functools import lru_cache
from types import NoneType
from typing import cast

import orjson

GENESIS = bytes(32)
"""What stands for the hash of the event before the first."""

_NAME = re.compile(r"[a-z][a-z0-9_]{0,63}")
_PLAIN = frozenset({str, int, bool, NoneType})
_CANONICAL = orjson.OPT_SORT_KEYS | orjson.OPT_STRICT_INTEGER
_EXACT = 2**53 - 1


def encode(fields: Mapping[str, object]) -> bytes:
    """The canonical form (RFC 8785) of flat fields.

    Within what is accepted here (ASCII names; text, exact integers, booleans, null, lists of text) a plain sorted
    dump is canonical already: everything in which dumps differ is refused.

    Raises:
        ValueError: a name or a value is not of that kind; names the field, never its value.
    """
    for name, value in fields.items():
        if type(value) not in _PLAIN:  # most are: asking here saves the call for them
            _check(name, value)
    if not _are_names(tuple(fields)):
        raise ValueError("a field has a name that is not lower-case letters, digits and `_`")
    try:
        return orjson.dumps(fields, option=_CANONICAL)
    except TypeError:
        raise ValueError(_why(fields)) from None


def link(previous: bytes, seq: int, body: bytes) -> bytes:
    """The hash of an event: 32 bytes that hang on its body, its place, and every event before it."""
    return hashlib.sha256(previous + seq.to_bytes(8, "big") + hashlib.sha256(body).digest()).digest()


def seal(key: bytes, linked: bytes) -> bytes:
    """The MAC of an event's hash: only who holds the key can make it."""
    return hmac.digest(key, linked, "sha256")


@lru_cache(maxsize=256)
def _are_names(names: tuple[str, ...]) -> bool:
    """Remembered, because events of a kind have the same names."""
    return all(_NAME.fullmatch(name) for name in names)


def _check(name: str, value: object) -> None:
    if isinstance(value, list):
        if all(isinstance(item, str) for item in cast("list[object]", value)):
            return
    elif value is None or isinstance(value, str | int):
        return
    raise ValueError(f"field `{name}` holds neither text, a whole number, a truth value nor a list of text")


def _why(fields: Mapping[str, object]) -> str:
    for name, value in fields.items():
        if isinstance(value, int) and abs(value) > _EXACT:
            return f"field `{name}` holds a number beyond 2^53-1, which not every reader keeps exact"
        for text in cast("list[object]", value) if isinstance(value, list) else [value]:
            if isinstance(text, str) and any(0xD800 <= ord(char) <= 0xDFFF for char in text):
                return f"field `{name}` holds half a character, which cannot be written as UTF-8"
    return "the fields cannot be written as JSON"
