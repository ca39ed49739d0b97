"""The page about policies is right: its examples load and pass, and it names everything there is."""

import re
from pathlib import Path

from governance.config.models import Config
from governance.policy.cases import Expect, Given, run_text
from governance.policy.condition import VARIABLES
from governance.policy.lint import lint
from governance.policy.load import compile_sources
from governance.policy.rules import Comparison, Match, Rule
from governance.verdict import Decision
from sessions.labels.book import Sources

PAGE = (Path(__file__).resolve().parents[3] / "docs" / "policy.md").read_text()
EXAMPLES = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
SERVERS: dict[str, list[str]] = {
    "files": ["read_file", "write_file", "edit_file", "list_files", "search_files"],
    "pay": ["transfer"],
    "mail": ["send_message"],
    "desk": ["read_ticket"],
}


def test_every_example_of_a_policy_loads_without_a_warning() -> None:
    policies = [compile_sources([("docs/policy.md", text)]) for text in EXAMPLES if "rules:" in text]
    kinds = ["pii.ssn", "phi.mrn"]
    assert len(policies) == 3
    labels = Sources.of(Config.model_validate({})).all
    found = [lint(policy, servers=SERVERS, kinds=kinds, labels=labels) for policy in policies]
    assert [str(problem) for problems in found for problem in problems] == []


def test_the_example_of_tests_passes_on_the_example_of_a_policy() -> None:
    (policy,) = [text for text in EXAMPLES if "default: deny" in text]
    (tests,) = [text for text in EXAMPLES if "tests:" in text]
    results = run_text(compile_sources([("policy.yaml", policy)]), tests, "docs/policy.md")
    assert len(results) == 7
    assert [(result.name, result.differences) for result in results if not result.passed] == []


def test_every_variable_stands_in_the_page_with_its_type() -> None:
    rows = dict(re.findall(r"^\| `([a-z_.]+)` \| ([^|]+) \|", PAGE, re.MULTILINE))
    assert {name: rows.get(name, "").strip() for name in VARIABLES} == {
        name: one.kind for name, one in VARIABLES.items()
    }


def test_every_key_and_decision_stands_in_the_page() -> None:
    names = [
        *Rule.model_fields,
        *Match.model_fields,
        *Comparison.model_fields,
        *Given.model_fields,
        *Expect.model_fields,
        *(decision.value for decision in Decision),
    ]
    assert [name for name in names if not re.search(rf"`[^`\n]*\b{name}\b[^`\n]*`", PAGE)] == []
