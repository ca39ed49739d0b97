"""Hundreds of calls in flight on both proxies, then a kill: the bounds that `docs/kill-switch.md` promises.

`make kill-switch` runs it with 500 calls and writes the figures into that page.
"""

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest

from tests.e2e.provider import serving
from tests.e2e.slow_upstream import Upstream, application, moment
from tests.e2e.stack import ROOT, Stack, configure, eventually, running

pytestmark = pytest.mark.xdist_group("e2e-kill-load")

IN_FLIGHT = "WICKET_IN_FLIGHT"
PAGE = "WICKET_KILL_PAGE"
FORWARD_SECONDS = 1.0
"""After so long nothing of a killed run reaches an upstream any more."""
CUT_SECONDS = 2.0
"""After so long all of it has ended, on both sides."""
BYSTANDERS = 5
CALLERS = 4
"""Clients of the killed run, on each proxy, that begin one call after another."""
CALL: dict[str, Any] = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "wait", "arguments": {}}}
ASKED: dict[str, Any] = {"model": "slow", "stream": True, "messages": [{"role": "user", "content": "go on"}]}


@pytest.fixture
def upstream() -> Upstream:
    return Upstream()


@pytest.fixture
def stack(upstream: Upstream, tmp_path: Path) -> Iterator[Stack]:
    with serving(application(upstream)) as port:
        configure(
            tmp_path, port, mcpServers={"slow": {"url": f"http://127.0.0.1:{port}/mcp"}},
            loop={"tools": {"*": {"exempt": True}}, "rate_per_minute": 0},
            policy={"version": 1, "default": "allow", "rules": []},
        )  # fmt: skip
        with running(tmp_path) as stack:
            yield stack


@dataclass
class Clients:
    """Raw clients of both proxies, and what they saw."""

    stack: Stack
    http: httpx.AsyncClient
    ended: list[float] = field(default_factory=list[float])
    """When each call of the victim ended."""
    told: list[str] = field(default_factory=list[str])
    """How each of those ended: the last that its client read."""
    refused: int = 0
    """Calls of the victim that were refused from the beginning."""

    async def stream(self, session: str) -> None:
        """One model call, read until it ends."""
        await self._read(f"{self.stack.gateway}/v1/chat/completions", ASKED, session)

    async def call(self, session: str) -> None:
        """One tool call, read until it ends."""
        await self._read(f"{self.stack.mcp}/mcp/slow", CALL, session)

    async def _read(self, url: str, body: dict[str, Any], session: str) -> None:
        headers = {"x-wicket-session": session, "accept": "application/json, text/event-stream"}
        last = ""
        async with self.http.stream("POST", url, json=body, headers=headers) as answer:
            async for piece in answer.aiter_text():
                last = piece
            if session == "victim":
                self.ended.append(moment())
                self.told.append(last)
                self.refused += answer.status_code == 403

    async def again_and_again(self, one: str) -> None:
        """Begin calls of the victim that nobody reads, one after another."""
        url, body = (
            (f"{self.stack.gateway}/v1/chat/completions", ASKED)
            if one == "model"
            else (f"{self.stack.mcp}/mcp/slow", CALL)
        )
        headers = {"x-wicket-session": "victim", "accept": "application/json, text/event-stream"}
        while True:
            async with self.http.stream("POST", url, json=body, headers=headers):
                pass


