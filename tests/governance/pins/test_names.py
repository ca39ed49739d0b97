"""Names that are taken for one another are, and honest ones are not."""

from itertools import product
from time import process_time

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


def test_the_distance_is_that_of_the_whole_table_up_to_a_slip() -> None:
    short = ["".join(letters) for letters in product("ab", repeat=6)]
    for one in short:
        for other in [*short, *("".join(letters) for letters in product("ab", repeat=7))]:
            assert near(one, other) is (whole_table(one, other) <= 2), (one, other)


def whole_table(one: str, other: str) -> int:
    table = {(row, column): row or column for row in range(len(one) + 1) for column in range(len(other) + 1)
             if not (row and column)}  # fmt: skip
    for row in range(1, len(one) + 1):
        for column in range(1, len(other) + 1):
            differs = one[row - 1] != other[column - 1]
            least = min(table[row - 1, column] + 1, table[row, column - 1] + 1, table[row - 1, column - 1] + differs)
            if row > 1 and column > 1 and one[row - 1] == other[column - 2] and one[row - 2] == other[column - 1]:
                least = min(least, table[row - 2, column - 2] + 1)
            table[row, column] = least
    return table[len(one), len(other)]


def test_long_names_are_compared_in_little_time() -> None:
    begun = process_time()
    for number in range(200):
        near("x" * 10 + "ab" * 490, f"{number:010}" + "ba" * 490)
        near("ab" * 490 + "x" * 10, "ab" * 490 + f"{number:010}")
    assert process_time() - begun < 60  # each with each took many minutes
