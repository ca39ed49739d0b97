"""The LLM proxy as an ASGI application: which path is served by what, and what is opened and closed around it.

Raw ASGI: a framework would cost more per request than everything else here. What an operation does is
`gateway/endpoint.py`; what must hold of every request is `pipeline/border.py`.
"""

import contextlib
import logging
import secrets
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from typing import Protocol, TypeAlias

import anyio

from gateway.dialects import DIALECTS
from gateway.dialects.dialect import Dialect, Problem
from gateway.endpoint import Endpoint, Organs, lowered, recognise, tell
from gateway.errors import FAILURES, INTERNAL, NOT_FOUND, UPGRADE, method_not_allowed, problem_of
from gateway.listing import Listing, anthropic_list, anthropic_model, openai_list, openai_model
from gateway.metering import Prices
from gateway.passing import Guarding, Recognising, Roll
from gateway.presence import Presence
from gateway.refusals import Refusals
from gateway.reply import Reply
from gateway.routing import Routes
from gateway.upstream import open_upstream
from governance import jsontree
from governance.audit.event import AuditLog
from governance.clock import Clock
from governance.config.models import Config
from governance.identity.directory import IdentityStaleError, UnknownKeyError
from pipeline.border import AsgiApp, AsgiScope, BadRequestError, Border, Receive, Send, answer

log = logging.getLogger(__name__)

_OPENAI, _ANTHROPIC = (
    next(one for one in DIALECTS if one.wire == wire) for wire in ("openai-chat", "anthropic-messages")
)
_MODELS = "/v1/models"

_Handler: TypeAlias = Callable[[AsgiScope, Receive, Reply], Awaitable[None]]


class Runtime(Protocol):
    """What the gateway needs of `pipeline/runtime.py`."""

    @property
    def config(self) -> Config:
        """The configuration."""
        ...

    @property
    def guard(self) -> Guarding:
        """The one path of every exchange."""
        ...

    @property
    def identity(self) -> Recognising:
        """Who is asking."""
        ...

    @property
    def audit(self) -> AuditLog:
        """Where refused requests are written down."""
        ...

    @property
    def strangers(self) -> AuditLog:
        """The same for those that anybody can cause, without a key."""
        ...

    @property
    def clock(self) -> Clock:
        """Time."""
        ...

    @property
    def prices(self) -> Prices:
        """What tokens cost."""
        ...

    @property
    def roll(self) -> Roll:
        """Tells runs apart."""
        ...


@contextlib.asynccontextmanager
async def open_gateway(runtime: Runtime, *, mounts: Mapping[str, AsgiApp] | None = None) -> AsyncGenerator[AsgiApp]:
    """Open the LLM proxy.

    Args:
        runtime: what it works with.
        mounts: other applications served behind the same border, by the first step of their path (`/console`).
    """
    config = runtime.config
    routes = Routes(config.providers)
    refusals = Refusals(runtime.audit, runtime.strangers)
    presence = Presence()
    async with open_upstream(config.limits) as upstream, anyio.create_task_group() as tasks:
        tasks.start_soon(presence.run)
        organs = Organs(
            config=config,
            guard=runtime.guard,
            identity=runtime.identity,
            clock=runtime.clock,
            routes=routes,
            upstream=upstream,
            presence=presence,
            prices=runtime.prices,
            refusals=refusals,
            roll=runtime.roll,
        )
        gateway = Gateway(organs, Listing(routes, upstream, runtime.clock), mounts or {})
        yield Border(
            gateway,
            hosts=config.hosts,
            limits=config.limits,
            render=render,
            record=refusals.border,
            trusted=config.identity.header_user,
        )
        tasks.cancel_scope.cancel()


def render(scope: AsgiScope, problem: BadRequestError) -> tuple[bytes, bytes]:
    """A problem found at the border, in the shape of whoever asks."""
    told = Problem(problem.status, problem.code, problem.message)
    return b"application/json", spoken_by(scope).error(told, error_id())


def error_id() -> str:
    """The id of an answer to a request that never became an exchange."""
    return f"req_{secrets.token_hex(12)}"


def spoken_by(scope: AsgiScope) -> Dialect:
    """The wire a client speaks, as far as its path and headers tell."""
    if str(scope.get("path", "")).startswith("/v1/messages"):
        return _ANTHROPIC
    names = {name for name, _ in scope["headers"]}
    return _ANTHROPIC if b"anthropic-version" in names or b"x-api-key" in names else _OPENAI


