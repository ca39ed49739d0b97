"""The lists of the aggregate, and which server a name or a URI of a client means.

A page of the aggregate is a page of each server that has more, one after the other in the order of their names. What a
server lists is learned as it comes by; what was not seen yet is looked for by asking.
"""

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from governance import jsontree
from governance.jsontree import Json, JsonObject
from mcp_proxy.aggregate import HIDDEN_KEY, MISSING_KEY, caching, exposed, head, is_shortened, origin
from mcp_proxy.aggregate_cursor import Cursors
from mcp_proxy.aggregate_outlets import Talk
from mcp_proxy.aggregate_reach import Reach, why
from mcp_proxy.link import Era, LinkLostError, UpstreamError
from mcp_proxy.message import INVALID_PARAMS, Message, result_of

log = logging.getLogger(__name__)

METHOD_NOT_FOUND = -32601
MOST_PAGES = 100
"""Pages of one server's list that are read to find something in it."""
MOST_NAMED = 50
"""Hidden URIs that an answer names."""


class Kind(NamedTuple):
    """What a list holds."""

    method: str
    member: str
    """Of the result."""
    capability: str
    key: str
    """The member of an entry that names it."""


TOOLS = Kind("tools/list", "tools", "tools", "name")
PROMPTS = Kind("prompts/list", "prompts", "prompts", "name")
RESOURCES = Kind("resources/list", "resources", "resources", "uri")
TEMPLATES = Kind("resources/templates/list", "resourceTemplates", "resources", "uriTemplate")
KINDS: Mapping[str, Kind] = {kind.method: kind for kind in (TOOLS, PROMPTS, RESOURCES, TEMPLATES)}


class NotHereError(Exception):
    """No server that the caller may reach has what it asks for. The message is ours and safe to send."""

    def __init__(self, why: str, code: int = INVALID_PARAMS) -> None:
        self.code = code
        super().__init__(why)


class Offers(Protocol):
    """What servers have listed so far (`governance.catalog.catalog.Catalog`)."""

    def tools(self) -> Mapping[str, frozenset[str]]:
        """The names of the tools of each server that has listed any."""
        ...


@dataclass
class _Joined:
    """The entries of several servers."""

    entries: list[tuple[str, str, JsonObject]] = field(default_factory=list[tuple[str, str, JsonObject]])
    """Server, name or URI, and the entry as the server gave it."""
    places: dict[str, str] = field(default_factory=dict[str, str])
    """Where each server that has more goes on."""
    missing: dict[str, Json] = field(default_factory=dict[str, Json])
    hidden: list[Json] = field(default_factory=list[Json])
    results: list[JsonObject] = field(default_factory=list[JsonObject])


