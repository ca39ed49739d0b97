"""How MCP messages are read by the pipeline: the exchange a request makes, and where text stands in a body.

Pure. Nothing is judged or sent here, and no body is ever written in another form than it came.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from governance import jsontree
from governance.catalog.catalog import Catalog, Known
from governance.exchange import (
    Action,
    Body,
    Exchange,
    Lens,
    Principal,
    Resource,
    Role,
    Segment,
    SessionRef,
    new_id,
)
from governance.jsontree import Json, JsonObject
from governance.verdict import Finding
from mcp_proxy.link import Era
from mcp_proxy.media import is_media
from mcp_proxy.message import Message, result_of
from sessions.correlate import Called, Signs, call_ids, trace_id
from sessions.proposals import FINDINGS

ACTIONS: Mapping[str, Action] = {
    "tools/call": Action.TOOL_CALL,
    "tools/list": Action.TOOL_LIST,
    "resources/read": Action.RESOURCE_READ,
    "prompts/get": Action.PROMPT_GET,
    "completion/complete": Action.COMPLETION,
    "prompts/list": Action.PROMPT_LIST,
    "resources/list": Action.RESOURCE_LIST,
    "resources/templates/list": Action.RESOURCE_LIST,
    # Who may not read a resource may not be told of its changes either.
    "resources/subscribe": Action.RESOURCE_READ,
    # Results of long-running calls arrive by these; unjudged they would carry anything past the detectors.
    "tasks/result": Action.RESOURCE_READ,
    "tasks/get": Action.RESOURCE_READ,
    "tasks/update": Action.RESOURCE_READ,
    "tasks/list": Action.RESOURCE_READ,
    "tasks/cancel": Action.RESOURCE_READ,
}
"""The client requests that are governed. Any other message is judged by `incoming.py` and leaves no trace if clean."""

ASKED: Mapping[str, Action] = {
    "sampling/createMessage": Action.SAMPLING_CREATE,
    "elicitation/create": Action.ELICITATION_CREATE,
    "roots/list": Action.ROOTS_LIST,
}
"""What a server asks of a client. Whatever else it asks is a `message`."""

CLIENT_INFO = "io.modelcontextprotocol/clientInfo"
_ENVELOPE = frozenset({"/jsonrpc", "/id"})
"""Of a response: its id is that of a request that was judged."""
ANSWERS = "inputResponses"
"""Where a client of the modern era answers questions of a server, in the request that it makes again."""
_ANSWERS = f"/params/{ANSWERS}/"
_ARGUMENTS = ("/params/arguments", "/params/argument", "/params/uri", "/params/context")
_STEERING = frozenset(
    {"/id", "/method", "/params/name", "/params/uri", "/params/ref/name", "/params/ref/uri", "/params/taskId"}
)
"""What a request is about: policy judges by it, so it leaves as it came or not at all."""
_ASKING = frozenset({"/id", "/method", "/params/url", "/params/elicitationId", "/params/mode"})
"""What steers a request of a server."""
_SCHEMAS = ("/params/requestedSchema", "/params/tools")
_ANSWERERS = {Action.SAMPLING_CREATE: Role.ASSISTANT, Action.ELICITATION_CREATE: Role.USER}
_DEFINING = frozenset({Action.TOOL_LIST, Action.PROMPT_LIST, Action.RESOURCE_LIST, Action.SERVER_INFO})
"""Whose responses describe what a server offers: words that a model reads before anybody called anything."""


@dataclass(frozen=True, slots=True)
class Caller:
    """The client on the other side of a front, as far as an exchange must know it."""

    principal: Principal
    server: str
    era: Era
    transport: str
    """Of the front: `http`, `sse` or `stdio`."""
    session: str = ""
    """The front's own session id, where it has one."""
    client: str = ""
    """Name the client gave itself: a claim, recorded and never trusted."""
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    """All headers of the request, lower-case names; empty on stdio."""
    capabilities: Json = None
    """What a legacy client declared in `initialize`; a modern one declares it in each request."""


def exchange_of(
    message: Message, action: Action, caller: Caller, session: SessionRef, catalog: Catalog, at: datetime
) -> Exchange:
    """The exchange that a governed request makes."""
    params = message.params
    name = _name_of(message.method, params)
    tool = catalog.seen(caller.server, name) if action is Action.TOOL_CALL else Known()
    return Exchange(
        id=new_id(at),
        at=at,
        action=action,
        principal=caller.principal,
        resource=Resource(server=caller.server, name=name, definition=tool.definition, annotations=tool.annotations),
        session=session,
        request=request_of(message),
        findings=_found_in(session) if action is Action.TOOL_CALL else (),
        facts=facts_of(message, caller),
    )


def request_of(message: Message) -> Body:
    """The body of a client's request, to be judged."""
    return Body(message.value, raw=message.raw, strings=message.strings, lens=request_segments)


def facts_of(message: Message, caller: Caller) -> Mapping[str, Json]:
    """What is known of a client's message besides what it says."""
    facts: dict[str, Json] = {
        "plane": "mcp",
        "transport": caller.transport,
        "era": caller.era.value,
        "method": message.method,
        "jsonrpc_id": str(message.id),
    }
    meta = message.meta
    optional: dict[str, Json] = {
        "client": client_name(meta) or caller.client,
        "trace_id": trace_id(Signs(headers=caller.headers, meta=meta)),
        "progress_token": meta.get("progressToken"),
    }
    facts.update((key, value) for key, value in optional.items() if value not in ("", None))
    return facts


