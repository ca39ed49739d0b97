"""What is said about a value that does not fit its schema: where, and what was expected; never what was there.

Pure. The words are made from the schema alone, because the value may be a secret, and its member names may be too: a
step of the path that the schema does not name is told as `*`.
"""

from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Any, cast

from jsonschema.exceptions import ValidationError

from governance import jsontree
from governance.jsontree import Json

MOST_CHARACTERS = 200
_NAMED = 20


@dataclass(frozen=True, slots=True)
class Misfit:
    """One place of a value."""

    path: str
    """JSON pointer (RFC 6901); empty = the whole value."""
    expected: str
    """In words for a model, for example `must be of type integer`."""
    null: bool = False
    """Whether a member is there and null: left out, it may fit. That it is null is no secret."""

    def told(self, whole: str) -> str:
        """Both in one clause; `whole` is what the whole value is called."""
        return f"`{self.path}` {self.expected}" if self.path else f"{whole} {self.expected}"


def described(error: ValidationError, names: AbstractSet[str]) -> Misfit:
    """The misfit that an error of the library tells of.

    Args:
        error: the error.
        names: member names that may be told, because the schema speaks of them.
    """
    if error.validator in ("anyOf", "oneOf") and error.context:
        kinds = _kinds(error)
        if kinds:
            return Misfit(_path(error, names), f"must be of type {' or '.join(kinds)}", _is_null(error))
        found = described(_closest(error), names)
        return Misfit(found.path, f"{found.expected}, in one of the alternatives", found.null)
    return Misfit(_path(error, names), _expected(error)[:MOST_CHARACTERS], _is_null(error))


def _is_null(error: ValidationError) -> bool:
    """Whether a member is null where something else was expected."""
    return error.instance is None and len(error.absolute_path) > 0 and isinstance(error.absolute_path[-1], str)


def _closest(error: ValidationError) -> ValidationError:
    """What is wrong by the first alternative that is at least of the right type."""
    context = list(error.context or ())
    wrong = {one.schema_path[0] for one in context if one.validator == "type" and not one.path}
    return next((one for one in context if one.schema_path[0] not in wrong), context[0])


def _path(error: ValidationError, names: AbstractSet[str]) -> str:
    steps: list[str] = []
    for step in error.absolute_path:
        known = isinstance(step, int) or step in names
        steps.append("/" + (jsontree.escape(str(step)) if known else "*"))
    return "".join(steps)[:MOST_CHARACTERS]


def _kinds(error: ValidationError) -> list[str]:
    """The types of alternatives that differ in nothing else than their type."""
    kinds: list[str] = []
    for one in error.context or ():
        if one.validator != "type" or len(one.path) > 0:
            return []
        kinds += _listed(one.validator_value)
    return list(dict.fromkeys(kinds))


def _expected(error: ValidationError) -> str:
    wanted: Any = error.validator_value
    schema: Json = error.schema if isinstance(error.schema, dict) else {}
    match error.validator:
        case "type":
            return f"must be of type {' or '.join(_listed(wanted))}"
        case "required":
            missing = _missing(error)
            return f"must have the member {', '.join(missing)}" if missing else "lacks a member that is required"
        case "additionalProperties" | "unevaluatedProperties":
            known = list(jsontree.as_object(jsontree.as_object(schema).get("properties")))
            if not known:
                return "must have no other members than the schema names"
            return f"must have no other members than {_quoted(known)}"
        case "enum":
            return f"must be one of {_quoted(wanted)}"
        case "const":
            return f"must be {_quoted([wanted])}"
        case str() as keyword:
            text = _WORDS.get(keyword)
            return text.format(_plain(wanted)) if text else f"does not satisfy `{keyword}`"
        case _:
            return "is not allowed"


_WORDS = {
    "minimum": "must be at least {}",
    "maximum": "must be at most {}",
    "exclusiveMinimum": "must be greater than {}",
    "exclusiveMaximum": "must be less than {}",
    "multipleOf": "must be a multiple of {}",
    "minLength": "must have at least {} characters",
    "maxLength": "must have at most {} characters",
    "minItems": "must have at least {} items",
    "maxItems": "must have at most {} items",
    "minProperties": "must have at least {} members",
    "maxProperties": "must have at most {} members",
    "pattern": "must match the pattern `{}`",
    "uniqueItems": "must not hold the same item twice",
    "anyOf": "must fit one of the alternatives",
    "oneOf": "must fit exactly one of the alternatives",
    "not": "must not fit the schema under `not`",
    "contains": "must hold an item that fits the schema under `contains`",
}


def _missing(error: ValidationError) -> list[str]:
    """The names that are required and not there. The library tells each in an error of its own, among words."""
    given: Any = error.instance
    wanted = _list(error.validator_value)
    if not isinstance(given, dict):
        return []
    return [f"`{name}`" for name in wanted if isinstance(name, str) and name not in given][:_NAMED]


def _listed(wanted: Any) -> list[str]:
    return [str(value) for value in (_list(wanted) if isinstance(wanted, list) else [wanted])]


def _list(value: Any) -> list[Any]:
    return cast("list[Any]", value) if isinstance(value, list) else []


def _quoted(values: Sequence[Any]) -> str:
    shown = ", ".join(f"`{_plain(value)}`" for value in values[:_NAMED])
    return f"{shown} and {len(values) - _NAMED} more" if len(values) > _NAMED else shown


def _plain(value: Any) -> str:
    text = value if isinstance(value, str) else jsontree.dump(value).decode()
    return "".join(one if one.isprintable() else " " for one in text)[:MOST_CHARACTERS]
