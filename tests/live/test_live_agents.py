"""Each real agent, twice at once with one key: each run is one session across both processes, and never the other's.

Nothing of an agent is changed but addresses and key. Run by `make live-agents`, which installs them.
"""

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.provider import serving
from tests.e2e.stack import Stack, configure, running
from tests.live.agents import AGENTS, HERE, Agent, environment
from tests.live.model import application

SECONDS = 300
"""A first start of such an agent takes tens of seconds on two cores."""

pytestmark = pytest.mark.skipif(
    not (HERE / "node_modules/.bin").exists(), reason="the agents are a gigabyte: `make live-agents` brings them"
)


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    folder = tmp_path_factory.mktemp("installation")
    with serving(application()) as port:
        configure(folder, port)
        with running(folder) as stack:
            yield stack


@pytest.mark.parametrize("agent", AGENTS, ids=lambda agent: agent.name)
def test_two_runs_at_once_are_two_sessions_across_both_processes(agent: Agent, stack: Stack, tmp_path: Path) -> None:
    before = {event["seq"] for event in _events(stack)}
    runs = [f"RUN-{agent.name.split()[0]}{number}" for number in (1, 2)]
    started = [_start(agent, stack, tmp_path / run, run) for run in runs]
    said = [_finish(one) for one in started]
    assert sorted(set(stack.marks()) & set(runs)) == runs, said
    done = [event for event in _events(stack) if event["seq"] not in before]
    made = [event for event in done if event["action"] == "tool.call"]
    assert [event["status"] for event in made] == ["ok", "ok"], made
    of_runs = {event["session_id"] for event in made}
    assert len(of_runs) == 2, made
    for session in of_runs:
        asked = [event for event in done if event["session_id"] == session and event["action"] == "llm.generate"]
        assert len(asked) >= 2, done  # that which asked for the tool, and that which has its result
    listed = {run["id"]: run for run in stack.cli("sessions", "list")}
    assert all(listed[one]["verified"] and listed[one]["plane"] == "llm,mcp" for one in of_runs)


def _events(stack: Stack) -> list[dict[str, Any]]:
    events: list[dict[str, Any]] = stack.cli("audit", "show", "--type", "exchange.completed", "--limit", "500")
    return events


def _start(agent: Agent, stack: Stack, home: Path, run: str) -> "subprocess.Popen[str]":
    home.mkdir()
    (command, *rest), more = agent.prepare(home, stack, f"please mark {run}")
    return subprocess.Popen(
        [str(HERE / "node_modules/.bin" / command), *rest],
        cwd=home, env=environment(home) | more, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip


def _finish(process: "subprocess.Popen[str]") -> str:
    """What it said in the end. One that does not end is ended."""
    try:
        said, _ = process.communicate(timeout=SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        said, _ = process.communicate()
    return said[-2000:]
