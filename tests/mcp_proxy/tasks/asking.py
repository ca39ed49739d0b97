"""How tests ask for tasks: raw requests that declare the extension, and the official client with it."""

from typing import Any, Literal

from mcp.client.extension import ClaimContext, ClientExtension, ResultClaim
from mcp_types import CallToolResult, Request, RequestParams, Result
from pydantic import ConfigDict, Field

from governance.jsontree import JsonObject
from mcp_proxy.tasks.task import EXTENSION
from tests.mcp_proxy.approving import MODERN, PREFIX, post
from tests.mcp_proxy.raw_client import RawClient

DECLARED: JsonObject = {"extensions": {EXTENSION: {}}}


def declaring(*kinds: str) -> JsonObject:
    """Client capabilities: tasks, and elicitation of these kinds."""
    return {**DECLARED, "elicitation": {kind: {} for kind in kinds}} if kinds else DECLARED


async def given(client: RawClient, params: JsonObject, *kinds: str) -> Any:
    """The result of a call by a client that knows tasks."""
    status, message = await post(client, params, capabilities=declaring(*kinds))
    assert status == 200, message
    return message["result"]


async def ask(
    client: RawClient, verb: str, task_id: str, *, capabilities: Any = DECLARED, name: str | None = None, **params: Any
) -> tuple[int, Any]:
    """One request about a task; returns the HTTP status and the message."""
    method = f"tasks/{verb}"
    meta: JsonObject = {PREFIX + "protocolVersion": MODERN, PREFIX + "clientCapabilities": capabilities}
    message = {"jsonrpc": "2.0", "id": 8, "method": method, "params": {"taskId": task_id, **params, "_meta": meta}}
    lines = {"mcp_protocol_version": MODERN, "mcp_method": method, "mcp_name": task_id if name is None else name}
    async with client.send(message, **lines) as response:
        return response.status, await response.json()


async def told(client: RawClient, task_id: str) -> Any:
    """What `tasks/get` says."""
    status, message = await ask(client, "get", task_id)
    assert status == 200, message
    return message["result"]


async def discovered(client: RawClient) -> Any:
    """What the server says of itself."""
    meta: JsonObject = {PREFIX + "protocolVersion": MODERN, PREFIX + "clientCapabilities": {}}
    message = {"jsonrpc": "2.0", "id": 6, "method": "server/discover", "params": {"_meta": meta}}
    async with client.send(message, mcp_protocol_version=MODERN, mcp_method="server/discover") as response:
        return (await response.json())["result"]


class _Task(Result):
    """What a call is answered with instead of a result."""

    model_config = ConfigDict(extra="allow")
    result_type: Literal["task"] = Field(default="task", alias="resultType")
    task_id: str = Field(alias="taskId")


class _AskParams(RequestParams):
    task_id: str = Field(alias="taskId")


class _Ask(Request[_AskParams, Literal["tasks/get"]]):
    method: Literal["tasks/get"] = "tasks/get"
    params: _AskParams
    name_param = "taskId"


class _Told(Result):
    model_config = ConfigDict(extra="allow")
    status: str
    result: CallToolResult | None = None


class Patient(ClientExtension):
    """The official client's side of the extension: it polls until the task has ended."""

    identifier = EXTENSION

    def __init__(self) -> None:
        self.polls = 0

    def claims(self) -> list[ResultClaim[Any]]:
        return [ResultClaim(result_type="task", model=_Task, resolve=self._resolve)]

    async def _resolve(self, task: _Task, context: ClaimContext) -> CallToolResult:
        while True:
            self.polls += 1
            asked = _Ask(params=_AskParams.model_validate({"taskId": task.task_id}))
            found = await context.session.send_request(asked, _Told)
            if found.result is not None:
                return found.result
