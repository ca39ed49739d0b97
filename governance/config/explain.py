"""What the models refuse, in words for the person who wrote the file.

It translates the validation library's error codes and nothing else; no text of that library reaches a user, and no
value of the file does.
"""

import difflib
import re
from collections.abc import Mapping
from typing import Any, get_args, get_origin

from pydantic import BaseModel, ValidationError

from governance.config.document import Document, Place, Problem

_WORDS: Mapping[str, tuple[str, str]] = {
    "missing": ("is missing", "add it"),
    "string_type": ("must be text", "put it in quotes"),
    "int_type": ("must be a whole number", ""),
    "int_parsing": ("must be a whole number", ""),
    "int_from_float": ("must be a whole number", ""),
    "float_type": ("must be a number", ""),
    "float_parsing": ("must be a number", ""),
    "finite_number": ("must be a number", ""),
    "decimal_type": ("must be a number", ""),
    "decimal_parsing": ("must be a number", ""),
    "bool_type": ("must be `true` or `false`", ""),
    "bool_parsing": ("must be `true` or `false`", ""),
    "dict_type": ("must be a section of `key: value` lines", ""),
    "model_type": ("must be a section of `key: value` lines", ""),
    "model_attributes_type": ("must be a section of `key: value` lines", ""),
    "string_pattern_mismatch": (
        "must be a label",
        "write up to 64 small letters, digits, `_`, `.` and `-`, beginning with a letter",
    ),
    "too_long": ("lists too many", "name fewer"),
    "tuple_type": ("must be a list", "write `[a, b]` or one `- item` a line"),
    "list_type": ("must be a list", "write `[a, b]` or one `- item` a line"),
}
_BOUNDS = {
    "greater_than": ("gt", "more than"),
    "greater_than_equal": ("ge", "at least"),
    "less_than": ("lt", "less than"),
    "less_than_equal": ("le", "at most"),
}


def explain(error: ValidationError, document: Document, model: type[BaseModel]) -> list[Problem]:
    """A problem for each thing that `model` refused in `document`, in the order of the file."""
    found: list[Problem] = []
    for detail in error.errors(include_url=False, include_input=False):
        place: Place = detail["loc"]
        if place[-1:] == ("[key]",):
            place = place[:-1]
        what, mend = _words(detail["type"], detail.get("ctx", {}), place, model)
        found.append(document.problem(place, what, mend))
    return sorted(found, key=lambda problem: problem.line)


def _words(code: str, context: Mapping[str, Any], place: Place, model: type[BaseModel]) -> tuple[str, str]:
    if code == "extra_forbidden":
        return "is not a known setting", _nearest(place, model)
    if code == "literal_error":
        return "must be one of " + ", ".join(f"`{one}`" for one in re.findall(r"'([^']*)'", context["expected"])), ""
    if code in _BOUNDS:
        bound, words = _BOUNDS[code]
        return f"must be {words} {context[bound]:g}", ""
    return _WORDS.get(code, ("is not valid here", "see docs/config.md"))


def _nearest(place: Place, model: type[BaseModel]) -> str:
    """How to mend an unknown key: the known one that looks like it, or all of them."""
    section = _section(place[:-1], model)
    if section is None:
        return "remove it"
    known = [field.alias or name for name, field in section.model_fields.items()]
    alike = difflib.get_close_matches(str(place[-1]), known, n=1)
    return f"did you mean `{alike[0]}`?" if alike else "known here are " + ", ".join(f"`{name}`" for name in known)


def _section(place: Place, model: type[BaseModel]) -> type[BaseModel] | None:
    """The model of the section at `place`, found by walking the annotations."""
    kind: Any = model
    for step in place:
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            fields = {field.alias or name: field.annotation for name, field in kind.model_fields.items()}
            kind = fields.get(str(step))
        elif get_origin(kind) in (dict, tuple):
            kind = next((one for one in reversed(get_args(kind)) if one is not Ellipsis), None)
    return kind if isinstance(kind, type) and issubclass(kind, BaseModel) else None
