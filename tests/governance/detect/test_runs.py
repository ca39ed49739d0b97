"""Runs of base64 and hex: found and decoded piece by piece as if whole, however long they are."""

import base64
import re

import pytest

from governance.detect import runs
from governance.detect.runs import RUN_GATES, RUNS, Run, find_runs
from governance.detect.stretches import STRETCH

WORDS = b"my ssn is 123-45-6789, and all else is well. "
BASE64, HEX = RUNS
WHOLE = {
    "base64": re.compile(RUN_GATES[0][:-3] + "{5,}[A-Za-z0-9+/_-]{0,3}"),
    "hex": re.compile(RUN_GATES[1][:-4] + "{12,}"),
}


def written(run: Run, length: int) -> tuple[str, str]:
    """Words of a length, and how they are written as a run."""
    words = (WORDS * (length // len(WORDS) + 1))[:length]
    return words.decode(), words.hex() if run is HEX else base64.b64encode(words).decode().rstrip("=")


@pytest.mark.parametrize("run", RUNS, ids=[run.name for run in RUNS])
@pytest.mark.parametrize("length", [24, STRETCH // 2 - 1, STRETCH // 2, STRETCH * 3 // 4, STRETCH + 1, 3 * STRETCH + 2])
@pytest.mark.parametrize("before", [0, 7, STRETCH - 5, STRETCH + 1])
def test_a_run_of_any_length_is_found_whole_and_holds_what_was_written(run: Run, length: int, before: int) -> None:
    words, text = written(run, length)
    filled = "." * before + text + " ." * 50
    ((start, end),) = find_runs(run, filled)
    assert filled[start:end] == text
    assert run.decoded(filled, start, end) == words


@pytest.mark.parametrize("run", RUNS, ids=[run.name for run in RUNS])
def test_runs_are_those_that_one_pattern_over_the_whole_text_would_find(run: Run) -> None:
    pieces = [written(run, 30)[1], "zzzz", "ab", " ", "QUJD", "4142", written(run, 40_000)[1], "=", ".", "/home/abc"]
    text = "".join(pieces[(number * 7 + number // 11) % len(pieces)] for number in range(60))
    whole = [match.span() for match in WHOLE[run.name].finditer(text)]
    assert whole
    assert list(find_runs(run, text)) == whole
    gate = re.compile(f"(?=({RUN_GATES[RUNS.index(run)]}))")
    ends = [match.end(1) for match in gate.finditer(text)]
    assert list(find_runs(run, text, ends)) == whole


@pytest.mark.parametrize("run", RUNS, ids=[run.name for run in RUNS])
def test_a_long_run_lets_others_run_at_every_stretch(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    breaths: list[None] = []
    monkeypatch.setattr(runs, "breathe", lambda: breaths.append(None))
    text = written(run, 10 * STRETCH)[1]
    ((start, end),) = find_runs(run, text)
    found = len(breaths)
    run.decoded(text, start, end)
    assert found >= len(text) // STRETCH
    assert len(breaths) - found >= len(text) // STRETCH
