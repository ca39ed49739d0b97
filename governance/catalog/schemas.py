"""Values held to JSON Schemas that somebody else wrote: compiled once, bounded, and never fetched from anywhere.

A schema comes from a server, so it is as little to be trusted as a message: its size, its patterns and the work that it
asks for are bounded, and a reference leads nowhere but into the schema itself. What is said about a misfit names where
and what was expected, and never what was there: that may be a secret. Whether a misfit refuses is `schema_stage.py`.
"""

import contextvars
import functools
import logging
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeAlias, cast

import jsonschema
from anyio import to_thread
from jsonschema import validators
from jsonschema.exceptions import SchemaError, ValidationError
from jsonschema.protocols import Validator
from pydantic_core import SchemaError as PatternError
from pydantic_core import SchemaValidator, core_schema
from referencing import Registry
from referencing.exceptions import Unresolvable

from governance import jsontree
from governance.catalog.misfit import Misfit, described
from governance.jsontree import Json, JsonObject

log = logging.getLogger(__name__)

MAX_BYTES = 128 * 1024
"""A larger schema is not used."""
SMALL_BYTES = 2 * 1024
"""A larger schema is compiled in a thread: that takes up to a millisecond for each of its members."""
MAX_STEPS = 1_000_000
"""Most keywords that are looked at for one value, about a second's worth: a schema of a few hundred bytes can ask for
2^100 of them."""
FIRST_STEPS = 5_000
"""What may be done in the event loop itself: some milliseconds at most. Nearly every value needs less than 100."""
MAX_KEPT = 2_000
"""Compiled schemas that are kept; the one that was not used for longest goes first."""
MISFITS = 5
"""Most misfits that are told at once."""
_BYTES_A_STEP = 4096
_DEAR = {"$ref": 5, "$dynamicRef": 10, "$recursiveRef": 10}
"""Keywords that cost more than a step."""

Keyword: TypeAlias = Callable[[Any, Any, Any, Any], "Iterable[ValidationError] | None"]
"""What the library calls for a member of a schema: `(validator, its value, instance, schema)`."""


class UnusableSchemaError(Exception):
    """A schema that no value can be held to. The message is ours, without any text of the schema."""


class TooMuchWorkError(Exception):
    """Holding a value to its schema would take too long."""


@dataclass
class _Work:
    """What is still allowed to be done for one value."""

    steps: int
    share: int
    """Steps that an alternative costs: the library prints the value for each that does not fit."""


_WORK: contextvars.ContextVar[_Work] = contextvars.ContextVar("work")


class Schemas:
    """Compiled schemas, by the digest of the definition that they stand in."""

    def __init__(self, most: int = MAX_KEPT) -> None:
        self._most = most
        self._kept: OrderedDict[tuple[str, str, bool], Compiled | str] = OrderedDict()

    async def compiled(
        self, definition: str, part: str, schema: Mapping[str, Json], *, strict: bool = False
    ) -> "Compiled":
        """The schema, ready to hold values to.

        Args:
            definition: digest of the whole definition; a schema is compiled once for each.
            part: `inputSchema` or `outputSchema`.
            schema: the schema; JSON Schema 2020-12 where it names no other `$schema`.
            strict: whether members that it does not name are misfits where it says nothing about them.

        Raises:
            UnusableSchemaError: it is none, or asks for what is not done here.
        """
        key = (definition, part, strict)
        if key not in self._kept:
            compile_ = partial(_compiled, dict(schema), strict=strict)
            is_small = len(jsontree.dump(dict(schema))) <= SMALL_BYTES
            made = compile_() if is_small else await to_thread.run_sync(compile_)
            if isinstance(made, str):
                log.warning("the `%s` of definition %s cannot be used: %s", part, definition[:12], made)
            self._kept[key] = made
            if len(self._kept) > self._most:
                self._kept.popitem(last=False)
        kept = self._kept[key]
        self._kept.move_to_end(key)
        if isinstance(kept, str):
            raise UnusableSchemaError(kept)
        return kept


def _compiled(schema: JsonObject, *, strict: bool) -> "Compiled | str":
    """The schema, or why it cannot be used."""
    try:
        return Compiled(schema, strict=strict)
    except UnusableSchemaError as error:
        return str(error)


