"""Whether structured content still fits its tool's `outputSchema` after something in it was replaced.

A client that checks it would take the proxy's edit for a fault of the server (MCP 2025-06-18, "Output Schema"), so such
a result is refused with our own words. Only edited content is looked at: what a server sends is its own affair. The
schema is the server's too, so nothing in it may run for long: patterns are not matched, references are not fetched, and
the work is counted.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, NoReturn, Protocol, cast

from jsonschema import Draft202012Validator, ValidationError, validators
from referencing import Registry
from referencing.exceptions import Unresolvable

from governance import jsontree
from governance.catalog.catalog import Catalog
from governance.exchange import Exchange
from governance.jsontree import Json, JsonObject
from governance.verdict import Decision, Verdict
from mcp_proxy.message import Message, result_of

MOST_STEPS = 20_000
"""Keywords that are applied before a schema is given up."""
_MARK = "[REDACTED"

_Keyword = Callable[[Any, Any, Any, Any], Iterator[ValidationError] | None]


class Fits(Protocol):
    """Judges a value by the schema that a server gave."""

    def __call__(self, schema: Mapping[str, Json], value: Json) -> bool:
        """Whether the value fits. What cannot be told does not."""
        ...


class _TooMuchError(Exception):
    """The schema takes too long."""


def fits(schema: Mapping[str, Json], value: Json) -> bool:
    """Whether an edited value fits a schema (JSON Schema 2020-12). What cannot be told does not fit."""
    left = MOST_STEPS

    def counted(keyword: _Keyword) -> _Keyword:
        def apply(validator: Any, wanted: Any, instance: Any, whole: Any) -> Iterator[ValidationError]:
            nonlocal left
            left -= 1
            if left < 0:
                raise _TooMuchError
            yield from keyword(validator, wanted, instance, whole) or ()

        return apply

    known = cast("Mapping[str, _Keyword]", Draft202012Validator.VALIDATORS)
    own: dict[str, _Keyword] = {"pattern": _pattern, "patternProperties": _pattern, "uniqueItems": _unique}
    kind: Any = cast("Any", validators).extend(
        Draft202012Validator, {name: counted(own.get(name, known[name])) for name in known}
    )
    registry = cast("Callable[[], Any]", Registry)()
    try:
        return bool(kind(dict(schema), registry=registry).is_valid(value))
    except (_TooMuchError, RecursionError, Unresolvable):
        return False
    except (ValueError, TypeError, KeyError, AttributeError):  # no schema at all, found out on the way
        return False


def _pattern(_validator: Any, _wanted: Any, instance: Any, _whole: Any) -> Iterator[ValidationError]:
    """Patterns are the server's: matching one could hang. What was not edited fits as it did; the rest is unknown."""
    if any(_MARK in text for level in jsontree.strings(instance) for text in level):
        yield ValidationError("an edited text under a pattern")


def _unique(_validator: Any, wanted: Any, instance: Any, _whole: Any) -> Iterator[ValidationError]:
    if wanted is True and isinstance(instance, list):
        items = cast("list[Json]", instance)
        if len({jsontree.canonical(one) for one in items}) != len(items):
            yield ValidationError("two items are equal")


class Withholding(Protocol):
    """One exchange on its way through the guard (`pipeline.passage.Passage`)."""

    exchange: Exchange

    def withhold(self, verdict: Verdict) -> NoReturn:
        """Refuse the response."""
        ...


def check_output(
    way: Withholding, catalog: Catalog, received: Message, result: JsonObject, fitting: Fits = fits
) -> None:
    """Refuse structured content in which something was replaced so that it fits its schema no more.

    Args:
        way: the call.
        catalog: knows the tool's schema.
        received: the response as the server sent it.
        result: its result as it was judged.
        fitting: judges.

    Raises:
        RefusedError: it does not fit.
    """
    content, resource = result.get("structuredContent"), way.exchange.resource
    schema = catalog.seen(resource.server, resource.name).output_schema
    if schema and content != result_of(received).get("structuredContent") and not fitting(schema, content):
        reason = "what had to be replaced in the structured content no longer fits the tool's `outputSchema`"
        way.withhold(Verdict(Decision.DENY, by="catalog", rule="catalog.output", reason=reason))
