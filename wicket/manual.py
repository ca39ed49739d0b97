"""`docs/config.md`, `docs/cli.md` and `docs/api.md`, made from the models, the commands and the API.

`make docs` writes them, and tests hold them equal to the code. Not part of what a user runs.
"""

import types
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Literal, Union, cast, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from console.v1.manual import page as api_page
from governance.config.models import Config
from wicket.cli import GROUPS, MODULES, commands_in
from wicket.command import Argument, Command
from wicket.exits import Exit

_PLAIN = {
    str: "text",
    int: "whole number",
    float: "number",
    Decimal: "number",
    bool: "true or false",
    type(None): "nothing",
}


def write(directory: Path) -> None:
    """Write the pages."""
    (directory / "api.md").write_text(api_page())
    (directory / "config.md").write_text(config_page())
    (directory / "cli.md").write_text(commands_page())


def config_page() -> str:
    """The manual of `wicket.yaml`."""
    intro = """\
# Configuration: `wicket.yaml`

This page is made from the code (`make docs`). `wicket init` writes a small commented file, `wicket check` tells every
mistake by file, line and key, and `wicket doctor` looks at what a configuration leads to.

- An unknown setting is an error, never ignored. So is a key that is written twice. A setting that is null is not set.
- `${NAME}` is the environment variable `NAME`; `${NAME:-default}` has a default; `$${` stands for the characters `${`.
  `${env:NAME}` means the same as `${NAME}`. A variable that is missing is an error, but for the key of a provider:
  that is a warning, and the provider is refused when it is used.
- `file:PATH` reads a value from a file, relative to this one. It is understood in `database`, `secrets`, the keys and
  headers of providers, the address and the headers of MCP servers, the secrets and keys of OAuth clients, and the
  secrets of webhooks and channels.
- Keys of providers, client secrets and keys, secrets of webhooks, addresses and passwords of channels, and everything
  under `secrets` must be one of the two: they never stand in the file itself, and no message ever repeats them.
- Paths are relative to the file. `mcpServers` may be called `servers`; the `url` of a server may be called `serverUrl`
  or `httpUrl`, as in the files of agents.

Generated secrets live in the directory `state` (mode 0700, files 0600): `master.key`, from which every signing key is
derived, and `admin.token`, which opens the console. A secret that is known, short, or readable by others refuses to
start.
"""
    return intro + "".join(_section(Config, "", "Top level", Config.model_validate({})))


def commands_page() -> str:
    """The manual of the command line."""
    return (
        "\n".join([*_commands_intro(), *(line for command in commands_in(MODULES) for line in _command(command))])
        + "\n"
    )


def _section(model: type[BaseModel], prefix: str, title: str, usual: BaseModel | None) -> Iterator[str]:
    """A table of the settings of a section, then the sections below it; `usual` is what it is where it is left out."""
    about = "" if model is Config else f"\n{' '.join((model.__doc__ or '').split())}\n"
    yield f"\n## {title}\n{about}\n| setting | value | default | meaning |\n| --- | --- | --- | --- |\n"
    below: list[tuple[type[BaseModel], str, object]] = []
    for name, field in model.model_fields.items():
        place = prefix + (field.alias or name)
        inner, suffix = _inner(field.annotation)
        if inner is not None:
            below.append((inner, place + suffix, getattr(usual, name, None)))
            about = field.description or " ".join((inner.__doc__ or "").split())
            yield f"| `{place}` | section `{place}{suffix}` | | {_cell(about)} |\n"
        else:
            meaning = _cell(field.description or "")
            default = _default(field, getattr(usual, name, None))
            yield f"| `{place}` | {_kind(field.annotation)}{_bounds(field)} | {default} | {meaning} |\n"
    for inner, place, value in below:
        yield from _section(inner, f"{place}.", f"`{place}`", value if isinstance(value, inner) else None)


def _inner(kind: Any) -> tuple[type[BaseModel] | None, str]:
    """The model inside a field's type, and how its entries are written below the field."""
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        return kind, ""
    if get_origin(kind) in (dict, tuple):
        parts: list[Any] = [one for one in get_args(kind) if one is not Ellipsis]
        last = parts[-1]
        if isinstance(last, type) and issubclass(last, BaseModel):
            return last, ".NAME" if get_origin(kind) is dict else "[]"
    return None, ""


def _kind(kind: Any) -> str:
    if kind in _PLAIN:
        return _PLAIN[kind]
    if get_origin(kind) is Annotated:
        return _kind(get_args(kind)[0])
    parts: list[Any] = [one for one in get_args(kind) if one not in (Ellipsis, type(None))]
    if get_origin(kind) is Literal:
        return ", ".join(f"`{one}`" for one in parts)
    if get_origin(kind) in (Union, types.UnionType):
        return " or ".join(_kind(one) for one in parts)
    if get_origin(kind) is dict:
        return f"mapping of names to {_kind(parts[1])}"
    return f"list of {_kind(parts[0])}"


def _bounds(field: FieldInfo) -> str:
    words = {"ge": "at least", "gt": "more than", "le": "at most", "lt": "less than"}
    found = [f"{words[name]} {getattr(rule, name)}" for rule in field.metadata for name in words if hasattr(rule, name)]
    return f" ({', '.join(found)})" if found else ""


def _default(field: FieldInfo, usual: object) -> str:
    if usual is None and field.is_required():
        return "required"
    value = usual if field.is_required() else field.get_default(call_default_factory=True, validated_data={})
    if value in ("", None, {}, ()):
        return ""
    if isinstance(value, tuple):
        entries = cast("tuple[object, ...]", value)
        return f"`[{', '.join(map(str, entries))}]`"
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"


def _commands_intro() -> Iterator[str]:
    yield """\
# Commands

This page is made from the code (`make docs`). Every command takes `--config FILE` (default `wicket.yaml`, or what the
environment variable `WICKET_CONFIG` says), `--json` (say everything as one JSON document) and `--help`.

Results go to standard output, everything else to standard error. What goes wrong is told in lines that begin with
`error: ` and say what, where, and how to mend it; with `--json` as `{"errors": [...]}` on standard output.

| exit code | meaning |
| --- | --- |"""
    yield from (f"| {code.value} | {_cell(code.meaning)} |" for code in Exit)
    yield ""
    yield "| group | |"
    yield "| --- | --- |"
    yield from (f"| `wicket {name}` | {summary} |" for name, summary in GROUPS.items())


def _command(command: Command) -> Iterator[str]:
    yield ""
    yield f"## `wicket {command.name}`"
    yield ""
    yield f"{command.summary[0].upper()}{command.summary[1:]}."
    if command.arguments or command.rest:
        yield ""
        yield "| argument | meaning |"
        yield "| --- | --- |"
        yield from (f"| {_usage(one)} | {_cell(one.help)} |" for one in command.arguments)
    if command.rest:
        yield f"| `-- COMMAND...` | {_cell(command.rest)} |"
    for code, meaning in command.exits.items():
        yield ""
        yield f"Exit code {code.value}: {meaning}."


def _usage(one: Argument) -> str:
    name = one.settings.get("metavar") or one.flags[-1].lstrip("-").upper()
    if not one.flags[0].startswith("-"):
        return f"`{name}`"
    plain = one.settings.get("action") == "store_true"
    choices = "|".join(one.settings.get("choices", ()))
    return f"`{', '.join(one.flags)}`" if plain else f"`{', '.join(one.flags)} {choices or name}`".replace("|", "\\|")


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
