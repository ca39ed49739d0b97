"""What people allowed of loops, and that remembering it is bounded."""

from sessions.grants import Grants


def test_what_was_allowed_is_used_up() -> None:
    grants = Grants()
    grants.allow("run", b"what", 2)
    assert [grants.spend("run", b"what") for _ in range(3)] == [True, True, False]


def test_it_is_of_one_run_and_one_thing() -> None:
    grants = Grants()
    grants.allow("run", b"what", 2)
    grants.spare("run", "files/read")
    assert not grants.spend("other", b"what")
    assert not grants.spend("run", b"other")
    assert grants.spared("run", "files/read")
    assert not grants.spared("other", "files/read")
    assert not grants.spared("run", "files/write")


def test_allowing_again_replaces_what_was_left() -> None:
    grants = Grants()
    grants.allow("run", b"what", 5)
    grants.allow("run", b"what", 1)
    assert [grants.spend("run", b"what") for _ in range(2)] == [True, False]


def test_a_run_that_begins_anew_has_nothing_allowed() -> None:
    grants = Grants()
    grants.allow("run", b"what", 5)
    grants.spare("run", "files/read")
    grants.forget("run")
    assert not grants.spend("run", b"what")
    assert not grants.spared("run", "files/read")


def test_the_run_allowed_something_longest_ago_is_forgotten_first() -> None:
    grants = Grants(runs=2)
    for run in ("one", "two", "one", "three"):
        grants.spare(run, "files/read")
    assert [grants.spared(run, "files/read") for run in ("one", "two", "three")] == [True, False, True]
