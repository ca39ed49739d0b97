"""The shapes in which MCP servers are handed around, turned into servers of `wicket.yaml`.

They are `mcpServers`, `servers` and the `server.json` of the MCP registry. Pure. A value that may be a secret never
comes out as itself: it becomes `${NAME}`, or a file of the registry.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from governance.jsontree import Json, JsonObject
from wicket.connect.agent import References, Shape
from wicket.connect.plan import Upstream, command_of, upstream_of, usable
from wicket.connect.references import literally, taken, variables
from wicket.connect.shown import plain

_PLACES = ("mcpServers", "servers", "mcp_servers")
_SECRET = re.compile(r"key|token|secret|passw|auth|credential|cookie", re.IGNORECASE)
_VARIABLE = re.compile(r"\{([A-Za-z0-9_.-]+)\}")
_RUNNERS: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "npm": ("npx", ("-y",)),
    "pypi": ("uvx", ()),
    "oci": ("docker", ("run", "-i", "--rm")),
    "nuget": ("dnx", ("--yes",)),
}
"""What runs a package of each registry. A file cannot name a program of its own."""


class ShapeError(ValueError):
    """A file, or a server in it, that cannot be taken. The message is ours."""


@dataclass(frozen=True)
class Import:
    """A server to be added."""

    name: str
    command: JsonObject | None = None
    """A stdio server as `wicket.yaml` has it."""
    upstream: Upstream | None = None
    """A remote one."""
    needs: tuple[str, ...] = ()
    """Environment variables that must be set where Wicket runs."""


def imports(value: Json) -> list[Import]:
    """The servers of a file.

    Raises:
        ShapeError: it has none of the known shapes, or a server of it cannot be taken.
    """
    if isinstance(value, dict):
        inner = value.get("server")
        server = inner if isinstance(inner, dict) else value
        if isinstance(server.get("packages"), list) or isinstance(server.get("remotes"), list):
            return [_registered(server)]
        for place in _PLACES:
            if isinstance(members := value.get(place), dict):
                return [_listed(name, entry) for name, entry in members.items()]
    raise ShapeError("holds neither `mcpServers`, nor `servers`, nor a `server.json` with `packages` or `remotes`")


def _listed(name: str, entry: Json) -> Import:
    shape = Shape(references=References.DOLLAR, addresses=("url", "serverUrl", "httpUrl"))
    if not isinstance(entry, dict):
        raise ShapeError(f"server `{name}` is not an object")
    entry = _plain_references(entry)
    command = command_of(shape, entry)
    if command is None:
        found = upstream_of(shape, entry)
        if isinstance(found, str):
            raise ShapeError(f"server `{name}`: {found}")
        return Import(usable(name), upstream=found, needs=tuple(found.needs()))
    environment: dict[str, str] = {}
    held = entry.get("env", {})
    for key, text in held.items() if isinstance(held, dict) else ():
        told = taken(str(text), References.DOLLAR)
        if told is None:
            raise ShapeError(f"server `{name}`: the value of `{key}` is known to the agent alone")
        secret = told.literal and (_SECRET.search(key) or plain(told.text) != told.text)
        environment[key] = f"${{{key}}}" if secret else literally(told.text) if told.literal else told.text
    args: list[Json] = [_argument(name, text) for text in command[1:]]
    made: JsonObject = {"command": command[0], "args": args} if args else {"command": command[0]}
    if environment:
        made["env"] = dict(environment)
    if isinstance(cwd := entry.get("cwd"), str) and cwd:
        made["cwd"] = cwd
    return Import(usable(name), made, needs=_needs(made))


def _argument(name: str, text: str) -> str:
    told = taken(text, References.DOLLAR)
    if told is None:
        raise ShapeError(f"server `{name}`: the argument `{plain(text)}` is known to the agent alone")
    if told.literal and plain(text) != text:
        raise ShapeError(f"server `{name}`: an argument looks like a secret: write `${{NAME}}` in its place")
    return literally(told.text) if told.literal else told.text


def _plain_references(value: JsonObject) -> JsonObject:
    """`${env:NAME}` as `${NAME}`, everywhere."""

    def told(one: Json) -> Json:
        if isinstance(one, dict):
            return {key: told(child) for key, child in one.items()}
        if isinstance(one, list):
            return [told(child) for child in one]
        return one.replace("${env:", "${") if isinstance(one, str) else one

    return {key: told(child) for key, child in value.items()}


def _registered(server: JsonObject) -> Import:
    """A server of the MCP registry: a remote one where there is one, since nothing has to be run for it."""
    name = usable(str(server.get("name", "")).rpartition("/")[2])
    remotes, packages = server.get("remotes"), server.get("packages")
    for remote in remotes if isinstance(remotes, list) else []:
        if isinstance(remote, dict) and isinstance(remote.get("url"), str):
            return _remote(name, remote)
    for package in packages if isinstance(packages, list) else []:
        if isinstance(package, dict) and str(_of(package, "registryType")) in _RUNNERS and _is_stdio(package):
            return _package(name, package)
    raise ShapeError(
        f"`{name}` has no remote, and no package of {', '.join(f'`{one}`' for one in _RUNNERS)} over stdio"
    )


def _remote(name: str, remote: JsonObject) -> Import:
    headers: JsonObject = {}
    for header in _objects(remote.get("headers")):
        if (text := _input(header, str(header.get("name", "")))) is not None:
            headers[str(header.get("name", ""))] = text
    kind = str(_of(remote, "type") or _of(remote, "transportType"))
    entry: JsonObject = {"url": _filled(str(remote["url"]), remote), "headers": headers, "type": kind}
    found = upstream_of(Shape(references=References.DOLLAR), entry)
    if isinstance(found, str):
        raise ShapeError(f"server `{name}`: {found}")
    return Import(name, upstream=found, needs=tuple(found.needs()))


def _package(name: str, package: JsonObject) -> Import:
    kind = str(_of(package, "registryType"))
    runner, usual = _RUNNERS[kind]
    identifier, version = str(package.get("identifier", "")), str(package.get("version", ""))
    joint = ":" if kind == "oci" else "@"
    already = ":" in identifier.rpartition("/")[2] if kind == "oci" else False
    reference = f"{identifier}{joint}{version}" if version and not already else identifier
    environment: JsonObject = {}
    for variable in _objects(_of(package, "environmentVariables")):
        if (text := _input(variable, str(variable.get("name", "")))) is not None:
            environment[str(variable.get("name", ""))] = text
    passed = [part for key in environment for part in ("-e", key)] if kind == "oci" else []
    args: list[Json] = [*usual, *passed, *_arguments(_of(package, "runtimeArguments")), reference]
    args += _arguments(_of(package, "packageArguments"))
    made: JsonObject = {"command": runner, "args": args}
    if environment:
        made["env"] = environment
    return Import(name, made, needs=_needs(made))


def _arguments(listed: Json) -> Iterator[str]:
    for one in _objects(listed):
        flag = str(one.get("name", "")) if one.get("type") == "named" else ""
        text = _input(one, flag.lstrip("-") or str(_of(one, "valueHint") or "argument"))
        if flag and (text is not None or not ("value" in one or "default" in one or _of(one, "isRequired"))):
            yield flag
        if text:
            yield text


def _input(one: JsonObject, name: str) -> str | None:
    """What a value of a `server.json` becomes; nothing where it may be left out."""
    if isinstance(value := one.get("value"), str):
        return _filled(value, one)
    variable = _variable(name)
    if isinstance(usual := one.get("default"), str) and not _of(one, "isSecret"):
        return f"${{{variable}:-{usual}}}" if "}" not in usual else literally(usual)
    return f"${{{variable}}}" if _of(one, "isRequired") or _of(one, "isSecret") else None


def _filled(text: str, around: JsonObject) -> str:
    """`text` with its `{variables}` as environment variables."""
    declared = around.get("variables")
    known = declared if isinstance(declared, dict) else {}

    def told(found: re.Match[str]) -> str:
        variable = known.get(found[1])
        return (_input(variable, found[1]) if isinstance(variable, dict) else None) or f"${{{_variable(found[1])}}}"

    return _VARIABLE.sub(told, text)


def _variable(name: str) -> str:
    return re.sub(r"[^A-Z0-9]+", "_", name.upper()).strip("_") or "VALUE"


def _of(one: JsonObject, name: str) -> Json:
    """A member by its name, or as the first schema spelled it."""
    snake = re.sub(r"([A-Z])", lambda found: f"_{found[1].lower()}", name)
    return one.get(name, one.get(snake))


def _is_stdio(package: JsonObject) -> bool:
    transport = package.get("transport")
    return not isinstance(transport, dict) or transport.get("type", "stdio") == "stdio"


def _objects(listed: Json) -> list[JsonObject]:
    return [one for one in listed if isinstance(one, dict)] if isinstance(listed, list) else []


def _needs(made: JsonObject) -> tuple[str, ...]:
    args, environment = made.get("args"), made.get("env")
    texts: list[Json] = [*args] if isinstance(args, list) else []
    texts += environment.values() if isinstance(environment, dict) else []
    return tuple(dict.fromkeys(name for text in texts for name in variables(str(text))))
