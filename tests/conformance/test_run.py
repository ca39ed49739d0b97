"""What the command holds to be wrong: what is scored and fails, what is lost on the way, and a page that is stale."""

from pathlib import Path

import pytest

from tests.conformance import run, suite
from tests.conformance.arrangements import SEATS
from tests.conformance.pinned import LEGACY_TO_MODERN, MODERN_TO_LEGACY, PINNED, Pin
from tests.conformance.run import Findings, lost, stale
from tests.conformance.suite import REVISIONS, Outcome, Scenario

GOOD = Outcome(frozenset({"a", "b"}))
POORER = Outcome(frozenset({"a"}))
BAD = Outcome(frozenset({"a"}), ("b: not so",))
SCORED, OTHER = Scenario("ping", scored=True), Scenario("tasks", scored=False)


def test_nothing_is_wrong_where_everything_passes():
    assert lost("here", [SCORED, OTHER], {"ping": GOOD, "tasks": GOOD}, {"ping": GOOD, "tasks": GOOD}) == []


def test_a_scored_scenario_must_pass_with_and_without_wicket():
    assert lost("here", [SCORED], {"ping": BAD}, None) == ["here: ping: b: not so"]
    assert lost("here", [SCORED], {"ping": BAD}, {"ping": BAD}) == ["here: ping: b: not so"]


def test_a_scored_scenario_that_was_not_run_has_not_passed():
    assert lost("here", [SCORED], {}, None) == ["here: ping: nothing was checked"]
    assert lost("here", [SCORED], {"ping": Outcome()}, None) == ["here: ping: nothing was checked"]


def test_a_single_check_that_is_lost_on_the_way_is_told():
    assert lost("here", [SCORED], {"ping": POORER}, {"ping": GOOD}) == ["here: ping: passes directly, but not here: b"]


def test_what_is_not_scored_may_fail_only_where_it_fails_directly_too():
    assert lost("here", [OTHER], {"tasks": BAD}, {"tasks": BAD}) == []
    assert lost("here", [OTHER], {"tasks": BAD}, {"tasks": GOOD}) == [
        "here: tasks: passes directly, but not here: b b: not so"
    ]
    assert lost("here", [OTHER], {}, {"tasks": GOOD}) == ["here: tasks: passes directly, but not here: a, b"]


def test_what_is_not_scored_is_compared_check_by_check_where_the_direct_run_complains_too():
    direct = Outcome(frozenset({"a", "b"}), ("c: not so",))
    assert lost("here", [OTHER], {"tasks": direct}, {"tasks": direct}) == []
    assert lost("here", [OTHER], {"tasks": Outcome(frozenset({"a"}), ("c: worse",))}, {"tasks": direct}) == [
        "here: tasks: passes directly, but not here: b"
    ]
    also = Outcome(frozenset({"a", "b"}), ("c: not so", "d: nor this"))
    assert lost("here", [OTHER], {"tasks": also}, {"tasks": direct}) == [
        "here: tasks: passes directly, but not here: d: nor this"
    ]


def test_a_client_that_fails_with_and_without_wicket_is_told(monkeypatch: pytest.MonkeyPatch):
    def asked(_revision: str, leg: str) -> list[Scenario]:
        return [SCORED] if leg == "client" else []

    monkeypatch.setattr(suite, "scenarios", asked)
    found = Findings(clients={(seat.name, REVISIONS[0]): {"ping": Outcome()} for seat in SEATS})
    assert found.complaints()
    assert all(one.endswith("ping: nothing was checked") for one in found.complaints())


PIN = {"ping": Pin(frozenset({"b"}), "because")}


def test_a_check_that_is_pinned_may_fail():
    assert lost("here", [SCORED], {"ping": BAD}, None, PIN) == []


def test_another_check_than_the_pinned_one_may_not_fail():
    worse = Outcome(frozenset(), ("b: not so", "a: nor this"))
    assert lost("here", [SCORED], {"ping": worse}, None, PIN) == ["here: ping: a: nor this"]


def test_a_pinned_check_that_does_not_fail_is_told():
    told = ["here: ping: b is pinned as failing, and does not: mend `pinned.py`"]
    assert lost("here", [SCORED], {"ping": GOOD}, None, PIN) == told
    assert lost("here", [SCORED], {}, None, PIN) == told


def test_every_pin_has_checks_and_a_reason():
    assert all(pin.checks and pin.reason for pins in PINNED.values() for pin in pins.values())


def test_across_the_eras_no_more_may_fail_than_was_agreed():
    assert {stand: len(pins) for stand, pins in PINNED.items()} == {LEGACY_TO_MODERN: 0, MODERN_TO_LEGACY: 3}


def test_a_page_that_says_something_else_than_the_run_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(run, "ROOT", tmp_path)
    monkeypatch.setattr(run, "PAGE", tmp_path / "page.md")
    told = ["page.md said something else than this run: look at the difference, and commit it"]
    assert stale("new") == told
    (tmp_path / "page.md").write_text("old")
    assert stale("new") == told
    assert stale("old") == []
