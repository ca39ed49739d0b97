"""Which fields of an event stand in columns of their own, so that SQL can search by them.

A column is a copy for searching and never the truth: the body is. `verify.py` holds the copies to the bodies.
"""

from collections.abc import Mapping

from governance.audit.event import Value

FIELDS = ("at", "event_type", "tenant_id", "session_id", "exchange_id", "key_id", "model", "tool")
"""The fields, in the order of the columns."""

_LONGEST = 500
_NUL = "\0"


def columns(fields: Mapping[str, Value]) -> list[str]:
    """The texts of the columns, in the order of `FIELDS`; empty where the field is missing."""
    return [_column(fields.get(name)) for name in FIELDS]


def _column(value: Value) -> str:
    """What a column holds of a field: no NUL, which Postgres refuses, and not more than an index takes."""
    if not isinstance(value, str):
        return ""
    if len(value) > _LONGEST or _NUL in value:
        return value[:_LONGEST].replace(_NUL, "\ufffd")
    return value
