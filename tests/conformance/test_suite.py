"""How the files of the suite are read."""

import json
from pathlib import Path
from typing import Any

from tests.conformance.suite import Outcome, outcome_of


def checks(folder: Path, *found: dict[str, Any]) -> Path:
    (folder / "checks.json").write_text(json.dumps(found))
    return folder / "checks.json"


def test_checks_that_passed_are_good_and_what_was_left_out_is_neither(tmp_path: Path):
    file = checks(
        tmp_path,
        {"id": "one", "name": "One", "status": "SUCCESS"},
        {"id": "two", "name": "Two", "status": "SKIPPED"},
        {"id": "three", "name": "Three", "status": "INFO"},
    )
    assert outcome_of(file) == Outcome(frozenset({"one"}))
    assert outcome_of(file).is_good


def test_a_failure_or_a_warning_spoils_a_scenario(tmp_path: Path):
    passed = {"id": "one", "name": "One", "status": "SUCCESS"}
    file = checks(tmp_path, passed, {"id": "two", "name": "Two", "status": "FAILURE", "errorMessage": "it was not"})
    assert outcome_of(file).complaints == ("two: it was not",)
    assert not outcome_of(file).is_good
    assert not outcome_of(checks(tmp_path, passed, {"id": "two", "name": "Two", "status": "WARNING"})).is_good


def test_a_check_that_passed_once_and_failed_once_has_not_passed(tmp_path: Path):
    file = checks(
        tmp_path, {"id": "one", "name": "One", "status": "SUCCESS"}, {"id": "one", "name": "One", "status": "FAILURE"}
    )
    assert outcome_of(file) == Outcome(frozenset(), ("one: One",))


def test_a_check_that_is_made_twice_counts_twice(tmp_path: Path):
    passed = {"id": "one", "name": "One", "status": "SUCCESS"}
    assert outcome_of(checks(tmp_path, passed, passed)) == Outcome(frozenset({"one", "one (2)"}))


def test_a_scenario_in_which_nothing_was_checked_is_not_good(tmp_path: Path):
    assert not outcome_of(checks(tmp_path)).is_good
