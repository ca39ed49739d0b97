"""Bringing a policy back: what would be lost is said first, and nobody ever reads half a file."""

from pathlib import Path

import pytest

from governance.history.rollback import RollbackError, carry_out, plan
from governance.history.versions import Version
from governance.policy.load import Source, compile_sources
from tests.conftest import ManualClock

OLD = "version: 1\n# old\nrules:\n  - {id: never, decide: deny}\n"
NEW = "version: 1\n"


def version(*sources: Source) -> Version:
    digest = compile_sources(sources).version
    return Version(digest, sources, 1, 1, "2026-11-21T12:00:00.000000Z", "mcp", "2026-11-21T12:00:00.000000Z", "mcp")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "policy.yaml"
    path.write_text(NEW)
    path.chmod(0o640)
    return path


def in_force(text: str) -> str:
    return compile_sources([("policy.yaml", text)]).version


def test_the_file_is_as_it_was_and_what_was_there_is_kept(path: Path, clock: ManualClock) -> None:
    planned = plan(version((str(path), OLD)), [path], in_force(NEW))
    assert (planned.changed, [one.rule for one in planned.differs.rules]) == ("", ["never"])
    assert path.read_text() == NEW
    (backup,) = carry_out(planned, clock.now())
    assert (path.read_text(), backup.read_text()) == (OLD, NEW)
    assert (path.stat().st_mode & 0o777, backup.stat().st_mode & 0o777) == (0o640, 0o640)
    assert sorted(one.name for one in path.parent.iterdir()) == sorted([path.name, backup.name])


def test_files_that_are_right_already_are_not_written(path: Path, clock: ManualClock) -> None:
    planned = plan(version((str(path), NEW)), [path], in_force(NEW))
    assert planned.writes == []
    assert carry_out(planned, clock.now()) == []


@pytest.mark.parametrize(
    ("text", "said"),
    [("version: 1\ndefault: deny\n", "which no process has taken up"), ("rules: 7\n", "the files on disk are wrong")],
)
def test_what_was_edited_and_is_not_in_force_is_said(path: Path, text: str, said: str) -> None:
    path.write_text(text)
    assert said in plan(version((str(path), OLD)), [path], in_force(NEW)).changed


def test_a_missing_file_is_said_and_made_anew(path: Path, clock: ManualClock) -> None:
    path.unlink()
    planned = plan(version((str(path), OLD)), [path], in_force(NEW))
    assert "missing" in planned.changed
    assert carry_out(planned, clock.now()) == []
    assert path.read_text() == OLD


def test_a_file_that_changes_at_the_last_moment_is_left_alone(path: Path, clock: ManualClock) -> None:
    planned = plan(version((str(path), OLD)), [path], in_force(NEW))
    path.write_text("version: 1\n# mine\n")
    with pytest.raises(RollbackError, match="at this very moment"):
        carry_out(planned, clock.now())
    assert path.read_text() == "version: 1\n# mine\n"


def test_a_version_of_other_files_is_not_spread_over_these(path: Path) -> None:
    with pytest.raises(RollbackError, match=r"was made of .*elsewhere\.yaml"):
        plan(version((str(path.with_name("elsewhere.yaml")), OLD)), [path], in_force(NEW))


def test_a_version_that_would_not_load_is_not_written(path: Path) -> None:
    broken = Version("0" * 64, ((str(path), "rules: 7\n"),), 1, 1, "", "", "", "")
    with pytest.raises(RollbackError, match="cannot be used by this version of Wicket"):
        plan(broken, [path], in_force(NEW))


def test_a_link_stays_a_link(path: Path, clock: ManualClock) -> None:
    link = path.with_name("link.yaml")
    link.symlink_to(path)
    carry_out(plan(version((str(link), OLD)), [link], in_force(NEW)), clock.now())
    assert link.is_symlink()
    assert path.read_text() == OLD
