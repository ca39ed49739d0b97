"""Every refusal of the API in one form (RFC 9457). Every word is ours."""

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError
from starlette.responses import Response

from console.v1.shapes import Problem, ProblemPlace
from pipeline.border import AsgiScope, BadRequestError

MEDIA_TYPE = "application/problem+json"
TITLES: Mapping[int, str] = {
    400: "not understood",
    401: "not known",
    403: "not allowed",
    404: "not there",
    405: "no such method",
    409: "it stands otherwise",
    413: "too large",
    415: "not JSON",
    422: "not as it must be",
    429: "too many failures",
    503: "not available now",
}


class ProblemError(Exception):
    """Why there is no answer."""

    def __init__(self, status: int, code: str, detail: str, errors: tuple[tuple[str, str], ...] = ()) -> None:
        self.status = status
        self.code = code
        self.detail = detail
        self.errors = errors
        """Where, and what is wrong there."""
        super().__init__(detail)


def problem(error: ProblemError, headers: Mapping[str, str] | None = None) -> Response:
    """The answer that says it."""
    return Response(_body(error), error.status, dict(headers or {}), MEDIA_TYPE)


def invalid(error: ValidationError, what: str) -> ProblemError:
    """What is wrong with parameters or a body, without repeating what was sent."""
    places = tuple((_place(one["loc"]), str(one["msg"]).lower()) for one in error.errors(include_input=False))
    return ProblemError(422, "invalid", f"the {what} is not as it must be", places[:20])


def render(_: AsgiScope, error: BadRequestError) -> tuple[bytes, bytes]:
    """A problem found at the border."""
    return MEDIA_TYPE.encode(), _body(ProblemError(error.status, error.code, error.message))


def _body(error: ProblemError) -> bytes:
    title = TITLES.get(error.status, "refused")
    places = [ProblemPlace(where=where, what=what) for where, what in error.errors]
    told = Problem(
        type=f"urn:wicket:problem:{error.code}",
        title=title,
        status=error.status,
        detail=error.detail,
        code=error.code,
        errors=places,
    )
    return told.model_dump_json().encode()


def _place(loc: tuple[Any, ...]) -> str:
    return "".join(f"/{str(step)[:64]}" for step in loc)
