"""The lens over Anthropic's messages wire (API reference, "Messages" and "Streaming messages")."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from types import MappingProxyType

from gateway.dialects.calls import tool_use
from gateway.dialects.dialect import Asked, Begun, Operation, Piece, Problem, Reading, Usage
from gateway.dialects.speech import (
    count,
    each,
    event_value,
    fixed,
    is_label,
    is_opaque,
    message_words,
    model_and_stream,
    request_words,
    spliced,
    words,
)
from governance import jsontree
from governance.exchange import Body, Role, Segment, ToolUse
from governance.jsontree import Json, JsonObject, as_list, as_object, as_text
from governance.sse import SseEvent, encode

_MEMBERS = {"system": Role.SYSTEM, "tools": Role.DEFINITION}
_ROLES = {"system": Role.SYSTEM, "user": Role.USER, "assistant": Role.ASSISTANT}
_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    504: "timeout_error",
}
_STEERING = frozenset(("type", "index", "id", "role", "model", "stop_reason", "service_tier"))
_RUNNING = frozenset(("text", "thinking", "partial_json"))
"""Members of a delta that continue the text of their block. All others (a citation) stand for themselves."""


class AnthropicMessages:
    """`POST /v1/messages` and `POST /v1/messages/count_tokens`."""

    wire = "anthropic-messages"
    vocabulary = ""
    operations: Mapping[str, Operation] = MappingProxyType(
        {
            "/v1/messages": Operation("/messages"),
            "/v1/messages/count_tokens": Operation("/messages/count_tokens", metered=False),
        }
    )
    passed_headers: frozenset[str] = frozenset(("anthropic-version", "anthropic-beta", "x-app", "idempotency-key"))
    passed_prefixes: tuple[str, ...] = ("x-stainless-", "x-claude-code-")
    passed_query: frozenset[str] = frozenset(("beta",))

    def parse(self, raw: bytes) -> Asked:
        """Read a request; this wire states its usage in every stream."""
        parsed = jsontree.read(raw)
        model, stream = model_and_stream(parsed.value)
        return Asked(model, stream, Body(parsed.value, raw=raw, strings=parsed.strings, lens=_request))

    def answer(self, raw: bytes) -> Body:
        """Read a whole answer."""
        return Body.parse(raw, _answer)

    def settled(self, answered: Body) -> Body:
        """Nothing else in an answer repeats its text."""
        return answered

    def usage(self, value: Json) -> Usage | None:
        """The `usage` member, with the model that answered."""
        answer = as_object(value)
        said = as_object(answer.get("usage"))
        return _counted(said, Usage(model=as_text(answer.get("model")))) if said else None

    def calls(self, value: Json) -> list[ToolUse]:
        """The `tool_use` blocks; tools that the provider runs itself have blocks of other types."""
        blocks = [as_object(block) for block in as_list(as_object(value).get("content"))]
        return [
            tool_use(block.get("id"), block.get("name"), block.get("input"))
            for block in blocks
            if block.get("type") == "tool_use"
        ]

    def reader(self, asked: Asked) -> "MessagesReader":
        """A reader of events."""
        return MessagesReader()

    def error(self, problem: Problem, request_id: str) -> bytes:
        """`{"type": "error", "error": {"type", "message"}, "request_id"}`."""
        default = "api_error" if problem.status >= 500 else "invalid_request_error"
        error: JsonObject = {"type": _TYPES.get(problem.status, default), "message": problem.message}
        error["code"] = problem.code
        if problem.details:
            error["wicket"] = dict(problem.details)
        return jsontree.dump({"type": "error", "error": error, "request_id": request_id})

    def error_event(self, problem: Problem, request_id: str) -> bytes:
        """An `error` event; the official clients raise on it."""
        return encode(SseEvent("error", self.error(problem, request_id)))


class MessagesReader:
    """Reads the events of one streamed message."""

    def __init__(self) -> None:
        self.usage = Usage()
        self.has_usage = False
        self.failed = False
        self.is_complete = False
        self._roles: dict[int, Role] = {}
        """Of the open blocks that are not the model's own words."""
        self.calls: dict[str, Begun] = {}

    def read(self, event: SseEvent) -> Reading:
        """What an event says."""
        if event.data is None:
            return Reading(event)
        value = event_value(event.data)
        if not isinstance(value, dict):
            return Reading(event, value, tuple(_standing(value, "", Role.OTHER)))
        said = value
        kind = as_text(said.get("type"))
        if kind == "content_block_delta":
            role = self._roles.get(_index(said), Role.ASSISTANT)
            return Reading(event, value, (*_delta(said, role), *_beside(said, "delta")))
        if kind == "content_block_start":
            role = self._begun(said)
            return Reading(event, value, (*_start(said, role), *_beside(said, "content_block")))
        if kind == "content_block_stop":
            self._roles.pop(_index(said), None)
            return Reading(event, value, tuple(_beside(said)), ends=(f"{_index(said)}/",))
        self._note_usage(kind, said)
        ends = ("",) if kind in ("message_delta", "message_stop", "error") else ()
        self.is_complete = self.is_complete or kind == "message_stop"
        self.failed = self.failed or kind == "error"
        is_last = kind in ("message_stop", "error")
        return Reading(event, value, tuple(_others(said)), ends=ends, is_last=is_last)

    def splice(self, reading: Reading, changes: Mapping[str, str]) -> bytes | None:
        """The event's own bytes with one text replaced."""
        return spliced(reading, changes)

    def write(self, reading: Reading, changes: Mapping[str, str]) -> bytes:
        """The event with some texts replaced."""
        return encode(replace(reading.event, data=jsontree.dump(jsontree.replaced(reading.value, changes))))

    def carry(self, reading: Reading, piece: Piece, text: str) -> bytes:
        """A `content_block_delta` that continues the block the piece stood in."""
        said = as_object(reading.value)
        name = jsontree.steps(piece.pointer)[-1]
        kind = "input_json_delta" if name == "partial_json" else f"{name}_delta"
        delta: JsonObject = {"type": kind, name: text}
        event: JsonObject = {"type": "content_block_delta", "index": said.get("index", 0), "delta": delta}
        return encode(SseEvent("content_block_delta", jsontree.dump(event)))

    def _begun(self, said: JsonObject) -> Role:
        """Whose words the block is that begins, as `_block` says it of a whole one."""
        block = as_object(said.get("content_block"))
        kind = as_text(block.get("type"))
        role = Role.ASSISTANT
        if kind == "tool_use":
            self.calls[f"{_index(said)}/partial_json"] = Begun(block.get("id"), block.get("name"), block.get("input"))
        if kind.endswith("tool_result"):
            role = Role.RESULT
        elif kind.endswith("tool_use"):
            role = Role.ARGUMENT
        if role is not Role.ASSISTANT:
            self._roles[_index(said)] = role
        else:
            self._roles.pop(_index(said), None)
        return role

    def _note_usage(self, kind: str, said: JsonObject) -> None:
        if kind == "message_start":
            message = as_object(said.get("message"))
            start = Usage(model=as_text(message.get("model")))
            self.usage = _counted(as_object(message.get("usage")), start)
        elif kind == "message_delta" and (counted := as_object(said.get("usage"))):
            self.usage, self.has_usage = _counted(counted, self.usage), True


