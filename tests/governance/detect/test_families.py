"""The visible list is whole, and the documentation names everything in it."""

from pathlib import Path

from governance.config.models import Detect
from governance.detect import families
from governance.detect.actions import Actions
from governance.detect.families import all_families

ROOM = Path(families.__file__).parent
FRAME = {
    "__init__", "actions", "compiled", "detector", "engine", "families", "memory", "reading", "rule", "runs",
    "stage", "stretches", "views",
}  # fmt: skip
DOCS = Path(__file__).parents[3] / "docs" / "detect.md"


def test_every_family_file_is_in_the_list() -> None:
    listed = families.__dict__.keys()
    assert {path.stem for path in ROOM.glob("*.py")} - FRAME <= listed


def test_rule_ids_are_unique() -> None:
    ids = [rule.id for rule in all_families()]
    assert len(ids) == len(set(ids))


def test_the_injection_families_have_rules_enough() -> None:
    kinds = [rule.kind for rule in all_families() if rule.kind.startswith("injection.")]
    assert set(kinds) == {"injection.jailbreak", "injection.direct", "injection.indirect", "injection.extraction"}
    assert len(kinds) >= 40


def test_the_documentation_names_every_kind_with_its_default() -> None:
    rows = [line for line in DOCS.read_text().splitlines() if line.startswith("| `")]
    actions = Actions(Detect())
    for kind in sorted({rule.kind for rule in all_families()}):
        row = next((row for row in rows if row.startswith(f"| `{kind}`")), "")
        assert f"| {actions.of(kind, 'default')} |" in row, kind
