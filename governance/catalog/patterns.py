"""Patterns of schemas, matched in linear time, and how dear each of them is.

The engine is Rust's `regex`, as pydantic brings it along: it does not look around or back. Linear is not cheap: a
pattern of a few letters can be thousands of states for every character, and megabytes of memory. Both are estimated
here from its text; what is done with it is for `bounded.py`.
"""

import functools
import re
from dataclasses import dataclass, field

from pydantic_core import SchemaError, SchemaValidator, core_schema

MOST_SIZE = 200_000
"""A larger pattern is not matched: one has about 26 bytes for each unit, some MB in all."""
_LARGE = 5_000
"""Few patterns that are larger are kept at once."""
_LONGEST = 10_000
_CLASS_SIZE = 500
"""Units of a class of Unicode, such as `\\w`."""
_TOKEN = re.compile(r"\\[pP]\{[^}]*\}|\\.|\[\^?\]?(?:\\.|[^\]\\])*\]|\{(\d+)(,?)(\d*)\}|.", re.DOTALL)
_CLASS = re.compile(r"\\[wWdDsSpP]|\[\^|^\.$")


@dataclass(frozen=True, slots=True)
class Matcher:
    """One pattern, ready to match."""

    states: int
    """About how many states it may have at once for every character."""
    _engine: SchemaValidator = field(repr=False)

    def holds(self, text: str) -> bool:
        """Whether it is found anywhere in `text`."""
        return self._engine.isinstance_python(text)


def matcher(pattern: str) -> Matcher | None:
    """What matches `pattern`; None where it looks around or back, is none, or is too large."""
    if len(pattern) > _LONGEST:
        return None
    states, size = weight(pattern)
    if size > MOST_SIZE:
        return None
    return _large(pattern, states) if size > _LARGE else _small(pattern, states)


@functools.lru_cache(maxsize=4096)
def weight(pattern: str) -> tuple[int, int]:
    """About how many states a pattern has, and how large it is in memory, in units of a plain letter."""
    groups = [[0, 0]]
    last = (0, 0)
    for token in _TOKEN.finditer(pattern):
        text = token[0]
        if token[1] is not None:
            times = max(int(token[1][:9]), int(token[3][:9] or 0), 1)
            groups[-1][0] += last[0] * (times - 1)
            groups[-1][1] += last[1] * (times - 1)
            last = (last[0] * times, last[1] * times)
        elif text == "(":
            groups.append([0, 0])
        elif text == ")" and len(groups) > 1:
            closed = groups.pop()
            last = (closed[0], closed[1])
            groups[-1] = [groups[-1][0] + last[0], groups[-1][1] + last[1]]
        elif text not in "*+?|":
            last = (1, _CLASS_SIZE if _CLASS.search(text) else len(text))
            groups[-1] = [groups[-1][0] + last[0], groups[-1][1] + last[1]]
    return 1 + sum(one[0] for one in groups), 1 + sum(one[1] for one in groups)


def _made(pattern: str, states: int) -> Matcher | None:
    try:
        schema = core_schema.str_schema(pattern=pattern, regex_engine="rust-regex", strict=True)
        return Matcher(states, SchemaValidator(schema))
    except SchemaError:
        return None


_small = functools.lru_cache(maxsize=1024)(_made)
_large = functools.lru_cache(maxsize=16)(_made)
