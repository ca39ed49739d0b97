"""Values held to JSON Schemas that somebody else wrote: compiled once, bounded, and never fetched from anywhere.

A schema comes from a server, so it is as little to be trusted as a message: its size, its patterns and the work that it
asks for are bounded, and a reference leads nowhere but into the schema itself. What is said about a misfit names where
and what was expected, and never what was there: that may be a secret. Whether a misfit refuses is `schema_stage.py`.
"""

import logging
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any, cast

import jsonschema
from anyio import CapacityLimiter, Lock, to_thread
from jsonschema import validators
from jsonschema.exceptions import SchemaError
from jsonschema.protocols import Validator
from referencing.exceptions import Unresolvable
from referencing.jsonschema import specification_with

from governance import jsontree
from governance.catalog.bounded import TooMuchWorkError, bounded, working
from governance.catalog.misfit import Misfit, described
from governance.catalog.patterns import matcher
from governance.catalog.plain import Shape, shape_of
from governance.jsontree import Json, JsonObject

log = logging.getLogger(__name__)

MAX_BYTES = 128 * 1024
"""A larger schema is not used."""
MAX_PARTS = 2_000
"""Most objects and truth values in a schema: compiling takes about half a millisecond for each. 120 KiB of `{}` would
take many seconds. Schemas of tools in the wild have some hundred at most."""
SMALL_BYTES = 2 * 1024
"""A larger schema is compiled in a thread: that takes up to a millisecond for each of its members."""
COMPILED_AT_ONCE = 2
"""Most large schemas that are compiled at the same time. A small one waits for none of them."""
MAX_STEPS = 1_000_000
"""Most keywords that are looked at for one value, about a second's worth: a schema of a few hundred bytes can ask for
2^100 of them."""
FIRST_STEPS = 5_000
"""What may be done in the event loop itself: some milliseconds at most. Nearly every value needs less than 100."""
MAX_KEPT = 2_000
"""Compiled schemas that are kept; the one that was not used for longest goes first."""
_SHAPED = (
    jsonschema.Draft6Validator,
    jsonschema.Draft7Validator,
    jsonschema.Draft201909Validator,
    jsonschema.Draft202012Validator,
)
"""Dialects in which a plain schema means the same."""
MISFITS = 5
"""Most misfits that are told at once."""


class UnusableSchemaError(Exception):
    """A schema that no value can be held to. The message is ours, without any text of the schema."""


class Schemas:
    """Compiled schemas, by the digest of the definition that they stand in."""

    def __init__(self, most: int = MAX_KEPT) -> None:
        self._most = most
        self._compiling: dict[tuple[str, str, bool], Lock] = {}
        """Of the schemas that are being compiled: many calls of one tool must not compile its schema as often."""
        self._threads = CapacityLimiter(COMPILED_AT_ONCE)
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
        kept = self._kept.get(key)
        if kept is None:
            lock = self._compiling.setdefault(key, Lock())
            try:
                async with lock:
                    kept = self._kept.get(key) or await self._make(key, dict(schema))
            finally:
                if not lock.locked():
                    self._compiling.pop(key, None)
        self._kept.move_to_end(key)
        if isinstance(kept, str):
            raise UnusableSchemaError(kept)
        return kept

    def kept(self, definition: str, part: str, *, strict: bool = False) -> "Compiled | None":
        """The same, if it was asked for before and can be used."""
        kept = self._kept.get((definition, part, strict))
        if kept is None or isinstance(kept, str):
            return None
        self._kept.move_to_end((definition, part, strict))
        return kept

    async def _make(self, key: tuple[str, str, bool], schema: JsonObject) -> "Compiled | str":
        definition, part, strict = key
        compile_ = partial(_compiled, schema, strict=strict)
        is_small = len(jsontree.dump(schema)) <= SMALL_BYTES
        made = compile_() if is_small else await to_thread.run_sync(compile_, limiter=self._threads)
        if isinstance(made, str):
            log.warning("the `%s` of definition %s cannot be used: %s", part, definition[:12], made)
        self._kept[key] = made
        if len(self._kept) > self._most:
            self._kept.popitem(last=False)
        return made


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
        if any(number == MAX_PARTS for number, _ in enumerate(_parts(schema))):
            raise UnusableSchemaError(f"it has more than {MAX_PARTS} parts")
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
        held = _closed(schema, dialect) if strict else schema
        self._shape: Shape | None = shape_of(held) if dialect in _SHAPED else None
        try:
            self._validator: Validator = bounded(dialect)(held, _resolver=_resolver(held, dialect))
        except (RecursionError, Unresolvable, TypeError, ValueError, AttributeError) as error:
            raise UnusableSchemaError("it is no valid JSON Schema") from error

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
        if self._shape is not None and self._shape.fits(value):
            return []
        found: dict[Misfit, None] = {}
        try:
            with working(steps, size):
                for error in self._validator.iter_errors(cast("Any", value)):
                    found[described(error, self._names)] = None
                    if len(found) == MISFITS:
                        break
        except Unresolvable:
            raise UnusableSchemaError("a `$ref` leads out of it, or nowhere; nothing is fetched") from None
        except RecursionError:
            raise TooMuchWorkError from None
        return list(found)


def _resolver(schema: JsonObject, dialect: type[Validator]) -> Any:
    """What finds references: in the schema, and in the dialects themselves. All anchors are found once, here.

    Left to itself the library looks through the whole schema again for every `$ref` to an anchor.
    """
    given = cast("Any", dialect)
    specification = specification_with(given.ID_OF(given.META_SCHEMA))
    resource = specification.create_resource(cast("Any", schema))
    uri = resource.id() or ""
    return cast("Any", validators).SPECIFICATIONS.with_resource(uri, resource).crawl().resolver(base_uri=uri)


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


# -- what a schema holds --------------------------------------------------------------------------------------------


def _nodes(schema: Json) -> Iterator[JsonObject]:
    """Every object inside a schema, whatever it means there."""
    return (part for part in _parts(schema) if isinstance(part, dict))


def _parts(schema: Json) -> Iterator[JsonObject | bool]:
    """Every object and truth value inside a schema: whatever may be a schema of its own."""
    stack = [schema]
    while stack:
        node = stack.pop()
        if isinstance(node, bool):
            yield node
        elif isinstance(node, dict):
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
    unmatched = [one for one in (*patterns, *by_pattern) if matcher(one) is None]
    if unmatched and strict:
        raise UnusableSchemaError(
            "it has a `pattern` that looks around or back or is too large, which is not matched here"
        )
    if unmatched:
        log.warning(
            "%d patterns of a schema look around or back or are too large, so they are not checked", len(unmatched)
        )


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
