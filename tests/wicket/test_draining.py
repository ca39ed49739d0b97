"""`wicket up` is asked to end while a call is under way: it is answered, and nobody new is taken over meanwhile."""

import os
import signal
import socket
import sys
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest

from mcp_proxy.handover import wire
from tests.e2e.stack import configure, eventually, running

pytestmark = pytest.mark.xdist_group("draining")

PLAIN = Path(__file__).parents[1] / "mcp_proxy" / "transports" / "plain_server.py"
HELLO: dict[str, Any] = {
    "protocolVersion": "2025-06-18",
    "capabilities": {},
    "clientInfo": {"name": "test", "version": "1"},
}
OPEN: dict[str, Any] = {"version": 1, "default": "allow", "rules": []}


def listens(place: Path) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as knock:
        try:
            knock.connect(str(place))
        except OSError:
            return False
    return True


async def test_a_proxy_that_finishes_its_calls_takes_no_wrapper_over(tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    servers = {"plain": {"command": sys.executable, "args": [str(PLAIN)], "pins": "off"}}
    configure(tmp_path, 9, mcpServers=servers, policy=OPEN)
    answers: list[httpx.Response] = []
    with running(tmp_path) as stack, anyio.fail_after(60):
        place = tmp_path / ".wicket" / wire.SOCKET
        headers = {"authorization": f"Bearer {stack.key}", "accept": "application/json, text/event-stream"}
        async with (
            httpx.AsyncClient(base_url=stack.mcp, headers=headers, timeout=60, trust_env=False) as http,
            anyio.create_task_group() as group,
        ):

            async def say(method: str, params: Any) -> None:
                message = {"jsonrpc": "2.0", "id": len(answers), "method": method, "params": params}
                answers.append(await http.post("/mcp/plain", json=message))

            await say("initialize", HELLO)
            http.headers["mcp-session-id"] = answers[0].headers["mcp-session-id"]
            group.start_soon(say, "tools/call", {"name": "fifo", "arguments": {"path": str(fifo)}})
            under_way = await anyio.to_thread.run_sync(os.open, fifo, os.O_WRONLY)
            assert listens(place)
            stack.process.send_signal(signal.SIGTERM)
            await eventually(lambda: not listens(place))
            assert len(answers) == 1
            os.close(under_way)
        assert answers[1].json()["result"]["content"]
