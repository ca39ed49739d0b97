"""Servers as children of a running installation: started, crashed, started again, and seen from everywhere."""

import json
import os
import sys
from pathlib import Path
from typing import Any, cast

import anyio
import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.e2e.stack import Stack, eventually, text_of

pytestmark = pytest.mark.xdist_group("e2e-servers")

SERVER = str(Path(__file__).with_name("crashing_server.py"))


@pytest.fixture(scope="module")
def settings() -> dict[str, Any]:
    entry = {"command": sys.executable, "args": [SERVER], "env": {"DECLARED": "yes"}, "start": "eager"}
    lazy = {"command": sys.executable, "args": [SERVER]}
    policy: dict[str, Any] = {"version": 1, "default": "allow", "rules": []}
    return {"mcpServers": {"crashing": entry, "lazy": lazy}, "policy": policy}


async def seen(stack: Stack, name: str) -> dict[str, Any]:
    """What the console's process knows of a server."""
    async with httpx.AsyncClient(trust_env=False, headers={"authorization": f"Bearer {stack.admin}"}) as http:
        answer = await http.get(f"{stack.gateway}/console/api/servers")
    servers = cast("list[dict[str, Any]]", answer.json()["servers"])
    return next(one for one in servers if one["server"] == name)


async def metrics(stack: Stack, url: str) -> dict[tuple[str, str], float]:
    """What a process counts, by name and labels."""
    async with httpx.AsyncClient(trust_env=False, headers={"authorization": f"Bearer {stack.admin}"}) as http:
        answer = await http.get(f"{url}/metrics")
    assert answer.status_code == 200
    families = text_string_to_metric_families(answer.text)
    return {
        (one.name, ",".join(f"{name}={text}" for name, text in sorted(one.labels.items()))): one.value
        for family in families
        for one in family.samples
    }


async def test_an_eager_server_runs_before_anybody_asks_and_a_lazy_one_does_not(stack: Stack) -> None:
    async def is_ready() -> bool:
        return (await seen(stack, "crashing"))["state"] == "ready"

    await eventually(is_ready, 60)
    assert (await seen(stack, "crashing"))["starts"] == 1
    lazy = await seen(stack, "lazy")
    assert (lazy["state"], lazy["starts"]) == ("unknown", 0)


async def test_a_server_gets_the_environment_that_its_entry_declares_and_no_other(stack: Stack) -> None:
    async with stack.tools("crashing") as tools:
        given = json.loads(text_of(await tools.call_tool("environment", {})))
    assert given["DECLARED"] == "yes"
    assert given["PATH"] == os.environ["PATH"]
    assert "PROVIDER_KEY" not in given
    assert not any(name.startswith("WICKET") for name in given)


async def test_a_call_that_its_server_died_over_is_an_error_an_unknown_outcome_and_a_restart(stack: Stack) -> None:
    async with stack.tools("crashing", session="dies", mode="legacy") as tools:
        with pytest.raises(Exception, match="stopped before it answered: it exited with 7"):
            await tools.call_tool("crash", {})
    run = next(one for one in stack.cli("sessions", "list") if "dies" in str(one))
    endings = stack.cli("audit", "show", "--session", run["id"], "--type", "exchange.completed")
    (ending,) = [one for one in endings if one.get("tool") == "crash"]
    assert ending["status"] == "unknown"
    assert "exited with 7" in ending["error"]
    async with stack.tools("crashing", mode="legacy") as tools:
        assert not (await tools.call_tool("environment", {})).is_error

    async def is_told() -> bool:
        one = await seen(stack, "crashing")
        return (one["state"], one["restarts"], one["tools"]) == ("ready", 1, 2)

    await eventually(is_told, 30)
    told = next(one for one in stack.cli("doctor") if "restarted" in one["text"])
    assert told["subject"] == "server crashing"
    assert "last error" in told["text"]
    assert told["server"]["last_error"] == "it exited with 7"
    found = await metrics(stack, stack.mcp)
    assert found["wicket_server_restarts_total", "server=crashing"] == 1
    assert found["wicket_server_state", "server=crashing,state=ready"] == 1
    assert found["wicket_exchange_endings_total", "action=tool.call,status=unknown"] == 1
    assert found["wicket_added_seconds_count", ""] > 0
    assert not any(name.startswith("wicket_server") for name, _ in await metrics(stack, stack.gateway))


async def test_nothing_that_arrives_names_a_command(stack: Stack, tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    before = await metrics(stack, stack.mcp)
    words = {"command": "/usr/bin/touch", "args": [str(mark)], "url": "http://127.0.0.1:9/", "env": {"A": "b"}}
    line = f"/usr/bin/touch {mark}"
    headers = {
        "authorization": f"Bearer {stack.key}", "accept": "application/json, text/event-stream",
        "command": line, "x-command": line, "x-mcp-server": json.dumps(words), "mcp-server": line,
        "x-mcp-proxy-command": line, "x-wicket-command": line,
    }  # fmt: skip
    initialize = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "x", "version": "1"}}
    params = {**initialize, **words, "_meta": words, "server": words, "transportType": "stdio"}
    bodies = [
        {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": params, **words},
        {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": line, "arguments": words, **words}},
        {"jsonrpc": "2.0", "id": 1, "method": "servers/add", "params": {"mcpServers": {"x": words}}},
        {"mcpServers": {"x": words}},
    ]
    query = {"command": line, "transportType": "stdio", "args": str(mark), "env": "{}"}
    paths = ("/mcp/new", f"/mcp/{line.replace('/', '%2F')}", "/mcp", "/mcp/stdio", "/stdio", "/servers", "/config")
    async with httpx.AsyncClient(trust_env=False, headers=headers, timeout=30) as http:
        for path in paths:
            for body in bodies:
                answer = await http.post(f"{stack.mcp}{path}", params=query, json=body)
                assert "touch" not in answer.headers.get("location", "")
        for path in ("/mcp/new/sse", "/mcp/stdio", "/sse", "/metrics"):
            with anyio.move_on_after(5):
                await http.get(f"{stack.mcp}{path}", params=query, headers={"accept": "*/*"})
        bearer = {"authorization": f"Bearer {stack.admin}"}
        for path in ("/console/servers", "/console/api/servers", "/console/api/servers/crashing"):
            for kind in ({"json": words}, {"data": {"command": line}}):
                posted = await http.post(f"{stack.gateway}{path}", headers=bearer, params=query, **cast("Any", kind))
                assert posted.status_code in (403, 404, 405)
    assert not mark.exists()
    after = await metrics(stack, stack.mcp)
    names = {labels for name, labels in after if name == "wicket_server_starts_total"}
    assert names == {labels for name, labels in before if name == "wicket_server_starts_total"}
