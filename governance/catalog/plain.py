"""The schemas that nearly all tools have, as a quick test that can say yes and never no.

Types, members, which of them must be there, alternatives and allowed texts: for these it is plain what fits. Whatever
else a schema says makes it not plain, and whatever does not surely fit is left to the library, which also has the words
for it. So nothing is refused or let through here that the library would judge otherwise.
"""

from governance import jsontree
from governance.jsontree import Json, JsonObject

_SILENT = frozenset(
    {"$schema", "$comment", "title", "description", "default", "examples", "deprecated", "readOnly", "writeOnly"}
    | {"format"}
)
"""Keywords that refuse nothing; `format` is an annotation where no checker is asked for (2020-12, section 7.2.1)."""
_SAID = frozenset({"type", "properties", "required", "additionalProperties", "items", "enum", "anyOf"})
_TYPES = frozenset({"string", "integer", "number", "boolean", "null", "object", "array"})
_DEEPEST = 16


class Shape:
    """One plain schema."""

    __slots__ = ("_alternatives", "_closed", "_items", "_kinds", "_members", "_required", "_texts")

    def __init__(
        self,
        kinds: frozenset[str] | None,
        texts: frozenset[str] | None,
        alternatives: "list[Shape]",
        members: "dict[str, Shape]",
        required: list[str],
        items: "Shape | None",
        *,
        closed: bool,
    ) -> None:
        """Take what the schema says; None, or nothing in it, where it says nothing about that."""
        self._kinds = kinds
        self._texts = texts
        self._alternatives = alternatives
        self._members = members
        self._required = required
        self._items = items
        self._closed = closed

    def fits(self, value: Json) -> bool:
        """Whether `value` surely fits. False says nothing."""
        if self._kinds is not None:
            kind = _kind(value)
            if kind not in self._kinds and not (kind == "integer" and "number" in self._kinds):
                return False
        if self._texts is not None and not (isinstance(value, str) and value in self._texts):
            return False
        if self._alternatives:
            for shape in self._alternatives:
                if shape.fits(value):
                    break
            else:
                return False
        if isinstance(value, dict):
            return self._fits_object(value)
        if isinstance(value, list) and self._items is not None:
            for item in value:
                if not self._items.fits(item):
                    return False
        return True

    def _fits_object(self, value: JsonObject) -> bool:
        for name in self._required:
            if name not in value:
                return False
        for name, one in value.items():
            shape = self._members.get(name)
            if shape is None:
                if self._closed:
                    return False
            elif not shape.fits(one):
                return False
        return True


def _kind(value: Json) -> str:
    if isinstance(value, str):
        return "string"
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int):
        return "integer"
    if isinstance(value, dict):
        return "object"
    if isinstance(value, list):
        return "array"
    return "null" if value is None else "number"


def shape_of(schema: Json, depth: int = 0) -> Shape | None:
    """The shape of a valid schema (drafts 6, 7, 2019-09, 2020-12); None where it says more than what is plain."""
    if not isinstance(schema, dict) or depth > _DEEPEST:
        return None
    for name in schema:
        if name not in _SAID and name not in _SILENT:
            return None
    others = schema.get("additionalProperties", True)
    kinds, texts = _kinds(schema.get("type")), _texts(schema.get("enum"))
    if not isinstance(others, bool) or (kinds is None and "type" in schema) or (texts is None and "enum" in schema):
        return None
    members: dict[str, Shape] = {}
    for name, below in jsontree.as_object(schema.get("properties")).items():
        member = shape_of(below, depth + 1)
        if member is None:
            return None
        members[name] = member
    alternatives: list[Shape] = []
    for below in jsontree.as_list(schema.get("anyOf")):
        alternative = shape_of(below, depth + 1)
        if alternative is None:
            return None
        alternatives.append(alternative)
    items: Shape | None = None
    if "items" in schema:
        items = shape_of(schema["items"], depth + 1)
        if items is None:
            return None
    required = [name for name in jsontree.as_list(schema.get("required")) if isinstance(name, str)]
    return Shape(kinds, texts, alternatives, members, required, items, closed=not others)


def _kinds(said: Json) -> frozenset[str] | None:
    """The types of a `type`; None where they are not the seven of JSON."""
    listed = said if isinstance(said, list) else [said]
    kinds = [one for one in listed if isinstance(one, str) and one in _TYPES]
    return frozenset(kinds) if len(kinds) == len(listed) else None


def _texts(said: Json) -> frozenset[str] | None:
    """The values of an `enum` that are texts only."""
    listed = jsontree.as_list(said)
    texts = [one for one in listed if isinstance(one, str)]
    return frozenset(texts) if listed and len(texts) == len(listed) else None
