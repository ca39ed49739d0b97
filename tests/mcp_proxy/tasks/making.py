"""A server that makes tasks of calls, in both generations, and how clients of 2025-11-25 ask for them."""

from dataclasses import dataclass, field
from typing import Any

from tests.mcp_proxy.raw_client import RawClient
from tests.mcp_proxy.raw_upstream import Call, RawUpstream

GIVES: dict[str, Any] = {"tasks": {"list": {}, "cancel": {}, "requests": {"tools": {"call": {}}}}, "tools": {}}
TASK: dict[str, Any] = {"ttl": 60_000}
RELATED = "io.modelcontextprotocol/related-task"


def flat(task_id: str, status: str = "working") -> dict[str, Any]:
    """A task, as 2025-11-25 tells of it."""
    moment = "2026-11-28T00:00:00Z"
    return {"taskId": task_id, "status": status, "createdAt": moment, "lastUpdatedAt": moment, "ttl": None}


@dataclass
class Maker:
    """What the server was asked, and what it says. Its ids are `1`, `2`, ... unless `fixed` is set."""

    server: RawUpstream = field(default_factory=RawUpstream)
    fixed: str = ""
    made: list[Call] = field(default_factory=list[Call])
    asked: list[tuple[str, Any]] = field(default_factory=list[tuple[str, Any]])
    status: str = "working"
    text: str = "done"
    lists: list[str] = field(default_factory=list[str])
    """Ids that it lists."""

    def __post_init__(self) -> None:
        self.server.initialize = {**self.server.initialize, "capabilities": GIVES}
        self.server.handlers |= {"tools/call": self._make, "tasks/list": self._list}
        self.server.handlers |= dict.fromkeys(("tasks/get", "tasks/cancel"), self._tell)
        self.server.handlers["tasks/result"] = self._result

    def ended(self, verb: str) -> list[Any]:
        """The ids that something was asked of."""
        return [task_id for method, task_id in self.asked if method == f"tasks/{verb}"]

    async def _make(self, call: Call) -> None:
        self.made.append(call)
        task_id = self.fixed or str(len(self.made))
        if "task" in call.params:
            await call.reply(call.result({"task": flat(task_id)}))
        elif "extensions" in str(call.params.get("_meta", {})):
            await call.reply(call.result({"resultType": "task", **flat(task_id)}))
        else:
            await call.reply(call.result({"content": [{"type": "text", "text": self.text}]}))

    async def _tell(self, call: Call) -> None:
        self.asked.append((call.message["method"], call.params["taskId"]))
        status = "cancelled" if call.message["method"] == "tasks/cancel" else self.status
        await call.reply(call.result({"resultType": "complete", **flat(call.params["taskId"], status)}))

    async def _result(self, call: Call) -> None:
        self.asked.append((call.message["method"], call.params["taskId"]))
        meta = {RELATED: {"taskId": call.params["taskId"]}}
        await call.reply(call.result({"content": [{"type": "text", "text": self.text}], "_meta": meta}))

    async def _list(self, call: Call) -> None:
        self.asked.append(("tasks/list", call.params.get("cursor")))
        await call.reply(call.result({"tasks": [flat(one) for one in self.lists]}))


async def created(client: RawClient, name: str = "write", *, id: Any = 1, **arguments: Any) -> Any:  # noqa: A002 - as on the wire
    """The task that a call is answered with."""
    answer = await client.tool(name, arguments, id=id, task=TASK)
    return answer["result"]["task"]


async def about(client: RawClient, verb: str, task_id: str, *, id: Any = 50) -> Any:  # noqa: A002 - as on the wire
    """What one request about a task is answered with."""
    return await client.call(f"tasks/{verb}", {"taskId": task_id}, id=id)


def name_of(task: Any) -> str:
    """The id of a task."""
    return str(task["taskId"])
