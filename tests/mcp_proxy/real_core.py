"""The proxy with the real core on a port of its own, before whatever servers a test has: built in this one place."""

from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from mcp_proxy.app import Organs, open_app
from mcp_proxy.link import Server
from mcp_proxy.transports.streamable_http import HttpServer, open_client
from pipeline.border import BadRequestError
from pipeline.runtime import Runtime
from tests.mcp_proxy.harness import raw_client, serving, steady
from tests.mcp_proxy.raw_client import RawClient


def organs_of(core: Runtime, refused: list[BadRequestError] | None = None, **more: Any) -> Organs:
    """What the proxy acts with: the core's own organs, and `more` beside or in place of them.

    Args:
        core: the core.
        refused: takes what was refused unread; without it, that fails the test.
        more: other organs.
    """

    async def record(path: str, problem: BadRequestError) -> None:
        if refused is None:
            raise AssertionError(problem)
        refused.append(problem)

    own: dict[str, Any] = {
        "gate": core.guard,
        "kills": core.kills,
        "catalog": core.catalog,
        "identity": core.identity,
        "clock": core.clock,
        "limits": core.config.limits,
        "hosts": core.config.hosts,
        "record": record,
    }
    return Organs(**{**own, **more})


@asynccontextmanager
async def fronting(
    core: Runtime, servers: Mapping[str, Server], refused: list[BadRequestError] | None = None, **more: Any
) -> AsyncGenerator[str]:
    """The proxy before these servers; yields its URL. The rest as `organs_of`."""
    async with open_app(organs_of(core, refused, **more), servers) as app, serving(app) as url:
        yield url


@asynccontextmanager
async def fronting_http(
    core: Runtime, urls: Mapping[str, str], refused: list[BadRequestError] | None = None, **more: Any
) -> AsyncGenerator[str]:
    """The proxy before HTTP servers, given as name -> URL; yields its URL. The rest as `organs_of`."""
    async with open_client() as http:
        limits = core.config.limits
        servers: dict[str, Server] = {
            name: HttpServer(name, url, client=http, limits=limits, pulse=steady(name)) for name, url in urls.items()
        }
        async with fronting(core, servers, refused, **more) as url:
            yield url
            for server in servers.values():
                await server.aclose()


@asynccontextmanager
async def keyless(url: str) -> AsyncGenerator[RawClient]:
    """A client without any SDK and without a key."""
    async with raw_client() as http:
        del http.headers["authorization"]
        yield RawClient(http, url)
