"""TOML, changed member by member. `tomlkit` keeps comments, order and spacing; this adds line ends and plain errors.

It knows nothing of agents.
"""

import re
import tomllib
from collections.abc import Iterator, MutableMapping
from typing import Any, cast

import tomlkit
from tomlkit.exceptions import TOMLKitError
from tomlkit.items import InlineTable, Item, Table

from governance.jsontree import Json
from wicket.connect.notation import NotationError, Path

_STRING = re.compile(r'"""(?:[^\\]|\\.)*?"""|\'\'\'.*?\'\'\'|"(?:[^"\\\r\n]|\\.)*"|\'[^\'\r\n]*\'', re.DOTALL)


_PLACE = re.compile(r"\(at (line \d+, column \d+)\)")


class Toml:
    """The notation."""

    name = "TOML"

    def read(self, text: str) -> Json:
        """The value of a text; dates and times as text.

        Raises:
            NotationError: it is malformed.
        """
        try:
            return _plain(tomllib.loads(text))  # stricter than tomlkit: what it refuses, an agent would refuse
        except tomllib.TOMLDecodeError as error:
            place = _PLACE.search(str(error))
            raise NotationError(f"is not valid TOML{f', at {place[1]}' if place else ''}") from None

    def raw(self, text: str, path: Path) -> str | None:
        """How the value at `path` is written, or nothing if it is not there. A table comes out on one line."""
        around: Any = _parse(text)
        for key in path:
            if not isinstance(around, MutableMapping) or key not in around:
                return None
            around = cast("MutableMapping[str, Any]", around)[key]
        return _written(around if isinstance(around, str | list | InlineTable) else _plain(around))

    def value(self, raw: str) -> Json:
        """What something that `raw` once returned says."""
        return _plain(tomlkit.parse(f"x = {raw}\n").unwrap()["x"])

    def put(self, text: str, path: Path, value: Json, after: str = "") -> str:
        """The text with the member at `path` set. TOML decides where a new one goes; `after` is not asked."""
        return self.restore(text, path, _written(value), after)

    def restore(self, text: str, path: Path, raw: str, after: str = "") -> str:
        """The text with what `raw` says put at `path`."""
        document = _parse(text)
        around = _table(document, path[:-1])
        item = cast("Item", tomlkit.parse(f"x = {raw}\n")["x"])
        if path[-1] in around and isinstance(around[path[-1]], Table):
            del around[path[-1]]
        if path[-1] not in around and not isinstance(around, InlineTable):
            item.trivia.trail = "\r\n" if "\r\n" in text else "\n"
        around[path[-1]] = item
        return document.as_string()

    def drop(self, text: str, path: Path) -> str:
        """The text without the member at `path`."""
        document = _parse(text)
        around = _table(document, path[:-1])
        if path[-1] in around:
            del around[path[-1]]
        return document.as_string()

    def strings(self, text: str) -> list[tuple[int, int, str]]:
        """Every quoted string of a text, those in comments too: start, end, and what it says."""
        return list(_strings(text))


TOML = Toml()


def _strings(text: str) -> Iterator[tuple[int, int, str]]:
    for found in _STRING.finditer(text):
        try:
            said = str(tomlkit.parse(f"x = {found[0]}\n")["x"])
        except TOMLKitError:
            said = found[0].strip("\"'")
        yield found.start(), found.end(), said


def _parse(text: str) -> tomlkit.TOMLDocument:
    try:
        return tomlkit.parse(text)
    except TOMLKitError:
        raise NotationError("is not valid TOML") from None


def _table(document: tomlkit.TOMLDocument, path: Path) -> MutableMapping[str, Any]:
    around: Any = document
    for key in path:
        around = around[key]
    return cast("MutableMapping[str, Any]", around)


def _written(value: Any) -> str:
    if isinstance(value, dict) and not isinstance(value, Item):
        table = tomlkit.inline_table()
        for key, child in cast("dict[str, Any]", value).items():
            table[key] = child
        return table.as_string()
    return tomlkit.item(value).as_string()


def _plain(value: Any) -> Json:
    """`value` as JSON types: what TOML has besides (dates, times) as its text."""
    if isinstance(value, dict):
        return {str(name): _plain(child) for name, child in cast("dict[Any, Any]", value).items()}
    if isinstance(value, list):
        return [_plain(child) for child in cast("list[Any]", value)]
    return value if isinstance(value, str | int | float | bool) else str(value)
