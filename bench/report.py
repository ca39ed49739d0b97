"""From figures to a page: medians, ratios to Wicket, and what is needed to do it again."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from bench import starting

if TYPE_CHECKING:
    from bench.run import Result

TITLES = {
    "small": "0.3 KB, not streamed",
    "large": "55 KB (system prompt, 8 turns, 20 tools), not streamed",
    "stream": "0.3 KB, answer streamed in 50 chunks",
    "mcp": "`tools/call`, 0.3 KB",
}
INTRO = """# Benchmarks

Made by `make bench`: the proxy under test has one core, `wrk` and a mock upstream that answers at once have the
other; the proxies take turns, run by run. Wicket runs with everything on: key check, all detectors, 50 policy rules,
loop detection, kill switch, and the strict audit log (two durable commits for each exchange, on SQLite with
`synchronous=FULL`). The peers run with their own defaults and govern nothing. Bodies are seeded; the newest message of
each was never sent before, the history before it was, as agents send it. Absolute figures belong to this machine; the
ratios are what to compare.
"""

WRAPPED = """What an agent pays for each server that it starts through a wrapper: the median of {starts} starts. The
wrapper and the server share one core; memory and processor time are the wrapper's alone. Wicket beside its running
proxy hands its pipes over (`docs/decisions/handover.md`); by itself it opens everything once more.
"""


def page(
    found: "Mapping[str, Sequence[Result]]",
    machine: Mapping[str, str],
    seconds: float,
    rounds: int,
    wrappers: Sequence[starting.Wrapper],
) -> str:
    """The whole page as Markdown."""
    lines = [INTRO]
    lines.append("| " + " | ".join(machine) + " |\n|" + "---|" * len(machine))
    lines.append("| " + " | ".join(machine.values()) + " |")
    lines.append(f"\nEach cell is the median of {rounds} runs of {seconds:g} s.\n")
    for scene, results in found.items():
        lines.append(f"\n## {scene}\n")
        kinds = list(dict.fromkeys(kind for result in results for kind, _ in [*result.cells, *result.failures]))
        for kind in kinds:
            lines += [f"### {TITLES[kind]}\n", *_table(results, kind), ""]
    if wrappers:
        lines += [f"\n## {starting.NAME}\n", WRAPPED.format(starts=len(wrappers[0].starts)), *starting.table(wrappers)]
    return "\n".join(lines).rstrip() + "\n"


def _table(results: "Sequence[Result]", kind: str) -> list[str]:
    counts = sorted({count for result in results for one, count in [*result.cells, *result.failures] if one == kind})
    head = ["proxy", *(f"requests/s at {count}" for count in counts), "p50 ms at 1", "p99 ms at 16", "Wicket is", "MB"]
    lines = ["| " + " | ".join(head) + " |", "|---|" + "---:|" * (len(head) - 1)]
    wicket = next((result for result in results if result.name == "Wicket"), None)
    for result in results:
        cells = [_rate(result, kind, count) for count in counts]
        alone, busy = result.median(kind, 1), result.median(kind, 16)
        ours = wicket.median(kind, 16) if wicket else None
        ratio = f"{ours.rate / busy.rate:.2g} times" if ours and busy and result is not wicket else ""
        name = f"**{result.name}**" if result is wicket else f"{result.name} {result.version}".strip()
        row = [name, *cells, f"{alone.p50:.2f}" if alone else "", f"{busy.p99:.2f}" if busy else "", ratio]
        lines.append("| " + " | ".join([*row, f"{result.megabytes:.0f}" if result.megabytes else ""]) + " |")
    return lines


def _rate(result: "Result", kind: str, count: int) -> str:
    figure = result.median(kind, count)
    return f"{figure.rate:,.0f}" if figure else result.failures.get((kind, count), "")[:40]


def as_json(found: "Mapping[str, Sequence[Result]]", wrappers: Sequence[starting.Wrapper]) -> dict[str, Any]:
    """The same figures for a program."""
    figures: dict[str, Any] = {
        scene: {
            result.name: {
                "megabytes": round(result.megabytes),
                **{
                    f"{kind}@{count}": {"rate": figure.rate, "p50": figure.p50, "p99": figure.p99}
                    for kind, count in result.cells
                    if (figure := result.median(kind, count)) is not None
                },
            }
            for result in results
        }
        for scene, results in found.items()
    }
    if wrappers:
        figures[starting.NAME] = {one.name: [asdict(start) for start in one.starts] for one in wrappers}
    return figures
