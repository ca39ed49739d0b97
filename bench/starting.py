"""What one wrapped stdio server costs an agent: megabytes, and seconds until the first answers.

An agent starts each wrapper of its configuration anew and waits for all of them. So a wrapper is started several times,
in turns with the others, with the same server behind it: one that answers at once.
"""

import contextlib
import json
import os
import statistics
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import astuple, dataclass, field
from pathlib import Path

from bench import wicket_target
from bench.peers import HOME, ROOT, STDIO_SERVER, Place
from bench.process import PROXY_CORE, free_port, running

NAME = "One wrapped stdio server"
MESSAGES = (
    {
        "jsonrpc": "2.0", "id": 1, "method": "initialize",
        "params": {
            "protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "bench", "version": "1"},
        },
    },
    {"jsonrpc": "2.0", "method": "notifications/initialized"},
    {
        "jsonrpc": "2.0", "id": 2, "method": "tools/call",
        "params": {"name": "echo", "arguments": {"text": "hello", "count": 1}},
    },
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Start:
    """One start."""

    initialized: float
    """Seconds until `initialize` was answered."""
    called: float
    """Seconds until the first `tools/call` was answered."""
    processor: float
    """Seconds of processor time until then, without the server's own."""
    resident: float
    """MB, without the server's own."""
    own: float
    """MB that are shared with no other process."""


@dataclass
class Wrapper:
    """Something that an agent can start instead of its server."""

    name: str
    command: Sequence[str]
    environ: Mapping[str, str] = field(default_factory=dict[str, str])
    starts: list[Start] = field(default_factory=list[Start])

    def median(self) -> Start:
        """The median of each figure."""
        return Start(*(statistics.median(figures) for figures in zip(*map(astuple, self.starts), strict=True)))


def measure(folder: Path, rounds: int, say: Callable[[str], None]) -> list[Wrapper]:
    """Start everything `rounds` times, in turns, after one start each that does not count."""
    with ExitStack() as stack:
        wrappers = [Wrapper("no wrapper: the server itself", STDIO_SERVER), *_wickets(folder, stack), _fastmcp(folder)]
        for turn in range(rounds + 1):
            for one in wrappers:
                start = _started(one, folder)
                if turn:
                    one.starts.append(start)
        for one in wrappers:
            say(f"{one.name:36} {one.median().called:6.2f} s {one.median().resident:5.0f} MB")
        return wrappers


def table(wrappers: Sequence[Wrapper]) -> list[str]:
    """The figures as lines of Markdown."""
    head = ["wrapper", "s to `initialize`", "s to `tools/call`", "s of processor", "MB resident", "MB of its own"]
    lines = ["| " + " | ".join(head) + " |", "|---|" + "---:|" * (len(head) - 1)]
    for one in wrappers:
        middle = one.median()
        cells = [f"{figure:.2f}" for figure in (middle.initialized, middle.called, middle.processor)]
        cells += [f"{figure:.0f}" for figure in (middle.resident, middle.own)]
        name = f"**{one.name}**" if one.name.startswith("Wicket") else one.name
        lines.append("| " + " | ".join([name, *cells]) + " |")
    return lines


def _wickets(folder: Path, stack: ExitStack) -> list[Wrapper]:
    """Beside an MCP proxy that runs, and where none does. Both with everything on, as in the other scenes."""
    found: list[Wrapper] = []
    for name, is_beside in (("Wicket beside its running proxy", True), ("Wicket by itself", False)):
        home = folder / ("beside" if is_beside else "alone")
        home.mkdir()
        place = Place(free_port(), 0, home)
        config = wicket_target.set_up(place, {})
        environ = {**wicket_target.environ(), "WICKET_KEY": (home / "key").read_text()}
        if is_beside:
            command = [wicket_target.WICKET, "mcp", "--config", str(config), "--mcp-port", str(place.port)]
            stack.enter_context(
                running(command, core=PROXY_CORE, port=place.port, log=home / "log", cwd=ROOT, environ=environ)
            )
        command = [wicket_target.WICKET, "stdio", "--server", "bench", "--config", str(config), "--", *STDIO_SERVER]
        found.append(Wrapper(name, command, environ))
    return found


def _fastmcp(folder: Path) -> Wrapper:
    script = folder / "fastmcp_wrapper.py"
    command, *args = STDIO_SERVER
    script.write_text(
        "from fastmcp.server import create_proxy\n"
        f"servers = {{'mcpServers': {{'bench': {{'command': {command!r}, 'args': {args!r}}}}}}}\n"
        "create_proxy(servers).run(transport='stdio', show_banner=False)\n"
    )
    return Wrapper("FastMCP proxy 4.1.6", [str(HOME / "fastmcp/bin/python"), str(script)])


def _started(one: Wrapper, folder: Path) -> Start:
    """Start it once.

    Raises:
        RuntimeError: it does not answer; the end of its log says why.
    """
    log = folder / "wrapper.log"
    began = time.monotonic()  # noqa: TID251 - a benchmark measures real time
    with log.open("wb") as err:
        process = subprocess.Popen(
            ["taskset", "-c", PROXY_CORE, *one.command],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=err, env={**os.environ, **one.environ}, cwd=ROOT,
        )  # fmt: skip
    try:
        answered: list[float] = []
        for message in MESSAGES:
            assert process.stdin is not None
            process.stdin.write(json.dumps(message).encode() + b"\n")
            process.stdin.flush()
            if "id" in message:
                _read_answer(process, int(str(message["id"])), log)
                answered.append(time.monotonic() - began)  # noqa: TID251 - as above
        return Start(answered[0], answered[1], _processor(process.pid), *_memory(process.pid))
    finally:
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.communicate(timeout=10)
        process.kill()


def _read_answer(process: subprocess.Popen[bytes], number: int, log: Path) -> None:
    assert process.stdout is not None
    for line in process.stdout:
        answer = json.loads(line)
        if answer.get("id") == number:
            if "result" in answer and not answer["result"].get("isError"):
                return
            raise RuntimeError(f"refused: {line[:300]!r}")
    raise RuntimeError(f"no answer: {log.read_text(errors='replace')[-500:]}")


def _processor(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _memory(pid: int) -> tuple[float, float]:
    """Resident, and its own, in MB (proc_pid_smaps(5))."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]
    sizes = {name: int(rest.split()[0]) for name, _, rest in (line.partition(":") for line in lines)}
    return sizes["Rss"] * 1024 / 1e6, (sizes["Private_Clean"] + sizes["Private_Dirty"]) * 1024 / 1e6
