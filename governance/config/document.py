"""A YAML file read strictly, with the line of every key kept.

It knows YAML and nothing of what the file is for: `governance/config/load.py` gives the text its meaning, and so do
the policy files. Values come out as JSON types, so nothing a tag could construct ever runs.
"""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import yaml

from governance.jsontree import Json

Place: TypeAlias = tuple[str | int, ...]
"""Where a value stands: the keys and list positions that lead to it."""

MAX_VALUES = 100_000
"""Most values of a file: aliases can make a short text describe a very large tree."""
MAX_DEPTH = 100

_TAG = "tag:yaml.org,2002:"
_SCALARS: dict[str, Callable[[str], Json]] = {
    f"{_TAG}str": str,
    f"{_TAG}timestamp": str,
    f"{_TAG}value": str,
    f"{_TAG}null": lambda _: None,
    f"{_TAG}bool": lambda text: text.lower() in {"yes", "true", "on"},
    f"{_TAG}int": lambda text: int(text.replace("_", ""), 0),
    f"{_TAG}float": lambda text: _finite(float(text.replace("_", ""))),
}
"""How each kind of scalar is read. Stricter than YAML 1.1: `010` and `1:30` are refused, not octal and base 60."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong in a file, in words for the person who wrote it. Never carries a value of the file."""

    file: str
    line: int
    """From 1; 0 where no line is to blame."""
    key: str
    """Dotted name of the setting, for example `providers.openai.base_url`; empty for the whole file."""
    what: str
    mend: str = ""

    def __str__(self) -> str:
        where = f"{self.file}:{self.line}" if self.line else self.file
        subject = f"`{self.key}` " if self.key else ""
        return f"{where}: {subject}{self.what}" + (f": {self.mend}" if self.mend else "")


class ConfigError(Exception):
    """A file that cannot be used. The message names every problem, one a line, and is safe to show."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(map(str, self.problems)))


def dotted(place: Place) -> str:
    """`place` as people write it: `providers.openai.models[0]`."""
    text = ""
    for step in place:
        text += f"[{step}]" if isinstance(step, int) else f".{step}" if text else step
    return text


@dataclass(frozen=True, slots=True)
class Document:
    """A file as it was read: its value, and where each part of it stands."""

    file: str
    value: Json
    lines: dict[Place, int]

    def line(self, place: Place) -> int:
        """The line of the key at `place`, or of the nearest thing around it that the file does hold."""
        while place and place not in self.lines:
            place = place[:-1]
        return self.lines.get(place, 0)

    def problem(self, place: Place, what: str, mend: str = "") -> Problem:
        """A problem with what stands at `place`."""
        return Problem(self.file, self.line(place), dotted(place), what, mend)


def read(path: Path, name: str = "") -> Document:
    """The YAML document in a file.

    Args:
        path: the file.
        name: what to call it in messages; its path as given where empty.

    Raises:
        ConfigError: the file cannot be read, or its YAML is not one document with unique text keys.
    """
    name = name or str(path)
    try:
        text = path.read_bytes().decode()
    except FileNotFoundError:
        raise ConfigError([Problem(name, 0, "", "no such file", "`wicket init` writes one")]) from None
    except OSError as error:
        raise ConfigError([Problem(name, 0, "", f"cannot be read ({error.strerror})")]) from None
    except UnicodeDecodeError as error:
        raise ConfigError([Problem(name, 0, "", f"is not UTF-8 at byte {error.start}", "save it as UTF-8")]) from None
    return parse(text, name)


def parse(text: str, name: str) -> Document:
    """The YAML document in a text, called `name` in messages.

    Raises:
        ConfigError: as `read`.
    """
    try:
        loader = yaml.SafeLoader(text)
        root = loader.get_single_node()
        tree = _Tree(loader, name)
        value = {} if root is None else tree.value(root, ())
    except yaml.MarkedYAMLError as error:
        raise ConfigError([_not_yaml(error, name)]) from None
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise ConfigError(
            [Problem(name, line, "", "holds a character that YAML does not allow", "remove it")]
        ) from None
    if tree.problems:
        raise ConfigError(tree.problems)
    return Document(name, value, tree.lines)


def _not_yaml(error: yaml.MarkedYAMLError, name: str) -> Problem:
    mark = error.problem_mark or error.context_mark
    line = mark.line + 1 if mark else 0
    column = f" at column {mark.column + 1}" if mark else ""
    return Problem(name, line, "", f"is not valid YAML{column}", "look at the indentation, colons and quotes there")


def _finite(number: float) -> float:
    if not math.isfinite(number):
        raise ValueError
    return number


class _Tree:
    """Turns nodes into JSON values, noting lines and problems on the way."""

    def __init__(self, loader: yaml.SafeLoader, file: str) -> None:
        self.lines: dict[Place, int] = {}
        self.problems: list[Problem] = []
        self._loader = loader
        self._file = file
        self._left = MAX_VALUES

    def value(self, node: yaml.Node, place: Place) -> Json:
        self.lines.setdefault(place, node.start_mark.line + 1)
        self._left -= 1
        if self._left == 0:
            self._complain(node, place, "makes the file too large", "use fewer aliases")
        elif len(place) > MAX_DEPTH:
            self._complain(node, place[:1], f"is nested deeper than {MAX_DEPTH} levels", "flatten it")
        elif self._left > 0:
            if isinstance(node, yaml.MappingNode):
                return self._mapping(node, place)
            if isinstance(node, yaml.SequenceNode):
                return [self.value(child, (*place, index)) for index, child in enumerate(node.value)]
            if isinstance(node, yaml.ScalarNode):
                return self._scalar(node, place)
        return None

    def _mapping(self, node: yaml.MappingNode, place: Place) -> Json:
        self._refuse_duplicates(node, place)
        self._loader.flatten_mapping(node)
        result: dict[str, Json] = {}
        for key, child in node.value:
            name = key.value if isinstance(key, yaml.ScalarNode) else None
            if not isinstance(name, str):
                self._complain(key, place, "holds a key that is not text", "put the key in quotes")
                continue
            below = (*place, name)
            self.lines[below] = key.start_mark.line + 1
            result[name] = self.value(child, below)
        return result

    def _refuse_duplicates(self, node: yaml.MappingNode, place: Place) -> None:
        seen: set[str] = set()
        for key, _ in node.value:
            name = key.value
            if not isinstance(name, str) or key.tag == f"{_TAG}merge":
                continue
            if name in seen:
                self._complain(key, (*place, name), "is written twice", "keep one of them")
            seen.add(name)

    def _scalar(self, node: yaml.ScalarNode, place: Place) -> Json:
        read_scalar = _SCALARS.get(node.tag)
        if read_scalar is None:
            self._complain(node, place, "has a tag that is not allowed here", "write the plain value")
            return None
        try:
            return read_scalar(node.value)
        except ValueError:
            self._complain(node, place, "is a number that readers take differently", "put it in quotes if it is text")
            return None

    def _complain(self, node: yaml.Node, place: Place, what: str, mend: str) -> None:
        self.problems.append(Problem(self._file, node.start_mark.line + 1, dotted(place), what, mend))
