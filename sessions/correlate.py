"""Which run does an exchange belong to? A ladder of evidence, strongest first.

Pure: headers, body and `_meta` in, a `SessionRef` out. Every id is scoped by the key that presented it, so no client
can join or stop a run of another key by naming its id. The rungs and the agents' own headers were observed on the
wire; `docs/sessions.md` lists them.
"""

import contextlib
import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from governance import jsontree
from governance.exchange import Principal, SessionRef, nothing
from governance.jsontree import Json, MalformedError

_ID = re.compile(r"[A-Za-z0-9_.:\-]{1,200}")
_OLD_CLAUDE_USER = re.compile(r"_session_([0-9a-fA-F-]{36})$")
_TRACEPARENT = re.compile(r"00-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}")

# An application may send one cache key for all its conversations; only what looks like the id of one is believed.
_OF_ONE_CONVERSATION = re.compile(r"(?:ses_)?[0-9A-Za-z]{24,64}|[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_BAGGAGE = re.compile(r"(?:^|,)\s*session\.id\s*=\s*([^,;\s]+)")

_MOST_ANSWERED = 8
CARRIER = "tool_call"
"""The tool by which Qwen Code calls others: `name` and `arguments` are those of the one that is meant."""
_SHORTEST_CALL_ID = 9
_NUMBERED = re.compile(r"(?:.*[_.:\-])?\d{1,8}")

EXPLICIT, AGENT_HEADER, AGENT_BODY, TOOL_CALL, CONVERSATION_KEY, TRACE, CONVERSATION, TRANSPORT, KEY = range(1, 10)
EVIDENCE = {
    EXPLICIT: "explicit",
    AGENT_HEADER: "agent_header",
    AGENT_BODY: "agent_body",
    TOOL_CALL: "tool_call",
    CONVERSATION_KEY: "conversation_key",
    TRACE: "trace",
    CONVERSATION: "conversation",
    TRANSPORT: "transport",
    KEY: "key",
}
OURS = frozenset((TOOL_CALL, CONVERSATION, TRANSPORT, KEY))
"""Rungs that rest on what we ourselves sent or gave out; on the others a client says so."""


@dataclass(frozen=True, slots=True)
class Called:
    """A tool call, as far as it can be found among what models asked for."""

    server: str
    """The server in the configuration."""
    tool: str
    """The tool as its server knows it."""
    arguments: Json
    ids: tuple[str, ...] = ()
    """What the client says its model called it: a claim, until it is found among what we sent."""


@dataclass(frozen=True, slots=True)
class Answered:
    """A tool call in the history of a model call."""

    id: str
    name: str
    """The tool as the model knows it."""
    arguments: Json
    """Their value, or a text that holds it."""


@dataclass(frozen=True, slots=True)
class Signs:
    """Everything about a request that may tell its run."""

    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    """HTTP headers, names in lower case; empty on stdio."""
    body: Mapping[str, Json] = field(default_factory=nothing)
    """The body of a model call."""
    meta: Mapping[str, Json] = field(default_factory=nothing)
    """`params._meta` of an MCP request."""
    transport: str = ""
    """The MCP session id, or the id of the stdio process."""
    call: Called | None = None
    """The tool call that the request makes, if it makes one."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """One id that was found."""

    rank: int
    source: str
    value: str


def correlate(signs: Signs, principal: Principal) -> SessionRef:
    """The run that the strongest evidence names; weaker evidence that names another is kept as a conflict.

    A value that is too long or has characters no known agent uses is ignored: a client must not be able to fill
    the tables, or the log, with text of its choice.
    """
    found = [evidence for evidence in _look(signs) if is_id(evidence.value)]
    found.append(Evidence(KEY, "key", principal.key_id))
    first = min(found, key=_rank)
    conflicts = tuple(
        f"{evidence.source}={evidence.value}"
        for evidence in found
        if AGENT_BODY >= evidence.rank > first.rank and evidence.value != first.value
    )
    parent, subagent, subagent_of = _lineage(signs) if signs.headers or signs.meta else ("", "", "")
    return SessionRef(
        id=session_id(principal.key_id, first.value),
        evidence=EVIDENCE[first.rank],
        rank=first.rank,
        source=first.source if first.rank == KEY else f"{first.source}={first.value}",
        conflicts=conflicts,
        verified=first.rank in OURS,
        parent=session_id(principal.key_id, parent) if parent and parent != first.value else "",
        subagent="" if subagent == first.value else subagent,
        subagent_of="" if subagent_of == first.value else subagent_of,
    )


def is_id(value: str) -> bool:
    """Whether a value is one that an agent might use as an id: bounded, and of an alphabet that can be shown."""
    return _ID.fullmatch(value) is not None


def _rank(evidence: Evidence) -> int:
    return evidence.rank


def session_id(key_id: str, external: str) -> str:
    """The id of a run: the same in every process, and different for every key."""
    return "ses_" + hashlib.sha256(f"{key_id}\0{external}".encode()).hexdigest()[:24]


def _look(signs: Signs) -> Iterator[Evidence]:
    """All evidence there is. What a request does not have is not looked into: all that passes comes by here."""
    if signs.headers:
        yield from _explicit(signs)
        yield from _agent_headers(signs)
    if signs.body:
        yield from _agent_body(signs)
        yield from _conversation(signs)
    if signs.meta:
        yield from _meta(signs)
    yield from _trace(signs)
    if signs.transport:
        yield Evidence(TRANSPORT, "transport", signs.transport)


def _explicit(signs: Signs) -> Iterator[Evidence]:
    if value := signs.headers.get("x-wicket-session"):
        yield Evidence(EXPLICIT, "x-wicket-session", value)


def _agent_headers(signs: Signs) -> Iterator[Evidence]:
    headers = signs.headers
    names = ["x-claude-code-session-id"]
    program = headers.get("user-agent", "")
    if program.startswith(("codex_", "opencode/")) or headers.get("originator", "").startswith("codex_"):
        names.append("session-id")
    names += ("x-session-id", "x-session-affinity")
    for name in names:
        if value := headers.get(name):
            yield Evidence(AGENT_HEADER, name, value)


def _lineage(signs: Signs) -> tuple[str, str, str]:
    """The run that started this one, the sub-agent inside the run, and the one that started that; empty = none."""
    headers, meta = signs.headers, signs.meta
    parent = headers.get("x-parent-session-id", "")
    subagent = headers.get("x-claude-code-agent-id", "")
    subagent_of = headers.get("x-claude-code-parent-agent-id", "")
    if not subagent:  # Codex calls its main agent's thread like the session
        subagent = headers.get("thread-id", "") or jsontree.as_text(meta.get("threadId"))
        subagent_of = headers.get("x-codex-parent-thread-id", "")
    return (
        parent if is_id(parent) else "",
        subagent if is_id(subagent) else "",
        subagent_of if is_id(subagent_of) else "",
    )


def _agent_body(signs: Signs) -> Iterator[Evidence]:
    """Claude Code's `metadata.user_id` and Codex's `client_metadata`, as text or as JSON inside text."""
    user = jsontree.as_text(jsontree.as_object(signs.body.get("metadata")).get("user_id"))
    if user.startswith("{"):
        if value := _inside(user, "session_id"):
            yield Evidence(AGENT_BODY, "metadata.user_id", value)
    elif match := _OLD_CLAUDE_USER.search(user):
        yield Evidence(AGENT_BODY, "metadata.user_id", match[1])
    client = jsontree.as_object(signs.body.get("client_metadata"))
    turn = jsontree.as_text(client.get("x-codex-turn-metadata"))
    if value := jsontree.as_text(client.get("session_id")) or _inside(turn, "session_id"):
        yield Evidence(AGENT_BODY, "client_metadata.session_id", value)


def _meta(signs: Signs) -> Iterator[Evidence]:
    """Codex names its session in the `_meta` of tool calls; a wrapper may name one of its own."""
    meta = signs.meta
    if value := jsontree.as_text(meta.get("wicket/session")):
        yield Evidence(EXPLICIT, "_meta.wicket/session", value)
    turn = jsontree.as_object(meta.get("x-codex-turn-metadata"))
    if value := jsontree.as_text(meta.get("sessionId")) or jsontree.as_text(turn.get("session_id")):
        yield Evidence(AGENT_BODY, "_meta.sessionId", value)


def _conversation(signs: Signs) -> Iterator[Evidence]:
    conversation = signs.body.get("conversation")
    key = jsontree.as_text(signs.body.get("prompt_cache_key"))
    if _OF_ONE_CONVERSATION.fullmatch(key):
        yield Evidence(CONVERSATION_KEY, "prompt_cache_key", key)
    text = conversation if isinstance(conversation, str) else jsontree.as_object(conversation).get("id")
    if value := jsontree.as_text(text):
        yield Evidence(CONVERSATION_KEY, "conversation", value)


def _trace(signs: Signs) -> Iterator[Evidence]:
    """What the baggage calls a session tells more than a trace, which may hold several runs."""
    baggage = signs.headers.get("baggage", "") or jsontree.as_text(signs.meta.get("baggage"))
    if match := _BAGGAGE.search(baggage):
        yield Evidence(TRACE, "baggage.session.id", match[1])
    if trace := trace_id(signs):
        yield Evidence(TRACE, "traceparent", trace)


def trace_id(signs: Signs) -> str:
    """The W3C trace id of a request, from its header or its `_meta`; empty where there is none."""
    text = signs.headers.get("traceparent", "") or jsontree.as_text(signs.meta.get("traceparent"))
    match = _TRACEPARENT.fullmatch(text)
    return match[1] if match else ""


def _inside(text: str, name: str) -> str:
    """A string member of a JSON object that travels as text, or nothing."""
    if not text:
        return ""
    try:
        return jsontree.as_text(jsontree.as_object(jsontree.parse(text.encode())).get(name))
    except MalformedError:
        return ""


def call_ids(meta: Mapping[str, Json]) -> tuple[str, ...]:
    """What a client says its model called a tool call, in `params._meta` (Claude Code, Codex)."""
    if not meta:
        return ()
    said = (jsontree.as_text(meta.get("claudecode/toolUseId")), jsontree.as_text(meta.get("callId")))
    return tuple(one for one in said if is_call_id(one))


def is_call_id(value: str) -> bool:
    """Whether an id can be that of one tool call only. Some providers just number the calls of each answer."""
    return len(value) >= _SHORTEST_CALL_ID and is_id(value) and _NUMBERED.fullmatch(value) is None


def answered(body: Mapping[str, Json]) -> list[Answered]:
    """The tool calls in the history of a model call, the newest first, a few of them.

    Whoever sends one again has had the answer that it came in. Read in the shapes of chat completions, messages,
    responses and Gemini's contents.
    """
    found: list[Answered] = []
    for name in ("messages", "input", "contents"):
        for item in reversed(jsontree.as_list(body.get(name))):
            found += reversed(list(_calls_in(jsontree.as_object(item))))
            if len(found) >= _MOST_ANSWERED:
                return found
    return found


def _calls_in(message: jsontree.JsonObject) -> Iterator[Answered]:
    for item in jsontree.as_list(message.get("tool_calls")):
        call = jsontree.as_object(item)
        function = jsontree.as_object(call.get("function"))
        yield _answered(call.get("id"), function.get("name"), function.get("arguments"))
    if message.get("type") == "function_call":
        name, group = jsontree.as_text(message.get("name")), jsontree.as_text(message.get("namespace"))
        yield _answered(message.get("call_id"), f"{group}__{name}" if group else name, message.get("arguments"))
    for part in jsontree.as_list(message.get("content")):
        block = jsontree.as_object(part)
        if block.get("type") == "tool_use":
            yield _answered(block.get("id"), block.get("name"), block.get("input"))
    for part in jsontree.as_list(message.get("parts")):
        call = jsontree.as_object(jsontree.as_object(part).get("functionCall"))
        if call:
            yield _answered(call.get("id"), call.get("name"), call.get("args"))


def _answered(call_id: Json, name: Json, arguments: Json) -> Answered:
    called = jsontree.as_text(name)
    if called == CARRIER and isinstance(arguments, str):
        with contextlib.suppress(MalformedError, UnicodeEncodeError):
            arguments = jsontree.parse(arguments.encode())
    return Answered(jsontree.as_text(call_id), *carried(called, arguments))


def carried(name: str, arguments: Json) -> tuple[str, Json]:
    """The tool that a model means by a call, and what it is to be called with.

    An agent may keep the definitions of most tools back, and give its model one tool by which the others are called.
    """
    if name == CARRIER and isinstance(arguments, dict) and len(arguments) == 2:
        tool, given = arguments.get("name"), arguments.get("arguments")
        if isinstance(tool, str) and isinstance(given, dict):
            return tool, given
    return name, arguments
