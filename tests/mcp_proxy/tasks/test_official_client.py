"""The official TypeScript client, in the last line that knows tasks of 2025-11-25, and a call that a person decides."""

import json
from pathlib import Path
from typing import Any

import anyio
import pytest

from tests.conftest import ON_CI
from tests.e2e.node import CLIENTS, NODE, NodeError, install_clients
from tests.mcp_proxy.approving import House, approving
from tests.mcp_proxy.tasks.making import Maker
from tests.mcp_proxy.tasks.test_legacy import plain

pytestmark = pytest.mark.xdist_group("official-tasks")


@pytest.fixture(scope="module", autouse=True)
def clients() -> None:
    """The TypeScript SDKs."""
    try:
        install_clients()
    except NodeError as error:
        if ON_CI:
            raise
        pytest.skip(str(error))


async def called(url: str, key: str, tool: str) -> Any:
    """What the client was told of its task."""
    command = [str(NODE / "bin/node"), str(CLIENTS / "tasks.mjs"), url, key, tool, "a"]
    done = await anyio.run_process(command, check=False)
    assert done.returncode == 0, done.stderr.decode()
    return json.loads(done.stdout)


async def decided(house: House, tool: str, *, approve: bool) -> Any:
    """The same, of a call that a person decides."""
    found: list[Any] = []

    async def call() -> None:
        found.append(await called(house.url.removesuffix("/ledger"), house.keys["alice"], tool))

    async with anyio.create_task_group() as group:
        group.start_soon(call)
        await house.decide(approve=approve, reason="not on a Friday")
    return found[0]


async def test_it_gets_the_result_of_a_call_that_a_person_approves(tmp_path: Path) -> None:
    """At the endpoint of all servers, where ids are ours."""
    maker = Maker()
    plain(maker)
    async with approving(tmp_path, upstream=maker.server) as house:
        told = await decided(house, "ledger__write", approve=True)
    assert told["text"] == "done"
    assert told["listed"] == [told["id"]]
    assert {one[0] for one in told["statuses"]} == {told["id"]}
    assert told["statuses"][-1][1] == "completed"


async def test_it_is_told_why_a_call_was_denied(tmp_path: Path) -> None:
    maker = Maker()
    async with approving(tmp_path, upstream=maker.server) as house:
        told = await decided(house, "ledger__write", approve=False)
    assert "failed" in told["error"]
    assert told["statuses"][-1][1] == "failed"
    assert "not on a Friday" in told["statuses"][-1][2]  # of a task that failed this client asks no more
    assert maker.made == []
