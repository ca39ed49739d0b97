"""A real HTTP receiver on loopback that keeps what it is sent."""

import contextlib
from collections.abc import Generator
from dataclasses import dataclass, field

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from tests.approvals.serving import served


@dataclass
class Receiver:
    """Answers with `statuses` in turn, then with 204."""

    port: int = 0
    statuses: list[int] = field(default_factory=list[int])
    received: list[tuple[dict[str, str], bytes]] = field(default_factory=list[tuple[dict[str, str], bytes]])

    @property
    def url(self) -> str:
        return f"http://receiver.test:{self.port}/hook"

    async def take(self, request: Request) -> Response:
        self.received.append((dict(request.headers), await request.body()))
        status = self.statuses.pop(0) if self.statuses else 204
        return Response(status_code=status, headers={"location": "/elsewhere"} if 300 <= status < 400 else {})


@contextlib.contextmanager
def receiving() -> Generator[Receiver]:
    """A receiver that serves while the block is open."""
    receiver = Receiver()
    app = Starlette(routes=[Route("/{path:path}", receiver.take, methods=["GET", "POST"])])
    with served(app) as receiver.port:
        yield receiver


async def on_loopback(host: str, port: int) -> list[str]:
    """A resolver for which every name is this machine."""
    return ["127.0.0.1"]