def signs_of(message: Message | None, caller: Caller, *, makes_call: bool = False) -> Signs:
    """Everything that may tell which run a message belongs to.

    Args:
        message: the message; None = there is only the request that carries it.
        caller: who sent it.
        makes_call: whether the call that it may be is about to be judged. It is compared with what models asked for
            once: that uses up what it is found to be.
    """
    if message is None:
        return Signs(headers=caller.headers, transport=caller.session)
    meta, call = message.meta, None
    if makes_call and message.method == "tools/call":
        tool, arguments = jsontree.as_text(message.params.get("name")), message.params.get("arguments")
        call = Called(caller.server, tool, jsontree.as_object(arguments), call_ids(meta))
    return Signs(headers=caller.headers, meta=meta, transport=caller.session, call=call)


def _found_in(session: SessionRef) -> tuple[Finding, ...]:
    """What is found by comparing a tool call with what models asked for. It holds no text and marks none."""
    kind = FINDINGS.get(session.proposed) if session.proposed else None
    return (Finding(kind, kind, "/params/name", 0, 0),) if kind else ()


def call_of_listed(listing: Exchange, tool: JsonObject, catalog: Catalog) -> Exchange:
    """The call that a listed tool would be: to ask whether this principal may see it."""
    name = jsontree.as_text(tool.get("name"))
    seen = catalog.seen(listing.resource.server, name)
    return Exchange(
        id=listing.id,
        at=listing.at,
        action=Action.TOOL_CALL,
        principal=listing.principal,
        resource=Resource(
            server=listing.resource.server,
            name=name,
            definition=seen.definition,
            annotations=jsontree.as_object(tool.get("annotations")),
        ),
        session=listing.session,
        request=Body({}),
        facts=listing.facts,
    )


def response_of(message: Message, action: Action) -> Body:
    """The body of a response, or of a notification of a server, to be judged."""
    lens: Lens = definition_segments if action in _DEFINING else result_segments
    return Body(message.value, raw=message.raw, strings=message.strings, lens=lens)


def message_of(body: Body, original: Message) -> Message:
    """The message to send for a judged body: the very bytes received where nothing was edited."""
    if body.raw is original.raw:
        return original
    return Message(body.raw, jsontree.as_object(body.value), body.strings, original.id, original.method)


def client_name(meta: JsonObject) -> str:
    """The name a modern client gives itself in the envelope of a request."""
    return jsontree.as_text(jsontree.as_object(meta.get(CLIENT_INFO)).get("name"))[:200]


def listed_tools(message: Message) -> list[JsonObject]:
    """The tools of a `tools/list` result."""
    return [tool for tool in jsontree.as_list(result_of(message).get("tools")) if isinstance(tool, dict)]


def request_segments(value: Json) -> Iterable[Segment]:
    """Where text stands in a request. Names that steer the protocol are no text and are never edited."""
    for pointer, text, _ in jsontree.walk(value):
        role = Role.ARGUMENT if pointer.startswith(_ARGUMENTS) else Role.OTHER
        if pointer.startswith(_ANSWERS):
            role = _answered_role(value, pointer)
        yield Segment(pointer, role, text, pointer in _STEERING)


def result_segments(value: Json) -> Iterable[Segment]:
    """Where text stands in a response. Base64 of pictures, sound and binary resources is no text."""
    for pointer, text, _ in jsontree.walk(value):
        if pointer not in _ENVELOPE and not is_media(value, pointer, text):
            yield Segment(pointer, Role.RESULT, text, pointer == "/method")


def definition_segments(value: Json) -> Iterable[Segment]:
    """Where text stands in a list of tools, prompts or resources, or in what a server says of itself."""
    for pointer, text, _ in jsontree.walk(value):
        if pointer not in _ENVELOPE:
            yield Segment(pointer, Role.DEFINITION, text)


def asking_segments(value: Json) -> Iterable[Segment]:
    """Where text stands in a request of a server: its own words, which nobody asked for."""
    for pointer, text, _ in jsontree.walk(value):
        if not is_media(value, pointer, text):
            role = Role.DEFINITION if pointer.startswith(_SCHEMAS) else Role.RESULT
            yield Segment(pointer, role, text, pointer in _ASKING)


def answered_actions(answer: Json) -> tuple[Action, ...]:
    """What kinds of question an answer may be taken for, by members that each kind must have; no method says it.

    An answer that could be taken for two is judged as both: else it could choose by which rules it is judged.
    """
    given = jsontree.as_object(answer)
    found = (
        (Action.SAMPLING_CREATE, "role" in given or "model" in given),
        (Action.ELICITATION_CREATE, "action" in given),
        (Action.ROOTS_LIST, "roots" in given),
    )
    return tuple(action for action, is_it in found if is_it) or (Action.MESSAGE,)


def _answered_role(request: Json, pointer: str) -> Role:
    key = pointer[len(_ANSWERS) :].partition("/")[0]
    return _ANSWERERS.get(answered_actions(jsontree.at(request, _ANSWERS + key))[0], Role.OTHER)


def answering_segments(action: Action) -> Lens:
    """The lens for a client's response to such a request: the words of its model, or of its user."""
    role = _ANSWERERS.get(action, Role.OTHER)

    def segments(value: Json) -> Iterable[Segment]:
        for pointer, text, _ in jsontree.walk(value):
            if pointer not in _ENVELOPE and not is_media(value, pointer, text):
                yield Segment(pointer, role, text)

    return segments


def _name_of(method: str, params: JsonObject) -> str:
    if method in ("resources/read", "resources/subscribe"):
        return jsontree.as_text(params.get("uri"))
    if method.startswith("tasks/"):
        return f"task:{jsontree.as_text(params.get('taskId'))}"
    if method == "completion/complete":
        ref = jsontree.as_object(params.get("ref"))
        return jsontree.as_text(ref.get("name")) or jsontree.as_text(ref.get("uri"))
    return jsontree.as_text(params.get("name"))
