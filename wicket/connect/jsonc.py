"""JSON with comments and trailing commas, changed member by member as text.

No library on PyPI does this without bringing Node along or writing the whole text anew, so this is a small reader that
remembers where everything stands, and edits that cut and paste there. It knows nothing of agents.
"""

import functools
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from governance.jsontree import Json
from wicket.connect.notation import NotationError, Path

MAX_DEPTH = 100

_SPACE = re.compile(r"(?:[ \t\r\n]|//[^\r\n]*|/\*.*?\*/)*", re.DOTALL)
_STRING = re.compile(r'"(?:[^"\\\x00-\x1f]|\\.)*"')
_PLAIN = re.compile(r"-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?|true|false|null")
_BLANK = re.compile(r"[ \t\r\n]*")


@dataclass(slots=True)
class Node:
    """A value, and where it stands: from `start` up to `end`."""

    start: int
    end: int = 0
    value: Json = None
    members: "dict[str, Member]" = field(default_factory=dict["str", "Member"])


@dataclass(slots=True)
class Member:
    """A member of an object: where its key begins, and the commas around it."""

    key: int
    node: Node
    comma_before: int | None
    comma_after: int | None = None


class Jsonc:
    """The notation."""

    name = "JSON"

    def read(self, text: str) -> Json:
        """The value of a text.

        Raises:
            NotationError: it is malformed, or a key is written twice.
        """
        return _parse(text).value

    def raw(self, text: str, path: Path) -> str | None:
        """How the value at `path` is written, or nothing if it is not there."""
        node = _parse(text)
        for key in path:
            if key not in node.members:
                return None
            node = node.members[key].node
        return text[node.start : node.end]

    def value(self, raw: str) -> Json:
        """What something that `raw` once returned says."""
        return _parse(raw).value

    def put(self, text: str, path: Path, value: Json, after: str = "") -> str:
        """The text with the member at `path` set; a new one comes after the member `after`, or last."""
        return self.restore(text, path, json.dumps(value, ensure_ascii=False), after)

    def restore(self, text: str, path: Path, raw: str, after: str = "") -> str:
        """The text with what `raw` says put at `path`."""
        around = _object(text, path[:-1])
        if path[-1] in around.members:
            node = around.members[path[-1]].node
            return text[: node.start] + raw + text[node.end :]
        written = f"{json.dumps(path[-1], ensure_ascii=False)}: {raw}"
        if not around.members:
            return text[: around.start + 1] + written + text[around.start + 1 :]
        last = around.members[after] if after in around.members else list(around.members.values())[-1]
        return text[: last.node.end] + f",{_lead(text, last)}{written}" + text[last.node.end :]

    def drop(self, text: str, path: Path) -> str:
        """The text without the member at `path`."""
        around = _object(text, path[:-1])
        member = around.members.get(path[-1])
        if member is None:
            return text
        before, after = member.comma_before, member.comma_after
        if before is not None:
            start = before if _BLANK.fullmatch(text, before + 1, member.key) else member.key
            cut = text[:start] + text[member.node.end :]
            return cut if start == before else cut[:before] + cut[before + 1 :]
        if after is not None:
            end = _end(_BLANK, text, after + 1)
            return text[: member.key] + text[end:]
        inside = text[around.start + 1 : member.key] + text[member.node.end : around.end - 1]
        return text[: around.start + 1] + ("" if not inside.strip() else inside) + text[around.end - 1 :]

    def strings(self, text: str) -> list[tuple[int, int, str]]:
        """Every quoted string of a text, those in comments too: start, end, and what it says."""
        return list(_strings(text))


JSONC = Jsonc()


def _strings(text: str) -> Iterator[tuple[int, int, str]]:
    for found in _STRING.finditer(text):
        try:
            yield found.start(), found.end(), str(json.loads(found[0]))
        except ValueError:
            yield found.start(), found.end(), found[0][1:-1]


def _lead(text: str, member: Member) -> str:
    """The space in front of a member, so that a new one beside it looks the same."""
    start = member.key
    while start > 0 and text[start - 1] in " \t\r\n":
        start -= 1
    space = text[start : member.key]
    newline = "\r\n" if "\r\n" in space else "\n"
    return newline + space.rpartition("\n")[2] if "\n" in space else space or " "


def _object(text: str, path: Path) -> Node:
    node = _parse(text)
    for key in path:
        node = node.members[key].node
    return node


@functools.lru_cache(maxsize=4)
def _parse(text: str) -> Node:
    start = _end(_SPACE, text, 1 if text.startswith("\ufeff") else 0)
    if start == len(text):
        raise NotationError("is empty")
    node = _value(text, start, 0)
    end = _end(_SPACE, text, node.end)
    if end != len(text):
        raise _wrong(text, end, "goes on after its end")
    return node


def _value(text: str, at: int, depth: int) -> Node:
    if depth > MAX_DEPTH:
        raise _wrong(text, at, f"is nested deeper than {MAX_DEPTH} levels")
    match text[at : at + 1]:
        case "{":
            return _members(text, at, depth)
        case "[":
            return _items(text, at, depth)
        case '"':
            said, end = _string(text, at)
            return Node(at, end, said)
        case _:
            found = _PLAIN.match(text, at)
            if found is None:
                raise _wrong(text, at, "is not valid JSON")
            return Node(at, found.end(), json.loads(found[0]))


def _string(text: str, at: int) -> tuple[str, int]:
    found = _STRING.match(text, at)
    if found is None:
        raise _wrong(text, at, "is not valid JSON")
    try:
        return str(json.loads(found[0])), found.end()
    except ValueError:
        raise _wrong(text, at, "is not valid JSON") from None


def _members(text: str, at: int, depth: int) -> Node:
    value: dict[str, Json] = {}
    node = Node(at, value=value)
    comma: int | None = None
    here = _end(_SPACE, text, at + 1)
    while text[here : here + 1] != "}":
        key, end = _string(text, here)
        if key in value:
            raise _wrong(text, here, f"has the key `{key}` twice")
        colon = _end(_SPACE, text, end)
        if text[colon : colon + 1] != ":":
            raise _wrong(text, colon, "is not valid JSON")
        child = _value(text, _end(_SPACE, text, colon + 1), depth + 1)
        value[key] = child.value
        member = node.members[key] = Member(here, child, comma)
        here, comma = _comma(text, child.end, "}")
        member.comma_after = comma
    node.end = here + 1
    return node


def _items(text: str, at: int, depth: int) -> Node:
    value: list[Json] = []
    here = _end(_SPACE, text, at + 1)
    while text[here : here + 1] != "]":
        child = _value(text, here, depth + 1)
        value.append(child.value)
        here, _ = _comma(text, child.end, "]")
    return Node(at, here + 1, value)


def _comma(text: str, at: int, closing: str) -> tuple[int, int | None]:
    """Where things go on after a value, and where the comma between stands, if there is one."""
    here = _end(_SPACE, text, at)
    if text[here : here + 1] == ",":
        return _end(_SPACE, text, here + 1), here
    if text[here : here + 1] != closing:
        raise _wrong(text, here, "is not valid JSON")
    return here, None


def _end(pattern: re.Pattern[str], text: str, at: int) -> int:
    found = pattern.match(text, at)
    return found.end() if found else at


def _wrong(text: str, at: int, what: str) -> NotationError:
    line = text.count("\n", 0, at) + 1
    column = at - text.rfind("\n", 0, at)
    return NotationError(f"{what}, at line {line}, column {column}")
