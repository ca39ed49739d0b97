"""Conditions on arguments: where to look, and what must stand there.

A rule says what type it expects by what it compares with. An argument of another type is a fault and not a quiet
"does not match": otherwise `"150"` would slip past `gt: 100`, and `["/etc/passwd"]` past `/etc/*`. Only `null` counts
as absent.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from governance import jsontree
from governance.jsontree import Json, Number
from governance.policy.condition import Fault
from governance.policy.glob import Globs
from governance.policy.rules import Comparison

EVERY = "*"
"""A step of a pointer that stands for every member or item."""

_KINDS: dict[type[object], str] = {str: "text", int: "number", float: "number", bool: "truth", type(None): "null"}
RANGE = frozenset(("gt", "ge", "lt", "le"))


@dataclass(frozen=True, slots=True)
class Range:
    """The bounds of a number; `None` is no bound."""

    gt: Number | None
    ge: Number | None
    lt: Number | None
    le: Number | None

    def holds(self, number: Number) -> bool:
        """Whether the number is inside."""
        return (
            (self.gt is None or number > self.gt)
            and (self.ge is None or number >= self.ge)
            and (self.lt is None or number < self.lt)
            and (self.le is None or number <= self.le)
        )

    def empty(self) -> bool:
        """Whether no number is inside."""
        lower = [one for one in (self.gt, self.ge) if one is not None]
        upper = [one for one in (self.lt, self.le) if one is not None]
        if not lower or not upper:
            return False
        strict = self.gt == max(lower) or self.lt == min(upper)
        return max(lower) > min(upper) or (max(lower) == min(upper) and strict)


@dataclass(frozen=True, slots=True)
class ArgumentTest:
    """What must hold of the arguments at one pointer."""

    pointer: str
    steps: tuple[str, ...]
    wild: bool
    """Whether a step stands for every member or item."""
    exists: bool | None
    """Whether something must stand there, or nothing; `None` if the rule does not ask."""
    kinds: frozenset[str] | None
    """Kinds of value that the comparison can speak of; `None` if nothing is compared."""
    range: Range | None
    equals: tuple[Json, ...]
    """The one value it must be, if any."""
    patterns: Globs | None
    """What a text must match; `None` if any text will do."""
    values: tuple[Json, ...] | None
    """What another value must be one of; `None` if any will do."""

    def holds(self, arguments: Json) -> bool | Fault:
        """Whether any value at the pointer passes; a value of the wrong type is a fault whatever the others are."""
        found = self._all(arguments) if self.wild else self._one(arguments)
        if self.exists is not None and bool(found) is not self.exists:
            return False
        if self.kinds is None:
            return True
        passed = False
        for value in found:
            kind = _KINDS.get(type(value), "tree")
            if kind in self.kinds:
                passed = passed or self._passes(value)
            elif kind != "null":
                return Fault.ARGUMENT
        return passed

    def impossible(self) -> bool:
        """Whether no value at all can pass."""
        return (self.kinds is not None and not self.kinds) or (self.range is not None and self.range.empty())

    def _all(self, arguments: Json) -> list[Json]:
        return [jsontree.at(arguments, pointer) for pointer in pointers(arguments, self.steps)]

    def _one(self, arguments: Json) -> tuple[Json, ...]:
        node = arguments
        for step in self.steps:
            if type(node) is dict and step in node:
                node = node[step]
            elif isinstance(node, list) and (indexes := _indexes(step, len(node))):
                node = node[indexes[0]]
            else:
                return ()
        return (node,)

    def _passes(self, value: Json) -> bool:
        if isinstance(value, str):
            return (self.patterns is None or self.patterns.match(value)) and self.equals in ((), (value,))
        if self.range is not None and not (isinstance(value, (int, float)) and self.range.holds(value)):
            return False
        if self.equals and not same(value, self.equals[0]):
            return False
        return self.values is None or any(same(value, one) for one in self.values)


def compile_test(pointer: str, comparison: Comparison) -> ArgumentTest:
    """Make one line of `args` ready."""
    given = comparison.model_fields_set
    bounds = Range(comparison.gt, comparison.ge, comparison.lt, comparison.le) if given & RANGE else None
    asked: list[set[str]] = []
    if comparison.any_of:
        asked.append({kind_of(one) for one in comparison.any_of})
    if "equals" in given:
        asked.append({kind_of(comparison.equals)})
    if bounds is not None:
        asked.append({"number"})
    steps = tuple(jsontree.steps(pointer))
    listed = comparison.any_of
    return ArgumentTest(
        pointer,
        steps,
        wild=EVERY in steps,
        exists=comparison.exists,
        kinds=frozenset(set[str].intersection(*asked)) if asked else None,
        range=bounds,
        equals=(comparison.equals,) if "equals" in given else (),
        patterns=None if not listed else Globs(one for one in listed if isinstance(one, str)),
        values=None if not listed else tuple(one for one in listed if not isinstance(one, str)),
    )


def pointers(value: Json, steps: tuple[str, ...], here: str = "") -> Iterator[str]:
    """The plain pointer of every value that a pointer with `*` steps reaches, in reading order."""
    if not steps:
        yield here
        return
    step, rest = steps[0], steps[1:]
    if isinstance(value, dict):
        for name in value if step == EVERY else (step,) if step in value else ():
            yield from pointers(value[name], rest, f"{here}/{jsontree.escape(name)}")
    elif isinstance(value, list):
        for index in _indexes(step, len(value)):
            yield from pointers(value[index], rest, f"{here}/{index}")


def _indexes(step: str, length: int) -> range:
    if step == EVERY:
        return range(length)
    index = int(step) if step.isdecimal() and len(step) < 10 else length
    return range(index, index + 1) if index < length else range(0)


def kind_of(value: Json) -> str:
    """What kind of value it is, as rules tell kinds apart: `text`, `number`, `truth`, `null` or `tree`."""
    return _KINDS.get(type(value), "tree")


def same(value: Json, other: Json) -> bool:
    """Whether two values are equal as JSON: `1` is `1.0`, and `true` is not `1`."""
    return kind_of(value) == kind_of(other) and value == other
