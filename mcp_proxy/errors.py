"""The one place where what went wrong becomes an MCP message.

Only text that we wrote crosses it. Refused tool calls are tool results, because models read results and not errors;
everything else is a JSON-RPC error whose code lies outside the ranges that JSON-RPC and MCP reserve.
"""

from dataclasses import dataclass

from governance import jsontree
from governance.jsontree import Json, JsonObject
from governance.stage import RefusedError
from governance.verdict import Decision
from mcp_proxy.link import Era, UpstreamError
from mcp_proxy.message import INVALID_REQUEST, MalformedMessageError, Message, RequestId
from pipeline.border import AsgiScope, BadRequestError

REFUSED = -31001
"""A rule, a person or the kill switch refused; `data.wicket` is `refused`."""
PENDING = -31002
"""A person has not decided yet; `data.wicket` is `pending`."""
UPSTREAM_FAILED = -31003
"""The server behind the proxy failed; `data.wicket` is `upstream`."""
METHOD_NOT_FOUND = -32601

VERDICT_KEY = "wicket/verdict"
"""Member of `_meta` (and of an error's `data`) that tells a machine what the text tells a model."""

_STATUS = {METHOD_NOT_FOUND: 404}


@dataclass(frozen=True, slots=True)
class Answer:
    """A message of ours and the HTTP status that fits it."""

    status: int
    message: Message


def answer(error: Exception, request: Message, era: Era) -> Answer:
    """What the client is told instead of a response to `request`.

    Args:
        error: `RefusedError` or `UpstreamError`; anything else is told as a failure of ours, without its text.
        request: the request that gets no response.
        era: decides whether a result must name its type.
    """
    if isinstance(error, RefusedError):
        return Answer(200, _refusal(error, request, era))
    if isinstance(error, UpstreamError):
        data: JsonObject = {"wicket": "upstream", "status": error.status}
        # A modern client is told by the status; a legacy client would take most of them for the end of its session.
        status = error.status if era is Era.MODERN or error.status == LOST else 200
        return Answer(status, _error(request.id, UPSTREAM_FAILED, str(error), data))
    return Answer(500, _error(request.id, UPSTREAM_FAILED, "the proxy failed", {"wicket": "internal"}))


LOST = 404
"""Status of an `UpstreamError` that ends the client's session too."""


def to_server(request: Message, error: RefusedError | None) -> Message:
    """What a server is told whose request to the client was refused. Why, is not for it to know.

    Args:
        request: the server's request.
        error: the refusal; None where the client cannot be asked, or did not answer.
    """
    if error is None:
        return _error(request.id, REFUSED, "the client does not answer this request", {"wicket": "unanswered"})
    if error.ticket:
        return _error(request.id, PENDING, "a person has to approve this request", {"wicket": "pending"})
    return _error(request.id, REFUSED, "this request was refused", {"wicket": "refused"})


def kept_no_longer(request_id: RequestId) -> Message:
    """What a client is told that resumes a stream for an answer which could not be kept for it."""
    text = "the call was made, but its answer was kept no longer, or was too large to be kept"
    return _error(request_id, UPSTREAM_FAILED, text, {"wicket": "missed"})


def malformed(error: MalformedMessageError) -> Answer:
    """What the sender of a message that was not even judged is told."""
    status = _STATUS.get(error.code, 400)
    return Answer(status, _error(error.request_id, error.code, str(error), error.data))


def bad_request(problem: BadRequestError) -> Answer:
    """What the sender of an HTTP request is told that never became a message."""
    return Answer(problem.status, _error(None, INVALID_REQUEST, problem.message, {"wicket": problem.code}))


def render(_scope: AsgiScope, problem: BadRequestError) -> tuple[bytes, bytes]:
    """A problem found at the border, in the shape of this protocol: `(content type, body)`."""
    return b"application/json", bad_request(problem).message.raw


def told(error: RefusedError) -> JsonObject:
    """What a machine is told about a refusal, under `VERDICT_KEY`."""
    verdict: JsonObject = {
        "decision": (Decision.HOLD if error.ticket else error.verdict.decision).value,
        "rule": error.verdict.rule or error.verdict.by,
        "exchange": error.exchange_id,
    }
    if error.ticket:
        verdict |= {"ticket": error.ticket, "link": error.link}
    return verdict


def _refusal(error: RefusedError, request: Message, era: Era) -> Message:
    verdict = told(error)
    text = _text(error)
    # Who asked for a task (2025-11-25) reads nothing else of a result than the task; an error it can tell.
    if request.method == "tools/call" and (era is Era.MODERN or not isinstance(request.params.get("task"), dict)):
        result: JsonObject = {"content": [{"type": "text", "text": text}], "isError": True}
        result["_meta"] = {VERDICT_KEY: verdict}
        if era is Era.MODERN:
            result["resultType"] = "complete"
        return Message.build({"jsonrpc": "2.0", "id": request.id, "result": result})
    code, word = (PENDING, "pending") if error.ticket else (REFUSED, "refused")
    return _error(request.id, code, text, {"wicket": word, VERDICT_KEY: verdict})


def _text(error: RefusedError) -> str:
    rule = error.verdict.rule or error.verdict.by
    reason = error.verdict.reason or "no reason was given"
    if error.ticket:
        where = f" at {error.link}" if error.link else ""
        return (
            f"pending: a person must decide{where} (ticket `{error.ticket}`, rule `{rule}`): {reason}. "
            "Make exactly the same call again to get its result; it runs once."
        )
    which = f" (exchange `{error.exchange_id}`)" if error.exchange_id else ""
    return f"refused by rule `{rule}`: {reason}{which}"


def _error(request_id: RequestId | None, code: int, text: str, data: Json) -> Message:
    error: JsonObject = {"code": code, "message": text}
    if data is not None:
        error["data"] = data
    return Message.build({"jsonrpc": "2.0", "id": request_id, "error": error})


def with_warnings(result: JsonObject, warnings: list[str]) -> JsonObject:
    """A tool result to which the model is told more: one text item, behind the server's own content."""
    content = jsontree.as_list(result.get("content"))
    added: list[Json] = [{"type": "text", "text": f"warning from wicket: {text}"} for text in warnings]
    return {**result, "content": [*content, *added]}
