"""One JSON-RPC message as MCP sends it: the bytes received, and what they say.

Strict, because bytes are forwarded: a message that two parsers could read differently is refused here, before anything
is judged. This file knows no transport and no revision, and does not judge.
"""

from dataclasses import dataclass
from typing import TypeAlias

from governance import jsontree
from governance.jsontree import Json, JsonObject, Levels

RequestId: TypeAlias = str | int

PARSE_ERROR = -32700
INVALID_REQUEST = -32600
INVALID_PARAMS = -32602

LARGEST_SAFE_ID = 2**53 - 1
"""Beyond it a JavaScript peer reads another number than we do (RFC 8259 section 6)."""

REQUEST_METHODS = frozenset(
    {
        "completion/complete",
        "elicitation/create",
        "initialize",
        "logging/setLevel",
        "ping",
        "prompts/get",
        "prompts/list",
        "resources/list",
        "resources/read",
        "resources/subscribe",
        "resources/templates/list",
        "resources/unsubscribe",
        "roots/list",
        "sampling/createMessage",
        "server/discover",
        "subscriptions/listen",
        "tasks/cancel",
        "tasks/get",
        "tasks/list",
        "tasks/result",
        "tasks/update",
        "tools/call",
        "tools/list",
    }
)
"""Every request of every revision, both ways: without an id none of them means anything."""

_ENVELOPE = frozenset({"jsonrpc", "id", "method", "params", "result", "error"})
_PARAMS = frozenset(
    {"_meta", "name", "arguments", "uri", "ref", "argument", "context", "inputresponses", "requeststate", "task"}
)
_PARAMS_SPELLING = frozenset({"inputResponses", "requestState"}) | _PARAMS
_SUBJECT = {"tools/call": "name", "prompts/get": "name", "resources/read": "uri"}
"""What a request is about: without it there is nothing to judge."""
_FOLDED_METHODS = frozenset(method.casefold() for method in REQUEST_METHODS)


class MalformedMessageError(Exception):
    """A message that is refused unread. The text is ours and safe to send."""

    def __init__(
        self, why: str, *, code: int = INVALID_REQUEST, request_id: RequestId | None = None, data: Json = None
    ) -> None:
        self.code = code
        """JSON-RPC error code of the answer."""
        self.data = data
        """`data` of the answer, where the protocol asks for some."""
        self.request_id = request_id
        """The id to answer with, where the message had one that can be trusted."""
        super().__init__(why)


@dataclass(frozen=True, slots=True)
class Message:
    """One request, notification or response."""

    raw: bytes
    """The JSON text as received, without line end."""
    value: JsonObject
    strings: Levels
    """Every string in it, for `governance.exchange.Body`."""
    id: RequestId | None
    """None for a notification, and for an error whose request the peer could not tell."""
    method: str
    """Empty for a response."""

    @property
    def is_request(self) -> bool:
        """Whether an answer is expected."""
        return self.method != "" and self.id is not None

    @property
    def is_notification(self) -> bool:
        """Whether it names a method and wants no answer."""
        return self.method != "" and self.id is None

    @property
    def is_response(self) -> bool:
        """Whether it is a result or an error."""
        return self.method == ""

    @property
    def params(self) -> JsonObject:
        """The parameters, or an empty object."""
        return jsontree.as_object(self.value.get("params"))

    @property
    def meta(self) -> JsonObject:
        """`params._meta`, or an empty object."""
        return jsontree.as_object(self.params.get("_meta"))

    @classmethod
    def parse(cls, raw: bytes) -> "Message":
        """The message that a client sent.

        Raises:
            MalformedMessageError: it is not exactly one JSON-RPC 2.0 message that every parser reads the same way.
        """
        return _read(raw, from_server=False)

    @classmethod
    def parse_upstream(cls, raw: bytes) -> "Message":
        """The message that a server sent: as `parse`, but an error may have no id (JSON-RPC 2.0 section 5).

        Raises:
            MalformedMessageError: as `parse`.
        """
        return _read(raw, from_server=True)

    @classmethod
    def build(cls, value: JsonObject) -> "Message":
        """A message of our own making. The value is trusted."""
        raw = jsontree.dump(value)
        found = value.get("id")
        request_id = found if isinstance(found, str | int) else None
        return cls(raw, value, jsontree.strings(value), request_id, jsontree.as_text(value.get("method")))


