"""What must change in an agent's file so that its MCP servers stand behind Wicket. Pure: values in, values out.

Changing the text is for the notations, reading and writing files for `work.py`.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePath
from typing import Literal, cast

from governance.jsontree import Json, JsonObject
from wicket.connect.agent import Shape, Where
from wicket.connect.notation import Path
from wicket.connect.references import Taken, taken, variables
from wicket.handover import KEY_VARIABLE

How = Literal["wrapped", "moved", "already", "left"]

_ODD = re.compile(r"[^A-Za-z0-9._-]+")
_LONGEST = 64


@dataclass(frozen=True)
class Change:
    """One member that becomes something else."""

    path: Path
    value: Json
    """What it becomes; None = it goes away."""
    after: str = ""
    """The member that a new one comes after."""
    container: bool = False
    """Made only to hold others, so on the way back it may stay if somebody put more into it."""


@dataclass(frozen=True)
class Server:
    """One server of the file, and what becomes of it."""

    where: Path
    name: str
    """As policies and the log know it."""
    how: How
    why: str = ""


@dataclass(frozen=True)
class Upstream:
    """A remote server that moves into `wicket.yaml`."""

    url: Taken
    headers: Mapping[str, Taken]
    type: str

    def needs(self) -> list[str]:
        """The environment variables it names."""
        return [name for one in (self.url, *self.headers.values()) if not one.literal for name in variables(one.text)]


@dataclass(frozen=True)
class Own:
    """What Wicket writes of itself into entries."""

    command: Sequence[str]
    """Runs Wicket."""
    config: str
    prefix: str
    """Address of the MCP proxy up to the server's name; empty where no port is fixed."""
    token: str
    """The agent's key; empty = name the environment variable instead."""


@dataclass(frozen=True)
class Entry:
    """An entry for a server as it stands in the file."""

    where: Path
    value: JsonObject


def entries(shape: Shape, value: Json) -> list[Entry]:
    """The servers of a file, in its order."""
    found = [Entry((*place, key), entry) for place, members in _places(shape, value) for key, entry in members.items()]
    return [one for one in found if not shape.types or one.value.get("type") in shape.types]


def _places(shape: Shape, value: Json) -> Iterator[tuple[Path, dict[str, JsonObject]]]:
    for pattern in shape.places:
        for place, held in _matching(value, pattern, ()):
            yield place, {key: entry for key, entry in held.items() if isinstance(entry, dict)}


def _matching(value: Json, pattern: Where, place: Path) -> Iterator[tuple[Path, JsonObject]]:
    if not isinstance(value, dict):
        return
    if not pattern:
        yield place, value
        return
    for key in value if pattern[0] == "*" else [key for key in value if key == pattern[0]]:
        yield from _matching(value[key], pattern[1:], (*place, key))


def usable(name: str) -> str:
    """A server's name with only what names in `wicket.yaml` and in addresses may hold."""
    return _ODD.sub("-", name).strip("-._")[:_LONGEST] or "server"


def command_of(shape: Shape, entry: JsonObject) -> list[str] | None:
    """Program and arguments of a stdio entry; nothing where it has none that can be read."""
    command, args = entry.get("command"), entry.get("args", [])
    if shape.one_list:
        command, args = (command[0], command[1:]) if isinstance(command, list) and command else (None, [])
    if not isinstance(command, str) or not command or not isinstance(args, list):
        return None
    whole: list[Json] = [command, *args]
    return cast("list[str]", whole) if all(isinstance(part, str) for part in whole) else None


def is_own(command: Sequence[str]) -> bool:
    """Whether a command runs `wicket stdio` already."""
    name = PurePath(command[0].replace("\\", "/")).name.lower()
    if name in ("wicket", "wicket.exe"):
        return command[1:2] == ["stdio"]
    at = command.index("-m") if "-m" in command else len(command)
    return list(command[at + 1 : at + 3]) == ["wicket", "stdio"]


def address_of(shape: Shape, entry: JsonObject) -> tuple[str, str]:
    """What the address of a remote entry is called, and the address; empty where it has none."""
    for name in shape.addresses:
        found = entry.get(name)
        if isinstance(found, str) and found:
            return name, found
    return "", ""


