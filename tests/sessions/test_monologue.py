"""Text that repeats in what a model says."""

import hashlib
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sessions.monologue import LONGEST, SHORTEST, STEP, Monologue

WORDS = "I will now look at the file again to see what it says. "


def heard(text: str, size: int = 7) -> int:
    """The most that was counted of a text that comes in pieces."""
    monologue = Monologue()
    return max((monologue.feed(text[start : start + size]) for start in range(0, len(text), size)), default=0)


@pytest.mark.parametrize("size", [1, 7, STEP, STEP + 1, 100_000])
@pytest.mark.parametrize("before", ["", "Let me think about this for a moment. " + string.printable * 3])
def test_words_said_again_and_again_are_counted(size: int, before: str) -> None:
    times = heard(before + WORDS * 60, size)
    assert 60 - STEP // len(WORDS) - 1 <= times <= 60


@pytest.mark.parametrize("word", ["the ", "no, ", "na", "x"])
def test_a_word_counts_by_the_stretch(word: str) -> None:
    assert heard(word * (4_000 // len(word))) == pytest.approx(4_000 // SHORTEST, abs=STEP // SHORTEST + 1)


def test_a_long_paragraph_is_recognised() -> None:
    paragraph = "".join(hashlib.sha256(bytes([number])).hexdigest() for number in range(16))[: LONGEST - 10]
    assert heard(paragraph * 8) in (7, 8)


def test_it_ends_with_the_first_other_letter_and_may_begin_again() -> None:
    monologue = Monologue()
    assert monologue.feed(WORDS * 30) > 20
    assert monologue.feed("But now for something else entirely, which was never said. " + "0123456789" * 50) == 0
    assert monologue.feed(WORDS * 30) > 20


@pytest.mark.parametrize(
    "text",
    [
        "0, " * 2_000,
        "|---" * 500 + "|",
        "=" * 5_000,
        "\n" * 5_000,
        "".join(f"{number}. Item {number}\n" for number in range(500)),
        "".join(f'{{"id": {number}, "name": null, "mail": null}},\n' for number in range(300)),
        "".join(f"    self.field_{number} = field_{number}\n" for number in range(300)),
        "The cat sat on the mat. " * 2 + "Then it left. " * 2,
        WORDS * 3,
    ],
)
def test_rulers_rows_and_lists_repeat_nothing_much(text: str) -> None:
    assert heard(text) < 5


@given(st.text(alphabet="ab \n", max_size=2_000), st.integers(1, 400))
def test_how_a_text_is_cut_changes_the_count_by_no_more_than_a_step(text: str, size: int) -> None:
    assert abs(heard(text, size) - heard(text, STEP)) <= 2 * STEP // SHORTEST + 1
