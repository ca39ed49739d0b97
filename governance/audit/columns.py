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
    """The texts of the columns, in the order of `FIELDS`; empty where the field is missing or is not text.

    Without NUL, which Postgres refuses, and not longer than an index takes.
    """
    return [
        value if isinstance(value, str) and len(value) <= _LONGEST and _NUL not in value else _fitting(value)
        for value in [fields.get(name, "") for name in FIELDS]
    ]


def _fitting(value: Value) -> str:
    return value[:_LONGEST].replace(_NUL, "\ufffd") if isinstance(value, str) else ""
