"""The lens over OpenAI's chat completions wire (API reference, "Chat" and "Chat completion chunk")."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from types import MappingProxyType

from gateway.dialects.calls import tool_use_of_text
from gateway.dialects.dialect import Asked, Begun, Operation, Piece, Problem, Reading, Usage
from gateway.dialects.probabilities import alternatives, repeating, without_probabilities
from gateway.dialects.speech import (
    count,
    each,
    event_value,
    fixed,
    is_label,
    is_padding,
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

_ROLES = {
    "system": Role.SYSTEM,
    "developer": Role.SYSTEM,
    "user": Role.USER,
    "assistant": Role.ASSISTANT,
    "tool": Role.RESULT,
    "function": Role.RESULT,
}
_MEMBERS = {"tools": Role.DEFINITION, "functions": Role.DEFINITION}
_CALLS = ("tool_calls", "function_call")
_TYPES = {401: "authentication_error", 403: "permission_error", 409: "conflict_error", 429: "rate_limit_error"}
_ENVELOPE = ("id", "object", "created", "model", "system_fingerprint", "service_tier", "provider")
_AROUND = (*_ENVELOPE, "obfuscation", "usage")
_KNOWN = frozenset((*_AROUND, "choices"))
_VERDICT_OF_CHOICE = frozenset(("index", "finish_reason", "logprobs"))
_OF_DELTA = frozenset(
    ("role", "content", "refusal", "tool_calls", "function", "arguments", "index", "id", "type", "name")
)
_LABELS = frozenset(("role", "type", "index"))
_WHOLE = frozenset(("id", "name"))
"""Members of a call that come at once, in its first chunk: clients read them there and nowhere else."""
_SPLICE = b',"stream_options":{"include_usage":true}}'
_NO_USAGE = b',"usage":null'
_DONE = b"[DONE]"
_MOST_CALLS = 1024
"""Of one answer; what comes after them is not looked at."""


class OpenAiChat:
    """`POST /v1/chat/completions`."""

    wire = "openai-chat"
    vocabulary = "o200k_base"
    operations: Mapping[str, Operation] = MappingProxyType({"/v1/chat/completions": Operation("/chat/completions")})
    passed_headers: frozenset[str] = frozenset(("openai-beta", "idempotency-key", "x-client-request-id"))
    passed_prefixes: tuple[str, ...] = ("x-stainless-",)
    passed_query: frozenset[str] = frozenset()

    def parse(self, raw: bytes) -> Asked:
        """Read a request; a stream is asked for its usage without changing a byte that was sent."""
        parsed = jsontree.read(raw)
        model, stream = model_and_stream(parsed.value)
        value = as_object(parsed.value)
        options = as_object(value.get("stream_options"))
        if not stream or options.get("include_usage") is True:
            return Asked(model, stream, Body(value, raw=raw, strings=parsed.strings, lens=_request))
        asking: JsonObject = {**value, "stream_options": {**options, "include_usage": True}}
        spliced = None if "stream_options" in value else raw.rstrip().removesuffix(b"}").rstrip() + _SPLICE
        return Asked(model, True, Body(asking, raw=spliced, lens=_request), adds_usage=True)

    def answer(self, raw: bytes) -> Body:
        """Read a whole answer."""
        return Body.parse(raw, _answer)

    def settled(self, answered: Body) -> Body:
        """Take away the log probabilities: they repeat the text token by token."""
        value = as_object(answered.value)
        choices = [without_probabilities(choice) for choice in as_list(value.get("choices"))]
        return Body({**value, "choices": choices}, lens=_answer) if choices else answered

    def usage(self, value: Json) -> Usage | None:
        """The `usage` member, with the model that answered."""
        answer = as_object(value)
        said = as_object(answer.get("usage"))
        if not said:
            return None
        cached = as_object(said.get("prompt_tokens_details"))
        return Usage(
            model=as_text(answer.get("model")),
            input_tokens=count(said.get("prompt_tokens")),
            output_tokens=count(said.get("completion_tokens")),
            cache_read_tokens=count(cached.get("cached_tokens")),
            cache_write_tokens=count(cached.get("cache_write_tokens")),
        )

    def calls(self, value: Json) -> list[ToolUse]:
        """The `tool_calls` of every choice."""
        messages = [as_object(as_object(choice).get("message")) for choice in as_list(as_object(value).get("choices"))]
        calls = [as_object(call) for message in messages for call in as_list(message.get("tool_calls"))]
        named = [(call, as_object(call.get("function"))) for call in calls if "function" in call]
        return [tool_use_of_text(call.get("id"), called.get("name"), called.get("arguments")) for call, called in named]

    def reader(self, asked: Asked) -> "ChatReader":
        """A reader of chunks."""
        return ChatReader(self, hides_usage=asked.adds_usage)

    def error(self, problem: Problem, request_id: str) -> bytes:
        """`{"error": {"message", "type", "param", "code"}}`."""
        kind = _TYPES.get(problem.status, "server_error" if problem.status >= 500 else "invalid_request_error")
        error: JsonObject = {"message": problem.message, "type": kind, "param": None, "code": problem.code}
        if problem.details:
            error["wicket"] = dict(problem.details)
        return jsontree.dump({"error": error})

    def error_event(self, problem: Problem, request_id: str) -> bytes:
        """An event whose data is the error; the official clients raise on it."""
        return encode(SseEvent(data=self.error(problem, request_id)))


class ChatReader:
    """Reads the chunks of one streamed completion."""

    def __init__(self, dialect: OpenAiChat, *, hides_usage: bool) -> None:
        self._dialect = dialect
        self._hides_usage = hides_usage
        self._open: set[int] = set()
        self._finished: set[int] = set()
        self._roles: dict[int, Role] = {}
        self._envelope: JsonObject = {}
        self.calls: dict[str, Begun] = {}
        self.usage = Usage()
        self.has_usage = False
        self.failed = False

    @property
    def is_complete(self) -> bool:
        """Whether every choice that began has finished: some servers forget `[DONE]`."""
        return bool(self._finished) and self._open <= self._finished

    def read(self, event: SseEvent) -> Reading:
        """What a chunk says."""
        if event.data is None:
            return Reading(event)
        if event.data.strip() == _DONE:
            return Reading(event, ends=("",), is_last=True)
        value = event_value(event.data)
        chunk = as_object(value)
        self._note_usage(chunk)
        self.failed = self.failed or "error" in chunk
        choices = as_list(chunk.get("choices"))
        hidden = self._hides_usage and not choices and bool(chunk.get("usage"))
        event = self._without_usage(event, chunk) if self._hides_usage and not hidden else event
        if any(as_object(choice).get("logprobs") is not None for choice in choices):
            event, value = repeating(event, chunk)
        if b'"tool_calls"' in event.raw:
            self._begin_calls(choices)
        pieces = _pieces(value, self._roles)
        self._note_envelope(chunk, pieces)
        return Reading(event, value, pieces, ends=self._ends(choices), hidden=hidden)

    def splice(self, reading: Reading, changes: Mapping[str, str]) -> bytes | None:
        """The chunk's own bytes with one text replaced, unless it also holds probabilities that repeat it."""
        choices = as_list(as_object(reading.value).get("choices"))
        if any(as_object(choice).get("logprobs") is not None for choice in choices):
            return None
        return spliced(reading, changes)

    def write(self, reading: Reading, changes: Mapping[str, str]) -> bytes:
        """The chunk with some texts replaced, and without the probabilities that would repeat the old ones."""
        chunk: JsonObject = as_object(jsontree.replaced(reading.value, changes))
        if self._hides_usage:
            chunk = {name: child for name, child in chunk.items() if name != "usage"}
        if "choices" in chunk:
            choices: list[Json] = [without_probabilities(choice) for choice in as_list(chunk["choices"])]
            chunk = {**chunk, "choices": choices}
        return encode(replace(reading.event, data=jsontree.dump(chunk)))

    def carry(self, reading: Reading, piece: Piece, text: str) -> bytes:
        """A chunk with the envelope of the last one and nothing but `text` in the same place."""
        chunk = as_object(reading.value)
        steps = jsontree.steps(piece.pointer)
        choice = as_object(jsontree.at(chunk, "/" + "/".join(steps[:2])))
        bare: JsonObject = {"index": choice.get("index", 0), "finish_reason": None}
        bare[steps[2]] = _nested(choice.get(steps[2]), steps[3:], text)
        envelope: JsonObject = {name: chunk[name] for name in _ENVELOPE if name in chunk}
        return encode(SseEvent(reading.event.event, jsontree.dump({**envelope, "choices": [bare]})))

    def _begin_calls(self, choices: list[Json]) -> None:
        """Note the calls that begin: their id and name stand in their first chunk."""
        for place, choice in enumerate(choices):
            delta = as_object(as_object(choice).get("delta"))
            for position, item in enumerate(as_list(delta.get("tool_calls"))):
                call = as_object(item)
                called = as_object(call.get("function"))
                if ("id" in call or "name" in called) and len(self.calls) < _MOST_CALLS:
                    channel = f"{_index(as_object(choice), place)}/delta/tool_calls/{_index(call, position)}"
                    self.calls.setdefault(f"{channel}/function/arguments", Begun(call.get("id"), called.get("name")))

    def _note_envelope(self, chunk: JsonObject, pieces: list[Piece]) -> None:
        """What stands around the choices is judged where it is new."""
        known = self._envelope
        for name in _AROUND:
            child = chunk.get(name)
            if child is None or known.get(name) == child:
                continue
            if name != "obfuscation" or not is_padding(as_text(child)):
                known[name] = child
                _stand_fixed(pieces, child, f"/{name}")

    def _note_usage(self, chunk: JsonObject) -> None:
        if not self.usage.model:
            self.usage = Usage(model=as_text(chunk.get("model")))
        if chunk.get("usage") and (found := self._dialect.usage(chunk)):
            self.usage, self.has_usage = found, True

    def _without_usage(self, event: SseEvent, chunk: JsonObject) -> SseEvent:
        """The event without the `usage` that only we asked for. The usual `null` is cut out of the bytes."""
        if "usage" not in chunk:
            return event
        if chunk["usage"] is None and event.raw.count(_NO_USAGE) == 1:
            return replace(event, raw=event.raw.replace(_NO_USAGE, b""))
        rest: JsonObject = {name: child for name, child in chunk.items() if name != "usage"}
        return replace(event, raw=encode(replace(event, data=jsontree.dump(rest))))

    def _ends(self, choices: list[Json]) -> list[str]:
        ended: list[str] = []
        for place, item in enumerate(choices):
            choice = as_object(item)
            index = _index(choice, place)
            self._open.add(index)
            if choice.get("finish_reason") is not None:
                self._finished.add(index)
                ended.append(f"{index}/")
        return ended


