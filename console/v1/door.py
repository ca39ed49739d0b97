"""The door of the API: who asks, whether they may, what they ask for, and the one form of every answer.

By bearer only: a browser's session opens nothing here, so no page can make a browser ask. What operations do is in the
files beside this one.
"""

import hashlib
from collections.abc import Awaitable, Callable

from pydantic import BaseModel, ValidationError
from starlette.requests import Request
from starlette.responses import Response

from console.access import Visitor
from console.frame import FORM_BYTES, Frame
from console.roles import ForbiddenError, check
from console.v1.operation import Call, Operation
from console.v1.problems import ProblemError, invalid, problem
from console.v1.store import Answers
from governance import jsontree
from governance.audit.event import AuditError
from governance.identity.directory import IdentityStaleError
from governance.store import StoreError
from pipeline.border import BadRequestError, read_body

Endpoint = Callable[[Request], Awaitable[Response]]

AGAIN = "idempotency-key"
LONGEST_KEY = 255
REPLAYED = "idempotency-replayed"
_STRANGER = ProblemError(401, "unauthenticated", "send a key of a person as `Authorization: Bearer wk_...`")


def endpoint(frame: Frame, operation: Operation) -> Endpoint:
    """What serves an operation."""

    async def serve(request: Request) -> Response:
        try:
            visitor = frame.access.bearer(request)
            if visitor is None:
                return await _turned_away(frame, request)
            check(visitor.role, operation.permission)
            return await _served(frame, operation, request, visitor)
        except ForbiddenError as error:
            return problem(ProblemError(403, "forbidden", str(error)))
        except BadRequestError as error:
            return problem(ProblemError(error.status, error.code, error.message))
        except ProblemError as error:
            return problem(error)
        except IdentityStaleError as error:
            return problem(ProblemError(503, "unavailable", str(error)))
        except (StoreError, AuditError):
            return problem(ProblemError(503, "unavailable", "the records cannot be read or written: try again later"))

    return serve


async def _turned_away(frame: Frame, request: Request) -> Response:
    wait = await frame.access.refused(request, "api", "unknown")
    if wait:
        crowded = ProblemError(429, "crowded", f"too many failed to come in from here: wait {wait} s")
        return problem(crowded, {"retry-after": str(wait)})
    return problem(_STRANGER, {"www-authenticate": 'Bearer realm="wicket"'})


async def _served(frame: Frame, operation: Operation, request: Request, visitor: Visitor) -> Response:
    asked = request.query_params.multi_items()
    if len({name for name, _ in asked}) < len(asked):
        raise ProblemError(422, "invalid", "a parameter is given twice")
    try:
        query = operation.query.model_validate(dict(asked))
    except ValidationError as error:
        raise invalid(error, "query") from None
    raw, body = b"", None
    if operation.body is not None:
        raw = await read_body(request.scope, request.receive, limit=FORM_BYTES)
        body = _read(raw, operation.body)
    call = Call(frame, visitor, request.path_params, query, body)
    name = request.headers.get(AGAIN)
    if operation.body is None or name is None:
        return _answer(await operation.handle(call))
    return await _once(operation, call, request, name, raw)


async def _once(operation: Operation, call: Call, request: Request, name: str, raw: bytes) -> Response:
    """Answer a request that may be made again: the same one is answered the same, and done once."""
    if not 0 < len(name) <= LONGEST_KEY or not name.isprintable():
        raise ProblemError(400, "idempotency_key", f"`Idempotency-Key` is a text of 1 to {LONGEST_KEY} characters")
    answers = Answers(call.frame.core.store)
    shelf = _digest(call.visitor.key_id, name)
    asked = _digest(request.method, request.url.path, raw.decode())
    before = await answers.begin(shelf, asked, call.frame.core.clock.now())
    if before is not None:
        if before.request != asked:
            raise ProblemError(422, "idempotency_key", "this `Idempotency-Key` was used for another request")
        if not before.status:
            raise ProblemError(409, "under_way", "the same request is being answered: try again in a moment")
        media_type = "application/json" if before.status == 200 else "application/problem+json"
        return Response(before.body, before.status, {REPLAYED: "true"}, media_type)
    # What breaks is answered elsewhere, and not kept.
    answer = Response(status_code=500)
    try:
        answer = _answer(await operation.handle(call))
    except ProblemError as error:
        answer = problem(error)
    finally:
        await answers.end(shelf, answer.status_code, bytes(answer.body).decode())
    return answer


def _read(raw: bytes, shape: type[BaseModel]) -> BaseModel:
    try:
        value = jsontree.parse(raw)
    except jsontree.MalformedError as error:
        raise ProblemError(400, "malformed", str(error)) from None
    try:
        return shape.model_validate(value, strict=True)
    except ValidationError as error:
        raise invalid(error, "body") from None


def _answer(answer: BaseModel | Response) -> Response:
    if isinstance(answer, Response):
        return answer
    return Response(answer.model_dump_json(), media_type="application/json")


def _digest(*parts: str) -> str:
    return hashlib.sha256(jsontree.canonical(list(parts))).hexdigest()
