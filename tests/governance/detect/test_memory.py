"""What was clean is not looked through again, and nothing else is remembered."""

from governance.detect.memory import LEAST, CleanTexts

LONG = "a long message of an agent's history. " * 10
OTHER = "another long message of the same history. " * 10


def test_a_long_text_that_was_clean_is_not_looked_through_again() -> None:
    memory = CleanTexts()
    memory.keep(memory.sift([LONG, "short"], arguments=False))
    assert memory.sift([LONG, OTHER, "short"], arguments=False).texts == [OTHER, "short"]


def test_a_text_is_only_remembered_once_somebody_says_that_it_was_clean() -> None:
    memory = CleanTexts()
    memory.sift([LONG], arguments=False)
    assert memory.sift([LONG], arguments=False).texts == [LONG]


def test_one_character_more_is_another_text() -> None:
    memory = CleanTexts()
    memory.keep(memory.sift([LONG], arguments=True))
    assert memory.sift([LONG + ".", LONG.replace("a", "\u0430", 1)], arguments=True).texts == [
        LONG + ".",
        LONG.replace("a", "\u0430", 1),
    ]


def test_what_was_clean_without_the_rules_for_arguments_is_looked_through_with_them() -> None:
    memory = CleanTexts()
    memory.keep(memory.sift([LONG], arguments=False))
    assert memory.sift([LONG], arguments=True).texts == [LONG]


def test_what_was_clean_with_the_rules_for_arguments_is_clean_without_them() -> None:
    memory = CleanTexts()
    memory.keep(memory.sift([LONG], arguments=True))
    assert memory.sift([LONG], arguments=False).texts == []


def test_the_oldest_are_forgotten_and_those_in_use_are_not() -> None:
    memory = CleanTexts(most=4)
    texts = [f"{number:04}" + "x" * LEAST for number in range(20)]
    for text in texts:
        memory.keep(memory.sift([text], arguments=False))
        memory.sift([texts[0]], arguments=False)  # goes on being sent with every turn
    assert memory.sift([texts[0], texts[-1]], arguments=False).texts == []
    assert memory.sift([texts[1]], arguments=False).texts == [texts[1]]
