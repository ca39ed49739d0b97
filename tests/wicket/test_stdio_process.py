"""`wicket stdio` as an agent starts it: our pipes, a real server behind, the records of the installation."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.wicket.conftest import Wicket

pytestmark = pytest.mark.xdist_group("stdio")

SERVER = """
import json, sys
for line in sys.stdin:
    message = json.loads(line)
    if message["method"] == "initialize":
        about = {"name": "s", "version": "1"}
        result = {"protocolVersion": "2025-06-18", "capabilities": {"tools": {}}, "serverInfo": about}
    elif message["method"] == "tools/list":
        result = {"tools": [{"name": name, "inputSchema": {}} for name in ("read", "write")]}
    elif message["method"] == "tools/call":
        result = {"content": [{"type": "text", "text": "did " + message["params"]["name"]}]}
    else:
        continue
    print(json.dumps({"jsonrpc": "2.0", "id": message["id"], "result": result}), flush=True)
raise SystemExit(5)
"""
POLICY = """\
version: 1
default: allow
rules:
  - {id: no-writes, match: {server: files, tool: write}, decide: deny, reason: only reads here}
"""
INITIALIZE = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "initialize",
    "params": {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "agent", "version": "1"}},
}


def call(number: int, tool: str) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": number, "method": "tools/call", "params": {"name": tool, "arguments": {}}}


@pytest.fixture
def started(installed: Path) -> list[str]:
    (installed / "policy.yaml").write_text(POLICY)
    return [sys.executable, "-m", "wicket", "stdio", "--server", "files"]


def run(command: list[str], messages: list[dict[str, Any]], key: str) -> subprocess.CompletedProcess[str]:
    """Speak like an agent: one message, then wait for its answer before the next."""
    with subprocess.Popen(
        command,
        env={**os.environ, "WICKET_KEY": key},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        answers: list[str] = []
        for message in messages:
            process.stdin.write(json.dumps(message) + "\n")
            process.stdin.flush()
            if "id" in message:
                answers.append(process.stdout.readline())
        _, err = process.communicate(timeout=60)
        return subprocess.CompletedProcess(command, process.returncode, "".join(answers), err)


@pytest.mark.parametrize("configured", [False, True], ids=["a command", "a configured server"])
def test_calls_pass_the_guard_on_their_way(wicket: Wicket, installed: Path, started: list[str], configured: bool):
    if configured:
        entry = {"mcpServers": {"files": {"command": sys.executable, "args": ["-c", SERVER]}}}
        with (installed / "wicket.yaml").open("a") as file:
            file.write(json.dumps(entry)[1:-1] + "\n")
    else:
        started = [*started, "--", sys.executable, "-c", SERVER]
    key = wicket("keys", "create", "--json").json["token"]
    initialized = {"jsonrpc": "2.0", "method": "notifications/initialized"}
    done = run(started, [INITIALIZE, initialized, call(2, "read"), call(3, "write")], key)
    first, allowed, refused = (json.loads(line) for line in done.stdout.splitlines())
    assert first["result"]["serverInfo"]["name"] == "s", done.stderr
    assert allowed["result"]["content"][0]["text"] == "did read"
    assert "only reads here" in json.dumps(refused)
    assert "did write" not in done.stdout
    kinds = [event["event_type"] for event in wicket("audit", "show", "--json").json]
    assert {"exchange.admitted", "exchange.completed", "exchange.refused"} <= set(kinds)


def test_without_a_valid_key_nothing_is_started(wicket: Wicket, started: list[str], tmp_path: Path):
    started += ["--", sys.executable, "-c", f"open({str(tmp_path / 'ran')!r}, 'w')"]
    done = run(started, [], "wk_wrong")
    assert done.returncode == 3
    assert done.stderr.splitlines()[-1].endswith("set `WICKET_KEY` in the agent's configuration of this server")
    assert not (tmp_path / "ran").exists()


def test_a_server_that_is_not_configured_is_told(wicket: Wicket, started: list[str]):
    ran = wicket(*started[3:])
    assert ran.code == 4
    assert ran.err == "error: no server `files` is configured: add it, or give its command after `--`\n"
