"""Names that a person or a model would take for one another.

Pure. Two measures: names that look alike letter by letter, and names that are a slip of the finger apart.
"""

import unicodedata
from functools import lru_cache

SLIP = 2
"""Most letters by which a near name may differ."""
SHORTEST = 6
"""Shorter names are only near when they look alike: too many honest ones differ in one letter."""

_ALIKE = str.maketrans(
    "01i|5348"
    "\u0430\u0441\u0435\u043e\u0440\u0445\u0443\u0455\u0456\u0458\u0432\u043a\u043c\u043d\u0442\u0501"
    "\u0251\u0261\u026a\u0274\u0578\u057d"
    "\u03b1\u03bf\u03c1\u03bd\u03b9\u03ba\u03c4\u03c5\u03b5\u03c7",
    "ollls" + "eab" + "aceopxysljbkmhtd" + "aglnnu" + "aopvlktuex",
)
"""Digits, and Cyrillic, phonetic, Armenian and Greek letters, that look like a Latin letter; all in lower case."""


@lru_cache(maxsize=20_000)
def looks(name: str) -> str:
    """What a name looks like: without case, separators, marks, and the difference between letters that look alike.

    `read_file`, `ReadFile`, `read-file`, and `read_file` with a Cyrillic letter in it all look the same.
    """
    folded = unicodedata.normalize("NFKD", name).casefold()
    letters = "".join(one for one in folded if one.isalnum()).translate(_ALIKE)
    return letters.replace("rn", "m").replace("vv", "w") or name


def near(one: str, other: str) -> bool:
    """Whether two names differ by a slip: at most two letters added, left out, replaced or swapped, of six or more."""
    one, other = looks(one), looks(other)
    if one == other:
        return True
    if min(len(one), len(other)) < SHORTEST or abs(len(one) - len(other)) > SLIP:
        return False
    return _distance(one, other) <= SLIP


def _distance(one: str, other: str) -> int:
    """Optimal string alignment distance: Levenshtein's, with swaps of neighbours; more than `SLIP` where it is more.

    Only looks at the columns in which a distance of `SLIP` can lie: a server chooses how long its names are.
    """
    width, far = len(other) + 1, SLIP + 1
    before: list[int] = []
    last = [*range(far), *[far] * width][:width]
    for row, letter in enumerate(one, 1):
        line = [far] * width
        line[0] = min(row, far)
        for column in range(max(1, row - SLIP), min(len(other), row + SLIP) + 1):
            against = other[column - 1]
            least = min(last[column] + 1, line[column - 1] + 1, last[column - 1] + (letter != against))
            if row > 1 and column > 1 and letter == other[column - 2] and one[row - 2] == against:
                least = min(least, before[column - 2] + 1)
            line[column] = min(least, far)
        if min(line[max(0, row - SLIP) : row + far]) >= far:
            return far
        before, last = last, line
    return last[-1]