def _request(value: Json) -> Iterator[Segment]:
    return request_words(value, _MEMBERS, _message)


def _message(message: Json, pointer: str) -> Iterator[Segment]:
    return message_words(message, pointer, _ROLES, _member)


def _member(name: str, child: Json, pointer: str, role: Role) -> Iterator[Segment]:
    return words(child, pointer, Role.ARGUMENT if name in _CALLS else role)


def _answer(value: Json) -> Iterator[Segment]:
    if not isinstance(value, dict):
        yield from words(value, "", Role.OTHER)
        return
    for name, child in value.items():
        pointer = f"/{jsontree.escape(name)}"
        if name == "choices":
            yield from each(child, pointer, _choice)
        else:
            yield Segment(pointer, Role.OTHER, name)
            yield from words(child, pointer, Role.OTHER)


def _choice(choice: Json, pointer: str) -> Iterator[Segment]:
    if not isinstance(choice, dict):
        yield from words(choice, pointer, Role.OTHER)
        return
    for name, child in choice.items():
        here = f"{pointer}/{jsontree.escape(name)}"
        yield Segment(here, Role.OTHER, name)
        yield from _message(child, here) if name == "message" else words(child, here, Role.OTHER)


def _pieces(chunk: Json, roles: dict[int, Role]) -> list[Piece]:
    """Every text of a chunk: each string inside a `delta` continues the one in the same place of the chunk before."""
    found: list[Piece] = []
    if not isinstance(chunk, dict):
        _stand(found, chunk, "")
        return found
    choices = chunk.get("choices")
    if not isinstance(choices, list):
        _stand(found, choices, "/choices")
    for place, choice in enumerate(as_list(choices)):
        if isinstance(choice, dict):
            _choice_pieces(found, choice, place, roles)
        else:
            _stand(found, choice, f"/choices/{place}")
    if not chunk.keys() <= _KNOWN:
        for name in chunk.keys() - _KNOWN:
            _name(found, name, "")
            _stand(found, chunk[name], f"/{jsontree.escape(name)}")
    return found


