"""The API as an application: the visible list of its operations, and what holds for every answer."""

from collections.abc import MutableMapping
from functools import lru_cache
from typing import Any, cast

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from console.app import framed
from console.frame import Core, Frame
from console.v1 import approvals, audit, keys, pins, servers, sessions, switch
from console.v1.door import endpoint
from console.v1.openapi import PREFIX, describe
from console.v1.operation import Operation
from console.v1.problems import ProblemError, problem
from governance import jsontree
from pipeline.border import AsgiApp, AsgiScope, Receive, Send

OPERATIONS: tuple[Operation, ...] = (
    *servers.OPERATIONS,
    *sessions.OPERATIONS,
    *approvals.OPERATIONS,
    *switch.OPERATIONS,
    *pins.OPERATIONS,
    *audit.OPERATIONS,
    *keys.OPERATIONS,
)
"""Everything that can be asked for."""

HEADERS = (
    (b"cache-control", b"no-store"),
    (b"x-content-type-options", b"nosniff"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"cross-origin-resource-policy", b"same-origin"),
)


def build(runtime: Core) -> AsgiApp:
    """The application, to be mounted at `/api` on an open runtime."""
    return _Shell(Starlette(routes=routes(framed(runtime)), exception_handlers={HTTPException: _missing}))


def routes(frame: Frame) -> list[BaseRoute]:
    """Every address. The description is open to everybody: it holds nothing of this installation."""

    async def description(_: Request) -> Response:
        return Response(_described(), media_type="application/json")

    served: list[BaseRoute] = [
        Route(PREFIX + one.path, endpoint(frame, one), methods=[one.method], name=one.id) for one in OPERATIONS
    ]
    return [Route(f"{PREFIX}/openapi.json", description), *served]


@lru_cache(maxsize=1)
def _described() -> bytes:
    """The description, made when somebody first asks: a start need not wait for it."""
    return jsontree.dump(describe(OPERATIONS))


def _missing(_: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 404
    allowed = dict(error.headers or {}) if isinstance(error, HTTPException) else {}
    if status == 405:
        return problem(ProblemError(405, "method", "this address is not asked by that method"), allowed)
    return problem(ProblemError(404, "unknown", f"there is nothing here: see {PREFIX}/openapi.json"))


class _Shell:
    """Gives every answer the headers of `HEADERS`."""

    def __init__(self, app: AsgiApp) -> None:
        self._app = app

    async def __call__(self, scope: AsgiScope, receive: Receive, send: Send) -> None:
        """Serve one request."""

        async def guarded(message: MutableMapping[str, Any]) -> None:
            if message["type"] == "http.response.start":
                given = cast("list[tuple[bytes, bytes]]", list(message.get("headers", [])))
                names = {name for name, _ in given}
                message["headers"] = given + [pair for pair in HEADERS if pair[0] not in names]
            await send(message)

        await self._app(scope, receive, guarded)
