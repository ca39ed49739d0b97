"""`make bench`: every proxy under the same load, one after another, and the table that comes of it.

The proxies share one core, on which only one of them works at a time; the load and the mock upstream have the other.
Each cell is the median of several short runs; the runs of the proxies alternate, so that a slow minute of the machine
meets all of them.
"""

import argparse
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

from bench import bodies, load, mcp, peers, report, starting, wicket_target
from bench.load import Figure, LoadError
from bench.peers import LLM_PEERS, MCP_HTTP_PEERS, MCP_STDIO_PEERS, ROOT, Peer, Place
from bench.process import PROXY_CORE, free_port, resident_megabytes, running

CONNECTIONS = (1, 16, 64)
STARTS = 5
"""Starts of each wrapper: they are short, and vary."""


@dataclass
class Settings:
    """How long and how often."""

    seconds: int = 3
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


@dataclass
class Stand:
    """One proxy that is running, and how it is asked."""

    peer: Peer
    place: Place
    result: Result
    process: "subprocess.Popen[bytes] | None" = None

    def prepared(self, kind: str) -> tuple[Path, dict[str, str]]:
        """The file of bodies of a kind, and the headers that go with them."""
        headers = dict(self.peer.headers(self.place))
        if kind == "mcp":
            texts, more = mcp.prepare(self.url, headers, self.place.folder)
            return texts, headers | more
        texts = self.place.folder / f"{kind}.jsonl"
        bodies.write(texts, kind)
        return texts, headers

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.place.port}{self.peer.path}"


def play(scene: Scene, settings: Settings, folder: Path) -> list[Result]:
    """Measure every proxy of a scene, and the upstream alone; all run at once, and one after another is asked."""
    with ExitStack() as stack:
        port = free_port()
        stands: list[Stand] = []
        failed: list[Result] = []
        if scene.upstream is not None:
            command = [*scene.upstream, str(port)]
            stack.enter_context(running(command, core=load.LOAD_CORE, port=port, log=folder / "upstream.log", cwd=ROOT))
            direct = Peer("no proxy", lambda _place: [], scene.proxies[0].path if scene.name == "LLM" else "/mcp")
            stands.append(Stand(direct, Place(port, port, folder), Result(direct.name, direct.version)))
        for peer in scene.proxies:
            if settings.only and not any(one in peer.name.lower() for one in settings.only):
                continue
            try:
                stands.append(_started(peer, port, folder, stack))
            except (TimeoutError, OSError, RuntimeError) as error:
                settings.say(f"{peer.name}: {error}")
                failed.append(_not_started(peer, scene))
        for kind in scene.kinds:
            _measure(kind, stands, settings)
        for stand in stands:
            if stand.process is not None:
                stand.result.megabytes = resident_megabytes(stand.process)
        return [stand.result for stand in stands] + failed


def _started(peer: Peer, upstream: int, folder: Path, stack: ExitStack) -> Stand:
    home = folder / peer.name.split(" ")[0].lower()
    home.mkdir(exist_ok=True)
    place = Place(free_port(), upstream, home)
    process = stack.enter_context(
        running(peer.command(place), core=PROXY_CORE, port=place.port, log=home / "log", cwd=ROOT, environ=peer.environ)
    )
    return Stand(peer, place, Result(peer.name, peer.version), process)


def _not_started(peer: Peer, scene: Scene) -> Result:
    failed = Result(peer.name, peer.version)
    failed.failures = {(kind, count): "did not start" for kind in scene.kinds for count in CONNECTIONS}
    return failed


def _measure(kind: str, stands: list[Stand], settings: Settings) -> None:
    prepared = [(stand, *stand.prepared(kind)) for stand in stands]
    for count in CONNECTIONS:
        cell = (kind, count)
        for turn in range(settings.rounds + 1):
            for stand, texts, headers in prepared:
                _run(stand, cell, texts, headers, seconds=settings.seconds if turn else 1, counts=turn > 0)
        for stand in stands:
            rates = [figure.rate for figure in stand.result.cells.get(cell, ())]
            told = f"{statistics.median(rates):9,.0f} requests/s" if rates else stand.result.failures.get(cell, "")
            settings.say(f"{stand.peer.name:36} {kind:8} {count:3} connections  {told}")


def _run(
    stand: Stand, cell: tuple[str, int], texts: Path, headers: dict[str, str], *, seconds: float, counts: bool
) -> None:
    """One run. The first of a cell warms up and does not count: the first answer of some takes longer than it."""
    if cell in stand.result.failures:
        return
    try:
        figure = load.run(stand.url, texts, connections=cell[1], seconds=seconds, headers=headers)
    except LoadError as error:
        if counts:
            stand.result.failures[cell] = str(error)
            stand.result.cells.pop(cell, None)
        return
    if counts:
        stand.result.cells.setdefault(cell, []).append(figure)


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
    parser.add_argument("--seconds", type=int, default=3, help="length of one run (default 3)")
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
        wrappers: list[starting.Wrapper] = []
        if arguments.scene.lower() in starting.NAME.lower():
            home = Path(folder) / "starting"
            home.mkdir()
            wrappers = starting.measure(home, max(settings.rounds, STARTS), settings.say)
    page = report.page(found, machine(), settings.seconds, settings.rounds, wrappers)
    if arguments.out == "-":
        print(page)
    else:
        (ROOT / arguments.out).write_text(page)
        (ROOT / ".bench/last.json").write_text(json.dumps(report.as_json(found, wrappers), indent=1))
        settings.say(f"wrote {arguments.out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
