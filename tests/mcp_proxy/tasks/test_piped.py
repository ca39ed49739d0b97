"""Tasks in `wicket stdio`: the process that has an agent's pipes makes the calls of its tasks."""

import json
import os
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

import anyio

from mcp_proxy.tasks.task import EXTENSION
from mcp_proxy.transports.streamable_http import HttpServer, open_client
from mcp_proxy.wrapper import Ends, serve
from tests.e2e.stack import eventually
from tests.mcp_proxy.approving import House, approving, write
from tests.mcp_proxy.bridge.modern_scene import envelope
from tests.mcp_proxy.harness import steady
from tests.mcp_proxy.tasks.asking import DECLARED
from wicket.wrapping import organs_for


class Agent(NamedTuple):
    """An agent's ends of the pipes."""

    source: int
    sink: int

    async def ask(self, method: str, params: Any) -> Any:
        """The result of one request."""
        message = {"jsonrpc": "2.0", "id": 1, "method": method, "params": {**params, "_meta": envelope(DECLARED)}}
        os.write(self.sink, json.dumps(message).encode() + b"\n")
        raw = b""
        while not raw.endswith(b"\n"):
            await anyio.wait_readable(self.source)
            raw += os.read(self.source, 2**16)
        return json.loads(raw)["result"]


@asynccontextmanager
async def wrapped(house: House) -> AsyncGenerator[Agent]:
    """The house's server behind a wrapper that serves by itself."""
    core = house.world.runtime
    organs = organs_for(core, "ledger", house.keys["alice"])
    from_agent, sink = os.pipe()
    source, to_agent = os.pipe()

    async def never() -> int:
        await anyio.sleep_forever()
        raise AssertionError

    async with open_client() as http, anyio.create_task_group() as group:
        server = HttpServer("ledger", house.behind, client=http, limits=core.config.limits, pulse=steady("ledger"))
        with os.fdopen(from_agent, "rb", buffering=0) as reads, os.fdopen(to_agent, "wb", buffering=0) as writes:
            group.start_soon(serve, organs, server, Ends(reads, writes, never, anyio.sleep_forever, print))
            yield Agent(source, sink)
            group.cancel_scope.cancel()
            os.close(sink)
    os.close(source)


async def test_a_held_call_becomes_a_task_in_a_wrapper_that_serves_alone(tmp_path: Path) -> None:
    async with approving(tmp_path) as house, wrapped(house) as agent:
        said = await agent.ask("server/discover", {})
        assert EXTENSION in said["capabilities"]["extensions"]
        task = await agent.ask("tools/call", write("a"))
        assert task["resultType"] == "task"
        await house.decide()
        found: dict[str, Any] = {}

        async def has_ended() -> bool:
            found.update(await agent.ask("tasks/get", {"taskId": task["taskId"]}))
            return found["status"] == "completed"

        await eventually(has_ended)
        assert (found["result"]["content"][0]["text"], house.marks) == ("wrote a", ["a"])
