"""The console behind an identity provider: one that we did not write, or one that a test bends.

Both on loopback, over real HTTP.
"""

import contextlib
import os
import select
import socket
import subprocess
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import uvicorn
from anyio.from_thread import start_blocking_portal

from console.app import build
from governance.identity.relying_party import open_relying_party
from tests.approvals.serving import AnnouncedServer, served
from tests.authority import Authority
from tests.conformance.npm import NODE, install
from tests.conformance.process import ROOT
from tests.conftest import RunningClock
from tests.console.conftest import Served
from tests.console.core import open_core

HOME = ROOT / ".provider"
HERE = Path(__file__).with_name("provider")
CLIENT = "wicket"
SECRET = "not-secret-in-a-test"
PEOPLE: list[dict[str, Any]] = [
    {"match": {"groups": "boss"}, "role": "admin"},
    {"match": {"groups": "finance", "email": "*@acme.test"}, "role": "approver", "tenant": "acme", "team": "finance"},
    {"match": {"groups": ["audit", "revision"]}, "role": "auditor", "tenant": "*"},
]


def free_socket() -> socket.socket:
    """A bound socket, whose port can be told to the provider before anything is served there."""
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    return listener


def settings(issuer: str, base_url: str, **oidc: Any) -> dict[str, Any]:
    """The configuration of a console that lets `PEOPLE` in."""
    usual = {"issuer": issuer, "client_id": CLIENT, "client_secret": SECRET, "name": "Acme", "people": PEOPLE}
    return {"approvals": {"base_url": base_url}, "console": {"oidc": {**usual, "claims": {"user": "email"}, **oidc}}}


@contextlib.contextmanager
def console(url: str, listener: socket.socket, config: Mapping[str, Any]) -> Generator[Served]:
    """The console with this configuration, served on a socket."""
    with contextlib.ExitStack() as stack:
        portal = stack.enter_context(start_blocking_portal())
        core = stack.enter_context(portal.wrap_async_context_manager(open_core(url, RunningClock(), config)))
        opened = open_relying_party(core.config.console.oidc, core.clock)
        provider = stack.enter_context(portal.wrap_async_context_manager(opened))
        app = build(core, provider)
        server = AnnouncedServer(
            uvicorn.Config(app, log_level="error", lifespan="off", ws="none", timeout_graceful_shutdown=1)
        )
        serving = portal.start_task_soon(server.serve, [listener])
        assert server.ready.wait(20)
        yield Served(f"http://127.0.0.1:{listener.getsockname()[1]}", core, portal)
        server.should_exit = True
        serving.result(20)


@contextlib.contextmanager
def official_provider(redirect: str) -> Generator[str]:
    """`oidc-provider` from npm, at the version of the lock beside its program; yields its issuer."""
    with start_blocking_portal() as portal:
        portal.call(install, HOME, HERE)
    command = [str(NODE), str(HERE / "provider.mjs"), str(HOME), redirect]
    environ = {**os.environ, "NODE_ENV": "test"}
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environ
    ) as process:
        try:
            assert process.stdout is not None
            ready, _, _ = select.select([process.stdout], [], [], 60)
            assert ready, "the provider did not start"
            yield process.stdout.readline().decode().strip()
        finally:
            process.terminate()


@dataclass
class BentProvider(Authority):
    """A provider that agrees to everything, and that a test bends."""

    claims: dict[str, Any] = field(default_factory=dict[str, Any])
    """Put over those of its ID tokens."""
    made: list[str] = field(default_factory=list[str])
    """ID tokens, as they were given."""
    token_of: Callable[[], str] | None = None
    """Makes them in place of `usual_token`."""

    def __post_init__(self) -> None:
        self.mint = self._mint

    def usual_token(self, **claims: Any) -> str:
        """An ID token that is good, but for `claims`."""
        said = {
            "aud": CLIENT, "nonce": self.authorized[-1]["nonce"], "client_id": None, "sub": "ann",
            "groups": ["finance"], "email": "ann@acme.test", "email_verified": True,
        }  # fmt: skip
        return self.token(RunningClock().now(), **{**said, "head": {"typ": "JWT"}, **self.claims, **claims})

    def _mint(self, form: dict[str, str]) -> str:
        self.made.append(self.token_of() if self.token_of else self.usual_token())
        self.answer = {**self.answer, "id_token": self.made[-1]}
        return "access-token-of-the-tests"


@contextlib.contextmanager
def bent_console(url: str, **oidc: Any) -> Generator[tuple[Served, BentProvider]]:
    """The console, and a provider that can be bent."""
    provider = BentProvider()
    with served(provider.app()) as port, free_socket() as listener:
        provider.url = f"http://127.0.0.1:{port}"
        base_url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        with console(url, listener, settings(provider.url, base_url, **oidc)) as opened:
            yield opened, provider
