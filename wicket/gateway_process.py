"""What the gateway process is made of: the LLM proxy, with the console behind the same border."""

import contextlib
from collections.abc import AsyncGenerator

from console.access import mint_login
from gateway.app import open_gateway, render
from pipeline.border import AsgiApp
from pipeline.runtime import Runtime
from wicket.addresses import console_address
from wicket.console_process import open_console
from wicket.metrics import with_metrics
from wicket.serve import Ending, Service, record_refused


@contextlib.asynccontextmanager
async def open_front(runtime: Runtime, _: Ending) -> AsyncGenerator[AsgiApp]:
    """The application of this process."""
    async with (
        open_console(runtime) as mounts,
        open_gateway(runtime, mounts=mounts) as app,
    ):
        yield with_metrics(app, runtime, render, record_refused(runtime, "llm"))


async def greet(runtime: Runtime) -> str:
    """A link that opens the console once. The token stands behind `#`, so no server and no log ever sees it."""
    token = await mint_login(runtime.store, runtime.clock)
    return f"{console_address(runtime.config)}/console/login#{token}"


GATEWAY = Service("gateway", "llm", open_front, render, greet)
