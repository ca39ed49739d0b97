"""The manuals say what the code does."""

from pathlib import Path

from console.v1.manual import page as api_page
from wicket.cli import MODULES, commands_in
from wicket.exits import Exit
from wicket.manual import commands_page, config_page, write

DOCS = Path(__file__).resolve().parent.parent.parent / "docs"


def test_the_manual_of_the_configuration_is_made_from_the_models():
    assert (DOCS / "config.md").read_text() == config_page(), "run `make docs`"


def test_the_manual_of_the_commands_is_made_from_the_commands():
    assert (DOCS / "cli.md").read_text() == commands_page(), "run `make docs`"


def test_every_command_and_exit_code_is_in_the_manual():
    page = commands_page()
    assert all(f"## `wicket {command.name}`" in page for command in commands_in(MODULES))
    assert all(f"| {code.value} | {code.meaning} |" in page for code in Exit)


def test_every_setting_has_a_meaning():
    rows = [line.split(" | ") for line in config_page().splitlines() if line.startswith("| `")]
    assert len(rows) > 60
    assert [row[0] for row in rows if not row[-1].strip(" |")] == []


def test_the_manual_of_the_api_is_made_from_its_description():
    assert (DOCS / "api.md").read_text() == api_page(), "run `make docs`"


def test_all_pages_are_written(tmp_path: Path):
    write(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["api.md", "cli.md", "config.md"]
