"""The catalog: the definition of every tool that a server listed, by digest.

It remembers and compares; whether a change matters is not decided here. The digest of a tool's whole definition stands
in `exchange.resource.definition`, so an approval and a later pin are bound to it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from governance import jsontree
from governance.catalog.offered import Offered
from governance.exchange import nothing
from governance.jsontree import Json, JsonObject

MAX_TOOLS = 10_000
"""Most tools of one server that are remembered: a server must not be able to fill the memory."""


@dataclass(frozen=True, slots=True)
class Definition:
    """A tool as its server described it."""

    server: str
    name: str
    digest: str
    """SHA-256 of the canonical form of the whole definition."""
    value: JsonObject
    """The whole definition as received."""


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of a tool; empty where its server never listed it."""

    definition: str = ""
    """SHA-256 of the whole definition as received."""
    annotations: Mapping[str, Json] = field(default_factory=nothing)
    input_schema: Mapping[str, Json] = field(default_factory=nothing)
    output_schema: Mapping[str, Json] = field(default_factory=nothing)
    meta: Mapping[str, Json] = field(default_factory=nothing)
    """What its server says of it besides: its `_meta`."""
    odd: tuple[str, ...] = ()
    """Those of the two schemas that are given, but are no object."""


@dataclass(frozen=True, slots=True)
class Change:
    """A tool whose definition differs from the one known before."""

    server: str
    name: str
    before: str
    """Digest known before; empty for a tool that is new."""
    after: str


class DefinitionStore(Protocol):
    """Keeps definitions beyond the life of the process."""

    async def newest(self) -> Sequence[Definition]:
        """The definition of each tool that was given last."""
        ...

    async def keep(self, definitions: Sequence[Definition]) -> None:
        """Note that these definitions were given now."""
        ...


class Catalog:
    """What each server offers. Asked from memory, kept in a store."""

    def __init__(self, store: DefinitionStore) -> None:
        self._store = store
        self._servers: dict[str, dict[str, Known]] = {}
        self.offered = Offered()
        """How many tools each server offers now, which may be fewer than it ever listed."""

    async def restore(self) -> None:
        """Take up what the store has kept."""
        for definition in await self._store.newest():
            self._servers.setdefault(definition.server, {})[definition.name] = _known(definition)

    async def learn(self, server: str, tools: Sequence[JsonObject]) -> tuple[Change, ...]:
        """Take in a listing, or one page of it, each definition as received. Returns what is new or different.

        An entry without a usable name is passed over: no call can name it (`stage.py`), and no column holds a NUL.
        """
        known = self._servers.setdefault(server, {})
        given = [definition for tool in tools if (definition := _definition(server, tool)) is not None]
        changed = [one for one in given if known.get(one.name, _UNKNOWN).definition != one.digest]
        fresh = [one.name for one in changed if one.name not in known]
        too_many = set(fresh[max(MAX_TOOLS - len(known), 0) :])
        changed = [one for one in changed if one.name not in too_many]
        if not changed:
            return ()
        await self._store.keep(changed)
        changes: list[Change] = []
        for one in changed:
            changes.append(Change(server, one.name, known.get(one.name, _UNKNOWN).definition, one.digest))
            known[one.name] = _known(one)
        return tuple(changes)

    def seen(self, server: str, tool: str) -> Known:
        """What is known of a tool."""
        return self._servers.get(server, {}).get(tool, _UNKNOWN)

    def has(self, server: str, tool: str) -> bool:
        """Whether a server listed a tool of this name."""
        return tool in self._servers.get(server, {})

    def lookup(self, server: str, tool: str) -> tuple[str, Mapping[str, Json]]:
        """The digest and the annotations of a tool; empty where its server never listed it."""
        known = self.seen(server, tool)
        return known.definition, known.annotations

    def tools(self) -> Mapping[str, frozenset[str]]:
        """The names of the tools of each server that has listed any."""
        return {server: frozenset(tools) for server, tools in self._servers.items() if tools}


class MemoryDefinitions:
    """A store for as long as the process lives."""

    def __init__(self) -> None:
        self._kept: dict[tuple[str, str], Definition] = {}

    async def newest(self) -> Sequence[Definition]:
        """The definition of each tool that was given last."""
        return list(self._kept.values())

    async def keep(self, definitions: Sequence[Definition]) -> None:
        """Note that these definitions were given now."""
        self._kept |= {(one.server, one.name): one for one in definitions}


_UNKNOWN = Known()


def _definition(server: str, tool: JsonObject) -> Definition | None:
    name = tool.get("name")
    if not isinstance(name, str) or not name or not name.isprintable():
        return None
    return Definition(server, name, jsontree.digest(tool), tool)


def _known(definition: Definition) -> Known:
    given = definition.value
    return Known(
        definition.digest,
        jsontree.as_object(given.get("annotations")),
        jsontree.as_object(given.get("inputSchema")),
        jsontree.as_object(given.get("outputSchema")),
        jsontree.as_object(given.get("_meta")),
        tuple(name for name in ("inputSchema", "outputSchema") if not isinstance(given.get(name), dict | None)),
    )
