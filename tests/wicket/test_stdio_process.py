"""`wicket stdio` as an agent starts it: our pipes, a real server behind, the records of the installation.

It serves by itself, or hands its pipes to the MCP proxy that runs beside it.
"""

import contextlib
import json
import os
import subprocess
import sys
import urllib.request
from collections.abc import Generator
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


CONVERSATION = [
    INITIALIZE,
    {"jsonrpc": "2.0", "method": "notifications/initialized"},
    call(2, "read"),
    call(3, "write"),
]


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


@contextlib.contextmanager
def proxy() -> Generator[subprocess.Popen[str]]:
    """The MCP proxy of the installation in the working directory, once it serves."""
    command = [sys.executable, "-m", "wicket", "mcp"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stderr is not None
            port = process.stderr.readline().rpartition(":")[2].strip()
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=60) as answer:
                assert answer.status == 200
            yield process
        finally:
            process.terminate()
            process.communicate(timeout=60)


def processes(wicket: Wicket) -> set[str]:
    """Which kinds of processes have opened the records, by the audit log."""
    events = wicket("audit", "show", "--json", "--type", "process.started").json
    return {kind for one in events for kind in ("mcp", "stdio") if f'"{kind}"' in json.dumps(one).replace("\\", "")}


@pytest.mark.parametrize("configured", [False, True], ids=["a command", "a configured server"])
def test_calls_pass_the_guard_on_their_way(wicket: Wicket, installed: Path, started: list[str], configured: bool):
    if configured:
        entry = {"mcpServers": {"files": {"command": sys.executable, "args": ["-c", SERVER]}}}
        with (installed / "wicket.yaml").open("a") as file:
            file.write(json.dumps(entry)[1:-1] + "\n")
    else:
        started = [*started, "--", sys.executable, "-c", SERVER]
    key = wicket("keys", "create", "--json").json["token"]
    check_calls(wicket, run(started, CONVERSATION, key))


def check_calls(wicket: Wicket, done: subprocess.CompletedProcess[str]) -> None:
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


HEAVY = ("aiohttp", "alembic", "anyio", "asyncio", "httpx", "hyperscan", "mcp", "pydantic", "sqlalchemy", "yaml")
COUNTED = f"""
import sys
from wicket.start import main
code = main()
print("loaded:", *sorted(set(sys.modules) & set({HEAVY!r})), file=sys.stderr)
sys.exit(code)
"""


def test_beside_a_running_proxy_the_wrapper_hands_over_and_loads_nothing(wicket: Wicket, started: list[str]):
    key = wicket("keys", "create", "--json").json["token"]
    command = [sys.executable, "-c", COUNTED, *started[3:], "--", sys.executable, "-c", SERVER]
    with proxy():
        done = run(command, CONVERSATION, key)
    check_calls(wicket, done)
    assert done.stderr == "loaded:\n"
    assert done.returncode == 0
    assert processes(wicket) == {"mcp"}


def test_a_key_that_was_made_just_now_opens_the_running_proxy(wicket: Wicket, started: list[str]):
    with proxy():
        for _ in range(2):
            key = wicket("keys", "create", "--json").json["token"]
            done = run([*started, "--", sys.executable, "-c", SERVER], [INITIALIZE], key)
            assert "serverInfo" in done.stdout, done.stderr
    assert processes(wicket) == {"mcp"}


def test_what_hands_over_without_a_valid_key_starts_nothing(wicket: Wicket, started: list[str], tmp_path: Path):
    started += ["--", sys.executable, "-c", f"open({str(tmp_path / 'ran')!r}, 'w')"]
    with proxy():
        done = run(started, [], "wk_wrong")
    assert done.returncode == 3
    assert done.stderr.startswith("error: ")
    assert done.stderr.endswith("set `WICKET_KEY` in the agent's configuration of this server\n")
    assert not (tmp_path / "ran").exists()


def test_a_configuration_that_the_proxy_does_not_have_is_read_and_its_mistakes_are_told(
    wicket: Wicket, started: list[str], installed: Path
):
    with proxy():
        with (installed / "wicket.yaml").open("a") as file:
            file.write("gatway: {}\n")
        done = run([*started, "--", sys.executable, "-c", SERVER], [], "wk_any")
    assert done.returncode == 3
    assert "`gatway` is not a known setting" in done.stderr


def test_a_wrapper_for_which_the_configuration_says_something_else_serves_by_itself(
    wicket: Wicket, started: list[str], installed: Path, monkeypatch: pytest.MonkeyPatch
):
    (installed / "policy.yaml").rename(installed / "strict.yaml")
    (installed / "policy.yaml").write_text("version: 1\ndefault: allow\n")
    with (installed / "wicket.yaml").open("a") as file:
        file.write("policies: ['${RULES:-policy.yaml}']\n")
    key = wicket("keys", "create", "--json").json["token"]
    with proxy():
        monkeypatch.setenv("RULES", "strict.yaml")
        check_calls(wicket, run([*started, "--", sys.executable, "-c", SERVER], CONVERSATION, key))
    assert processes(wicket) == {"mcp", "stdio"}


@pytest.mark.parametrize("end", ["kill", "terminate"])
def test_when_the_proxy_ends_so_does_the_wrapper_and_the_next_one_serves_by_itself(
    wicket: Wicket, started: list[str], end: str
):
    key = wicket("keys", "create", "--json").json["token"]
    started += ["--", sys.executable, "-c", SERVER]
    with (
        proxy() as serving,
        subprocess.Popen(
            started,
            env={**os.environ, "WICKET_KEY": key},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as wrapper,
    ):
        assert wrapper.stdin is not None
        assert wrapper.stdout is not None
        wrapper.stdin.write(json.dumps(INITIALIZE) + "\n")
        wrapper.stdin.flush()
        assert "serverInfo" in wrapper.stdout.readline()
        getattr(serving, end)()
        assert wrapper.stdout.read() == ""
        assert wrapper.wait(60) == 1
    check_calls(wicket, run(started, CONVERSATION, key))
    assert processes(wicket) == {"mcp", "stdio"}
