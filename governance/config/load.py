"""`wicket.yaml` from a file to a checked `Config`.

It reads, fills in references, validates and explains. What the settings are stands in `models.py`; what YAML is, in
`document.py`. No message ever repeats a value of the file, because any of them may be a secret.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from governance.config import checks
from governance.config.document import ConfigError, Document, Place, Problem, read
from governance.config.explain import explain
from governance.config.models import Config
from governance.config.references import References
from governance.jsontree import Json, JsonObject

__all__ = ["ConfigError", "Problem", "Reading", "inspect", "load"]

_ADDRESS_NAMES = ("serverUrl", "httpUrl")
"""What other clients' files call `url`."""


@dataclass(frozen=True, slots=True)
class Reading:
    """A configuration, and what its author should know although it may be used."""

    config: Config
    warnings: tuple[Problem, ...] = ()


def load(path: Path, environ: Mapping[str, str] | None = None) -> Config:
    """The configuration in a file, with every reference filled in and every path absolute.

    Args:
        path: the file.
        environ: where `${NAME}` is looked up; the process's own environment where `None`.

    Raises:
        ConfigError: names every problem with file, line, key and how to mend it.
    """
    return inspect(path, environ).config


def inspect(path: Path, environ: Mapping[str, str] | None = None) -> Reading:
    """As `load`, together with the warnings.

    Raises:
        ConfigError: as `load`.
    """
    document = read(path)
    base = path.absolute().parent
    if not isinstance(document.value, dict):
        raise ConfigError([document.problem((), "must be a mapping", "write `key: value` lines")])
    document = _as_ours(document, document.value)
    references = References(document, os.environ if environ is None else environ, base)
    value = references.filled(document.value)
    try:
        config = Config.model_validate(value)
    except ValidationError as error:
        blamed = {problem.key for problem in references.problems}
        problems = [problem for problem in explain(error, document, Config) if problem.key not in blamed]
        raise ConfigError([*references.problems, *problems]) from None
    config = _located(config, base)
    if found := references.problems or checks.problems(config, document):
        raise ConfigError(found)
    said = {problem.key.removesuffix(".api_key") for problem in references.warnings}
    keyless = [warning for warning in checks.warnings(config, document) if warning.key not in said]
    return Reading(config, (*references.warnings, *keyless))


def _as_ours(document: Document, value: JsonObject) -> Document:
    """The document with the spellings of other clients' files turned into ours, each with its line."""
    lines = dict(document.lines)
    value = dict(value)
    if "servers" in value:
        if "mcpServers" in value:
            raise ConfigError([document.problem(("servers",), "is another name for `mcpServers`", "keep one of them")])
        value["mcpServers"] = value.pop("servers")
        lines |= {("mcpServers", *place[1:]): line for place, line in lines.items() if place[:1] == ("servers",)}
    servers = value.get("mcpServers")
    if isinstance(servers, dict):
        value["mcpServers"] = {name: _server(entry, ("mcpServers", name), lines) for name, entry in servers.items()}
    return Document(document.file, _with_ports(_without_nulls(value)), lines)


def _server(entry: Json, place: Place, lines: dict[Place, int]) -> Json:
    if not isinstance(entry, dict) or "url" in entry:
        return entry
    for name in _ADDRESS_NAMES:
        if name in entry:
            lines[*place, "url"] = lines[*place, name]
            return {("url" if key == name else key): value for key, value in entry.items()}
    return entry


def _without_nulls(value: Json) -> Json:
    """`value` without members that are null: a section whose lines are all commented out is one that is not set."""
    if isinstance(value, dict):
        return {name: _without_nulls(child) for name, child in value.items() if child is not None}
    if isinstance(value, list):
        return [_without_nulls(child) for child in value]
    return value


def _with_ports(value: Json) -> Json:
    """`value` with the usual port where a front says something else of itself, but not its port."""
    usual = Config.model_validate({})
    if not isinstance(value, dict):
        return value
    given = {
        name: {"port": port, **front}
        for name, port in (("gateway", usual.gateway.port), ("mcp", usual.mcp.port))
        if isinstance(front := value.get(name), dict)
    }
    return {**value, **given}


def _located(config: Config, base: Path) -> Config:
    """`config` with paths that do not depend on where the process was started."""
    state = base / Path(config.state).expanduser()
    database = config.database or f"sqlite:///{state / 'wicket.db'}"
    prefix, slashes, rest = database.partition("sqlite:///")
    if not prefix and slashes and not rest.startswith("/"):
        database = f"sqlite:///{base / rest}"
    policies = tuple(str(base / Path(policy).expanduser()) for policy in config.policies)
    manifest = str(base / Path(config.pin_manifest).expanduser()) if config.pin_manifest else ""
    located = {"state": str(state), "database": database, "policies": policies, "pin_manifest": manifest}
    return config.model_copy(update=located)