def _choice_pieces(found: list[Piece], choice: JsonObject, place: int, roles: dict[int, Role]) -> None:
    index = _index(choice, place)
    for member, below in choice.items():
        pointer = f"/choices/{place}/{member}"
        if member == "delta":
            if isinstance(below, dict) and "role" in below:
                roles[index] = _ROLES.get(as_text(below["role"]), Role.OTHER)
            _continue(found, below, pointer, f"{index}/delta", roles.get(index, Role.ASSISTANT))
        elif member == "logprobs":
            _stand_fixed(found, alternatives(below), pointer)
        elif member not in _VERDICT_OF_CHOICE:
            _name(found, member, f"/choices/{place}")
            _continue(found, below, f"/choices/{place}/{jsontree.escape(member)}", f"{index}/{member}", Role.OTHER)
        elif below is not None:
            _stand_fixed(found, below, pointer)


def _name(found: list[Piece], name: str, pointer: str) -> None:
    """A member's name: judged unless it is a plain word."""
    if not is_label(name):
        found.append(fixed(pointer, name))


def _stand(found: list[Piece], value: Json, pointer: str) -> None:
    """Every text of a value that continues nothing."""
    for here, text, is_name in jsontree.walk(value, pointer):
        if is_name:
            _name(found, text, here)
        elif text:
            found.append(Piece(here, here, text, True, Role.OTHER))


