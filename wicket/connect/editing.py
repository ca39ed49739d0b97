"""Changes of a plan made in a text, noted so that they can be undone, and undone one by one.

Pure. After every edit the text is read again and must say what was meant, and nothing else: how a person wrote a file
cannot lead to a wrong one, only to a refusal.
"""

import copy
from collections.abc import Sequence

from governance.jsontree import Json
from wicket.connect.notation import Notation, NotationError, Path
from wicket.connect.plan import Change
from wicket.connect.record import Done, Record, value_digest


class UneditableError(Exception):
    """The text is written in a way that the edits do not come out as meant."""


def applied(notation: Notation, text: str, changes: Sequence[Change]) -> tuple[str, list[Done]]:
    """The text with the changes made, and what is needed to undo them.

    Raises:
        UneditableError: they cannot be made in this text.
    """
    done: list[Done] = []
    meant = copy.deepcopy(notation.read(text))
    for change in changes:
        found, now = _at(meant, change.path)
        if now == change.value if found else change.value is None:
            continue
        before = notation.raw(text, change.path) if found else None
        if change.value is None:
            text = notation.drop(text, change.path)
        else:
            text = notation.put(text, change.path, change.value, change.after)
        _set(meant, change.path, change.value)
        after = "" if change.value is None else value_digest(change.value)
        done.append(
            Done(path=change.path, before=before, after=after, container=change.container, after_key=change.after)
        )
    _must_say(notation, text, meant)
    return text, done


def undone(notation: Notation, text: str, record: Record) -> tuple[str, list[Done]]:
    """The text without the changes of a record, and those that somebody else has changed since, which stay.

    Raises:
        UneditableError: they cannot be undone in this text.
    """
    stuck: list[Done] = []
    meant = copy.deepcopy(notation.read(text))
    for one in reversed(record.changes):
        around, _ = _at(meant, one.path[:-1])
        if not around:
            continue
        found, now = _at(meant, one.path)
        if value_digest(now) != one.after if found else bool(one.after):
            if found and not one.container:
                stuck.append(one)
            continue
        if one.before is None:
            text = notation.drop(text, one.path)
            _set(meant, one.path, None)
        else:
            text = notation.restore(text, one.path, one.before, one.after_key)
            _set(meant, one.path, notation.value(one.before))
    _must_say(notation, text, meant)
    return text, stuck


def _must_say(notation: Notation, text: str, meant: Json) -> None:
    try:
        if notation.read(text) == meant:
            return
    except NotationError:
        pass
    raise UneditableError


def _at(value: Json, path: Path) -> tuple[bool, Json]:
    for key in path:
        if not isinstance(value, dict) or key not in value:
            return False, None
        value = value[key]
    return True, value


def _set(value: Json, path: Path, new: Json) -> None:
    """Set the member at `path`, or take it away where `new` is None."""
    for key in path[:-1]:
        value = value[key] if isinstance(value, dict) else None
    if isinstance(value, dict):
        if new is None:
            value.pop(path[-1], None)
        else:
            value[path[-1]] = copy.deepcopy(new)