async def test_of_hundreds_of_calls_in_flight_none_outlives_the_kill_of_its_run(
    stack: Stack, upstream: Upstream
) -> None:
    each = int(os.environ.get(IN_FLIGHT, "100")) // 2
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=0)
    bearer = {"authorization": f"Bearer {stack.key}"}
    async with (
        httpx.AsyncClient(headers=bearer, timeout=60, limits=limits) as http,
        anyio.create_task_group() as others,
        anyio.create_task_group() as victims,
    ):
        clients = Clients(stack, http)
        for _ in range(each):
            victims.start_soon(clients.stream, "victim")
            victims.start_soon(clients.call, "victim")
        for _ in range(BYSTANDERS):
            others.start_soon(clients.stream, "bystander")
        in_flight = 2 * each + BYSTANDERS
        await eventually(lambda: upstream.open == in_flight, 60)
        busy = anyio.CancelScope()
        others.start_soon(_keep_busy, clients, busy)
        await eventually(lambda: len(upstream.models) + len(upstream.tools) > in_flight + CALLERS, 30)
        run = await _run_of(stack, "victim")
        began = moment()
        await _kill(stack, run)
        answered = moment()
        await eventually(lambda: len(clients.ended) == 2 * each, CUT_SECONDS)
        await eventually(lambda: upstream.open == BYSTANDERS, 10)
        (kill,) = await _kills(stack)
        busy.cancel()
        late = [at - began for at in upstream.models + upstream.tools if at - began > FORWARD_SECONDS]
        assert late == []
        assert len(clients.ended) == 2 * each
        assert all("enough" in told for told in clients.told), [told for told in clients.told if "enough" not in told]
        assert sorted(one["name"] for one in kill["confirmed"]) == ["gateway", "mcp"]
        assert kill["waiting"] == []
        assert sum(one["cut"] for one in kill["confirmed"]) >= 2 * each
        _write(clients, upstream, kill, began, answered)
        others.cancel_scope.cancel()


async def _keep_busy(clients: Clients, scope: anyio.CancelScope) -> None:
    with scope:
        async with anyio.create_task_group() as group:
            for _ in range(CALLERS):
                group.start_soon(clients.again_and_again, "model")
                group.start_soon(clients.again_and_again, "tool")


async def _run_of(stack: Stack, session: str) -> str:
    async with _console(stack) as http:
        listed = (await http.get("/console/api/sessions")).json()["sessions"]
        return str(next(one["id"] for one in listed if session in one["source"]))


async def _kill(stack: Stack, run: str) -> None:
    async with _console(stack) as http:
        order = {"scope": "session", "target": run, "reason": "enough"}
        assert (await http.post("/console/api/kills/kill", json=order)).json()["changed"] is True


async def _kills(stack: Stack) -> list[dict[str, Any]]:
    """What is stopped, once every process has confirmed it."""
    async with _console(stack) as http:
        with anyio.fail_after(10):
            while True:
                listed: list[dict[str, Any]] = (await http.get("/console/api/kills")).json()["kills"]
                if listed and not any(one["waiting"] for one in listed):
                    return listed
                await anyio.sleep(0.05)


def _console(stack: Stack) -> httpx.AsyncClient:
    return httpx.AsyncClient(base_url=stack.gateway, headers={"authorization": f"Bearer {stack.admin}"}, timeout=30)


def _write(clients: Clients, upstream: Upstream, kill: dict[str, Any], began: float, answered: float) -> None:
    """Put the figures into the page that is named in the environment."""
    if PAGE not in os.environ:
        return
    forwarded = max([0.0, *(at - began for at in upstream.models + upstream.tools)])
    figures = [
        ("calls in flight", str(len(clients.ended))),
        ("the request to kill was answered", f"{answered - began:.2f} s"),
        ("last new call that still reached an upstream", f"{forwarded:.2f} s"),
        ("half of the calls had ended", f"{sorted(clients.ended)[len(clients.ended) // 2] - began:.2f} s"),
        ("the last call had ended at its client", f"{max(clients.ended) - began:.2f} s"),
        ("the last connection to an upstream was closed", f"{max(upstream.closed) - began:.2f} s"),
    ]
    rows = "\n".join(f"| {name} | {value} |" for name, value in figures)
    page = ROOT / os.environ[PAGE]
    table = f"<!-- figures -->\n| after the request | |\n|---|---:|\n{rows}\n<!-- end -->"
    page.write_text(re.sub(r"<!-- figures -->.*?<!-- end -->", lambda _: table, page.read_text(), flags=re.DOTALL))
