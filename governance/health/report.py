"""What is known of the health of an MCP server, and how long it is worth anything.

Pure. A process that runs servers writes such reports down (`mcp_proxy/heartbeat.py`); whoever shows them reads them
from the store, because the console and the command line are other processes, maybe on other machines.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

BEAT_SECONDS = 15.0
"""How often a process says that what it said before still holds. A change is said at once."""
STALE_SECONDS = 45.0
"""What was not said again for this long is not known any more."""
UNKNOWN = "unknown"
"""The state of a server that nobody has asked yet, or whose process was not heard of for too long."""
WELL, FAILING, STOPPED = "ready", "failing", "stopped"


@dataclass(frozen=True, slots=True)
class Report:
    """One server as one process has it."""

    server: str
    process: str = ""
    """Random id of the process that says so; empty where none does."""
    transport: str = ""
    """`stdio`, `http` or `sse`."""
    state: str = UNKNOWN
    """`unknown`, `ready`, `failing` or `stopped`."""
    since: str = ""
    """Since when the state is so, RFC 3339."""
    starts: int = 0
    restarts: int = 0
    """How many of the starts followed a failure."""
    failures: int = 0
    """How often in a row it has failed up to now."""
    last_error: str = ""
    """How it failed last, in our own words, even where it is well again."""
    last_error_at: str = ""
    tools: int = 0
    """How many tools stood in its last listing that came to an end; 0 before the first one."""
    seen_at: str = ""
    """When the process said so last."""

    @property
    def is_known(self) -> bool:
        """Whether a process that runs the server said so a moment ago."""
        return self.process != ""


def current(reports: Iterable[Report], servers: Sequence[str], now: datetime) -> list[Report]:
    """How the configured servers are now, in their order: one report of each process that was heard of just now.

    A server that no process speaks for is unknown. What was said last of it is kept but for its state, so that it can
    be told when and how it failed.
    """
    found: dict[str, list[Report]] = {name: [] for name in servers}
    for one in sorted(reports, key=lambda one: (one.seen_at, one.process)):
        if one.server in found:
            found[one.server].append(one)
    return [one for name, all_of_it in found.items() for one in _current(name, all_of_it, now)]


def _current(name: str, reports: list[Report], now: datetime) -> list[Report]:
    fresh = [one for one in reports if not is_stale(one, now)]
    if fresh:
        return fresh
    last = reports[-1] if reports else Report(name)
    return [replace(last, process="", state=UNKNOWN, since="")]


def is_stale(report: Report, now: datetime) -> bool:
    """Whether a report is too old to be believed; one from the future is, too."""
    age = now - datetime.fromisoformat(report.seen_at)
    return not -timedelta(seconds=STALE_SECONDS) < age < timedelta(seconds=STALE_SECONDS)
