"""What the command holds to be wrong: all that is scored and fails, and all that is lost on the way through Wicket."""

import pytest

from tests.conformance import suite
from tests.conformance.arrangements import SEATS
from tests.conformance.run import Findings, lost
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


def test_a_client_that_fails_with_and_without_wicket_is_told(monkeypatch: pytest.MonkeyPatch):
    def asked(_revision: str, leg: str) -> list[Scenario]:
        return [SCORED] if leg == "client" else []

    monkeypatch.setattr(suite, "scenarios", asked)
    found = Findings(clients={(seat.name, REVISIONS[0]): {"ping": Outcome()} for seat in SEATS})
    assert found.complaints() == [f"client through Wicket, {REVISIONS[0]}: ping: nothing was checked"]
