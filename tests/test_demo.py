"""The whole story, end to end: official SDKs, real servers, both processes, a person, and an auditor.

It runs `python -m demo` as `make demo` does and looks at what that says of itself. Shows (ids of
docs/capabilities.md): A1, F1, F3, G3, G4, H1, H2, H3, H5, H6, H10, K1, K2, K3, K4, K6, K7.
"""

import json
import subprocess
import sys
from typing import Any

import pytest

from demo.house import ROOT, DemoError, install_file_server
from tests.conftest import ON_CI

LONGEST_SECONDS = 300
"""The demo takes well under a minute alone; beside other tests on two cores it may take longer."""


@pytest.fixture(scope="module")
def played() -> dict[str, Any]:
    """What the demo says of itself, played once."""
    try:
        install_file_server()
    except DemoError as error:
        if ON_CI:
            raise
        pytest.skip(str(error))
    done = subprocess.run(
        [sys.executable, "-m", "demo", "--json"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=LONGEST_SECONDS,
        check=False,
    )
    assert done.stdout, done.stderr
    result = json.loads(done.stdout)
    assert (done.returncode == 0) == result["ok"], done.stderr
    return result


def step(played: dict[str, Any], name: str) -> dict[str, Any]:
    """One step, in which everything must be as it should."""
    found = next(one for one in played["steps"] if one["name"] == name)
    assert [one["what"] for one in found["expected"] if not one["held"]] == []
    assert found["ok"]
    return found


def seen(step: dict[str, Any], who: str) -> str:
    """All that a party saw."""
    return "\n".join(sight["what"] for sight in step["saw"] if sight["who"] == who)


def test_the_story_is_told_whole_and_in_order(played: dict[str, Any]) -> None:
    assert [one["name"] for one in played["steps"]] == ["read", "write", "redact", "hide", "loop", "kill", "verify"]


def test_a_read_is_allowed(played: dict[str, Any]) -> None:
    assert "ship the wicket on Friday" in seen(step(played, "read"), "agent")


def test_a_held_write_is_approved_and_happens_once(played: dict[str, Any]) -> None:
    written = step(played, "write")
    assert "write_file on files" in seen(written, "person")
    assert "Successfully wrote" in seen(written, "agent")


def test_the_provider_never_sees_the_number(played: dict[str, Any]) -> None:
    redacted = step(played, "redact")
    assert "536-22-8145" in seen(redacted, "agent")
    assert "[REDACTED:pii.ssn]" in seen(redacted, "provider")


def test_a_denied_tool_is_hidden_and_refused(played: dict[str, Any]) -> None:
    assert "nobody-deletes" in seen(step(played, "hide"), "agent")


def test_a_loop_is_told_and_then_stopped(played: dict[str, Any]) -> None:
    assert "loop.repeat" in seen(step(played, "loop"), "agent")


def test_a_killed_session_goes_on_in_neither_process(played: dict[str, Any]) -> None:
    said = seen(step(played, "kill"), "agent")
    assert said.count("kill.session") == 2


def test_the_log_is_whole_and_tells_all_of_it(played: dict[str, Any]) -> None:
    assert "verified" in seen(step(played, "verify"), "auditor")