def _read(raw: bytes, *, from_server: bool) -> Message:
    try:
        parsed = jsontree.read(raw)
    except jsontree.MalformedError as error:
        raise MalformedMessageError(str(error), code=PARSE_ERROR) from None
    value = parsed.value
    if isinstance(value, list):
        raise MalformedMessageError("a batch is not accepted: send one message at a time")
    if not isinstance(value, dict):
        raise MalformedMessageError("a message must be a JSON object")
    request_id = _id(value, from_server=from_server)
    method = _method(value, request_id)
    if not method:
        _check_response(value, request_id, from_server=from_server)
    return Message(raw, value, parsed.strings, request_id, method)


def _id(value: JsonObject, *, from_server: bool) -> RequestId | None:
    found = value.get("id")
    if found is None:
        if "id" in value and not (from_server and "error" in value):
            raise MalformedMessageError("`id` must not be null: send a string or an integer")
        request_id = None
    elif type(found) is str or (type(found) is int and abs(found) <= LARGEST_SAFE_ID):
        request_id = found
    else:
        raise MalformedMessageError("`id` must be a string or an integer of at most 53 bits")
    if value.get("jsonrpc") != "2.0":
        raise MalformedMessageError('`jsonrpc` must be "2.0"', request_id=request_id)
    for name in value.keys() - _ENVELOPE:
        if name.casefold() in _ENVELOPE:
            raise MalformedMessageError("a member differs from a JSON-RPC one only in case", request_id=request_id)
    return request_id


def _method(value: JsonObject, request_id: RequestId | None) -> str:
    if "method" not in value:
        return ""
    method = value["method"]
    if not isinstance(method, str) or not method:
        raise MalformedMessageError("`method` must be a string that is not empty", request_id=request_id)
    if "result" in value or "error" in value:
        raise MalformedMessageError("`method` together with `result` or `error`", request_id=request_id)
    if method in REQUEST_METHODS:
        if request_id is None:
            raise MalformedMessageError("this `method` is a request: send it with an `id`")
    elif method.strip().casefold() in _FOLDED_METHODS:
        raise MalformedMessageError("`method` differs from a known one only in case or space", request_id=request_id)
    if value.get("params") is not None:
        _check_params(method, value["params"], request_id)
    return method


def _check_params(method: str, params: Json, request_id: RequestId | None) -> None:
    if not isinstance(params, dict):
        raise MalformedMessageError("`params` must be an object", request_id=request_id)
    if not isinstance(params.get("_meta", {}), dict | None):
        raise MalformedMessageError("`params._meta` must be an object", code=INVALID_PARAMS, request_id=request_id)
    if method not in REQUEST_METHODS:
        return
    for name in params.keys() - _PARAMS_SPELLING:
        if name.casefold() in _PARAMS:
            raise MalformedMessageError(
                "a member of `params` differs from a known one only in case", request_id=request_id
            )
    subject = _SUBJECT.get(method, "")
    if subject and not isinstance(params.get(subject), str):
        raise MalformedMessageError(f"`params.{subject}` must be a string", code=INVALID_PARAMS, request_id=request_id)
    if method == "tools/call" and not isinstance(params.get("arguments"), dict | None):
        raise MalformedMessageError("`params.arguments` must be an object", code=INVALID_PARAMS, request_id=request_id)


def _check_response(value: JsonObject, request_id: RequestId | None, *, from_server: bool) -> None:
    if "result" in value and "error" in value:
        raise MalformedMessageError("`result` together with `error`", request_id=request_id)
    if "result" not in value and "error" not in value:
        raise MalformedMessageError("neither a `method` nor a `result` nor an `error`", request_id=request_id)
    if request_id is None and not (from_server and "error" in value):
        raise MalformedMessageError("a response must carry the `id` of its request")


def result_of(message: Message) -> JsonObject:
    """The result of a response, or an empty object."""
    return jsontree.as_object(message.value.get("result"))
