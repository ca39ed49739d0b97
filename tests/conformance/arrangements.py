"""Who stands where: the suite, Wicket and the server, or the suite's own server, Wicket and a client."""

import contextlib
import shlex
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from tests.conformance.installation import FIXTURE, Installation, install
from tests.conformance.process import PYTHON, ROOT, free_port, listening

ADAPTER = (PYTHON, "-m", "tests.conformance.adapter")
CLIENT = (PYTHON, "-m", "tests.conformance.client")

Address: TypeAlias = AbstractAsyncContextManager[str]


@dataclass(frozen=True)
class Stand:
    """One way to reach the server of ours."""

    name: str
    opened: Callable[[Path], Address]
    """Starts everything in an empty folder; yields where the suite is to knock."""
    beside: str = ""
    """The arrangement without Wicket that this one is held against; empty for one without Wicket."""


@contextlib.asynccontextmanager
async def _http(folder: Path) -> AsyncGenerator[str]:
    port = free_port()
    async with listening([*FIXTURE, str(port)], port=port, log=folder / "fixture.log"):
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
async def _http_to_http(folder: Path) -> AsyncGenerator[str]:
    async with _http(folder) as url, _governing(folder) as wicket, wicket.serving({"url": url}) as address:
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
)


@dataclass(frozen=True)
class Seat:
    """One way for a client of the official SDK to reach the suite."""

    name: str
    through: bool
    """Whether Wicket stands between the two."""

    @contextlib.asynccontextmanager
    async def opened(self, folder: Path) -> AsyncGenerator[list[str]]:
        """The command of the client; afterwards Wicket's log must hold what it asked.

        Raises:
            RunError: it does not.
        """
        if not self.through:
            yield list(CLIENT)
            return
        async with _governing(folder) as wicket:
            yield [*CLIENT, "--through", shlex.quote(str(wicket.folder))]


SEATS = (Seat("directly", through=False), Seat("through Wicket", through=True))
