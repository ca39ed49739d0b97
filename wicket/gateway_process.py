"""What the gateway process is made of: the LLM proxy, with the console behind the same border."""

import contextlib
from collections.abc import AsyncGenerator

import anyio

from console.access import mint_login
from console.app import build as build_console
from gateway.app import open_gateway, render
from pipeline.border import AsgiApp
from pipeline.runtime import Runtime
from sessions.index.follow import Follower
from sessions.index.store import SqlIndex
from wicket.addresses import console_address
from wicket.metrics import with_metrics
from wicket.serve import Service, record_refused


@contextlib.asynccontextmanager
async def open_front(runtime: Runtime) -> AsyncGenerator[AsgiApp]:
    """The application of this process."""
    async with (
        open_gateway(runtime, mounts={"/console": build_console(runtime)}) as app,
        anyio.create_task_group() as tasks,
    ):
        tasks.start_soon(Follower(SqlIndex(runtime.store), runtime.clock).run)
        yield with_metrics(app, runtime, render, record_refused(runtime, "llm"))
        tasks.cancel_scope.cancel()


async def greet(runtime: Runtime) -> str:
    """A link that opens the console once. The token stands behind `#`, so no server and no log ever sees it."""
    token = await mint_login(runtime.store, runtime.clock)
    return f"{console_address(runtime.config)}/console/login#{token}"


GATEWAY = Service("gateway", "llm", open_front, render, greet)
