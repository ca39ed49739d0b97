"""The one place that turns what went wrong into words for the client: status, code, message.

The shape of the body belongs to the dialect the client speaks. Nothing crosses that we did not write.
"""

from gateway.dialects.dialect import Problem
from governance.identity.directory import IdentityStaleError, InsufficientScopeError, UnknownKeyError
from governance.jsontree import MalformedError
from governance.stage import RefusedError
from governance.store import StoreError
from governance.verdict import Decision
from pipeline.border import BadRequestError

PENDING_RETRY_SECONDS = 5
UNAVAILABLE_RETRY_SECONDS = 2

_LIMITED = frozenset(("loop.rate", "budget"))


class UpstreamError(Exception):
    """The provider could not be asked, or did not answer as its wire demands. The message is ours."""

    def __init__(self, status: int, code: str, message: str, *, retry_after: int = 0) -> None:
        self.status = status
        """HTTP status for the client."""
        self.code = code
        self.retry_after = retry_after
        super().__init__(message)


class UnknownModelError(Exception):
    """No provider of this wire serves the model."""


Failure = (
    RefusedError
    | MalformedError
    | BadRequestError
    | UpstreamError
    | UnknownModelError
    | UnknownKeyError
    | IdentityStaleError
    | StoreError
)
FAILURES = (
    RefusedError,
    MalformedError,
    BadRequestError,
    UpstreamError,
    UnknownModelError,
    UnknownKeyError,
    IdentityStaleError,
    StoreError,
)
"""Everything the gateway expects to go wrong."""

NOT_FOUND = Problem(404, "not_found", "there is nothing at this path: see the documentation for what is served")
INTERNAL = Problem(500, "internal_error", "the gateway failed; the request was not answered")
UPGRADE = Problem(426, "upgrade_refused", "websockets are not served here: send the request as HTTP")


def method_not_allowed(allowed: tuple[str, ...]) -> Problem:
    """The path exists, the method does not."""
    return Problem(405, "method_not_allowed", f"use {' or '.join(f'`{one}`' for one in allowed)} here", allow=allowed)


def problem_of(failure: Failure) -> Problem:
    """What the client is told about a failure."""
    match failure:
        case RefusedError():
            return _refusal(failure)
        case BadRequestError():
            return Problem(failure.status, failure.code, failure.message)
        case MalformedError():
            return Problem(400, "malformed", f"the request was not read: {failure}")
        case UpstreamError():
            return Problem(failure.status, failure.code, str(failure), retry_after=failure.retry_after)
        case UnknownModelError():
            return Problem(404, "model_not_found", str(failure))
        case InsufficientScopeError():
            return Problem(403, "insufficient_scope", str(failure))
        case UnknownKeyError():
            return Problem(401, "invalid_api_key", str(failure))
        case IdentityStaleError():
            return Problem(503, "keys_unavailable", str(failure), retry_after=UNAVAILABLE_RETRY_SECONDS)
        case StoreError():
            said = "the state of runs cannot be read, so nothing is let through: try again later"
            return Problem(503, "unavailable", said, retry_after=UNAVAILABLE_RETRY_SECONDS)


def headers_of(problem: Problem, request_id: str) -> list[tuple[bytes, bytes]]:
    """The headers of an answer that tells a problem."""
    headers = [
        (b"content-type", b"application/json"),
        (b"x-request-id", request_id.encode()),
        (b"request-id", request_id.encode()),
        (b"x-wicket-exchange", request_id.encode()),
    ]
    if problem.status == 401:
        headers.append((b"www-authenticate", b'Bearer realm="wicket"'))
    if problem.retry_after:
        headers.append((b"retry-after", b"%d" % problem.retry_after))
    if problem.allow:
        headers.append((b"allow", ", ".join(problem.allow).encode()))
    if problem.status == 426:
        headers.append((b"connection", b"close"))
    return headers


def _refusal(refusal: RefusedError) -> Problem:
    verdict = refusal.verdict
    details = {"exchange": refusal.exchange_id, "rule": verdict.rule, "by": verdict.by}
    if refusal.link:
        details |= {"ticket": refusal.ticket, "link": refusal.link}
        message = (
            f"held by rule `{verdict.rule}` until a person decides: {verdict.reason}. "
            f"decide at {refusal.link}, then make the same request again (ticket {refusal.ticket})"
        )
        return Problem(409, "approval_pending", message, retry_after=PENDING_RETRY_SECONDS, details=details)
    said = f"refused by rule `{verdict.rule}`: {verdict.reason}" if verdict.rule else f"refused: {verdict.reason}"
    if verdict.by == "kill" or verdict.decision is Decision.KILL:
        return Problem(403, "session_killed", said, details=details)
    if verdict.by == "audit" or verdict.rule in ("stage.error", "identity.stale"):
        return Problem(503, "unavailable", verdict.reason, retry_after=UNAVAILABLE_RETRY_SECONDS, details=details)
    if verdict.by == "budget" or verdict.rule in _LIMITED:
        return Problem(429, "limit_exceeded", said, details=details)
    return Problem(403, "denied", said, details=details)
