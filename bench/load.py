"""Load: run wrk on one core against a target, and read what it found. One process at a time, bounded in time."""

import json
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

SCRIPT = Path(__file__).with_name("load.lua")
LOAD_CORE = "1"


@dataclass(frozen=True, slots=True)
class Figure:
    """What one run measured."""

    rate: float
    """Requests a second."""
    p50: float
    """Milliseconds."""
    p90: float
    p99: float
    errors: int
    requests: int


class LoadError(Exception):
    """The run says nothing: no request came through, or some failed."""


def run(url: str, bodies: Path, *, connections: int, seconds: float, headers: Mapping[str, str]) -> Figure:
    """One wrk thread on the load core.

    Raises:
        LoadError: wrk failed, or a request did. A figure with errors in it is none.
    """
    pairs = [part for pair in headers.items() for part in pair]
    command = [
        "taskset", "-c", LOAD_CORE, "wrk", "-t1", f"-c{connections}", f"-d{seconds:g}s", "--timeout", "10s",
        "-s", str(SCRIPT), url, "--", str(bodies), *pairs,
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=seconds + 60, check=False)
    line = next((one for one in done.stdout.splitlines() if one.startswith("WICKET ")), None)
    if done.returncode or line is None:
        raise LoadError(f"wrk failed: {done.stderr.strip()[-300:] or done.stdout.strip()[-300:]}")
    found = json.loads(line.removeprefix("WICKET "))
    if not found["requests"]:
        raise LoadError(f"no answer in {seconds:g} s")
    if found["errors"]:
        raise LoadError(f"{found['errors']} of {found['requests']} requests failed")
    return Figure(
        rate=found["requests"] / found["seconds"],
        p50=found["p50_ms"],
        p90=found["p90_ms"],
        p99=found["p99_ms"],
        errors=found["errors"],
        requests=found["requests"],
    )