def _counted(said: JsonObject, before: Usage) -> Usage:
    """`said` over `before`: the end of a stream repeats only what changed.

    This wire's `input_tokens` leaves out what the cache served; ours is the sum.
    """
    read = count(said["cache_read_input_tokens"]) if "cache_read_input_tokens" in said else before.cache_read_tokens
    written = (
        count(said["cache_creation_input_tokens"])
        if "cache_creation_input_tokens" in said
        else before.cache_write_tokens
    )
    uncached = before.input_tokens - before.cache_read_tokens - before.cache_write_tokens
    fresh = count(said["input_tokens"]) if "input_tokens" in said else uncached
    output = count(said["output_tokens"]) if "output_tokens" in said else before.output_tokens
    return replace(
        before,
        input_tokens=fresh + read + written,
        output_tokens=output,
        cache_read_tokens=read,
        cache_write_tokens=written,
    )


def _request(value: Json) -> Iterator[Segment]:
    return request_words(value, _MEMBERS, _message)


def _message(message: Json, pointer: str) -> Iterator[Segment]:
    return message_words(message, pointer, _ROLES, _member)


def _member(name: str, child: Json, pointer: str, role: Role) -> Iterator[Segment]:
    if name == "content" and isinstance(child, list):
        return each(child, pointer, lambda block, here: _block(block, here, role))
    return words(child, pointer, role)


