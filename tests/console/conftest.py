"""The console on a real server, and a real Chromium that opens it."""

import contextlib
import shutil
import socket
from collections.abc import Generator, Iterator
from dataclasses import dataclass

import pytest
import uvicorn
from anyio.from_thread import BlockingPortal, start_blocking_portal
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from console.access import mint_login
from console.app import build
from governance.clock import SystemClock
from tests.approvals.serving import AnnouncedServer
from tests.conftest import ON_CI, ManualClock
from tests.console.core import Core, open_core

CHROMIUM = "/usr/bin/chromium"
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@dataclass
class Served:
    """A console that serves: its address, its organs, and the loop they live in."""

    url: str
    core: Core
    portal: BlockingPortal

    def link(self) -> str:
        """A fresh one-time link for the administrator."""
        return f"{self.url}/console/login#{self.portal.call(mint_login, self.core.store, self.core.clock)}"


@pytest.fixture
def served(sqlite_url: str) -> Iterator[Served]:
    """The console on loopback."""
    with serving(sqlite_url) as opened:
        yield opened


@contextlib.contextmanager
def serving(url: str) -> Generator[Served]:
    """A console over a database. Browsers live by the machine's clock, so its organs start at the present."""
    clock = ManualClock(SystemClock().now())
    with contextlib.ExitStack() as stack:
        portal = stack.enter_context(start_blocking_portal())
        core = stack.enter_context(portal.wrap_async_context_manager(open_core(url, clock)))
        listener = stack.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))
        server = AnnouncedServer(
            uvicorn.Config(build(core), log_level="error", lifespan="off", ws="none", timeout_graceful_shutdown=1)
        )
        served = portal.start_task_soon(server.serve, [listener])
        assert server.ready.wait(20)
        yield Served(f"http://127.0.0.1:{listener.getsockname()[1]}", core, portal)
        server.should_exit = True
        served.result(20)


@pytest.fixture
def browser() -> Iterator[Browser]:
    """Chromium. On CI a missing one is a failure.

    Its driver keeps an event loop running in this thread, so it must not outlive a test: others bring their own.
    """
    if shutil.which(CHROMIUM) is None:
        assert not ON_CI, f"{CHROMIUM} is missing"
        pytest.skip(f"no {CHROMIUM}")
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield opened
        opened.close()


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    opened = browser.new_context(viewport={"width": 1280, "height": 860})
    opened.set_default_timeout(15_000)
    yield opened
    opened.close()


@pytest.fixture
def page(context: BrowserContext, served: Served) -> Page:
    """A page on which the administrator came in by link."""
    opened = context.new_page()
    opened.goto(served.link())
    opened.wait_for_url(f"{served.url}/console/")
    return opened
