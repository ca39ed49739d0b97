"""What the console is made of, in whatever process it is served; and the process that serves nothing else.

The gateway serves the console too (`gateway_process.py`). A process of its own is for where proxies run elsewhere: it
needs nothing of them but the database.
"""

import contextlib
import importlib
from collections.abc import AsyncGenerator, Mapping
from contextlib import AbstractAsyncContextManager, nullcontext

import anyio

from console.app import build
from console.sso import Provider
from console.v1.app import build as build_api
from console.v1.problems import render
from governance.config.models import Config
from governance.identity.directory import IdentityStaleError, UnknownKeyError
from pipeline.border import AsgiApp, AsgiScope, BadRequestError, Border, Receive, Send, answer
from pipeline.runtime import Runtime
from sessions.index.follow import Follower
from sessions.index.store import SqlIndex
from wicket.addresses import address
from wicket.metrics import with_metrics
from wicket.refusals import record_refused
from wicket.serve import Ending, Service

_ABSENT = BadRequestError(404, "unknown", "there is nothing at this address: the console is at `/console/`")


@contextlib.asynccontextmanager
async def open_console(runtime: Runtime) -> AsyncGenerator[Mapping[str, AsgiApp]]:
    """The console and its API, by the first step of their paths."""
    async with open_provider(runtime) as provider, anyio.create_task_group() as tasks:
        tasks.start_soon(Follower(SqlIndex(runtime.store), runtime.clock).run)
        yield {"/console": build(runtime, provider), "/api": build_api(runtime)}
        tasks.cancel_scope.cancel()


def open_provider(runtime: Runtime) -> AbstractAsyncContextManager[Provider | None]:
    """The identity provider; what asks it is not even loaded where none is configured."""
    settings = runtime.config.console.oidc
    if not settings.issuer:
        return nullcontext()
    opening = importlib.import_module("governance.identity.relying_party").open_relying_party
    opened: AbstractAsyncContextManager[Provider] = opening(settings, runtime.clock)
    return opened


@contextlib.asynccontextmanager
async def open_front(runtime: Runtime, _: Ending) -> AsyncGenerator[AsgiApp]:
    """The application of the process that serves the console alone."""
    config, record = runtime.config, record_refused(runtime, "console")
    async with open_console(runtime) as mounts:
        border = Border(
            _Doors(runtime, mounts), hosts=config.hosts, limits=config.limits, render=render, record=record,
            trusted=config.identity.header_user,
        )  # fmt: skip
        yield with_metrics(border, runtime, render, record)


class _Doors:
    """Which path is served by what."""

    def __init__(self, runtime: Runtime, mounts: Mapping[str, AsgiApp]) -> None:
        self._runtime = runtime
        self._mounts = mounts

    async def __call__(self, scope: AsgiScope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        path = str(scope.get("path", ""))
        mounted = self._mounts.get("/" + path.split("/", 2)[1]) if path.startswith("/") else None
        if scope["type"] == "http" and mounted is not None:
            await mounted(scope, receive, send)
        elif scope["type"] == "http" and path in ("/", "/healthz", "/readyz") and scope["method"] in ("GET", "HEAD"):
            await self._plain(scope, path, send)
        elif scope["type"] in ("http", "websocket"):
            await answer(scope, send, _ABSENT, render)

    async def _plain(self, scope: AsgiScope, path: str, send: Send) -> None:
        if path == "/readyz":
            try:
                self._runtime.identity.principal("")
            except IdentityStaleError as error:
                await answer(scope, send, BadRequestError(503, "identity", str(error)), render)
                return
            except UnknownKeyError:
                pass
        home = [(b"location", b"/console/")] if path == "/" else []
        await send({"type": "http.response.start", "status": 303 if home else 200, "headers": home})
        await send({"type": "http.response.body", "body": b""})


async def _greet(_runtime: Runtime) -> str:
    return ""


def own_address(config: Config) -> str:
    """Where people find this console: the public address, or its own port."""
    return config.approvals.base_url or address(config, config.console)


CONSOLE = Service("console", "console", open_front, render, _greet, own_address)
