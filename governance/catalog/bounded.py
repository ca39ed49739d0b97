"""Dialects of JSON Schema whose work is counted, so that no schema of somebody else can take for ever.

A keyword costs at least a step; what prints, compares or matches large values costs by their size. When the steps of a
value are used up, `TooMuchWorkError` is raised wherever the library stands. Which schemas are used at all is
`schemas.py`.
"""

import contextlib
import contextvars
import functools
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias, cast

from jsonschema import validators
from jsonschema.exceptions import ValidationError

from governance import jsontree
from governance.catalog.patterns import matcher
from governance.jsontree import Json, JsonObject

_BYTES_A_STEP = 4096
_PRINTED_A_STEP = 128
"""Characters of a value that are printed in the time of a step."""
_COMPARED_A_STEP = 4
"""Bytes of canonical text that are made in the time of a step, where numbers are slowest."""
_STATES_A_STEP = 200
"""States of a pattern that are stepped over one character in the time of a step."""
_DEAR = {"$ref": 5, "$dynamicRef": 10, "$recursiveRef": 10}
"""Keywords that cost more than a step."""

Keyword: TypeAlias = Callable[[Any, Any, Any, Any], "Iterable[ValidationError] | None"]
"""What the library calls for a member of a schema: `(validator, its value, instance, schema)`."""


class TooMuchWorkError(Exception):
    """Holding a value to its schema would take too long."""


@dataclass
class _Work:
    """What is still allowed to be done for one value."""

    steps: int
    share: int
    """Steps that an alternative costs: the library prints the value for each that does not fit."""


_WORK: contextvars.ContextVar[_Work] = contextvars.ContextVar("work")


@contextlib.contextmanager
def working(steps: int, size: int) -> Generator[None]:
    """Allow `steps` for one value of about `size` bytes, while the block runs.

    Raises:
        TooMuchWorkError: they are used up.
    """
    token = _WORK.set(_Work(steps, 1 + size // _BYTES_A_STEP))
    try:
        yield
    finally:
        _WORK.reset(token)


@functools.lru_cache(maxsize=16)
def bounded(dialect: Any) -> Any:
    """The dialect, with every keyword counted and patterns matched in linear time."""
    own: dict[str, Keyword] = {
        "pattern": _pattern,
        "patternProperties": _pattern_properties,
        "additionalProperties": _additional_properties,
        "uniqueItems": _unique_items,
        "enum": _enum,
        "const": _const,
    }
    given = cast("Mapping[str, Keyword]", dialect.VALIDATORS)
    keywords = {name: _counted(name, own.get(name, keyword)) for name, keyword in given.items()}
    kind = cast("Any", validators).extend(dialect, keywords)
    plain = kind.evolve

    def evolve(self: Any, **changes: Any) -> Any:
        """The library leaves this class where a part of the schema names a dialect; nothing of it would be counted."""
        _spend(1)
        below = plain(self, **changes)
        found = cast("Any", type(below))
        return below if found is kind else bounded(found)(below.schema, _resolver=below._resolver)  # noqa: SLF001 - as the library does

    kind.evolve = evolve
    return kind


def _counted(name: str, keyword: Keyword) -> Keyword:
    choices = name in ("anyOf", "oneOf", "not", "if", "contains", "enum")
    price = _DEAR.get(name, 1)

    def spend(validator: Any, wanted: Any, instance: Any, schema: Any) -> "Iterable[ValidationError] | None":
        work = _WORK.get()
        count = len(cast("list[Any]", wanted)) if choices and isinstance(wanted, list) else 1
        work.steps -= count * work.share if choices else price
        if work.steps < 0:
            raise TooMuchWorkError
        found = keyword(validator, wanted, instance, schema)
        return None if found is None else _without_words(found)

    return spend


def _without_words(errors: Iterable[ValidationError]) -> Iterator[ValidationError]:
    """The errors without the library's own words: it prints the whole value into each, and keeps all of them."""
    for error in errors:
        _spend(len(error.message) // _PRINTED_A_STEP)
        error.message = ""
        yield error


# -- keywords whose own form could be made to take for ever ---------------------------------------------------------


def _matches(pattern: str, text: str) -> bool:
    found = matcher(pattern)
    if found is None:
        return True
    _spend(found.states * len(text) // _STATES_A_STEP)
    return found.holds(text)


def _pattern(_validator: Any, pattern: str, instance: Any, _schema: Any) -> Iterator[ValidationError]:
    if isinstance(instance, str) and not _matches(pattern, instance):
        yield ValidationError("")


def _pattern_properties(validator: Any, patterns: JsonObject, instance: Any, _schema: Any) -> Iterator[ValidationError]:
    if not isinstance(instance, dict):
        return
    given = cast("JsonObject", instance)
    _spend(len(given) * len(patterns))
    for pattern, below in patterns.items():
        if matcher(pattern) is None:
            continue  # nobody can tell which members it is about
        for name, value in given.items():
            if _matches(pattern, name):
                yield from validator.descend(value, below, path=name, schema_path=pattern)


def _additional_properties(validator: Any, below: Any, instance: Any, schema: Any) -> Iterator[ValidationError]:
    if not isinstance(instance, dict):
        return
    given = cast("JsonObject", instance)
    named = jsontree.as_object(schema.get("properties"))
    patterns = list(jsontree.as_object(schema.get("patternProperties")))
    _spend(len(given) * (1 + len(patterns)))
    # A pattern that nobody can run might be about any of them.
    extra = [name for name in given if name not in named and not any(_matches(pattern, name) for pattern in patterns)]
    if below is False:
        if extra:
            yield ValidationError("")
        return
    for name in extra:
        yield from validator.descend(given[name], below, path=name)


def _unique_items(_validator: Any, wanted: Any, instance: Any, _schema: Any) -> Iterator[ValidationError]:
    """The library compares each with each; the canonical text says the same."""
    if wanted is True and isinstance(instance, list):
        items = cast("list[Json]", instance)
        _spend(len(items))
        seen: set[bytes] = set()
        for item in items:
            text = jsontree.canonical(item)
            _spend(len(text) // _COMPARED_A_STEP)
            seen.add(text)
        if len(seen) != len(items):
            yield ValidationError("")


def _enum(_validator: Any, wanted: Any, instance: Any, _schema: Any) -> Iterator[ValidationError]:
    if isinstance(wanted, list) and not any(_equal(one, instance) for one in cast("list[Any]", wanted)):
        yield ValidationError("")


def _const(_validator: Any, wanted: Any, instance: Any, _schema: Any) -> Iterator[ValidationError]:
    if not _equal(wanted, instance):
        yield ValidationError("")


def _equal(one: Any, other: Any) -> bool:
    """Whether two values mean the same (JSON Schema 2020-12 core, section 4.2.2): `1` does as `1.0`, not as `true`."""
    if isinstance(one, dict | list) and type(one) is type(other) and len(one) == len(other):  # pyright: ignore[reportUnknownArgumentType]
        text = jsontree.canonical(cast("Json", one))
        _spend(2 * len(text) // _COMPARED_A_STEP)
        return text == jsontree.canonical(cast("Json", other))
    return not isinstance(one, dict | list) and isinstance(one, bool) is isinstance(other, bool) and one == other


def _spend(steps: int) -> None:
    work = _WORK.get()
    work.steps -= steps
    if work.steps < 0:
        raise TooMuchWorkError
