"""Patterns of names: `*` is any run of characters, `?` is one, everything else is itself; case matters.

Deliberately not a regular expression: these meet text that an attacker chose, so a match takes time linear in it.
"""

import re
from collections.abc import Iterable
from functools import cached_property


class Globs:
    """One or more patterns, of which any may match."""

    def __init__(self, patterns: Iterable[str]) -> None:
        self.patterns = tuple(patterns)
        plain = [pattern for pattern in self.patterns if not is_wild(pattern)]
        self._exact = frozenset(plain)
        self._wild = tuple(_compile(pattern) for pattern in self.patterns if is_wild(pattern))

    def __str__(self) -> str:
        return ", ".join(f"`{pattern}`" for pattern in self.patterns)

    def match(self, text: str) -> bool:
        """Whether the whole of `text` is matched by any of the patterns."""
        if text in self._exact:
            return True
        for wild in self._wild:  # noqa: SIM110 - a generator costs more than the match itself
            if wild.fullmatch(text):
                return True
        return False

    @cached_property
    def everything(self) -> bool:
        """Whether every text is matched."""
        return any(pattern.strip("*") == "" and pattern for pattern in self.patterns)

    def covers(self, other: "Globs") -> bool:
        """Whether everything that `other` matches is certainly matched by this too. False where it is not certain."""
        return all(any(_covers(mine, theirs) for mine in self.patterns) for theirs in other.patterns)

    def matching(self, names: Iterable[str]) -> list[str]:
        """Those of `names` that match."""
        return [name for name in names if self.match(name)]


def is_wild(pattern: str) -> bool:
    """Whether a pattern can match more than one text."""
    return "*" in pattern or "?" in pattern


def _compile(pattern: str) -> re.Pattern[str]:
    """The pattern as an expression that never looks twice at where a middle part was found.

    Each part between two stars is taken where it first occurs and kept there (an atomic group), which is always right
    for globs and rules out backtracking.
    """
    first, *rest = pattern.split("*")
    expression = _literal(first)
    if rest:
        *middle, last = rest
        expression += "".join(f"(?>.*?{_literal(part)})" for part in middle if part)
        expression += ".*" + _literal(last)
    return re.compile(expression, re.DOTALL)


def _literal(part: str) -> str:
    return re.escape(part).replace(r"\?", ".")


def _covers(mine: str, theirs: str) -> bool:
    """Match `theirs` as if it were text: its stars can then only be eaten by stars of `mine`.

    A `?` of `mine` could eat a star of `theirs`, which proves nothing, so such pairs are left undecided.
    """
    if mine == theirs:
        return True
    if "?" in mine and is_wild(theirs):
        return False
    return bool(_compile(mine).fullmatch(theirs))