class Compiled:
    """One schema, ready to hold values to."""

    def __init__(self, schema: JsonObject, *, strict: bool = False) -> None:
        """Compile a schema.

        Raises:
            UnusableSchemaError: it is none, or asks for what is not done here.
        """
        if len(jsontree.dump(schema)) > MAX_BYTES:
            raise UnusableSchemaError(f"it is larger than {MAX_BYTES} bytes")
        dialect = _dialect(schema)
        try:
            dialect.check_schema(schema)
        except SchemaError as error:
            where = "/".join(str(step) for step in error.absolute_path)
            raise UnusableSchemaError(f"it is no valid JSON Schema at `/{where}`"[:200]) from None
        except (RecursionError, Unresolvable, TypeError, ValueError, AttributeError) as error:
            raise UnusableSchemaError("it is no valid JSON Schema") from error
        _check_patterns(schema, strict=strict)
        self._names = frozenset(_names(schema))
        base = cast("type[Any]", dialect)
        self._validator: Validator = _bounded(base)(
            _closed(schema, dialect) if strict else schema, registry=cast("Any", Registry)()
        )

    def misfits(self, value: Json, size: int, steps: int = MAX_STEPS) -> list[Misfit]:
        """Where a value does not fit, at most `MISFITS` places; empty where it fits.

        Args:
            value: what is held to the schema.
            size: about how many bytes it has as JSON; alternatives cost more work on a larger value.
            steps: most keywords that are looked at.

        Raises:
            TooMuchWorkError: telling would take too long.
            UnusableSchemaError: a reference of the schema leads out of it, or nowhere.
        """
        token = _WORK.set(_Work(steps, 1 + size // _BYTES_A_STEP))
        try:
            found: dict[Misfit, None] = {}
            for error in self._validator.iter_errors(cast("Any", value)):
                found[described(error, self._names)] = None
                if len(found) == MISFITS:
                    break
        except Unresolvable:
            raise UnusableSchemaError("a `$ref` leads out of it, or nowhere; nothing is fetched") from None
        except RecursionError:
            raise TooMuchWorkError from None
        finally:
            _WORK.reset(token)
        return list(found)


def _dialect(schema: JsonObject) -> type[Validator]:
    """The dialect that a schema names, else 2020-12 (MCP 2026-07-28, "JSON Schema Usage").

    Raises:
        UnusableSchemaError: it names one that is not known.
    """
    named = schema.get("$schema")
    if named is None:
        return jsonschema.Draft202012Validator
    lookup = cast("Any", validators.validator_for)
    found = lookup({"$schema": named}, default=None) if isinstance(named, str) else None
    if found is None:
        raise UnusableSchemaError("it names a `$schema` that is not known here")
    return cast("type[Validator]", found)


@functools.lru_cache(maxsize=16)
def _bounded(dialect: Any) -> Any:
    """The dialect, with every keyword counted and patterns matched in linear time."""
    own: dict[str, Keyword] = {
        "pattern": _pattern,
        "patternProperties": _pattern_properties,
        "additionalProperties": _additional_properties,
        "uniqueItems": _unique_items,
    }
    given = cast("Mapping[str, Keyword]", dialect.VALIDATORS)
    keywords = {name: _counted(name, own.get(name, keyword)) for name, keyword in given.items()}
    return cast("Any", validators).extend(dialect, keywords)


def _counted(name: str, keyword: Keyword) -> Keyword:
    choices = name in ("anyOf", "oneOf", "not", "if", "contains", "enum")
    price = _DEAR.get(name, 1)

    def spend(validator: Any, wanted: Any, instance: Any, schema: Any) -> "Iterable[ValidationError] | None":
        work = _WORK.get()
        count = len(cast("list[Any]", wanted)) if choices and isinstance(wanted, list) else 1
        work.steps -= count * work.share if choices else price
        if work.steps < 0:
            raise TooMuchWorkError
        return keyword(validator, wanted, instance, schema)

    return spend


# -- keywords whose own form could be made to take for ever ---------------------------------------------------------


@functools.lru_cache(maxsize=4096)
def _matcher(pattern: str) -> SchemaValidator | None:
    """Says whether a text holds `pattern`, in linear time; None where no such engine can tell.

    The engine is Rust's `regex`, as pydantic brings it along: it does not look around or back.
    """
    try:
        return SchemaValidator(core_schema.str_schema(pattern=pattern, regex_engine="rust-regex", strict=True))
    except PatternError:
        return None


def _matches(pattern: str, text: str) -> bool:
    matcher = _matcher(pattern)
    return matcher is None or matcher.isinstance_python(text)


def _pattern(_validator: Any, pattern: str, instance: Any, _schema: Any) -> Iterator[ValidationError]:
    if isinstance(instance, str) and not _matches(pattern, instance):
        yield ValidationError("")


def _pattern_properties(validator: Any, patterns: JsonObject, instance: Any, _schema: Any) -> Iterator[ValidationError]:
    if not isinstance(instance, dict):
        return
    given = cast("JsonObject", instance)
    _spend(len(given) * len(patterns))
    for pattern, below in patterns.items():
        if _matcher(pattern) is None:
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
        if len({jsontree.canonical(item) for item in items}) != len(items):
            yield ValidationError("")


def _spend(steps: int) -> None:
    work = _WORK.get()
    work.steps -= steps
    if work.steps < 0:
        raise TooMuchWorkError


# -- what a schema holds --------------------------------------------------------------------------------------------


def _nodes(schema: Json) -> Iterator[JsonObject]:
    """Every object inside a schema, whatever it means there."""
    stack = [schema]
    while stack:
        node = stack.pop()
        if isinstance(node, dict):
            yield node
            stack.extend(node.values())
        elif isinstance(node, list):
            stack.extend(node)


def _names(schema: JsonObject) -> Iterator[str]:
    """Member names that the schema itself speaks of: these may be told, others come from the value."""
    for node in _nodes(schema):
        yield from jsontree.as_object(node.get("properties"))
        yield from (name for name in jsontree.as_list(node.get("required")) if isinstance(name, str))


def _check_patterns(schema: JsonObject, *, strict: bool) -> None:
    """Look at every pattern before one is needed.

    Raises:
        UnusableSchemaError: one cannot be matched in linear time, and nothing may go unchecked.
    """
    unevaluated = False
    by_pattern: list[str] = []
    patterns: list[str] = []
    for node in _nodes(schema):
        unevaluated = unevaluated or "unevaluatedProperties" in node
        by_pattern += jsontree.as_object(node.get("patternProperties"))
        if isinstance(pattern := node.get("pattern"), str):
            patterns.append(pattern)
    if by_pattern and (unevaluated or strict):
        # The library would match these with an engine that can be made to take for ever.
        raise UnusableSchemaError("it has `patternProperties` beside `unevaluatedProperties` or strict checks")
    unmatched = [one for one in (*patterns, *by_pattern) if _matcher(one) is None]
    if unmatched and strict:
        raise UnusableSchemaError("it has a `pattern` that looks around or back, which is not matched here")
    if unmatched:
        log.warning("%d patterns of a schema look around or back, so they are not checked", len(unmatched))


_SAYS_SO = frozenset(
    {"additionalProperties", "unevaluatedProperties", "patternProperties", "$ref", "$dynamicRef", "allOf", "anyOf"}
    | {"oneOf", "if", "dependentSchemas", "dependencies"}
)


def _closed(schema: JsonObject, dialect: type[Validator]) -> JsonObject:
    """The schema with nothing allowed that it does not name: at the top, and in objects written in place below it."""
    modern = dialect in (jsonschema.Draft202012Validator, jsonschema.Draft201909Validator)
    closed = _closed_below(schema)
    if "additionalProperties" in schema or "unevaluatedProperties" in schema:
        return closed
    return {**closed, "unevaluatedProperties" if modern else "additionalProperties": False}


def _closed_below(schema: JsonObject) -> JsonObject:
    if "properties" not in schema:
        return schema
    closed: JsonObject = {
        name: _closed_value(value) for name, value in jsontree.as_object(schema["properties"]).items()
    }
    return {**schema, "properties": closed}


def _closed_value(schema: Json) -> Json:
    if not isinstance(schema, dict):
        return schema
    if "properties" in schema and not schema.keys() & _SAYS_SO:
        return {**_closed_below(schema), "additionalProperties": False}
    if isinstance(schema.get("items"), dict):
        return {**schema, "items": _closed_value(schema["items"])}
    return schema
