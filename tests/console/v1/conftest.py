"""The API on a real server, with something of everything in it."""

import contextlib
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
import uvicorn
from anyio.from_thread import BlockingPortal, start_blocking_portal

from console.v1.app import build
from governance.clock import SystemClock
from governance.identity.keys import KeyRole
from governance.jsontree import JsonObject
from tests.approvals.calls import tool_call
from tests.approvals.serving import AnnouncedServer
from tests.conftest import ManualClock
from tests.console.core import ADMIN, Core, open_core


@dataclass
class Api:
    """The API that serves: its address, its organs, and the loop they live in."""

    url: str
    core: Core
    portal: BlockingPortal
    ids: dict[str, str]
    """Of what is in it, by the names that paths have for it."""

    def bearer(self, token: str = ADMIN) -> dict[str, str]:
        return {"authorization": f"Bearer {token}"}

    def key(self, role: KeyRole, tenant: str = "acme", user: str = "ann") -> dict[str, str]:
        """The header of a new key."""
        return self.bearer(self.portal.call(lambda: self.core.key(role, tenant=tenant, user=user)))

    def hold(self, arguments: JsonObject | None = None) -> str:
        return self.portal.call(self.core.hold, tool_call(arguments) if arguments else tool_call())


@pytest.fixture
def api(sqlite_url: str) -> Iterator[Api]:
    with contextlib.ExitStack() as stack:
        portal = stack.enter_context(start_blocking_portal())
        clock = ManualClock(SystemClock().now())
        core = stack.enter_context(portal.wrap_async_context_manager(open_core(sqlite_url, clock)))
        listener = stack.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))
        config = uvicorn.Config(build(core), log_level="error", lifespan="off", ws="none", timeout_graceful_shutdown=1)
        server = AnnouncedServer(config)
        serving = portal.start_task_soon(server.serve, [listener])
        assert server.ready.wait(20)
        made = Api(f"http://127.0.0.1:{listener.getsockname()[1]}", core, portal, {})
        made.ids = _filled(made)
        yield made
        server.should_exit = True
        serving.result(20)


def _filled(api: Api) -> dict[str, str]:
    call, core = api.portal.call, api.core
    tool: JsonObject = {"name": "read", "description": "reads", "inputSchema": {"type": "object"}}
    call(core.lists, tool)
    call(core.seen, "ses_1")
    call(lambda: core.label("ses_1", "untrusted_content", "server:web"))
    key = core.identity.key(call(lambda: core.key(KeyRole.AGENT, user="")))
    pin = call(core.reviews.pins)[0].id
    return {"session": "ses_1", "approval": api.hold(), "pin": pin, "key": key.id}


@pytest.fixture
def http(api: Api) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=f"{api.url}/api/v1", trust_env=False) as client:
        yield client


BODIES: dict[str, dict[str, Any]] = {
    "decideApproval": {"decision": "deny", "digest": "0" * 64},
    "kill": {"scope": "session", "target": "ses_1", "reason": "loops"},
    "revive": {"scope": "session", "target": "ses_1"},
    "decidePin": {"decision": "approve"},
    "revokeKey": {"reason": "lost"},
}
"""A body for each operation that takes one."""
