"""What the models of policy and test files refuse, in words for the person who wrote the file.

No text of the validation library reaches a user, and no value of the file does, except the id of a rule.
"""

import difflib
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ValidationError

from governance import jsontree
from governance.config.document import Document, Place, Problem

Parts = Mapping[str, type[BaseModel]]
"""The model of each section by the key it stands under; that of the whole file under the empty one."""

_TEXTS = {
    "missing": ("is missing", "add it"),
    "string_type": ("must be text", "put it in quotes"),
    "string_too_long": ("is too long", "shorten it"),
    "string_too_short": ("is empty", "write something, or remove it"),
    "too_long": ("lists too many", "name fewer"),
    "too_short": ("is empty", "list something, or remove it"),
    "tuple_type": ("must be text or a list of texts", ""),
    "bool_type": ("must be `true` or `false`", ""),
    "int_type": ("must be a whole number", ""),
    "dict_type": ("must be a section of `key: value` lines", ""),
    "model_type": ("must be a section of `key: value` lines", ""),
    "datetime_from_date_parsing": ("must be a time", "write `2026-11-21T12:00:00Z`"),
    "timezone_aware": ("must be a time with its zone", "write `2026-11-21T12:00:00Z`"),
}
_A_LABEL = ("must be a label", "write up to 64 small letters, digits, `_`, `.` and `-`, beginning with a letter")
_PATTERNS = {
    "add_labels": _A_LABEL,
    "all_labels": _A_LABEL,
    "id": ("must be letters, digits, `_`, `.` or `-`, at most 80 and beginning with a letter or digit", ""),
    "args": ("must be a JSON pointer", "write `/name`, or `/items/*/id` for every item"),
    "redact": ("must be a JSON pointer", "write `/name`, or `/items/*/id` for every item"),
}


def mistakes(document: Document, error: ValidationError, parts: Parts, *, owner: tuple[str, str, str]) -> list[Problem]:
    """A problem for each thing that was refused.

    Args:
        document: the file.
        error: what validation said.
        parts: the models of its sections.
        owner: what its entries are called, for example `("rules", "rule", "id")`: the list they stand in, the word for
            one, and the member that names it.
    """
    details = error.errors(include_url=False, include_input=False)
    return [
        _problem(document, detail["loc"], detail["type"], detail.get("ctx", {}), parts, owner) for detail in details
    ]


def _problem(
    document: Document, place: Place, code: str, context: Mapping[str, Any], parts: Parts, owner: tuple[str, str, str]
) -> Problem:
    if place[-1:] == ("[key]",):
        place = place[:-1]
    what, mend = _words(code, context, place, parts)
    whose = _owner_at(document, place, owner)
    return document.problem(place, f"of {owner[1]} {whose} {what}" if whose and len(place) > 2 else what, mend)


def _words(code: str, context: Mapping[str, Any], place: Place, parts: Parts) -> tuple[str, str]:
    if code == "extra_forbidden":
        return "is not a known key", _nearest(place, parts)
    if code in ("enum", "literal_error"):
        return "must be " + str(context["expected"]).replace("'", "`"), ""
    if code == "value_error":
        return str(context["error"]), ""
    if code == "string_pattern_mismatch":
        return next((_PATTERNS[str(step)] for step in reversed(place) if step in _PATTERNS), _TEXTS["string_type"])
    return _TEXTS.get(code, ("is not valid here", "see docs/policy.md"))


def _nearest(place: Place, parts: Parts) -> str:
    """How to mend an unknown key: the known one that looks like it, or all of them."""
    section = next((str(step) for step in reversed(place[:-1]) if step in parts), "")
    known = list(parts[section].model_fields)
    alike = difflib.get_close_matches(str(place[-1]), known, n=1)
    return f"did you mean `{alike[0]}`?" if alike else "known are " + ", ".join(f"`{name}`" for name in known)


def _owner_at(document: Document, place: Place, owner: tuple[str, str, str]) -> str:
    """The id of the entry that a place belongs to, or its number where it has no usable one."""
    listed, _, member = owner
    if len(place) < 2 or place[0] != listed or not isinstance(place[1], int):
        return ""
    name = jsontree.at(document.value, f"/{listed}/{place[1]}/{member}")
    return f"`{name}`" if isinstance(name, str) and len(name) <= 80 else f"number {place[1] + 1}"
