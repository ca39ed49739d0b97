"""Exact matching in one reading of a text, only near where the prefilter said.

What is found is the same as if the whole text had been searched: a match is no wider than its rule says and holds an
end that the prefilter reported, so matches of two windows never overlap (`docs/decisions/detect-engine.md`).
"""

import re
from collections.abc import Callable, Iterator

from governance.detect.engine import characters
from governance.detect.rule import Rule
from governance.detect.stretches import STRETCH, breathe
from governance.detect.views import Origin

Applicable = Callable[[Rule, int], bool]
"""Whether a rule counts at an offset of the text as it was."""

_MOST_EXAMPLES = 16
"""So many things that overlap may look like examples; no documentation nests more."""
_LOWER = {code: code + 32 for code in range(ord("A"), ord("Z") + 1)}


class Reading:
    """One reading of a text, looked at exactly, only near where the prefilter said."""

    def __init__(self, text: str, origin: Origin) -> None:
        self._text = text
        self._origin = origin
        self._lowered: str | None = None

    def matches(self, rule: Rule, ends: list[int], applicable: Applicable) -> Iterator[tuple[int, int]]:
        """Where the rule's thing stands, near the places where its gate's matches end."""
        text = self._text if not rule.caseless else self._lower()
        for first, last in self._windows(rule, ends, applicable):
            if rule.overlaps:
                yield from self._overlapping(rule, text, first, last)
                continue
            place = first
            while (match := _next(rule, text, place, last)) is not None:
                inner = rule.found(self._text, match)
                if inner is not None:
                    yield inner
                place = rule.beyond(match, inner)

    def _overlapping(self, rule: Rule, text: str, first: int, last: int) -> Iterator[tuple[int, int]]:
        """As `matches`, where a match may begin inside another: a decoy that was found, or was taken for an example.

        What goes on beyond a finding is one too; so is what stands in too many examples. Neither is checked, or a
        text made of beginnings would be checked from each of them.
        """
        found = failed = -1
        tries = 0
        while (match := _next(rule, text, first, last)) is not None:
            start, end = match.span()
            first = start + 1
            if start >= failed:
                tries = 0
            if start < found:
                if end <= found:
                    continue
                inner: tuple[int, int] | None = (start, end)
            elif tries >= _MOST_EXAMPLES:
                inner = (start, end)
            else:
                inner = rule.found(self._text, match)
            if inner is None:
                tries, failed = tries + 1, max(failed, end)
            else:
                found = max(found, inner[1])
                yield inner

    def _lower(self) -> str:
        if self._lowered is None:
            self._lowered = self._text.lower() if self._text.isascii() else self._text.translate(_LOWER)
        return self._lowered

    def _windows(self, rule: Rule, ends: list[int], applicable: Applicable) -> Iterator[tuple[int, int]]:
        """Stretches in which matches may start. Matches of two stretches can never overlap."""
        if not ends:
            yield 0, len(self._text)
            return
        first, last = 0, -1
        for end in characters(self._text, ends):
            if not applicable(rule, self._origin(end - 1, end).start):
                continue
            if last < 0 or end - rule.width > last + rule.width:
                if last >= 0:
                    yield first, last
                first = max(0, end - rule.width)
            last = end
        if last >= 0:
            yield first, last


def _next(rule: Rule, text: str, place: int, last: int) -> re.Match[str] | None:
    """The first match from `place` on that starts no later than `last`, looked for stretch by stretch."""
    beyond = rule.width + 2
    while last - place > STRETCH:
        match = rule.exact.search(text, place, place + STRETCH + beyond)
        if match is not None and match.start() <= place + STRETCH:
            return match
        place += STRETCH + 1
        breathe()
    match = rule.exact.search(text, place, min(len(text), last + beyond))
    return match if match is not None and match.start() <= last else None
