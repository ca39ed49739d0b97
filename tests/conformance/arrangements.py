"""Who stands where: the suite, Wicket and the server, or the suite's own server, Wicket and a client."""

import contextlib
import shlex
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeAlias

from tests.conformance import suite
from tests.conformance.fixture.eras import BOTH, LEGACY, MODERN
from tests.conformance.installation import FIXTURE, Installation, install
from tests.conformance.pinned import LEGACY_TO_MODERN, MODERN_TO_LEGACY
from tests.conformance.process import PYTHON, ROOT, free_port, listening
from tests.conformance.suite import REVISIONS

ADAPTER = (PYTHON, "-m", "tests.conformance.adapter")
CLIENT = (PYTHON, "-m", "tests.conformance.client")
OAUTH_CLIENT = (PYTHON, "-m", "tests.conformance.oauth_client")

Address: TypeAlias = AbstractAsyncContextManager[str]


@dataclass(frozen=True)
class Stand:
    """One way to reach the server of ours."""

    name: str
    opened: Callable[[Path], Address]
    """Starts everything in an empty folder; yields where the suite is to knock."""
    beside: str = ""
    """The arrangement without Wicket that this one is held against; empty if there is none."""
    revisions: tuple[str, ...] = REVISIONS
    """What the suite's client speaks in it."""


@contextlib.asynccontextmanager
async def _http(folder: Path, era: str = BOTH) -> AsyncGenerator[str]:
    port = free_port()
    async with listening([*FIXTURE, "--era", era, str(port)], port=port, log=folder / "fixture.log"):
        yield f"http://localhost:{port}/mcp"


@contextlib.asynccontextmanager
async def _adapted(
    folder: Path, command: tuple[str, ...], environ: dict[str, str] | None = None
) -> AsyncGenerator[str]:
    port = free_port()
    adapter = [*ADAPTER, str(port), *command]
    async with listening(adapter, port=port, log=folder / "adapter.log", environ=environ):
        yield f"http://localhost:{port}/mcp"


def _stdio(folder: Path) -> Address:
    return _adapted(folder, FIXTURE)


@contextlib.asynccontextmanager
async def _http_to_http(folder: Path, era: str = BOTH) -> AsyncGenerator[str]:
    async with _http(folder, era) as url, _governing(folder) as wicket, wicket.serving({"url": url}) as address:
        yield address


@contextlib.asynccontextmanager
async def _http_to_stdio(folder: Path) -> AsyncGenerator[str]:
    command, *arguments = FIXTURE
    server = {"command": command, "args": arguments, "cwd": str(ROOT)}
    async with _governing(folder) as wicket, wicket.serving(server) as address:
        yield address


@contextlib.asynccontextmanager
async def _wrapped(folder: Path) -> AsyncGenerator[str]:
    async with _governing(folder) as wicket, _adapted(folder, wicket.wrapping(), wicket.environ) as address:
        yield address


@contextlib.asynccontextmanager
async def _governing(folder: Path) -> AsyncGenerator[Installation]:
    """A Wicket of its own; afterwards its log must be whole, and hold what was asked.

    Raises:
        RunError: the log is not, or something was refused.
    """
    wicket = await install(folder / "wicket")
    yield wicket
    await wicket.must_have_governed()


DIRECT_HTTP = Stand("HTTP, directly", _http)
DIRECT_STDIO = Stand("stdio, directly", _stdio)
STANDS = (
    DIRECT_HTTP,
    Stand("Wicket, HTTP to HTTP", _http_to_http, beside=DIRECT_HTTP.name),
    DIRECT_STDIO,
    Stand("Wicket, HTTP to stdio", _http_to_stdio, beside=DIRECT_STDIO.name),
    Stand("`wicket stdio`", _wrapped, beside=DIRECT_STDIO.name),
    Stand(LEGACY_TO_MODERN, partial(_http_to_http, era=MODERN), revisions=REVISIONS[:1]),
    Stand(MODERN_TO_LEGACY, partial(_http_to_http, era=LEGACY), revisions=REVISIONS[1:]),
)


Command: TypeAlias = AbstractAsyncContextManager[Sequence[str]]


@dataclass(frozen=True)
class Seat:
    """One client that the suite is to judge."""

    name: str
    opened: Callable[[Path], Command]
    """Starts what the client needs in an empty folder; yields the command that starts the client."""
    leg: str = suite.CLIENT
    """Which scenarios it plays."""
    beside: str = ""
    """As of `Stand`."""


@contextlib.asynccontextmanager
async def _sdk(_folder: Path) -> AsyncGenerator[Sequence[str]]:
    yield CLIENT


@contextlib.asynccontextmanager
async def _sdk_through(folder: Path) -> AsyncGenerator[Sequence[str]]:
    async with _governing(folder) as wicket:
        yield [*CLIENT, "--through", shlex.quote(str(wicket.folder))]


@contextlib.asynccontextmanager
async def _oauth(_folder: Path) -> AsyncGenerator[Sequence[str]]:
    yield OAUTH_CLIENT


DIRECT_CLIENT = Seat("directly", _sdk)
SEATS = (
    DIRECT_CLIENT,
    Seat("through Wicket", _sdk_through, beside=DIRECT_CLIENT.name),
    Seat("Wicket's own, OAuth", _oauth, leg=suite.OAUTH),
)