class Gateway:
    """Serves the paths of the LLM proxy."""

    def __init__(self, organs: Organs, listing: Listing, mounts: Mapping[str, AsgiApp]) -> None:
        self._organs = organs
        self._listing = listing
        self._mounts = mounts
        self._served: dict[str, dict[str, _Handler]] = {
            path: {"POST": Endpoint(organs, dialect, path, operation)}
            for dialect in DIALECTS
            for path, operation in dialect.operations.items()
        }
        self._served |= {
            "/": {"HEAD": _empty, "GET": _empty},
            "/api/hello": {"HEAD": _empty, "GET": _empty},
            "/healthz": {"HEAD": _empty, "GET": _empty},
            "/readyz": {"HEAD": self._ready, "GET": self._ready},
            _MODELS: {"GET": self._models},
        }

    async def __call__(self, scope: AsgiScope, receive: Receive, send: Send) -> None:
        """Serve one connection event of ASGI."""
        if scope["type"] == "http":
            await self._http(scope, receive, send)
        elif scope["type"] == "websocket":
            await _refuse_upgrade(scope, send)
        elif scope["type"] == "lifespan":
            await _lifespan(receive, send)

    async def _http(self, scope: AsgiScope, receive: Receive, send: Send) -> None:
        path: str = scope["path"]
        mounted = self._mounts.get("/" + path.split("/", 2)[1]) if path not in self._served else None
        if mounted is not None:
            await mounted(scope, receive, send)
            return
        reply = Reply(send)
        try:
            await self._handler(scope, path)(scope, receive, reply)
        except Exception:
            # The last line: whatever nobody expected is answered in our words, and its trace goes to the log.
            log.exception("a request failed")
            await tell(reply, spoken_by(scope), INTERNAL, error_id())

    def _handler(self, scope: AsgiScope, path: str) -> _Handler:
        methods = self._served.get(path)
        if methods is None and path.startswith(f"{_MODELS}/"):
            methods = {"GET": self._model}
        method: str = scope["method"]
        if methods is not None and method in methods:
            return methods[method]
        if lowered(scope).get("upgrade", "").lower() == "websocket":
            return _refusing(UPGRADE)
        return _refusing(NOT_FOUND if methods is None else method_not_allowed(tuple(methods)))

    async def _ready(self, scope: AsgiScope, receive: Receive, reply: Reply) -> None:
        """Ready means that clients can be recognised; whether anything else works is said by each answer."""
        try:
            self._organs.identity.principal("")
        except IdentityStaleError as failure:
            await tell(reply, spoken_by(scope), problem_of(failure), error_id())
        except UnknownKeyError:
            await reply.whole(200, [], b"")

    async def _models(self, scope: AsgiScope, receive: Receive, reply: Reply) -> None:
        await self._listed(scope, reply, None)

    async def _model(self, scope: AsgiScope, receive: Receive, reply: Reply) -> None:
        await self._listed(scope, reply, str(scope["path"]).removeprefix(f"{_MODELS}/"))

    async def _listed(self, scope: AsgiScope, reply: Reply, name: str | None) -> None:
        dialect = spoken_by(scope)
        try:
            principal = await recognise(self._organs, scope, lowered(scope))
            if name is None:
                shape = anthropic_list if dialect is _ANTHROPIC else openai_list
                value = shape(await self._listing.models(principal))
            else:
                one = anthropic_model if dialect is _ANTHROPIC else openai_model
                value = one(await self._listing.model(principal, name))
        except FAILURES as failure:
            problem = problem_of(failure)
            await self._organs.refusals.endpoint(_MODELS, failure, problem.code, None)
            await tell(reply, dialect, problem, error_id())
            return
        await reply.whole(200, [(b"content-type", b"application/json")], jsontree.dump(value))


def _refusing(problem: Problem) -> _Handler:
    async def refuse(scope: AsgiScope, _receive: Receive, reply: Reply) -> None:
        await tell(reply, spoken_by(scope), problem, error_id())

    return refuse


async def _empty(_scope: AsgiScope, _receive: Receive, reply: Reply) -> None:
    """Agents knock before they ask: a plain yes, without a look at any key."""
    await reply.whole(200, [], b"")


async def _refuse_upgrade(scope: AsgiScope, send: Send) -> None:
    """Some agents try a WebSocket first; 426 makes them go on over HTTP at once, any other status costs retries."""
    if "websocket.http.response" in scope.get("extensions", {}):
        await answer(scope, send, BadRequestError(UPGRADE.status, UPGRADE.code, UPGRADE.message), render)
    else:
        await send({"type": "websocket.close", "code": 1008})


async def _lifespan(receive: Receive, send: Send) -> None:
    """Opening and closing is done around the server, so there is nothing to do inside it."""
    await receive()
    await send({"type": "lifespan.startup.complete"})
    await receive()
    await send({"type": "lifespan.shutdown.complete"})
