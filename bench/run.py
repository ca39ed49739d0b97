"""`make bench`: every proxy under the same load, one after another, and the table that comes of it.

The proxy has one core, the load and the mock upstream have the other. Each cell is the median of several short runs;
the runs of the proxies alternate, so that a slow minute of the machine meets all of them.
"""

import argparse
import contextlib
import json
import platform
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from bench import bodies, load, mcp, peers, report, wicket_target
from bench.load import Figure, LoadError
from bench.peers import LLM_PEERS, MCP_HTTP_PEERS, MCP_STDIO_PEERS, ROOT, Peer, Place
from bench.process import PROXY_CORE, free_port, resident_megabytes, running

CONNECTIONS = (1, 16, 64)


@dataclass
class Settings:
    """How long and how often."""

    seconds: float = 3
    rounds: int = 3
    only: frozenset[str] = frozenset()
    say: Callable[[str], None] = lambda text: print(text, file=sys.stderr, flush=True)


@dataclass
class Result:
    """Everything one proxy did in one scene: `cells[(kind, connections)]` are its runs."""

    name: str
    version: str
    megabytes: float = 0
    cells: dict[tuple[str, int], list[Figure]] = field(default_factory=dict[tuple[str, int], list[Figure]])
    failures: dict[tuple[str, int], str] = field(default_factory=dict[tuple[str, int], str])

    def median(self, kind: str, connections: int) -> Figure | None:
        """The run whose rate is the median."""
        runs = sorted(self.cells.get((kind, connections), ()), key=lambda figure: figure.rate)
        return runs[len(runs) // 2] if runs else None


@dataclass(frozen=True)
class Scene:
    """One kind of traffic: what it is sent to, and by whom it is carried."""

    name: str
    kinds: tuple[str, ...]
    upstream: tuple[str, ...] | None
    """Command of the mock upstream without its port; None where the proxies start it themselves."""
    proxies: tuple[Peer, ...]


def scenes() -> Iterable[Scene]:
    """Every scene, in the order of the tables."""
    mock = (sys.executable, "-m", "bench.upstream")
    fast = (sys.executable, "-m", "bench.upstream_mcp")
    yield Scene("LLM", ("small", "large", "stream"), mock, (wicket_target.LLM, *LLM_PEERS))
    yield Scene("MCP over HTTP to an HTTP server", ("mcp",), fast, (wicket_target.MCP_HTTP, *MCP_HTTP_PEERS))
    yield Scene("MCP over HTTP to a stdio server", ("mcp",), None, (wicket_target.MCP_STDIO, *MCP_STDIO_PEERS))


def play(scene: Scene, settings: Settings, folder: Path) -> list[Result]:
    """Measure every proxy of a scene, and the upstream alone."""
    results: list[Result] = []
    with ExitStack() as stack:
        port = free_port()
        if scene.upstream is not None:
            command = [*scene.upstream, str(port)]
            log = folder / "upstream.log"
            stack.enter_context(running(command, core=load.LOAD_CORE, port=port, log=log, cwd=ROOT))
            direct = Peer("no proxy", lambda _place: [], scene.proxies[0].path if scene.name == "LLM" else "/mcp")
            results.append(_measure(direct, Place(port, port, folder), scene, settings))
        wanted = [
            peer
            for peer in scene.proxies
            if not settings.only or any(one in peer.name.lower() for one in settings.only)
        ]
        results += [_start_and_measure(peer, port, scene, settings, folder) for peer in wanted]
    return results


def _start_and_measure(peer: Peer, upstream: int, scene: Scene, settings: Settings, folder: Path) -> Result:
    home = folder / peer.name.split(" ")[0].lower()
    home.mkdir(exist_ok=True)
    place = Place(free_port(), upstream, home)
    try:
        command = peer.command(place)
        with running(
            command, core=PROXY_CORE, port=place.port, log=home / "log", cwd=ROOT, environ=peer.environ
        ) as process:
            result = _measure(peer, place, scene, settings)
            result.megabytes = resident_megabytes(process)
            return result
    except (TimeoutError, OSError, RuntimeError) as error:
        settings.say(f"{peer.name}: {error}")
        failed = Result(peer.name, peer.version)
        failed.failures = {(kind, count): "did not start" for kind in scene.kinds for count in CONNECTIONS}
        return failed


def _measure(peer: Peer, place: Place, scene: Scene, settings: Settings) -> Result:
    result = Result(peer.name, peer.version)
    url = f"http://127.0.0.1:{place.port}{peer.path}"
    for kind in scene.kinds:
        headers = dict(peer.headers(place))
        if kind == "mcp":
            kind_file, more = mcp.prepare(url, headers, place.folder)
            headers |= more
        else:
            kind_file = place.folder / f"{kind}.jsonl"
            bodies.write(kind_file, kind)
        for count in CONNECTIONS:
            _fill(result, (kind, count), url, kind_file, headers, settings)
    return result


def _fill(
    result: Result, cell: tuple[str, int], url: str, texts: Path, headers: dict[str, str], settings: Settings
) -> None:
    kind, count = cell
    with contextlib.suppress(LoadError):  # warm up: the first answer of some takes longer than this
        load.run(url, texts, connections=count, seconds=1, headers=headers)
    try:
        for _ in range(settings.rounds):
            figure = load.run(url, texts, connections=count, seconds=settings.seconds, headers=headers)
            result.cells.setdefault(cell, []).append(figure)
        rate = statistics.median(one.rate for one in result.cells[cell])
        settings.say(f"{result.name:36} {kind:8} {count:3} connections  {rate:9,.0f} requests/s")
    except LoadError as error:
        result.failures[cell] = str(error)
        settings.say(f"{result.name:36} {kind:8} {count:3} connections  {error}")


def machine() -> dict[str, str]:
    """What it ran on."""
    model = next(
        (
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if "model name" in line
        ),
        platform.processor(),
    )
    git = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, cwd=ROOT, check=False)
    return {
        "date": datetime.now(UTC).date().isoformat(),  # noqa: TID251 - the date of a measurement
        "processor": model,
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "commit": git.stdout.strip(),
    }


def main() -> int:
    """Parse the arguments, measure, write the page."""
    parser = argparse.ArgumentParser(prog="make bench ARGS=...", description=__doc__)
    parser.add_argument("--seconds", type=float, default=3, help="length of one run (default 3)")
    parser.add_argument("--rounds", type=int, default=3, help="runs of each cell; the median counts (default 3)")
    parser.add_argument("--only", default="", help="only proxies whose names contain one of these words, by commas")
    parser.add_argument("--scene", default="", help="only scenes whose names contain this")
    parser.add_argument("--out", default="docs/benchmarks.md", help="page to write; `-` writes none")
    arguments = parser.parse_args()
    words = frozenset(word.strip().lower() for word in str(arguments.only).split(",") if word.strip())
    settings = Settings(arguments.seconds, arguments.rounds, words)
    peers.install(settings.say)
    found: dict[str, list[Result]] = {}
    with tempfile.TemporaryDirectory(prefix="wicket-bench-") as folder:
        for number, scene in enumerate(scenes()):
            if arguments.scene.lower() in scene.name.lower():
                home = Path(folder) / str(number)
                home.mkdir()
                found[scene.name] = play(scene, settings, home)
    page = report.page(found, machine(), settings.seconds, settings.rounds)
    if arguments.out == "-":
        print(page)
    else:
        (ROOT / arguments.out).write_text(page)
        (ROOT / ".bench/last.json").write_text(json.dumps(report.as_json(found), indent=1))
        settings.say(f"wrote {arguments.out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
