"""What stalls while it is recorded is named, and nothing waits for it."""

from pathlib import Path

import pytest

from tests.conformance.process import PYTHON, RunError
from tests.fidelity import recording
from tests.fidelity.peers import over_stdio
from tests.fidelity.player import HANDSHAKE, Player, Records

SILENT = "import sys; sys.stdin.read()"
GONE = "print('not JSON-RPC', file=__import__('sys').stderr)"
DULL = """
import json, sys
for line in sys.stdin:
    message = json.loads(line)
    if "id" in message and "method" in message:
        print(json.dumps({"jsonrpc": "2.0", "id": message["id"], "result": {}}), flush=True)
"""
"""A server that answers everything and says nothing of its own accord."""


async def played(program: str, *, modern: bool = False, start: float = 60.0, check: float = 60.0) -> Records:
    async with over_stdio((PYTHON, "-c", program), {}) as peer:
        return await Player("this way", peer, list, modern, start_seconds=start, check_seconds=check).all()


@pytest.mark.parametrize(("modern", "where"), [(False, HANDSHAKE), (True, "the start")])
async def test_a_server_that_never_answers_is_named(modern: bool, where: str) -> None:
    records = await played(SILENT, modern=modern, start=0.1)
    assert len(records) > 40
    assert {record.trouble for record in records.values()} == {
        f"this way stalled: `{where}` did not end in 0.1 seconds"
    }


async def test_after_a_check_that_stalls_no_other_is_waited_for() -> None:
    records = await played(DULL, check=0.5)
    troubles = [record.trouble for record in records.values()]
    first = next(number for number, trouble in enumerate(troubles) if trouble)
    assert first > 0
    assert troubles[first] == f"this way stalled: `{list(records)[first]}` did not end in 0.5 seconds"
    assert set(troubles[first:]) == {troubles[first]}


async def test_a_server_that_ends_is_not_waited_for() -> None:
    records = await played(GONE)
    assert all(record.trouble.startswith("the process ") for record in records.values())


async def test_a_recording_that_does_not_end_in_time_says_what_it_was_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recording, "SECONDS", 0)
    with pytest.raises(RunError, match="did not end in 0 seconds; not at its end: the start or the end of Wicket"):
        await recording.record(tmp_path)