def token_in(shape: Shape, value: Json, prefix: str) -> str:
    """The agent's key, where an entry of the file holds one already."""
    for entry in entries(shape, value):
        environment, headers = entry.value.get(shape.environment), entry.value.get(shape.headers)
        command = command_of(shape, entry.value)
        held: Json = ""
        if command and is_own(command) and isinstance(environment, dict):
            held = environment.get(KEY_VARIABLE)
        elif prefix and address_of(shape, entry.value)[1].startswith(prefix) and isinstance(headers, dict):
            held = headers.get("Authorization")
        if isinstance(held, str) and (token := held.removeprefix("Bearer ")).startswith("wk_"):
            return token
    return ""


def upstream_of(shape: Shape, entry: JsonObject) -> Upstream | str:
    """What a remote entry becomes in `wicket.yaml`, or why it must stay where it is."""
    _, address = address_of(shape, entry)
    kind = entry.get("type")
    if not address.startswith(("http://", "https://", "$", "{")) or kind in ("ws", "websocket", "sdk"):
        return "its address is not one of HTTP"
    if login := next((name for name in shape.own_login if entry.get(name)), ""):
        return f"the agent signs in by itself (`{login}`), which Wicket cannot do for it"
    texts: dict[str, Json] = {"": address}
    headers = entry.get(shape.headers, {})
    if not isinstance(headers, dict):
        return f"its `{shape.headers}` is not an object"
    texts |= headers
    if not all(isinstance(text, str) for text in texts.values()):
        return "a header is not text"
    taken_over = {name: taken(str(text), shape.references) for name, text in texts.items()}
    if odd := next((name for name, one in taken_over.items() if one is None), None):
        return f"the value of `{odd}` is known to the agent alone"
    named = {name: one for name, one in taken_over.items() if one is not None}
    if "" not in named:
        return "its address is known to the agent alone"
    url = named.pop("")
    return Upstream(url, named | _named_variables(shape, entry), "sse" if kind == "sse" else "")


def _named_variables(shape: Shape, entry: JsonObject) -> dict[str, Taken]:
    """Headers whose values the file takes from environment variables by members of their own."""
    found: dict[str, Taken] = {}
    mapped = entry.get(shape.header_variables) if shape.header_variables else None
    if isinstance(mapped, dict):
        found |= {name: Taken(f"${{{variable}}}", literal=False) for name, variable in mapped.items()}
    bearer = entry.get(shape.bearer_variable) if shape.bearer_variable else None
    if isinstance(bearer, str) and bearer:
        found["Authorization"] = Taken(f"Bearer ${{{bearer}}}", literal=False)
    return found


def wrapping(shape: Shape, entry: Entry, name: str, command: Sequence[str], own: Own) -> list[Change]:
    """The changes that put `wicket stdio` in front of a stdio entry."""
    whole: list[Json] = [*own.command, "stdio", "--config", own.config, "--server", name, "--", *command]
    where = entry.where
    changes = [Change((*where, "command"), whole)] if shape.one_list else [
        Change((*where, "command"), whole[0]),
        Change((*where, "args"), whole[1:], after="command"),
    ]  # fmt: skip
    if not own.token and shape.passed_variables:
        listed = entry.value.get(shape.passed_variables, [])
        names = listed if isinstance(listed, list) else []
        return [*changes, Change((*where, shape.passed_variables), [*names, KEY_VARIABLE], after="args")]
    if shape.environment not in entry.value:
        changes.append(
            Change((*where, shape.environment), {}, after="command" if shape.one_list else "args", container=True)
        )
    key = own.token or shape.own_reference
    return [*changes, Change((*where, shape.environment, KEY_VARIABLE), key)]


def moving(shape: Shape, entry: Entry, name: str, own: Own) -> list[Change]:
    """The changes that point a remote entry to Wicket."""
    where = entry.where
    called, _ = address_of(shape, entry.value)
    wanted = shape.streamable if shape.streamable and "type" not in entry.value else called
    changes = [Change((*where, wanted), own.prefix + name, after=called)]
    if wanted != called:
        changes.append(Change((*where, called), None, after=wanted))  # on the way back it takes that place again
    kind = entry.value.get("type")
    if isinstance(kind, str) and kind in shape.renamed:
        changes.append(Change((*where, "type"), shape.renamed[kind]))
    by_name = not own.token and shape.bearer_variable
    going = (shape.header_variables, "" if by_name else shape.bearer_variable, shape.headers if by_name else "")
    changes += [Change((*where, gone), None) for gone in going if gone and gone in entry.value]
    if by_name:
        return [*changes, Change((*where, shape.bearer_variable), KEY_VARIABLE, after=wanted)]
    key = own.token or shape.own_reference
    return [*changes, Change((*where, shape.headers), {"Authorization": f"Bearer {key}"}, after=wanted)]