def _block(block: Json, pointer: str, role: Role) -> Iterator[Segment]:
    kind = as_text(as_object(block).get("type"))
    if kind.endswith("tool_result"):
        role = Role.RESULT
    for name, child in as_object(block).items():
        here = f"{pointer}/{jsontree.escape(name)}"
        yield Segment(here, role, name)
        is_argument = name == "input" and kind.endswith("tool_use")
        yield from words(child, here, Role.ARGUMENT if is_argument else role)
    if not isinstance(block, dict):
        yield from words(block, pointer, role)


def _answer(value: Json) -> Iterator[Segment]:
    return _message(value, "")


def _delta(said: JsonObject, role: Role) -> Iterator[Piece]:
    for name, child in as_object(said.get("delta")).items():
        if name in _RUNNING and isinstance(child, str):
            if child:
                whose = Role.ARGUMENT if name == "partial_json" else role
                yield Piece(f"{_index(said)}/{name}", f"/delta/{name}", child, False, whose)
        else:
            yield from _member_of(name, child, "/delta", role)


def _start(said: JsonObject, role: Role) -> Iterator[Piece]:
    for name, child in as_object(said.get("content_block")).items():
        if name in _RUNNING and isinstance(child, str):
            if child:
                yield Piece(f"{_index(said)}/{name}", f"/content_block/{name}", child, False, role)
        else:
            yield from _member_of(name, child, "/content_block", role)


def _beside(said: JsonObject, part: str = "") -> Iterator[Piece]:
    """The texts of an event about a block that stand outside the `part` that was read already."""
    for name, child in said.items():
        if name != part or not isinstance(child, dict):
            yield from _member_of(name, child, "", Role.OTHER)


def _others(said: JsonObject) -> Iterator[Piece]:
    """The texts of an event that is not about a block: an error's message, and whatever comes one day."""
    for name, child in said.items():
        if name != "message":
            own = Role.ASSISTANT if name == "delta" else Role.OTHER  # `stop_sequence` is a member of the message
            yield from _member_of(name, child, "", own)
    message = said.get("message")
    role = _ROLES.get(as_text(as_object(message).get("role")), Role.OTHER)
    for name, child in as_object(message).items():
        yield from _member_of(name, child, "/message", role)
    if not isinstance(message, dict):
        yield from _standing(message, "/message", Role.OTHER)


def _member_of(name: str, child: Json, pointer: str, role: Role) -> Iterator[Piece]:
    """A member that continues nothing. Its value cannot be replaced where the reader steers by it."""
    if name not in _STEERING:
        if not is_label(name):
            yield fixed(pointer, name)
        yield from _standing(child, f"{pointer}/{jsontree.escape(name)}", role)
    elif isinstance(child, str):
        if not is_label(child):
            yield fixed(f"{pointer}/{name}", child)
    elif not isinstance(child, int | None):
        yield from _standing(child, f"{pointer}/{name}", role)


def _standing(value: Json, pointer: str, role: Role) -> Iterator[Piece]:
    for here, text, is_name in jsontree.walk(value, pointer):
        if is_name:
            if not is_label(text):
                yield fixed(here, text)
        elif text and not is_opaque(here.rpartition("/")[2], text):
            yield Piece(here, here, text, True, role)


def _index(said: JsonObject) -> int:
    index = said.get("index")
    return index if isinstance(index, int) else 0
