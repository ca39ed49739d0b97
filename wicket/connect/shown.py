"""What a person is shown of a change: a diff in which no secret can be read.

Everything quoted is hidden unless it is known to be harmless, since a file may hold secrets that nobody declared.
"""

import difflib
import re
from collections.abc import Iterator

from governance.jsontree import Json
from wicket.connect.notation import Notation, Path
from wicket.terminal import reveal

HIDDEN = "•••"

_HARMLESS = frozenset({"command", "args", "url", "httpUrl", "serverUrl", "type", "cwd", "env_vars"})
_NEVER = frozenset({"env", "environment", "headers", "http_headers"})
_FLAG = re.compile(r"--?[\w-]*(?:key|token|secret|passw|auth|header|credential)[\w-]*", re.IGNORECASE)
_ASSIGNED = re.compile(
    r"((?:key|token|secret|passw\w*|auth\w*|credential\w*|bearer)[\w-]*[\"']?\s*[=:]\s*)[^\s\"',][^\"'\r\n]*",
    re.IGNORECASE,
)
_USER = re.compile(r"([a-z][a-z0-9+.-]*://)[^/\s\"']+@")
_QUERY = re.compile(r"(https?://[^\s\"'?]*\?)[^\s\"']+")
_LONG = re.compile(r"(?=[A-Za-z_\-+=]*\d)(?=[0-9_\-+=]*[A-Za-z])[A-Za-z0-9_\-+=]{20,}")
_BEARER = re.compile(r"(bearer\s+)[^\s\"']+", re.IGNORECASE)


def diff(notation: Notation, old: str, new: str, name: str, becomes: str) -> list[str]:
    """The lines that a change takes away and adds, with two lines around them."""
    hidden = secrets_in(notation.read(old)) | secrets_in(notation.read(new))
    before, after = (masked(notation, text, hidden).splitlines() for text in (old, new))
    lines = difflib.unified_diff(before, after, name, f"{name} ({becomes})", lineterm="", n=2)
    return [reveal(line) for line in lines]


def masked(notation: Notation, text: str, hidden: set[str]) -> str:
    """`text` in which no string of `hidden`, and nothing else that looks like a secret, can be read."""
    pieces: list[str] = []
    end = 0
    for start, stop, said in notation.strings(text):
        covered = f'"{HIDDEN}"' if said in hidden else text[start:stop]
        pieces += [text[end:start], covered]
        end = stop
    return plain("".join([*pieces, text[end:]]))


def plain(text: str) -> str:
    """`text` without what looks like a secret."""
    text = _USER.sub(rf"\1{HIDDEN}@", text)
    text = _QUERY.sub(rf"\1{HIDDEN}", text)
    text = _ASSIGNED.sub(rf"\1{HIDDEN}", text)
    text = _BEARER.sub(rf"\1{HIDDEN}", text)
    return _LONG.sub(HIDDEN, text)


def secrets_in(value: Json) -> set[str]:
    """Every text of a file that might be a secret."""
    return {text for text in _secrets(value, ()) if text}


def _secrets(value: Json, path: Path) -> Iterator[str]:
    if isinstance(value, dict):
        for key, child in value.items():
            yield from _secrets(child, (*path, key))
    elif isinstance(value, list):
        previous = ""
        for child in value:
            if isinstance(child, str) and _FLAG.fullmatch(previous):
                yield child
            else:
                yield from _secrets(child, path)
            previous = child if isinstance(child, str) else ""
    elif isinstance(value, str) and not (len(path) > 1 and path[-1] in _HARMLESS and not _NEVER & set(path[:-1])):
        yield value
