"""One governed interaction, whichever proxy it came through.

Everything here is a frozen value. What may be done with an exchange is judged by stages (`governance/stage.py`) and
done by the guard (`pipeline/guard.py`); this file knows nothing of either, nor of any wire format.
"""

import functools
import itertools
import secrets
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType
from typing import NamedTuple, TypeAlias

from governance import jsontree
from governance.jsontree import Json, Levels
from governance.verdict import Edit, Finding


def new_id(at: datetime) -> str:
    """A fresh exchange id. It begins with the time, so that the newest stand together in an index.

    The rest tells processes and exchanges apart. It is no secret, and asking the system for random bytes each time
    would give the interpreter lock away in the middle of every request.
    """
    return f"exc_{int(at.timestamp() * 1000):011x}{_of_this_process()}{next(_COUNT) & 0xFFFFFFFF:08x}"


@functools.cache
def _of_this_process() -> str:
    return secrets.token_hex(4)


_COUNT = itertools.count()


class Action(StrEnum):
    """What an exchange does."""

    LLM_GENERATE = "llm.generate"
    LLM_EMBED = "llm.embed"
    TOOL_CALL = "tool.call"
    TOOL_LIST = "tool.list"
    RESOURCE_READ = "resource.read"
    PROMPT_GET = "prompt.get"
    SAMPLING_CREATE = "sampling.create"
    ELICITATION_CREATE = "elicitation.create"
    COMPLETION = "completion"
    PROMPT_LIST = "prompt.list"
    RESOURCE_LIST = "resource.list"
    """Resources and templates of resources."""
    ROOTS_LIST = "roots.list"
    """A server asks its client for the folders it works in."""
    SERVER_INFO = "server.info"
    """What a server says of itself when a client meets it, instructions for the model among it."""
    MESSAGE = "message"
    """Anything else that passes between a client and a server, either way: notifications, other methods."""


class Phase(StrEnum):
    """Which half of an exchange is being judged."""

    REQUEST = "request"
    RESPONSE = "response"


class Role(StrEnum):
    """Whose words a segment holds. Rules use it to tell a user's question from a tool's output."""

    SYSTEM = "system"
    USER = "user"
    ASSISTANT = "assistant"
    ARGUMENT = "argument"
    RESULT = "result"
    DEFINITION = "definition"
    OTHER = "other"


EMPTY: Mapping[str, Json] = MappingProxyType({})


def nothing() -> Mapping[str, Json]:
    """The empty mapping, as a default that a dataclass accepts."""
    return EMPTY


@dataclass(frozen=True, slots=True)
class Principal:
    """Who is asking: the gateway key, and whom it stands for."""

    key_id: str
    """Public id of the key, never the key."""
    tenant: str = "default"
    team: str = ""
    agent: str = ""
    user: str = ""
    models: tuple[str, ...] = ("*",)
    """Globs of the models this principal may use."""
    servers: tuple[str, ...] = ("*",)
    """Globs of the MCP servers this principal may reach."""
    provenance: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    """For each field whether it is `verified` (by the key) or `client_asserted`."""
    rights: str = ""
    """Digest of what the access token was granted for (scopes and the like), where servers are shown what it was
    exchanged for: what a wider one was granted must not serve a lesser one. Empty otherwise."""


@dataclass(frozen=True, slots=True)
class Resource:
    """What is being used: a model of a provider, or a tool, resource or prompt of an MCP server."""

    server: str = ""
    name: str = ""
    """Tool, prompt or resource URI, as the server knows it."""
    provider: str = ""
    model: str = ""
    definition: str = ""
    """SHA-256 of the tool's whole definition as received, where it is known."""
    annotations: Mapping[str, Json] = field(default_factory=nothing)
    """The tool's own annotations (`readOnlyHint`, `destructiveHint`, ...): hints, never proof."""


class ToolUse(NamedTuple):
    """A tool call that a model asked for, as it left in the model's answer."""

    id: str
    """The id that the provider gave it; empty where there is none that an agent could repeat."""
    name: str
    """The tool as the model knows it: agents put a prefix before the name that the MCP server uses."""
    arguments: str
    """`jsontree.digest` of the arguments; empty where they are no JSON."""


class Proposed(StrEnum):
    """How a tool call fits what models asked for (`sessions/proposals.py`)."""

    EXACT = "exact"
    """A model asked for this tool with these arguments."""
    ALTERED = "altered"
    """A model asked for this tool, with other arguments."""
    NONE = "none"
    """No model that is served here asked for it."""


