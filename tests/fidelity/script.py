"""Both sides of one check, as data: what a client says and waits for, and what a server answers. No SDK, no I/O.

The server side is a machine that every transport of `servers.py` and `stdio_server.py` drives with the bytes it reads.
It imports next to nothing, because a process is started for every session over stdio.
"""

import json
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field
from typing import Any

CUE = "vendor/cue"
"""Request that says which check comes next; answered with nothing. Not part of any record."""
INITIALIZED = (
    b'{"jsonrpc":"2.0","id":@id@,"result":{"protocolVersion":"2025-11-25","capabilities":{"tools":{"listChanged":true},'
    b'"experimental":{"x":{"y":1152921504606846977,"z":1e2}},"vendor":null},"serverInfo":{"name":"raw","title":"R\\u00fc",'
    b'"version":"0","icons":[{"src":"data:,"}],"unknown":[1.0,null]},"instructions":"be kind \\u00fc","extra":{"a":1}},'
    b'"vendorTop":0}'
)
"""How every server introduces itself in the legacy era."""
PROBE = "server/discover"
"""What Wicket asks a server before its first modern request: to be answered, and no part of a record."""
PROBED = (
    b'{"jsonrpc":"2.0","id":@id@,"result":{"resultType":"complete","supportedVersions":["2026-07-28"],'
    b'"capabilities":{"tools":{}},"ttlMs":0,"cacheScope":"private"}}'
)
_EMPTY: "tuple[Act, ...]" = (b'{"jsonrpc":"2.0","id":@id@,"result":{}}',)
ENVELOPE = (
    b'"io.modelcontextprotocol/protocolVersion":"2026-07-28",'
    b'"io.modelcontextprotocol/clientInfo":{"name":"raw","version":"9","vendor":1.0},'
    b'"io.modelcontextprotocol/clientCapabilities":{"elicitation":{"form":{}},"extensions":{"vendor/x":{"a":null}}},'
)


@dataclass(frozen=True)
class Until:
    """Server: go on when the client has sent this: a method, a tool's name, or `answer:` and an id as JSON."""

    key: str


@dataclass(frozen=True)
class Stray:
    """Server: say this of its own accord, not as part of an answer."""

    raw: bytes


Act = bytes | Until | Stray
"""What a server does for a request; bytes are part of its answer. `@id@`, `@token@` are those of the request."""


@dataclass(frozen=True)
class Hear:
    """Client: wait for a frame in which these bytes stand."""

    words: bytes


@dataclass(frozen=True)
class Answered:
    """Client: wait for the response with this id, given as JSON."""

    id: str = "1"


Step = bytes | Hear | Answered
"""What a client does; bytes are sent. `@meta@` is where the envelope of the modern era goes."""


@dataclass(frozen=True)
class Case:
    """One check."""

    name: str
    client: tuple[Step, ...]
    server: Mapping[str, tuple[Act, ...]]
    """What is done for a request with this method or tool name; others are answered with an empty result."""
    legacy: bool = True
    modern: bool = True
    ordered: bool = True
    """Whether the order of all frames is the same on every transport."""


def key_of(message: Mapping[str, Any]) -> str:
    """What a message is known by, see `Until`."""
    if "method" not in message:
        return "answer:" + json.dumps(message.get("id"), ensure_ascii=False)
    if message["method"] == "tools/call":
        return str(message.get("params", {}).get("name"))
    return str(message["method"])


def is_response_to(raw: bytes, request_id: str) -> bool:
    """Whether a frame is the response to the request with this id, given as JSON."""
    message = json.loads(raw)
    return "method" not in message and json.dumps(message.get("id"), ensure_ascii=False) == request_id


@dataclass
class Turn:
    """One request that is being answered."""

    message: Mapping[str, Any]
    acts: Generator[Act]
    waits_for: str = ""
    send: Callable[[bytes], None] = lambda raw: None


@dataclass
class Machine:
    """A server's side of one session.

    Args:
        cases: every check by name.
        stray: sends a frame that belongs to no request.
        introduction: answers `initialize`.
    """

    cases: Mapping[str, Case]
    stray: Callable[[bytes], None] = lambda raw: None
    introduction: bytes = INITIALIZED
    case: Case | None = None
    _seen: set[str] = field(default_factory=set[str])
    _turns: list[Turn] = field(default_factory=list[Turn])

    def take(self, raw: bytes, send: Callable[[bytes], None]) -> bool:
        """Take one message and do all that can be done now; returns whether it is part of a record.

        Args:
            raw: what the client sent.
            send: sends a frame of the answer; may be called later too.
        """
        message = json.loads(raw)
        key = key_of(message)
        if key == CUE:
            name = message["params"]["case"]
            self.case, self._seen, self._turns = self.cases.get(name), set(), []
            send(_filled(b'{"jsonrpc":"2.0","id":@id@,"result":{}}', message))
            return False
        if key == PROBE and not (self.case and PROBE in self.case.server):
            send(_filled(PROBED, message))
            return False
        self._seen.add(key)
        if "id" in message and "method" in message:
            done = self.case.server.get(key) if self.case else None
            acts = (act for act in done or ((self.introduction,) if key == "initialize" else _EMPTY))
            self._turns.append(Turn(message, acts, send=send))
        for turn in list(self._turns):
            self._go_on(turn)
        return True

    def _go_on(self, turn: Turn) -> None:
        if turn.waits_for and turn.waits_for not in self._seen:
            return
        for act in turn.acts:
            if isinstance(act, Until):
                turn.waits_for = act.key
                if act.key not in self._seen:
                    return
            elif isinstance(act, Stray):
                self.stray(act.raw)
            else:
                turn.send(_filled(act, turn.message))
        if turn in self._turns:
            self._turns.remove(turn)


def _filled(raw: bytes, message: Mapping[str, Any]) -> bytes:
    token = message.get("params", {}).get("_meta", {}).get("progressToken")
    for name, value in ((b"@id@", message["id"]), (b"@token@", token)):
        raw = raw.replace(name, json.dumps(value, ensure_ascii=False).encode())
    return raw
