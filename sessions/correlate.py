"""Which run does an exchange belong to? A ladder of evidence, strongest first.

Pure: headers, body and `_meta` in, a `SessionRef` out. Every id is scoped by the key that presented it, so no client
can join or stop a run of another key by naming its id. The rungs and the agents' own headers were observed on the
wire; `docs/sessions.md` lists them.
"""

import hashlib
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from governance import jsontree
from governance.exchange import Principal, SessionRef, nothing
from governance.jsontree import Json, MalformedError

_ID = re.compile(r"[A-Za-z0-9_.:\-]{1,200}")
_OLD_CLAUDE_USER = re.compile(r"_session_([0-9a-fA-F-]{36})$")
_TRACEPARENT = re.compile(r"00-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}")

EXPLICIT, AGENT_HEADER, AGENT_BODY, CONVERSATION, TRACE, ONLY_RUN, TRANSPORT, KEY = range(1, 9)
EVIDENCE = {
    EXPLICIT: "explicit",
    AGENT_HEADER: "agent_header",
    AGENT_BODY: "agent_body",
    CONVERSATION: "conversation_key",
    TRACE: "trace",
    ONLY_RUN: "only_run",
    TRANSPORT: "transport",
    KEY: "key",
}


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
    found = [evidence for evidence in _look(signs) if _ID.fullmatch(evidence.value)]
    found.append(Evidence(KEY, "key", principal.key_id))
    first = min(found, key=lambda evidence: evidence.rank)
    conflicts = tuple(
        f"{evidence.source}={evidence.value}"
        for evidence in found
        if AGENT_BODY >= evidence.rank > first.rank and evidence.value != first.value
    )
    return SessionRef(
        id=session_id(principal.key_id, first.value),
        evidence=EVIDENCE[first.rank],
        rank=first.rank,
        source=first.source if first.rank == KEY else f"{first.source}={first.value}",
        conflicts=conflicts,
    )


def session_id(key_id: str, external: str) -> str:
    """The id of a run: the same in every process, and different for every key."""
    return "ses_" + hashlib.sha256(f"{key_id}\0{external}".encode()).hexdigest()[:24]


def _look(signs: Signs) -> Iterator[Evidence]:
    for reader in _READERS:
        yield from reader(signs)


def _explicit(signs: Signs) -> Iterator[Evidence]:
    if value := signs.headers.get("x-wicket-session"):
        yield Evidence(EXPLICIT, "x-wicket-session", value)


def _agent_headers(signs: Signs) -> Iterator[Evidence]:
    names = ["x-claude-code-session-id"]
    if signs.headers.get("user-agent", "").startswith("codex_") or signs.headers.get("originator", "").startswith(
        "codex_"
    ):
        names.append("session-id")
    names.append("x-session-id")
    for name in names:
        if value := signs.headers.get(name):
            yield Evidence(AGENT_HEADER, name, value)


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
    if value := jsontree.as_text(signs.meta.get("wicket/session")):
        yield Evidence(EXPLICIT, "_meta.wicket/session", value)
    if value := jsontree.as_text(signs.meta.get("sessionId")):
        yield Evidence(AGENT_BODY, "_meta.sessionId", value)


def _conversation(signs: Signs) -> Iterator[Evidence]:
    conversation = signs.body.get("conversation")
    for name, value in (
        ("prompt_cache_key", signs.body.get("prompt_cache_key")),
        ("conversation", conversation if isinstance(conversation, str) else jsontree.as_object(conversation).get("id")),
    ):
        if text := jsontree.as_text(value):
            yield Evidence(CONVERSATION, name, text)


def _trace(signs: Signs) -> Iterator[Evidence]:
    if trace := trace_id(signs):
        yield Evidence(TRACE, "traceparent", trace)


def _transport(signs: Signs) -> Iterator[Evidence]:
    if signs.transport:
        yield Evidence(TRANSPORT, "transport", signs.transport)


_READERS: tuple[Callable[[Signs], Iterator[Evidence]], ...] = (
    _explicit,
    _agent_headers,
    _agent_body,
    _meta,
    _conversation,
    _trace,
    _transport,
)


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
