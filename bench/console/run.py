"""Makes the databases, starts the real console over each, asks every page, and writes the table."""

import argparse
import hashlib
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from bench.console.databases import Workshop
from bench.console.pages import BOUND, Measured, measured
from bench.console.story import Story
from bench.process import free_port, running
from governance.audit import keys
from governance.clock import SystemClock

ROOT = Path(__file__).resolve().parent.parent.parent
HOME = ROOT / ".bench" / "console"
SIZE = (100_000, 2_000_000)
MASTER = hashlib.sha256(b"the master key of the benchmark").hexdigest()[:32]
ADMIN = hashlib.sha256(b"the admin token of the benchmark").hexdigest()
POSTGRES = "postgresql://postgres@127.0.0.1:5432/postgres"
Table = dict[str, list[Measured]]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run it; 1 where a page is too slow."""
    options = _options(arguments)
    HOME.mkdir(parents=True, exist_ok=True, mode=0o700)
    now = SystemClock().now()
    began = time.perf_counter()

    def say(text: str) -> None:
        sys.stderr.write(f"{time.perf_counter() - began:6.0f} s  {text}\n")

    shop = Workshop(HOME, (options.sessions, options.events), keys.derive(MASTER.encode(), keys.AUDIT_MAC), now, say)
    table: Table = {}
    for name in options.databases:
        say(f"the database on {name}")
        url, story = shop.sqlite() if name == "sqlite" else shop.postgres(options.postgres)
        say("asking the pages")
        table[name] = ask(name, url, story, options.times, say)
    text = drawn(table, options)
    sys.stdout.write(text)
    if options.out:
        page = options.out.read_text()
        new = f"<!-- figures -->\n{text}<!-- end -->"
        options.out.write_text(re.sub(r"<!-- figures -->.*?<!-- end -->", lambda _: new, page, flags=re.DOTALL))
    slow = [
        f"{one.page.name} on {name}: {one.median:.0f} ms" for name, some in table.items() for one in some if one.slow
    ]
    for one in slow:
        sys.stderr.write(f"too slow: {one}\n")
    return 1 if slow else 0


def ask(name: str, url: str, story: Story, times: int, say: Callable[[str], None]) -> list[Measured]:
    """Start the gateway with its console over a database, and measure."""
    port = free_port()
    settings: dict[str, object] = {
        "gateway": {"port": port},
        "database": url,
        "state": str(HOME / "state"),
        "providers": {
            "anthropic": {"wire": "anthropic-messages", "base_url": "http://127.0.0.1:9", "api_key": "${BENCH_KEY}"}
        },
        "mcpServers": {name: {"type": "http", "url": "http://127.0.0.1:9/mcp"} for name in ("files", "web", "mail")},
        "secrets": {"master_key": "${BENCH_MASTER}", "admin_token": "${BENCH_ADMIN}"},
        "policies": [],
    }
    config = HOME / f"{name}.yaml"
    config.write_text(json.dumps(settings))
    config.chmod(0o600)
    command = [str(Path(sys.executable).with_name("wicket")), "gateway", "--config", str(config)]
    cores = ",".join(str(one) for one in sorted(os.sched_getaffinity(0)))
    secrets = {"BENCH_KEY": "sk-bench-0123456789", "BENCH_MASTER": MASTER, "BENCH_ADMIN": ADMIN}
    with running(command, core=cores, port=port, log=HOME / f"{name}.log", cwd=ROOT, environ=secrets):
        return measured(f"http://127.0.0.1:{port}", ADMIN, story, times, say)


def drawn(table: Table, options: argparse.Namespace) -> str:
    """The table as Markdown."""
    names = list(table)
    heads = [f"{name} median | {name} 95 %" for name in names]
    lines = [
        f"{options.sessions:,} sessions, about {options.events:,} events; milliseconds of {options.times} answers.",
        _machine(),
        "",
        f"| page | {' | '.join(heads)} | KB |",
        "|---|" + "---:|---:|" * len(names) + "---:|",
    ]
    for row in zip(*table.values(), strict=True):
        cells = " | ".join(f"{one.median:.0f} | {one.high:.0f}" for one in row)
        lines.append(f"| {row[0].page.name} | {cells} | {row[0].kilobytes:.0f} |")
    return "\n".join(lines) + "\n"


def _machine() -> str:
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, cwd=ROOT, check=False
    )
    busy = os.getloadavg()[0]
    return (
        f"{len(os.sched_getaffinity(0))} cores, of which {busy:.1f} on average were busy or wanted; commit "
        f"`{commit.stdout.strip()}`."
    )


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make bench-console", description=f"Fails if a page takes {BOUND} ms.")
    parser.add_argument("--sessions", type=int, default=SIZE[0])
    parser.add_argument("--events", type=int, default=SIZE[1])
    parser.add_argument("--times", type=int, default=20, help="how often each page is asked for")
    parser.add_argument("--databases", nargs="+", choices=("sqlite", "postgres"), default=["sqlite", "postgres"])
    parser.add_argument("--postgres", default=os.environ.get("WICKET_TEST_POSTGRES", POSTGRES), help="server to use")
    parser.add_argument("--out", type=Path, help="page into which the table is written")
    return parser.parse_args(arguments)
