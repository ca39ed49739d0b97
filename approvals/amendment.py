"""What a person changed in the arguments of a held call: the changed form, and the changes for people and agents.

Pure. Whether the changed call may run is judged anew by the pipeline (`pipeline/passage.py`); who may change it is
`approvals/quorum.py`.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from governance import jsontree
from governance.exchange import Action
from governance.jsontree import Json, JsonObject

MOST_TOLD = 20
"""Changes that an agent is told one by one."""
LONGEST_VALUE = 300
"""Characters of a value that it is told."""
DEEPEST = jsontree.MAX_DEPTH - 3
"""Levels of arguments that still fit into a message and a form."""


class AmendmentError(Exception):
    """The arguments cannot be changed like this; says why, in words for the person."""


@dataclass(frozen=True, slots=True)
class Change:
    """One place at which two values differ."""

    pointer: str
    """JSON pointer; empty for the whole."""
    before: Json
    after: Json
    added: bool = False
    removed: bool = False


def amended(bound: JsonObject, arguments: JsonObject) -> tuple[str, str]:
    """The form of a call with other arguments, and its digest.

    Raises:
        AmendmentError: this call has no arguments that could be changed.
    """
    if bound.get("action") != Action.TOOL_CALL or not isinstance(bound.get("arguments"), dict):
        raise AmendmentError("only the arguments of a tool call can be changed")
    form: JsonObject = {**bound, "arguments": arguments}
    return jsontree.canonical(form).decode(), jsontree.digest(form)


def arguments_of(text: str) -> JsonObject:
    """The arguments that a person wrote.

    Raises:
        AmendmentError: it is no JSON object, as strictly read as a message is.
    """
    try:
        value = jsontree.parse(text.encode("utf-8", "surrogatepass"), max_depth=DEEPEST)
    except jsontree.MalformedError as error:
        raise AmendmentError(f"the arguments are not well-formed: {error}") from None
    if not isinstance(value, dict):
        raise AmendmentError("the arguments must be a JSON object")
    return value


def changes(before: Json, after: Json, pointer: str = "") -> list[Change]:
    """Every place at which two values differ, in their own order. Lists of another length differ as a whole."""
    if isinstance(before, dict) and isinstance(after, dict):
        names = [*before, *(name for name in after if name not in before)]
        return [one for name in names for one in _member(before, after, name, f"{pointer}/{jsontree.escape(name)}")]
    if isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        pairs = enumerate(zip(before, after, strict=True))
        return [one for index, (old, new) in pairs for one in changes(old, new, f"{pointer}/{index}")]
    same = jsontree.canonical(before) == jsontree.canonical(after)
    return [] if same else [Change(pointer, before, after)]


def _member(before: JsonObject, after: JsonObject, name: str, pointer: str) -> Iterable[Change]:
    if name not in after:
        return [Change(pointer, before[name], None, removed=True)]
    if name not in before:
        return [Change(pointer, None, after[name], added=True)]
    return changes(before[name], after[name], pointer)


def told(made: Sequence[Change]) -> str:
    """What was changed, for the agent, in one line."""
    parts = [_told(one) for one in made[:MOST_TOLD]]
    if len(made) > MOST_TOLD:
        parts.append(f"and {len(made) - MOST_TOLD} more")
    return "a person changed the arguments of this call: " + "; ".join(parts)


def _told(change: Change) -> str:
    place = change.pointer or "all of it"
    if change.removed:
        return f"{place} was removed (it was {_value(change.before)})"
    if change.added:
        return f"{place} was added: {_value(change.after)}"
    return f"{place} was {_value(change.before)}, and is {_value(change.after)}"


def _value(value: Json) -> str:
    text = jsontree.dump(value).decode()
    return text if len(text) <= LONGEST_VALUE else f"{text[:LONGEST_VALUE]}… ({len(text)} characters)"
