"""The manifest: a file, checked in beside the configuration, that names what is trusted by its digest.

`wicket pins export` writes one. It is read once, when a process starts.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import orjson

from governance import jsontree
from governance.config.document import ConfigError, Problem
from governance.jsontree import Json
from governance.pins.pin import Key, Kind, Pin

VERSION = 1
MAX_BYTES = 16 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a file says is trusted."""

    digests: frozenset[tuple[Key, str]] = frozenset()

    def holds(self, key: Key, digest: str) -> bool:
        """Whether the file names this very definition."""
        return (key, digest) in self.digests


def read_manifest(path: str) -> Manifest:
    """The manifest at `path`; an empty one where no path is given.

    Raises:
        ConfigError: it cannot be read, or is none.
    """
    if not path:
        return Manifest()
    try:
        raw = Path(path).read_bytes()
    except OSError as error:
        raise _problem(path, f"cannot be read: {error.strerror}") from None
    if len(raw) > MAX_BYTES:
        raise _problem(path, f"is larger than {MAX_BYTES} bytes")
    try:
        value = jsontree.as_object(jsontree.parse(raw))
    except jsontree.MalformedError as error:
        raise _problem(path, str(error)) from None
    entries = value.get("pins")
    if value.get("version") != VERSION or not isinstance(entries, list):
        raise _problem(path, f"is no manifest of version {VERSION}")
    return Manifest(frozenset(_entry(path, index, entry) for index, entry in enumerate(entries)))


def written(pins: Iterable[Pin]) -> bytes:
    """The text of a manifest that names what is trusted now, in an order that makes small differences."""
    entries = [
        {"server": pin.server, "kind": pin.kind.value, "name": pin.name, "digest": pin.digest}
        for pin in sorted(pins, key=lambda one: one.key)
        if pin.digest and pin.kind is not Kind.SET
    ]
    return orjson.dumps({"version": VERSION, "pins": entries}, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)


def _entry(path: str, index: int, entry: Json) -> tuple[Key, str]:
    fields = jsontree.as_object(entry)
    texts = [fields.get(name) for name in ("server", "kind", "name", "digest")]
    server, kind, name, digest = (text if isinstance(text, str) else "" for text in texts)
    if not all(isinstance(text, str) for text in texts) or kind not in list(Kind) or len(digest) != 64:
        raise _problem(path, f"`pins[{index}]` needs `server`, `kind`, `name` and `digest`")
    return (server, kind, name), digest


def _problem(path: str, what: str) -> ConfigError:
    return ConfigError([Problem(path, 0, "", what, "write it with `wicket pins export`")])
