"""Where messages of 2025-11-25 name a task, and how another id is put there. Pure.

That revision's tasks are experimental: a call asks for one by `params.task`, is answered by `result.task`, and what is
about the task names it in `taskId`, or in `_meta` where it has no such member. Source: its specification, "Tasks".
"""

from collections.abc import Callable
from dataclasses import replace

from governance import jsontree
from governance.jsontree import Json, JsonObject
from mcp_proxy.message import Message, result_of

TASK_ID = "taskId"
RELATED = "io.modelcontextprotocol/related-task"
"""Member of `_meta` that names the task which a message belongs to."""
STATUS = "notifications/tasks/status"
NOTICE = "notifications/tasks"
"""As `STATUS`, in the extension of 2026-07-28."""
ABOUT = frozenset({"tasks/get", "tasks/result", "tasks/cancel"})
"""Requests about one task."""
REVISION = "2025-11-25"

Rename = Callable[[str], str]


def wants_task(message: Message) -> bool:
    """Whether a call asks for a task (2025-11-25)."""
    return message.method == "tools/call" and isinstance(message.params.get("task"), dict)


def gives_tasks(initialized: JsonObject) -> bool:
    """Whether a server said in `initialize` that it makes tasks of calls."""
    capabilities = jsontree.as_object(initialized.get("capabilities"))
    requests = jsontree.as_object(jsontree.as_object(capabilities.get("tasks")).get("requests"))
    found = jsontree.as_object(requests.get("tools")).get("call")
    return initialized.get("protocolVersion") == REVISION and isinstance(found, dict)


def created(asked: Message, answer: Message) -> str:
    """The id of the task that a server made of a call, in either generation; empty if it made none."""
    result = result_of(answer)
    if result.get("resultType") == "task":
        return jsontree.as_text(result.get(TASK_ID))
    return jsontree.as_text(jsontree.as_object(result.get("task")).get(TASK_ID)) if wants_task(asked) else ""


def related(message: Message) -> str:
    """The id of the task that a message says it belongs to; empty if none."""
    meta = message.meta if message.method else jsontree.as_object(result_of(message).get("_meta"))
    return jsontree.as_text(jsontree.as_object(meta.get(RELATED)).get(TASK_ID))


def renamed(message: Message, rename: Rename, asked: str = "") -> Message:
    """The message with other ids of tasks; the very same where it names none.

    Args:
        message: of either side.
        rename: tells the other id.
        asked: for a response, the method of its request.
    """
    if message.method:
        params = _meta_renamed(message.params, rename)
        if message.method in ABOUT or message.method in (STATUS, NOTICE):
            params = _flat(params, rename)
        return message if params is message.params else _built(message, "params", params)
    found = result_of(message)
    result: JsonObject = _meta_renamed(found, rename)
    if asked in ABOUT and asked != "tasks/result":
        result = _flat(result, rename)
    elif asked == "tools/call" and isinstance(task := result.get("task"), dict):
        result = {**result, "task": _flat(task, rename)}
    elif asked == "tasks/list":
        listed: list[Json] = [
            _flat(one, rename) if isinstance(one, dict) else one for one in jsontree.as_list(result.get("tasks"))
        ]
        result = {**result, "tasks": listed}
    return message if result is found else _built(message, "result", result)


def _built(message: Message, member: str, value: JsonObject) -> Message:
    return replace(Message.build({**message.value, member: value}), id=message.id)


def _flat(value: JsonObject, rename: Rename) -> JsonObject:
    found = value.get(TASK_ID)
    return {**value, TASK_ID: rename(found)} if isinstance(found, str) else value


def _meta_renamed(value: JsonObject, rename: Rename) -> JsonObject:
    meta = value.get("_meta")
    named = meta.get(RELATED) if isinstance(meta, dict) else None
    if not isinstance(meta, dict) or not isinstance(named, dict) or not isinstance(named.get(TASK_ID), str):
        return value
    return {**value, "_meta": {**meta, RELATED: _flat(named, rename)}}
