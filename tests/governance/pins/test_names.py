"""Names that are taken for one another are, and honest ones are not."""

import pytest

from governance.pins.names import looks, near


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("read_file", "ReadFile"),
        ("read_file", "read-fi1e"),
        ("read", "re\u0430d"),
        ("modem", "modern"),
        ("win", "vvin"),
    ],
)
def test_names_that_look_alike(one: str, other: str) -> None:
    assert looks(one) == looks(other)
    assert near(one, other)


@pytest.mark.parametrize(
    ("one", "other"), [("read_file", "read_files"), ("read_file", "raed_file"), ("create_issue", "craete_isue")]
)
def test_names_that_are_a_slip_apart(one: str, other: str) -> None:
    assert looks(one) != looks(other)
    assert near(one, other)


@pytest.mark.parametrize(
    ("one", "other"), [("get", "set"), ("read_file", "write_file"), ("a", "b"), ("read", "read_all")]
)
def test_honest_names(one: str, other: str) -> None:
    assert not near(one, other)


def test_a_name_without_letters_looks_like_itself() -> None:
    assert looks("---") == "---"
