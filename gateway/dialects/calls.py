"""The tool calls in a model's answer, as the join of both planes wants them (`sessions/proposals.py`)."""

from governance import jsontree
from governance.exchange import ToolUse
from governance.jsontree import Json, MalformedError
from sessions.correlate import carried


def tool_use(call_id: Json, name: Json, arguments: Json) -> ToolUse:
    """One call.

    Args:
        call_id: what the provider calls it.
        name: the tool as the model knows it.
        arguments: their value.
    """
    tool, given = carried(jsontree.as_text(name), arguments)
    return ToolUse(jsontree.as_text(call_id), tool, jsontree.digest(given))


def tool_use_of_text(call_id: Json, name: Json, arguments: Json) -> ToolUse:
    """One call whose arguments travel as JSON in a text, as models write them; no text at all means none."""
    value = parsed(jsontree.as_text(arguments) or "{}")
    if value is None:
        return ToolUse(jsontree.as_text(call_id), jsontree.as_text(name), "")
    return tool_use(call_id, name, value)


def parsed(text: str) -> Json:
    """The object that a text holds; `None` where it holds none, or not all of it yet."""
    try:
        value = jsontree.parse(text.encode())
    except (MalformedError, UnicodeEncodeError):
        return None
    return value if isinstance(value, dict) else None
