"""Servers put into the text of `wicket.yaml`, and taken out again; the rest of the text stays byte for byte.

PyYAML says where things stand, and lines are cut and pasted there. Secrets come as references only: `secrets.py`.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass

import yaml

from governance.config.document import parse
from governance.jsontree import Json, JsonObject
from wicket.exits import CommandError, Exit

_PLAIN = re.compile(r"[A-Za-z][A-Za-z0-9_-]*")
_WORDS = frozenset({"y", "n", "yes", "no", "on", "off", "true", "false", "null"})
NAMES = ("mcpServers", "servers")


@dataclass(frozen=True)
class Insertion:
    """A text with one more server, and what was added to it."""

    text: str
    added: str
    heading: str = ""


def servers_in(text: str, file: str) -> Mapping[str, Json]:
    """The servers of a configuration, as written.

    Raises:
        ConfigError: it is not valid YAML.
    """
    value = parse(text, file).value
    for name in NAMES:
        if isinstance(value, dict) and isinstance(servers := value.get(name), dict):
            return servers
    return {}


def insert(text: str, file: str, name: str, definition: JsonObject) -> Insertion:
    """Add a server.

    Raises:
        ConfigError: the text is not valid YAML.
        CommandError: the servers are written in a way that this cannot add to.
    """
    made = _insert(text, name, definition)
    if made is None or servers_in(made.text, file) != {**servers_in(text, file), name: definition}:
        raise CommandError(
            Exit.CONFIG, f"`{file}`: nothing can be added to `mcpServers` as it is written: write it as `mcpServers:`"
        )
    return made


def remove(text: str, added: str) -> str | None:
    """The text without a server that `insert` added; nothing where it is not there as it was written."""
    return text.replace(added, "", 1) if text.count(added) == 1 else None


def without_heading(text: str, file: str, heading: str) -> str:
    """The text without the line `mcpServers:` that we added, if nothing is below it."""
    if not heading or servers_in(text, file) or not text.endswith(heading):
        return text
    return text.removesuffix(heading)


def _insert(text: str, name: str, definition: JsonObject) -> Insertion | None:
    newline = "\r\n" if "\r\n" in text else "\n"
    root = yaml.compose(text, yaml.SafeLoader)
    if root is not None and (not isinstance(root, yaml.MappingNode) or root.flow_style):
        return None
    members: list[tuple[yaml.ScalarNode, yaml.Node]] = root.value if root is not None else []
    key, node = next(((key, node) for key, node in members if key.value in NAMES), (None, None))
    if key is None or node is None:
        heading = ("" if not text or text.endswith("\n") else newline) + f"mcpServers:{newline}"
        block = _block(name, definition, "  ", newline)
        return Insertion(text + heading + block, block, heading)
    if isinstance(node, yaml.MappingNode) and node.flow_style:
        at = node.start_mark.index + 1
        added = f"{_key(name)}: {json.dumps(definition, ensure_ascii=False)}" + (", " if node.value else "")
        return Insertion(text[:at] + added + text[at:], added)
    if isinstance(node, yaml.MappingNode) and node.value:
        first = node.value[0][0].start_mark
        at = first.index - first.column
        block = _block(name, definition, " " * first.column, newline)
        return Insertion(text[:at] + block + text[at:], block)
    if isinstance(node, yaml.ScalarNode) and not node.value:
        block = _block(name, definition, "  ", newline)
        at = text.find("\n", key.end_mark.index) + 1
        if not at:
            return Insertion(text + newline + block, newline + block)
        return Insertion(text[:at] + block + text[at:], block)
    return None


def _block(name: str, definition: JsonObject, indent: str, newline: str) -> str:
    lines = [f"{indent}{_key(name)}:"]
    for key, value in definition.items():
        if isinstance(value, dict):
            lines.append(f"{indent}  {key}:")
            lines += [f"{indent}    {_key(inner)}: {_written(text)}" for inner, text in value.items()]
        else:
            lines.append(f"{indent}  {key}: {_written(value)}")
    return "".join(line + newline for line in lines)


def _key(name: str) -> str:
    plain = _PLAIN.fullmatch(name) and name.lower() not in _WORDS
    return name if plain else json.dumps(name, ensure_ascii=False)


def _written(value: Json) -> str:
    return json.dumps(value, ensure_ascii=False)
