"""`governance.detect.compiled`: what was compiled once is used again, and only where it fits."""

from pathlib import Path

from governance.detect.engine import Gate, HyperscanEngine

GATES = {0: Gate("needle"), 1: Gate("thread", caseless=True)}
TEXT = b"a needle and a THREAD"


def test_a_kept_database_finds_what_a_fresh_one_finds(tmp_path: Path) -> None:
    fresh = HyperscanEngine(GATES, tmp_path / "cache").fired(TEXT)
    kept = HyperscanEngine(GATES, tmp_path / "cache").fired(TEXT)
    assert kept == fresh == HyperscanEngine(GATES).fired(TEXT)
    assert set(fresh) == {0, 1}


def test_it_is_for_its_owner_only(tmp_path: Path) -> None:
    HyperscanEngine(GATES, tmp_path / "state" / "cache")
    (file,) = (tmp_path / "state" / "cache").iterdir()
    assert file.stat().st_mode & 0o777 == 0o600
    assert file.parent.stat().st_mode & 0o777 == 0o700
    assert file.parent.parent.stat().st_mode & 0o777 == 0o700


def test_other_patterns_are_compiled_anew_and_replace_it(tmp_path: Path) -> None:
    HyperscanEngine(GATES, tmp_path)
    assert set(HyperscanEngine({0: Gate("thread")}, tmp_path).fired(b"thread")) == {0}
    assert len(list(tmp_path.iterdir())) == 1


def test_databases_of_different_groups_stand_side_by_side(tmp_path: Path) -> None:
    for group in ("general", "arguments"):
        HyperscanEngine(GATES, tmp_path, group=group)
    assert sorted(file.name.partition("-")[0] for file in tmp_path.iterdir()) == ["arguments", "general"]


def test_a_damaged_file_is_compiled_anew(tmp_path: Path) -> None:
    HyperscanEngine(GATES, tmp_path)
    (file,) = tmp_path.iterdir()
    file.write_bytes(b"not a database")
    assert set(HyperscanEngine(GATES, tmp_path).fired(TEXT)) == {0, 1}


def test_a_directory_that_cannot_be_written_costs_only_time(tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file stands where the directory should be")
    assert set(HyperscanEngine(GATES, tmp_path / "cache").fired(TEXT)) == {0, 1}