def _stand_fixed(found: list[Piece], value: Json, pointer: str) -> None:
    """Every text of a value that a reader steers by, in one piece: none can be replaced."""
    if isinstance(value, int | float):
        return
    texts = [text for _, text, _ in jsontree.walk(value, pointer) if text and not is_label(text)]
    if texts:
        found.append(fixed(pointer, "\n\n".join(texts)))


def _continue(found: list[Piece], value: Json, pointer: str, channel: str, role: Role) -> None:
    if isinstance(value, str):
        if value:
            found.append(Piece(channel, pointer, value, False, role))
    elif isinstance(value, dict):
        for name, child in value.items():
            if name not in _OF_DELTA:
                _name(found, name, pointer)
            if child is None:
                continue
            if name in _LABELS:
                _stand_fixed(found, child, f"{pointer}/{name}")
                continue
            step = jsontree.escape(name)
            whose = Role.ARGUMENT if name in _CALLS else role
            if name in _WHOLE and isinstance(child, str):
                if child:
                    found.append(Piece(f"{channel}/{step}", f"{pointer}/{step}", child, True, whose))
            else:
                _continue(found, child, f"{pointer}/{step}", f"{channel}/{step}", whose)
    elif isinstance(value, list):
        for place, child in enumerate(value):
            _continue(found, child, f"{pointer}/{place}", f"{channel}/{_index(as_object(child), place)}", role)


def _index(item: JsonObject, place: int) -> int:
    """The index an item states (tool calls, choices), else its place."""
    index = item.get("index")
    return index if isinstance(index, int) else place


def _nested(template: Json, steps: list[str], text: str) -> Json:
    """`text` at `steps`, in a tree shaped like `template` and with nothing else but the indices of array items."""
    if not steps:
        return text
    if isinstance(template, list):
        item = as_object(template[int(steps[0])])
        below = as_object(_nested(item, steps[1:], text))
        return [{"index": item["index"], **below} if "index" in item else below]
    return {steps[0]: _nested(as_object(template).get(steps[0]), steps[1:], text)}
