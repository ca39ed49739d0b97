"""`wicket up` as a user runs it: a folder, a configuration, a subprocess; and handles for tests to pull."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import anyio
import httpx
import httpx2
import orjson
from mcp import Client
from mcp.client.streamable_http import streamable_http_client
from mcp_types import CallToolResult, TextContent
from openai import AsyncOpenAI

ROOT = Path(__file__).resolve().parents[2]
LEDGER_SERVER = Path(__file__).with_name("ledger_server.py")
PROVIDER_KEY = "sk-provider-0123456789abcdefghijklmn"
READY_SECONDS = 60

POLICY: dict[str, Any] = {
    "version": 1,
    "default": "allow",
    "rules": [
        {
            "id": "marks-wait",
            "match": {"tool": "mark", "args": {"/text": "ask*"}},
            "decide": "hold",
            "reason": "ask first",
        },
        {"id": "never", "match": {"tool": "forbidden"}, "decide": "deny", "reason": "out of bounds"},
        {"id": "would-refuse", "match": {"args": {"/text": "shadow"}}, "decide": "deny", "mode": "shadow"},
        {"id": "no-secret-model", "match": {"model": "secret-*"}, "decide": "deny", "reason": "not for agents"},
    ],
}


def free_port() -> int:
    """A port that nobody listens on at this moment."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


@dataclass
class Stack:
    """A running installation."""

    folder: Path
    process: subprocess.Popen[bytes]
    gateway: str
    mcp: str
    key: str
    output: list[dict[str, Any] | str] = field(default_factory=list[dict[str, Any] | str])

    @property
    def ledger(self) -> Path:
        """Where executions leave their marks."""
        return self.folder / "ledger"

    def marks(self) -> list[str]:
        """Every execution there was."""
        return self.ledger.read_text().splitlines() if self.ledger.exists() else []

    @property
    def admin(self) -> str:
        """The administrator's token."""
        return (self.folder / ".wicket/admin.token").read_text().strip()

    def cli(self, *words: str, expect: int = 0) -> Any:
        """What `wicket WORDS --json` says; its exit code must be the expected one."""
        done = run_cli(self.folder, *words)
        assert done.returncode == expect, f"wicket {' '.join(words)}: {done.returncode}\n{done.stdout}{done.stderr}"
        return json.loads(done.stdout)

    def model(self, session: str = "", **options: Any) -> AsyncOpenAI:
        """The official OpenAI client, pointed at the gateway."""
        headers = {"x-wicket-session": session} if session else {}
        return AsyncOpenAI(
            base_url=f"{self.gateway}/v1", api_key=self.key, default_headers=headers, max_retries=0, **options
        )

    @contextlib.asynccontextmanager
    async def tools(self, server: str = "ledger", session: str = "", mode: Any = "auto") -> AsyncGenerator[Client]:
        """The official MCP client, pointed at the MCP proxy."""
        headers = {"authorization": f"Bearer {self.key}"} | ({"x-wicket-session": session} if session else {})
        async with httpx2.AsyncClient(headers=headers, timeout=90) as http:
            transport = streamable_http_client(f"{self.mcp}/mcp/{server}", http_client=http)
            async with Client(transport, mode=mode) as client:
                await client.list_tools()  # as every agent does first
                yield client

    async def pending(self, text: str = "") -> str:
        """The id of the oldest ticket about `text` that waits, as soon as there is one."""
        async with httpx.AsyncClient(headers={"authorization": f"Bearer {self.admin}"}) as http:
            with anyio.fail_after(20):
                while True:
                    answer = await http.get(f"{self.gateway}/api/v1/approvals", params={"state": "pending"})
                    tickets = cast("dict[str, list[dict[str, Any]]]", answer.json())["items"]
                    for ticket in reversed(tickets):
                        shown = await http.get(f"{self.gateway}/api/v1/approvals/{ticket['id']}")
                        if text in shown.text:
                            return str(ticket["id"])
                    await anyio.sleep(0.05)

    async def decide(self, ticket: str, decision: str, reason: str = "") -> dict[str, Any]:
        """Approve or deny as the administrator, through the API."""
        async with httpx.AsyncClient(headers={"authorization": f"Bearer {self.admin}"}) as http:
            place = f"{self.gateway}/api/v1/approvals/{ticket}"
            digest = (await http.get(place)).json()["current_digest"]
            wish = {"decision": decision, "digest": digest, "reason": reason}
            answer = await http.post(f"{place}/decision", json=wish)
            assert answer.status_code == 200, answer.text
            return cast("dict[str, Any]", answer.json())


