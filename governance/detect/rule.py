"""What a detection rule is: a pattern, what must stand around it, and an exact check.

A rule knows neither engines nor views nor actions. Two things are derived from its pattern here: the exact pattern
that decides, and the gate, a looser pattern for the prefilter. The gate matches wherever the exact pattern does,
because it is the same pattern without what stands around it (`docs/decisions/detect-engine.md`).
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, field

from governance.exchange import Role

SEPARATOR = "\x00"
"""Stands between two strings that are scanned as one text. No pattern can match it."""

WIDTH = 336
"""Most characters that a rule may match, where it does not say otherwise."""

CONTEXT = 48
"""How many characters before a finding are searched for a context word."""

_BORDER_CROSSING = re.compile(r"(?<!\\)(?:\\\\)*(?:\\[SWDNXRC]|\[\^(?!\\x00))")
_REPEAT = re.compile(r"(.)\{(\d+)(?:,(\d*))?\}")
_OPEN_END = re.compile(r"(?:\+|\{(\d+),\})\Z")
_FEW = 16
"""Groups repeated at most this often keep their upper bound in the gate: without it too many texts would pass."""


@dataclass(frozen=True, slots=True)
class Rule:
    r"""One thing to look for.

    `pattern` is written in the dialect that `re` and Hyperscan share: no look-around, no back-references, ASCII
    classes. Look-around belongs in `before` and `after`. A negated class starts with `[^\x00`, and there is no bare
    dot, so that no match can run from one string into the next. A negated class is not repeated an exact number of
    times, for the gate counts bytes.
    """

    id: str
    kind: str
    """Dotted kind that actions are configured for, for example `pii.ssn`."""
    pattern: str
    before: str = ""
    """Look-behind that must hold where the pattern starts; at most two characters wide."""
    after: str = ""
    """Look-ahead that must hold where it ends; at most two characters wide."""
    check: Callable[[str], bool] | None = None
    """Says whether the matched text is what it looks like (a checksum, a parsed address)."""
    narrow: Callable[[str], tuple[int, int] | None] | None = None
    """Finds the thing inside a match that may be too wide: its offsets there, or nothing."""
    longest: int = 0
    """With `narrow`: most characters that the thing inside a match may have."""
    joint: str = ""
    """With `narrow`: what stands in every match, and behind the first of which another match may begin."""
    overlaps: bool = False
    """Whether another one is looked for inside a match: a decoy may hold the beginning of the true one."""
    context: str = ""
    """Pattern of which one match must stand in the `CONTEXT` characters before, whatever its case."""
    roles: frozenset[Role] | None = None
    """Roles of the segments it is for; all where there is none."""
    caseless: bool = False
    phrase: bool = False
    """Whether it spans words, so that a stream cannot hold it back as one token."""
    width: int = WIDTH
    """Most characters that `pattern` can match."""
    gate: str = ""
    """Prefilter pattern over UTF-8 bytes, where the one derived from `pattern` would not do.

    Wherever the exact pattern matches, the gate must have a match that ends inside, or in the context before.
    """
    exact: re.Pattern[str] = field(init=False, repr=False, compare=False)
    nearby: re.Pattern[str] | None = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if _BORDER_CROSSING.search(self.pattern) or _has_bare_dot(self.pattern):
            raise ValueError(f"rule `{self.id}`: pattern could match across two strings; exclude `\\x00` from it")
        if self.caseless and self.pattern != self.pattern.lower():
            raise ValueError(f"rule `{self.id}`: a caseless pattern is matched against lower case; write it so")
        object.__setattr__(self, "exact", re.compile(f"{self.before}(?:{self.pattern}){self.after}", re.ASCII))
        nearby = re.compile(self.context, re.ASCII | re.IGNORECASE) if self.context else None
        object.__setattr__(self, "nearby", nearby)

    @property
    def loose(self) -> str:
        """The gate: what the prefilter looks for in UTF-8 bytes."""
        gate = _OPEN_END.sub(
            lambda end: f"{{{end[1]}}}" if end[1] else "", _REPEAT.sub(_loosened, self.gate or self.pattern)
        )
        if not self.context:
            return gate
        return rf"(?i:{self.context})[^\x00]{{0,{4 * CONTEXT}}}(?:{gate})"

    def found(self, text: str, match: re.Match[str]) -> tuple[int, int] | None:
        """Where the thing stands in `text`, or nothing if the match only looks like one."""
        start, end = match.span(match.lastindex or 0)
        if self.narrow is not None:
            inner = self.narrow(text[start:end])
            if inner is None:
                return None
            start, end = start + inner[0], start + inner[1]
        elif self.check is not None and not self.check(text[start:end]):
            return None
        if self.nearby is not None:
            border = max(text.rfind(SEPARATOR, 0, start) + 1, start - CONTEXT)
            if not self.nearby.search(text, border, start):
                return None
        return start, end

    def beyond(self, match: re.Match[str], inner: tuple[int, int] | None) -> int:
        """Where to look on after a match in which `inner` was found.

        A match that may be too wide can hold another thing behind the first, or the beginning of one that goes on.
        """
        if self.narrow is None:
            return match.end()
        if self.joint:
            return match.string.index(self.joint, match.start()) + len(self.joint)
        if inner is not None:
            return max(inner[1], match.start() + 1)
        return max(match.end() - self.longest, match.start() + 1)


def _has_bare_dot(pattern: str) -> bool:
    """Whether a dot stands outside a class and unescaped."""
    in_class = escaped = False
    for char in pattern:
        if escaped:
            escaped = False
        elif char == "\\":
            escaped = True
        elif in_class:
            in_class = char != "]"
        elif char == "[":
            in_class = True
        elif char == ".":
            return True
    return False


def _loosened(repeat: re.Match[str]) -> str:
    """A repeat without its upper bound: fewer states, and right in bytes too, of which a character has at least one."""
    last, least, most = repeat[1], repeat[2], repeat[3]
    if most is None:
        return f"{last}{{{least}}}"
    if last == ")" and most and int(most) <= _FEW:
        return repeat[0]
    return last + {"0": "*", "1": "+"}.get(least, f"{{{least},}}")
