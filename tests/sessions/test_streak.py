"""How one call ended, time after time."""

from collections.abc import Sequence

import pytest

from sessions.streak import RESULTS_OF_ONE, Answer, Streak, keep


def answer(text: str, *, failed: bool = False) -> Answer:
    """A result in which digits differ each time."""
    return Answer(text.encode(), lambda: "".join(filter(str.isalpha, text)).encode(), failed)


def told(results: Sequence[Answer]) -> tuple[list[int], list[bool]]:
    """The number of each result, and whether it was a new one."""
    streak, numbers, new = Streak("files/read"), list[int](), list[bool]()
    for result in results:
        new.append(streak.takes(result))
        numbers.append(streak.result)
    return numbers, new


@pytest.mark.parametrize(
    ("results", "numbers", "new"),
    [
        (["a", "a", "b"], [0, 0, 1], [False, False, True]),
        (["a1", "a1", "a2", "a3"], [0, 0, 0, 0], [False] * 4),
        (["a", "b", "a", "b"], [0, 0, 1, 0], [False, False, True, False]),
        (["a", "a", "b", "a", "b"], [0, 0, 1, 0, 1], [False, False, True, False, False]),
    ],
)
def test_results_have_numbers_by_which_they_are_known_again(
    results: list[str], numbers: list[int], new: list[bool]
) -> None:
    assert told([answer(text) for text in results]) == (numbers, new)


def test_a_failure_is_never_taken_for_a_first_result_nor_the_other_way_round() -> None:
    assert told([answer("a"), answer("b", failed=True)])[0] == [0, 1]
    assert told([answer("a", failed=True), answer("b")])[0] == [0, 1]


def test_another_result_begins_the_count_anew() -> None:
    streak = Streak("files/read")
    for at, text in enumerate("aaab"):
        streak.takes(answer(text))
        streak.count(at, at, 10)
    assert list(streak.times) == [3]


def test_a_round_counts_once_and_the_oldest_is_forgotten() -> None:
    streak = Streak("files/read")
    for at, round_ in enumerate((1, 1, 2, 3, 4)):
        streak.count(at, round_, 3)
    assert list(streak.times) == [2, 3, 4]


def test_results_that_are_known_again_are_bounded() -> None:
    streak = Streak("files/read")
    for length in range(RESULTS_OF_ONE * 5):
        streak.takes(answer("a" * length))
    assert (len(streak.raw), len(streak.masked)) == (RESULTS_OF_ONE, RESULTS_OF_ONE)


def test_what_is_kept_makes_room_by_what_came_first() -> None:
    kept = {"a": 1, "b": 2}
    keep(kept, "a", 3, 2)
    assert kept == {"a": 3, "b": 2}
    keep(kept, "c", 4, 2)
    assert kept == {"b": 2, "c": 4}
