"""Long texts in stretches, so that a thread that looks through one lets others run in between.

`re` holds the interpreter's lock for the whole of a search, and compiled code until it calls something that is not:
this file must not be compiled. What is looked for in stretches is found as if the text had been looked through whole.
"""

import re
from collections.abc import Iterator

STRETCH = 65_536
"""Characters that are looked through at once: about a millisecond."""

# No escape stands across the place before one of these. Before a backslash it would, had `\\n` looked ahead for it.
_SAFE = re.compile(r"[\s%&]|[^\x00-\x7f]|(?<!\\[nrt])\\")
_LONGEST_ESCAPE = 12
_STARTS = "%&\\"


def breathe() -> None:
    """Let other threads run: the interpreter looks for those that wait whenever a function of its own begins."""


def overlapping(length: int, width: int) -> Iterator[tuple[int, int, int]]:
    """Stretches as `(start, last, stop)`: where matches may begin, and how far they must be able to look."""
    for start in range(0, max(length, 1), STRETCH):
        yield start, start + STRETCH - 1, min(length, start + STRETCH + width)
        breathe()


def between_escapes(text: str) -> Iterator[tuple[int, int]]:
    """Stretches of a text that cut through no escape."""
    start = 0
    while len(text) - start > 2 * STRETCH:
        end = _cut(text, start + STRETCH)
        yield start, end
        breathe()
        start = end
    yield start, len(text)


def _cut(text: str, target: int) -> int:
    """A place near `target` that no escape stands across."""
    before = text[target - _LONGEST_ESCAPE : target]
    if not any(start in before for start in _STARTS):
        return target
    if "\\" not in text[target - 2 : target + _LONGEST_ESCAPE]:
        safe = _SAFE.search(text, target, target + _LONGEST_ESCAPE)
        return safe.start() if safe else target + _LONGEST_ESCAPE
    safe = _SAFE.search(text, target)
    return safe.start() if safe else len(text)
