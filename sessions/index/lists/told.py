"""A session of the list as programs read it: one object, one line of CSV. Pure."""

from collections.abc import Iterable
from dataclasses import asdict

from governance.jsontree import Json, JsonObject
from sessions.index.lists.wanted import Listed
from sessions.index.reading import Kind

COLUMNS = (
    "id", "state", "agent", "key_id", "tenant", "plane", "evidence", "verified", "source", "first_seen", "last_seen",
    "calls", "model_calls", "tool_calls", "models", "tools", "servers", "input_tokens", "output_tokens", "cost_usd",
    "unpriced", "findings", "found", "approvals", "verdicts", "labels", "parent_id", "started", "subagents",
)  # fmt: skip
"""Of a line of CSV."""
_DANGEROUS = ("=", "+", "-", "@", "\t", "\r")
"""What a cell may begin with that a spreadsheet would run. Names are the words of agents."""


def told(one: Listed) -> JsonObject:
    """Everything that the list says of a session."""
    totals = one.totals
    named: dict[str, Json] = {
        "models": [*one.names(Kind.MODEL)],
        "tools": [*one.names(Kind.TOOL)],
        "servers": [*one.names(Kind.SERVER)],
        "found": [*one.names(Kind.FINDING)],
        "labels": [*one.names(Kind.LABEL)],
        "subagents": [name.partition(" ")[0] for name in one.names(Kind.SUBAGENT)],
    }
    verdicts: dict[str, Json] = dict(totals.verdicts)
    return {
        **asdict(one.run),
        "state": one.state.value,
        "calls": totals.calls,
        "model_calls": totals.model_calls,
        "tool_calls": totals.tool_calls,
        "input_tokens": totals.input_tokens,
        "output_tokens": totals.output_tokens,
        "cost_usd": totals.usd,
        "unpriced": totals.unpriced,
        "findings": totals.findings,
        "approvals": totals.approvals,
        "verdicts": verdicts,
        "started": one.children,
        **named,
    }


def cells(one: Listed) -> list[str]:
    """The cells of a line of CSV, none of which a spreadsheet takes for a formula."""
    values = told(one)
    return [_cell(values[name]) for name in COLUMNS]


def _cell(value: Json) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, dict):
        return _joined(f"{name}={count}" for name, count in value.items())
    text = _joined(str(part) for part in value) if isinstance(value, list) else str(value)
    return f"'{text}" if text.startswith(_DANGEROUS) else text


def _joined(parts: Iterable[str]) -> str:
    return "; ".join(parts)
