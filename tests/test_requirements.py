"""The table of capabilities is held both ways, and the page made from it is up to date."""

import ast
from pathlib import Path

import pytest

from tests.capabilities import page
from tests.requirements import REQUIREMENTS

ROOT = Path(__file__).resolve().parent.parent


def names_in(path: Path) -> set[str]:
    """The names of the tests of a file."""
    tree = ast.parse(path.read_text())
    return {
        node.name
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_")
    }


@pytest.mark.parametrize("capability", REQUIREMENTS)
def test_a_capability_is_shown_by_tests_that_exist(capability: str) -> None:
    for named in REQUIREMENTS[capability].tests:
        file, _, test = named.partition("::")
        assert test in names_in(ROOT / file), named


def test_every_end_to_end_test_shows_something_or_says_that_it_does_not() -> None:
    """A test through the front door that shows no capability is either missing here, or shows how things fail."""
    shown = {name for shown in REQUIREMENTS.values() for name in shown.tests}
    failures = {
        "test_killing_what_is_not_there_says_so",
        "test_a_denied_model_is_refused_with_rule_and_reason",
        "test_a_running_stream_is_cut_within_two_seconds_and_its_upstream_closed",
        "test_no_kill_at_any_moment_loses_or_invents_anything",
    }
    missing = [
        f"{path.relative_to(ROOT)}::{test}"
        for path in sorted((ROOT / "tests/e2e").glob("test_*.py"))
        for test in names_in(path)
        if f"{path.relative_to(ROOT)}::{test}" not in shown and test not in failures
    ]
    assert missing == []


def test_the_page_of_capabilities_is_made_from_the_table() -> None:
    assert (ROOT / "docs/capabilities.md").read_text() == page(), "run `make docs`"
