"""A person takes their time, and the official clients in their default settings all get their call done.

The waits are short here. `make slow-approval` runs it as it is in life: calls are held for 45 seconds, clients of the
TypeScript SDKs give up on a request after 60, and the person decides after 90.
"""

import os
import time
from collections.abc import Callable
from typing import Any

import anyio
import anyio.to_thread
import pytest
from mcp import Client
from mcp.client.streamable_http import streamable_http_client
from mcp.shared._httpx_utils import create_mcp_http_client
from mcp_types import ElicitRequestParams, ElicitRequestURLParams, ElicitResult

from tests.conftest import ON_CI
from tests.e2e.node import NodeError, call, install_clients
from tests.e2e.stack import Stack, eventually, text_of

pytestmark = pytest.mark.xdist_group("e2e-approval-clients")

PERSON_SECONDS = float(os.environ.get("WICKET_PERSON_SECONDS", "0"))
"""After how long the person decides; 0 = as soon as every client has waited for two legs, which are short then."""
NODE_KINDS = ("v1", "v2", "v2-modern", "v2-pages")
PYTHON_KINDS = ("python", "python-legacy", "python-pages")
KINDS = NODE_KINDS + PYTHON_KINDS
MOST_CALLS = 20


@pytest.fixture(scope="module")
def settings() -> dict[str, Any]:
    """As shipped where the person takes 90 seconds; otherwise with short waits."""
    return {"approvals": {} if PERSON_SECONDS else {"wait_seconds": 3}}


@pytest.fixture(scope="module", autouse=True)
def clients() -> None:
    """The TypeScript SDKs."""
    try:
        install_clients()
    except NodeError as error:
        if ON_CI:
            raise
        pytest.skip(str(error))


async def python_call(kind: str, url: str, key: str, text: str) -> dict[str, Any]:
    """One call by the Python SDK with its own HTTP client, made again while it is told pending."""
    opened: list[str] = []

    async def elicited(context: Any, params: ElicitRequestParams) -> ElicitResult:
        assert isinstance(params, ElicitRequestURLParams)
        opened.append(params.url)
        return ElicitResult(action="accept")

    headers = {"authorization": f"Bearer {key}", "x-wicket-session": kind}
    mode: Any = "legacy" if kind == "python-legacy" else "auto"
    able: dict[str, Any] = {"elicitation_callback": elicited} if kind == "python-pages" else {}
    async with (
        create_mcp_http_client(headers) as http,
        Client(streamable_http_client(url, http_client=http), mode=mode, **able) as client,
    ):
        for calls in range(1, MOST_CALLS):
            result = await client.call_tool("mark", {"text": text})
            if (result.meta or {}).get("wicket/verdict", {}).get("decision") != "hold":
                return {"calls": calls, "opened": opened, "isError": bool(result.is_error), "text": text_of(result)}
    raise AssertionError("never decided")


async def test_the_official_clients_complete_their_call_when_the_person_takes_long(stack: Stack) -> None:
    answers: dict[str, dict[str, Any]] = {}
    began = time.perf_counter()

    async def run(kind: str) -> None:
        make: Callable[..., Any] = call if kind in NODE_KINDS else python_call
        answers[kind] = await make(kind, f"{stack.mcp}/mcp/ledger", stack.key, f"ask-{kind}.")

    async with anyio.create_task_group() as tasks:
        for kind in KINDS:
            tasks.start_soon(run, kind)
        tickets = {kind: await stack.pending(f"ask-{kind}.") for kind in KINDS}
        await eventually(lambda: _decided_long_enough(stack, began), 120)
        assert answers == {}
        for ticket in tickets.values():
            await stack.decide(ticket, "approve")
    assert {kind: (one["isError"], one["text"]) for kind, one in answers.items()} == {
        kind: (False, f"marked ask-{kind}.") for kind in KINDS
    }
    assert sorted(stack.marks()) == sorted(f"ask-{kind}." for kind in KINDS)
    for kind in ("v2-modern", "v2-pages", "python", "python-pages"):
        assert answers[kind]["calls"] == 1, kind  # they came back by themselves: the agent noticed nothing
    for kind in KINDS:
        assert len(answers[kind]["opened"]) == (1 if kind.endswith("pages") else 0)


async def _decided_long_enough(stack: Stack, began: float) -> bool:
    if PERSON_SECONDS:
        return time.perf_counter() - began >= PERSON_SECONDS
    rows = await anyio.to_thread.run_sync(lambda: stack.cli("audit", "show", "--type", "exchange.refused"))
    waited = [row["session_id"] for row in rows if row["rule"] == "approval.pending"]
    return all(waited.count(session) >= 2 for session in set(waited)) and len(set(waited)) == len(KINDS)
