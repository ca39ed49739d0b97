"""One endpoint for many servers: the names that tools and prompts get there, and how answers of servers are joined.

Pure. A name goes both ways: `exposed` and `origin` are each other's inverse, except for names that had to be shortened,
which a book (`aggregate_book.py`) remembers. Policy, catalog and audit never see a name that is made here.
"""

import hashlib
import re
from collections.abc import Iterable, Mapping

from governance import jsontree
from governance.jsontree import Json, JsonObject
from governance.policy.glob import Globs
from mcp_proxy.sdk import HANDSHAKE_PROTOCOL_VERSIONS, LATEST_HANDSHAKE_VERSION
from mcp_proxy.tasks.task import EXTENSION

SEPARATOR = "__"
LONGEST = 47
"""Most characters of a name. With a client's own prefix (`mcp__wicket__`, 13) it stays within the 60 that Cursor and
the 64 that the Claude API take for the whole."""
MISSING_KEY = "wicket/missing"
"""Member of `_meta` that names the servers whose part is missing from an answer, and why."""
HIDDEN_KEY = "wicket/hidden"
"""Member of `_meta` that names the URIs that a server listed and another one owns."""
_DIGITS = 12
_HEAD = 12
_PLAIN = re.compile(r"[A-Za-z0-9_-]+")
_ODD = re.compile(r"[^A-Za-z0-9_-]")
_TAIL = re.compile(rf".*_[0-9a-f]{{{_DIGITS}}}", re.DOTALL)
_EXPRESSION = re.compile(r"\{[^{}]*\}")


def exposed(server: str, name: str) -> str:
    """The name under which clients of the aggregate see a tool or prompt: `server__name`.

    Two different pairs get two different names. Where the plain form is too long, has characters that model APIs
    refuse, or could be read in two ways, it is shortened and ends in a digest of both parts.
    """
    plain = f"{server}{SEPARATOR}{name}"
    if _is_plain(server, name, plain):
        return plain
    start = head(server)
    digest = hashlib.sha256(jsontree.dump([server, name])).hexdigest()[:_DIGITS]
    room = LONGEST - len(start) - 1 - _DIGITS
    return f"{start}{_ODD.sub('_', name)[:room].rstrip('_')}_{digest}"


def origin(name: str) -> tuple[str, str] | None:
    """The server and the real name behind an exposed name; None where only a book can tell, or nothing is."""
    server, separator, real = name.partition(SEPARATOR)
    return (server, real) if separator and exposed(server, real) == name else None


def is_shortened(name: str) -> bool:
    """Whether a name looks like one that was shortened."""
    return len(name) <= LONGEST and _TAIL.fullmatch(name) is not None


def head(server: str) -> str:
    """What every shortened name of a server begins with."""
    return _ODD.sub("_", server)[:_HEAD] + SEPARATOR


def _is_plain(server: str, name: str, plain: str) -> bool:
    """Whether `server__name` can stand for itself: the first separator in it must be the one between the two."""
    return (
        bool(server and name)
        and len(plain) <= LONGEST
        and _PLAIN.fullmatch(plain) is not None
        and SEPARATOR not in server
        and not server.endswith("_")
        and _TAIL.fullmatch(name) is None
    )


def matches(template: str, uri: str) -> bool:
    """Whether a URI could come from a template (RFC 6570): each expression may be any text."""
    return Globs([_EXPRESSION.sub("*", template)]).match(uri)


def version_for(asked: Json) -> str:
    """The legacy revision that the aggregate speaks with a client that asked for one."""
    known = isinstance(asked, str) and asked in HANDSHAKE_PROTOCOL_VERSIONS
    return asked if known and isinstance(asked, str) else LATEST_HANDSHAKE_VERSION


def union(capabilities: Iterable[JsonObject], *, modern: bool = False, tasks: bool = False) -> JsonObject:
    """What at least one server can do.

    Each generation of tasks is shown to clients of its own revision only.
    """
    joined: JsonObject = {}
    for one in capabilities:
        joined = _joined(joined, {name: value for name, value in one.items() if name != "tasks" or tasks})
    extensions = joined.get("extensions")
    if isinstance(extensions, dict) and EXTENSION in extensions and not modern:
        joined["extensions"] = {name: value for name, value in extensions.items() if name != EXTENSION}
    return joined


def _joined(ours: JsonObject, theirs: JsonObject) -> JsonObject:
    joined = dict(ours)
    for name, value in theirs.items():
        mine = joined.get(name)
        if isinstance(mine, dict) and isinstance(value, dict):
            joined[name] = _joined(mine, value)
        elif name not in joined or value is True:
            joined[name] = value
    return joined


def instructions(texts: Mapping[str, str], missing: Iterable[str]) -> str:
    """What a client is told about the aggregate: which servers stand behind it, and what each says of itself."""
    naming = f"The tools and prompts of each are named `server{SEPARATOR}name`."
    lines = [f"Several MCP servers stand behind this endpoint. {naming} Servers: {_listed(texts)}."]
    if gone := _listed(missing):
        lines.append(f"Not available now: {gone}.")
    lines += [f"## {name}\n{text}" for name, text in texts.items() if text]
    return "\n\n".join(lines)


def _listed(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def caching(results: Iterable[JsonObject], *, whole: bool) -> JsonObject:
    """How long a joined modern result may be kept, and for whom: for its own caller, as the shortest-lived part."""
    lives = [life for one in results if isinstance(life := one.get("ttlMs"), int) and life >= 0]
    return {"resultType": "complete", "ttlMs": min(lives, default=0) if whole else 0, "cacheScope": "private"}
