"""Holds what was seen through Wicket against what was seen without it."""

import re
from collections.abc import Callable, Iterable
from typing import Any

from tests.fidelity.cases import CASES
from tests.fidelity.peers import Frame
from tests.fidelity.player import HANDSHAKE, Record
from tests.fidelity.recording import Recording, Way
from tests.fidelity.servers import Entry

_IDS = re.compile(rb'("id"|"progressToken")(\s*:\s*)("[^"]*"|[^\s,{}"]+)')


def differences(found: Recording, way: Way, check: str) -> list[str]:
    """What is not the same, in words; empty if everything is."""
    seen = found.through[way][check]
    client, server = found.direct[way.client, way.modern][check], found.direct[way.server, way.modern][check]
    told = [f"{name}: {record.trouble}" for name, record in _named(seen, client, server) if record.trouble]
    if told:
        return told
    pair = _frames_of(way, check)
    return [
        *_unlike("the client saw", pair(client.frames), pair(seen.frames)),
        *_unlike("the client saw", *_heads(way, client, seen)),
        *_unlike("the server saw", _entries(way, check, server.entries), _entries(way, check, seen.entries)),
        *_unlike("the server saw headers", *_headers(way, server, seen)),
    ]


def _named(seen: Record, client: Record, server: Record) -> Iterable[tuple[str, Record]]:
    return ("through Wicket", seen), ("directly, the client's transport", client), ("directly, the server's", server)


def _unlike(what: str, wanted: Any, got: Any) -> list[str]:
    return [] if wanted == got else [f"{what}\n  directly {wanted!r}\n  through  {got!r}"[:4000]]


def _is_shared(way: Way) -> bool:
    """Whether several clients share the pipe to the server, so that ids must be rewritten on it."""
    return way.modern and way.server == "stdio" and way.client == "http"


def _frames_of(way: Way, check: str) -> Callable[[tuple[Frame, ...]], Any]:
    ordered = check == HANDSHAKE or CASES[check].ordered
    same = way.client == way.server

    def frames(seen: tuple[Frame, ...]) -> Any:
        raw = [frame.raw for frame in seen]
        if way.client == "http" and same:
            lanes: dict[str, list[Any]] = {}
            for frame, one in zip(seen, raw, strict=True):
                lanes.setdefault(frame.lane, []).append((one, frame.place, frame.retry))
            return lanes
        return raw if ordered else sorted(raw, key=repr)

    return frames


def _heads(way: Way, client: Record, seen: Record) -> tuple[Any, Any]:
    return (client.heads, seen.heads) if way.client == way.server == "http" else ({}, {})


def _entries(way: Way, check: str, entries: tuple[Entry, ...]) -> Any:
    ordered = check == HANDSHAKE or CASES[check].ordered
    raw = [_without_ids(entry.raw) if _is_shared(way) else entry.raw for entry in entries]
    return raw if ordered else sorted(raw)


def _headers(way: Way, server: Record, seen: Record) -> tuple[Any, Any]:
    if way.server != "http":
        return [], []
    wanted, got = ([sorted(entry.headers.items()) for entry in one.entries] for one in (server, seen))
    return sorted(wanted), sorted(got)


def _without_ids(raw: bytes) -> bytes:
    """A message without the ids that Wicket puts in; everything else stays as it is."""
    return _IDS.sub(rb"\1\2@", raw)