@dataclass(frozen=True, slots=True)
class SessionRef:
    """The run that an exchange belongs to, and how that is known (`sessions/correlate.py`)."""

    id: str
    evidence: str
    """`explicit`, `agent_header`, `agent_body`, `tool_call`, `conversation_key`, `trace`, `conversation`, `transport`,
    `key`."""
    rank: int = 0
    """Rung of the evidence: 1 is the strongest."""
    source: str = ""
    """The header or member the id was read from."""
    conflicts: tuple[str, ...] = ()
    """Other evidence that named another session, or several; recorded, never merged."""
    verified: bool = False
    """Whether we know it by what we ourselves sent to the same key; otherwise the client asserted it."""
    also: tuple[str, ...] = ()
    """Ids that it went by, or would go by with less evidence: whoever stops one of them stops it."""
    parent: str = ""
    """Id of the run that started this one."""
    subagent: str = ""
    """The sub-agent inside the run, as the agent calls it; empty = the run's main agent."""
    subagent_of: str = ""
    """The sub-agent that started it, where that is not the main agent."""
    proposed: Proposed | None = None
    """Of a tool call: how it fits what models asked for; `None` where nobody looked."""
    proposed_by: str = ""
    """Id of the model call whose answer asked for it."""


@dataclass(frozen=True, slots=True)
class Segment:
    """A piece of text inside a body: where it stands and whose words it holds."""

    pointer: str
    role: Role
    text: str
    fixed: bool = False
    """Whether it steers what is done: nothing in it may be replaced, or what was judged would not be what is sent."""


Lens: TypeAlias = Callable[[Json], Iterable[Segment]]
"""Finds the segments of a body in one wire format."""


def every_string(value: Json) -> Iterable[Segment]:
    """The lens for a body nobody knows: each string and each member name, without a role."""
    return (Segment(pointer, Role.OTHER, text) for pointer, text, _ in jsontree.walk(value))


class Body:
    """The native JSON of a request or response: the value that is judged and the bytes that are sent.

    Never changed in place. The bytes are those received as long as nothing was edited, so that provider prompt
    caches and unknown members survive; an edited body is written again from the judged value.
    """

    __slots__ = ("_lens", "_raw", "_segments", "_strings", "value")

    def __init__(
        self, value: Json, *, raw: bytes | None = None, strings: Levels | None = None, lens: Lens = every_string
    ) -> None:
        self.value = value
        self._raw = raw
        self._strings = strings
        self._lens = lens
        self._segments: tuple[Segment, ...] | None = None

    @classmethod
    def parse(cls, raw: bytes, lens: Lens = every_string) -> "Body":
        """The body of a JSON text.

        Raises:
            jsontree.MalformedError: the text is not JSON that every parser reads the same way.
        """
        parsed = jsontree.read(raw)
        return cls(parsed.value, raw=raw, strings=parsed.strings, lens=lens)

    @property
    def raw(self) -> bytes:
        """The bytes to send."""
        if self._raw is None:
            self._raw = jsontree.dump(self.value)
        return self._raw

    @property
    def strings(self) -> Levels:
        """Every string of the value, names included, level by level: for a first look at all of it."""
        if self._strings is None:
            self._strings = jsontree.strings(self.value)
        return self._strings

    @property
    def segments(self) -> tuple[Segment, ...]:
        """Every string with its place and role. Worth asking for only when a first look found something."""
        if self._segments is None:
            self._segments = tuple(self._lens(self.value))
        return self._segments

    def rewritten(self, value: Json) -> "Body":
        """A new body of another value, read by the same lens."""
        return Body(value, lens=self._lens)

    def edited(self, edits: Iterable[Edit]) -> "Body":
        """A new body with `edits` applied; offsets refer to this body. Overlapping edits are merged into one."""
        by_pointer: dict[str, list[Edit]] = {}
        for edit in edits:
            by_pointer.setdefault(edit.pointer, []).append(edit)
        changes = {pointer: self._edited_text(pointer, group) for pointer, group in by_pointer.items()}
        return Body(jsontree.replaced(self.value, changes), lens=self._lens)

    def _edited_text(self, pointer: str, edits: list[Edit]) -> str:
        text = jsontree.as_text(jsontree.at(self.value, pointer))
        out: list[str] = []
        done = 0
        for edit in sorted(edits, key=lambda one: (one.start, -(one.end if one.end >= 0 else len(text)))):
            end = len(text) if edit.end < 0 else edit.end
            if edit.start >= done:
                out += [text[done : edit.start], edit.replacement]
            done = max(done, end)
        return "".join(out) + text[done:]


@dataclass(frozen=True, slots=True)
class Exchange:
    """One governed interaction. Stages read it; the guard makes the next one with `dataclasses.replace`."""

    id: str
    at: datetime
    action: Action
    principal: Principal
    resource: Resource
    session: SessionRef
    request: Body
    response: Body | None = None
    findings: tuple[Finding, ...] = ()
    """What has been found so far, so that policy can speak of it."""
    facts: Mapping[str, Json] = field(default_factory=nothing)
    """What the proxy knows besides: `plane`, `transport`, `era`, `stream`, `metered`, `trace_id`, `client`."""

    def answered(self, response: Body) -> "Exchange":
        """The exchange with its response; `dataclasses.replace` would take some ten times as long."""
        return Exchange(
            self.id, self.at, self.action, self.principal, self.resource, self.session, self.request, response,
            self.findings, self.facts,
        )  # fmt: skip

    @property
    def arguments(self) -> Json:
        """The arguments of a tool call, or the whole request value of anything else."""
        if self.action is Action.TOOL_CALL:
            return jsontree.at(self.request.value, "/params/arguments", {})
        return self.request.value