async def eventually(holds: Callable[[], bool | Awaitable[bool]], seconds: float = 20) -> None:
    """Wait for something outside this process, which sends no event, to come true."""
    with anyio.fail_after(seconds):
        while True:
            now = holds()
            if now if isinstance(now, bool) else await now:
                return
            await anyio.sleep(0.02)


def text_of(result: CallToolResult) -> str:
    """The text of a tool result."""
    return "\n".join(block.text for block in result.content if isinstance(block, TextContent))


def run_cli(folder: Path, *words: str) -> "subprocess.CompletedProcess[str]":
    """`wicket WORDS --json` in a folder."""
    command = [sys.executable, "-m", "wicket", *words, "--config", str(folder / "wicket.yaml"), "--json"]
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=environment(), timeout=60, check=False)


def environment() -> dict[str, str]:
    """What the processes see of the environment: no keys of the machine's owner."""
    kept = {name: value for name, value in os.environ.items() if name in ("PATH", "HOME", "LANG", "PYTHONPATH")}
    return {**kept, "PROVIDER_KEY": PROVIDER_KEY}


def configure(folder: Path, provider_port: int, **settings: Any) -> None:
    """Write a configuration for an installation in `folder`."""
    servers = {
        "ledger": {
            "command": sys.executable, "args": [str(LEDGER_SERVER), str(folder / "ledger")],
            "tools": ["count", "mark", "forbidden"],
        }
    }  # fmt: skip
    provider = f"http://127.0.0.1:{provider_port}/v1"
    base: dict[str, Any] = {
        "policies": ["policy.yaml"],
        "providers": {
            "mock": {"wire": "openai-chat", "base_url": provider, "api_key": "${PROVIDER_KEY}"},
            "claude": {
                "wire": "anthropic-messages", "base_url": provider,
                "api_key": "${PROVIDER_KEY}", "auth": "x-api-key",
            },
        },
        "mcpServers": servers,
        "approvals": {"timeout_seconds": 60, "wait_seconds": 20},
    }  # fmt: skip
    folder.joinpath("policy.yaml").write_text(json.dumps(settings.pop("policy", POLICY)))
    folder.joinpath("wicket.yaml").write_text(json.dumps(base | settings))


@contextlib.contextmanager
def running(folder: Path, key: str = "") -> Generator[Stack]:
    """`wicket up` for an installation that `configure` wrote."""
    gateway, mcp = free_port(), free_port()
    command = [sys.executable, "-m", "wicket", "up", "--config", str(folder / "wicket.yaml"), "--json"]
    log = (folder / "up.log").open("ab")
    process = subprocess.Popen(
        [*command, "--gateway-port", str(gateway), "--mcp-port", str(mcp)],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log, cwd=ROOT, env=environment(),
        start_new_session=True,
    )  # fmt: skip
    reader = threading.Thread()
    try:
        facts, reader = _first_document(process, folder)
        yield Stack(
            folder, process, f"http://127.0.0.1:{gateway}", f"http://127.0.0.1:{mcp}", facts.get("token") or key
        )
    finally:
        log.close()
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(signal.SIGTERM)
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait(10)
            raise
        finally:
            if reader.is_alive():
                reader.join(10)


def _first_document(process: "subprocess.Popen[bytes]", folder: Path) -> tuple[dict[str, Any], threading.Thread]:
    """The JSON document that `wicket up --json` says when both proxies answer, and the thread that reads on."""
    said: list[bytes] = []
    done = threading.Event()
    facts: list[dict[str, Any]] = []

    def read() -> None:
        assert process.stdout is not None
        for line in process.stdout:
            said.append(line)
            with contextlib.suppress(orjson.JSONDecodeError):
                facts.append(orjson.loads(b"".join(said)))
                done.set()
        process.stdout.close()
        done.set()

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    assert done.wait(READY_SECONDS), "wicket up did not become ready"
    assert facts, f"wicket up ended: {b''.join(said).decode()}\n{(folder / 'up.log').read_text()}"
    return facts[0], reader