class Lists:
    """Joins lists and finds their owners.

    Args:
        reach: the way to the servers.
        cursors: seals where each server goes on.
        catalog: what was listed before, by anybody.
    """

    def __init__(self, reach: Reach, cursors: Cursors, catalog: Offers) -> None:
        self._reach = reach
        self._cursors = cursors
        self._catalog = catalog

    async def page(self, talk: Talk, message: Message) -> JsonObject:
        """One page of the joined list that a client asks for.

        Raises:
            NotHereError: its cursor is not one of ours.
            UpstreamError, RefusedError: no server answered.
        """
        kind, cursor = KINDS[message.method], message.params.get("cursor")
        places: Mapping[str, str] | None = {}
        if "cursor" in message.params:
            places = self._cursors.open(cursor, kind.method, talk.bundle.owner)
            if places is None:
                raise NotHereError("`cursor` is none that this endpoint gave: list from the start again")
        names = [name for name in talk.servers if name in places] if "cursor" in message.params else talk.servers
        params = shared(message.params)

        async def one(name: str) -> JsonObject:
            return await self._page_of(talk, name, kind, params, places.get(name))

        joined = _Joined()
        for name, found in (await self._reach.each(talk, names, one)).items():
            if isinstance(found, Exception):
                joined.missing[name] = why(found)
            else:
                self._join(talk, kind, name, found, joined)
        return self._result(talk, kind, joined)

    async def named(self, talk: Talk, kind: Kind, name: str) -> tuple[str, str]:
        """The server and the real name of a tool or prompt.

        Raises:
            NotHereError: no server that the caller may reach has it.
        """
        found = origin(name)
        if found is None and is_shortened(name):
            found = await self._shortened(talk, kind, name)
        if found is None or found[0] not in talk.servers:
            raise NotHereError(f"no such {kind.member.removesuffix('s')} here: list them to see their names")
        return found

    async def home(self, talk: Talk, uri: str) -> str:
        """The server of a resource or template.

        Raises:
            NotHereError: no server that the caller may reach has it.
        """
        book = talk.bundle.book
        owner = book.home(uri, talk.servers)
        if owner is None:
            await self._read_all(talk, talk.servers, RESOURCES)
            await self._read_all(talk, talk.servers, TEMPLATES)
            owner = book.home(uri, talk.servers)
        if owner is None and len(talk.servers) == 1:
            owner = talk.servers[0]
        if owner is None:
            raise NotHereError("no such resource here", -32002 if talk.bundle.era is Era.LEGACY else INVALID_PARAMS)
        return owner

    # -- one server ---------------------------------------------------------------------------------------------------

    async def _page_of(self, talk: Talk, name: str, kind: Kind, params: JsonObject, place: str | None) -> JsonObject:
        asked: JsonObject = params if place is None else {**params, "cursor": place}
        try:
            answer = await self._asked(talk, name, kind, asked)
        except LinkLostError:
            answer = await self._asked(talk, name, kind, asked)  # a list may be asked for twice: in a session anew
        if answer is None:
            return {}
        error = answer.value.get("error")
        if isinstance(error, dict):
            if error.get("code") == METHOD_NOT_FOUND:
                return {}
            raise UpstreamError(f"server `{name}` answered with an error")
        return result_of(answer)

    async def _asked(self, talk: Talk, name: str, kind: Kind, params: JsonObject) -> Message | None:
        """The answer of a server; None if it said before that it has no such list."""
        member, link = await self._reach.ready(talk, name)
        return (
            await self._reach.ask(talk, member, link, kind.method, params) if member.offers(kind.capability) else None
        )

    async def _read(self, talk: Talk, name: str, kind: Kind) -> None:
        """Read the whole list of one server into the book."""
        params, place = shared(talk.message.params if talk.message else {}), None
        params = {"_meta": params["_meta"]} if "_meta" in params else {}
        for _ in range(MOST_PAGES):
            result = await self._page_of(talk, name, kind, params, place)
            for entry in jsontree.as_list(result.get(kind.member)):
                _learn(talk, kind, name, jsontree.as_object(entry))
            found = result.get("nextCursor")
            if not isinstance(found, str):
                break
            place = found
        talk.bundle.book.listed.add((kind.method, name))

    async def _read_all(self, talk: Talk, names: Iterable[str], kind: Kind) -> None:
        """Read the lists of these servers that were not read yet.

        Raises:
            UpstreamError, RefusedError: not one of them can be read, so nobody can tell what is there.
        """
        unread = [name for name in names if (kind.method, name) not in talk.bundle.book.listed]
        if unread:
            await self._reach.each(talk, unread, lambda name: self._read(talk, name, kind))

    # -- joined -------------------------------------------------------------------------------------------------------

    def _join(self, talk: Talk, kind: Kind, name: str, result: JsonObject, joined: _Joined) -> None:
        joined.results.append(result)
        place = result.get("nextCursor")
        if isinstance(place, str):
            joined.places[name] = place
        seen: set[str] = set()
        for entry in jsontree.as_list(result.get(kind.member)):
            item = jsontree.as_object(entry)
            named = _learn(talk, kind, name, item)
            if named and named not in seen:  # else nothing can name it, or it was named already
                seen.add(named)
                joined.entries.append((name, named, item))

    def _shown(self, talk: Talk, kind: Kind, joined: _Joined) -> list[Json]:
        """The entries as the client sees them: with our names, and without URIs of servers that come first."""
        if kind.key == "name":
            return [{**item, "name": exposed(server, named)} for server, named, item in joined.entries]
        shown: list[Json] = []
        for server, uri, item in joined.entries:
            if talk.bundle.book.is_shadowed(uri, server, talk.servers):
                joined.hidden.append(f"{uri} of {server}")
            else:
                shown.append(item)
        return shown

    def _result(self, talk: Talk, kind: Kind, joined: _Joined) -> JsonObject:
        result: JsonObject = {kind.member: self._shown(talk, kind, joined)}
        if joined.places:
            result["nextCursor"] = self._cursors.seal(kind.method, talk.bundle.owner, joined.places)
        meta: JsonObject = {}
        if joined.missing:
            meta[MISSING_KEY] = dict(joined.missing)
        if joined.hidden:
            meta[HIDDEN_KEY] = joined.hidden[:MOST_NAMED]
        if meta:
            result["_meta"] = meta
        if talk.bundle.era is Era.MODERN:
            result |= caching(joined.results, whole=not joined.missing)
        return result

    async def _shortened(self, talk: Talk, kind: Kind, name: str) -> tuple[str, str] | None:
        """The tool or prompt behind a shortened name: from what was listed before, or else by listing."""
        book = talk.bundle.book
        if found := book.find(kind.member, name, talk.servers):
            return found
        possible = [server for server in talk.servers if name.startswith(head(server))]
        if kind is TOOLS:
            listed = self._catalog.tools()
            for server in possible:
                book.learn_names(kind.member, server, listed.get(server, ()))
        await self._read_all(talk, possible, kind)
        return book.find(kind.member, name, talk.servers)


def _learn(talk: Talk, kind: Kind, server: str, item: JsonObject) -> str:
    """Take in one entry of a list; returns its name or URI, empty if it has none."""
    book, named = talk.bundle.book, jsontree.as_text(item.get(kind.key))
    if not named:
        return ""
    if kind.key == "name":
        book.learn_names(kind.member, server, [named])
        page = jsontree.as_object(jsontree.as_object(item.get("_meta")).get("ui")).get("resourceUri")
        if isinstance(page, str):
            book.learn_link(server, page)
    elif kind is RESOURCES:
        book.learn_uri(server, named)
    else:
        book.learn_template(server, named)
    return named


def shared(params: JsonObject) -> JsonObject:
    """Parameters that several servers get: each has cursors of its own, and only one could report progress."""
    kept: JsonObject = {name: value for name, value in params.items() if name != "cursor"}
    meta = params.get("_meta")
    if isinstance(meta, dict):
        kept["_meta"] = {name: value for name, value in meta.items() if name != "progressToken"}
    return kept
