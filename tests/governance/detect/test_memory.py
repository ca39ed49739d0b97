"""What was clean is not looked through again, and nothing else is remembered."""

from governance.detect.memory import LONG, MANY, CleanTexts

TEXT = "a long message of an agent's history. " * 20
OTHER = "another long message of the same history. " * 20
NAMES = [f"name_{number}" for number in range(MANY)]


def kept(*levels: list[str], arguments: bool = False, most: int = 1_000) -> CleanTexts:
    """A memory of texts that were clean."""
    memory = CleanTexts(most)
    memory.keep(memory.sift(list(levels), arguments=arguments))
    return memory


def left(memory: CleanTexts, *levels: list[str], arguments: bool = False) -> list[str]:
    """What has still to be looked through."""
    return memory.sift(list(levels), arguments=arguments).texts


def test_a_long_text_that_was_clean_is_not_looked_through_again() -> None:
    assert left(kept([TEXT, "short"]), [TEXT, OTHER, "short"]) == [OTHER, "short"]


def test_a_text_is_only_remembered_once_somebody_says_that_it_was_clean() -> None:
    memory = CleanTexts()
    memory.sift([[TEXT]], arguments=False)
    assert left(memory, [TEXT]) == [TEXT]


def test_one_character_more_is_another_text() -> None:
    others = [TEXT + ".", TEXT.replace("a", "\u0430", 1)]
    assert left(kept([TEXT]), others) == others


def test_many_short_texts_of_a_level_are_remembered_together() -> None:
    memory = kept(NAMES)
    assert left(memory, ["role"], NAMES) == ["role"]
    assert left(memory, [*NAMES, "more"]) == [*NAMES, "more"]
    assert left(memory, NAMES[:-1]) == NAMES[:-1]
    assert left(memory, [NAMES[1], NAMES[0], *NAMES[2:]]) == [NAMES[1], NAMES[0], *NAMES[2:]]


def test_a_separator_inside_a_text_makes_no_text_look_like_others() -> None:
    together = "\0".join(NAMES * 3)
    assert len(together) >= LONG
    assert left(kept(NAMES * 3), [together]) == [together]
    assert left(kept([together]), NAMES * 3) == NAMES * 3
    split = [f"{NAMES[0]}\0{NAMES[1]}", *NAMES[2:], "x\0y"]
    assert left(kept(split), split) == split


def test_what_was_clean_without_the_rules_for_arguments_is_looked_through_with_them() -> None:
    memory = kept([TEXT], NAMES)
    assert left(memory, [TEXT], NAMES, arguments=True) == [TEXT, *NAMES]


def test_what_was_clean_with_the_rules_for_arguments_is_clean_without_them() -> None:
    assert left(kept([TEXT], NAMES, arguments=True), [TEXT], NAMES) == []


def test_the_oldest_are_forgotten_and_those_in_use_are_not() -> None:
    memory = CleanTexts(most=4)
    texts = [f"{number:04}" + "x" * LONG for number in range(20)]
    for text in texts:
        memory.keep(memory.sift([[text]], arguments=False))
        memory.sift([[texts[0]]], arguments=False)  # goes on being sent with every turn
    assert left(memory, [texts[0], texts[-1]]) == []
    assert left(memory, [texts[1]]) == [texts[1]]
