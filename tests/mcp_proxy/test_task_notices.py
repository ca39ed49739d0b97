"""Who subscribes to a task of ours is told of each change, and need not poll."""

import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from sessions.killswitch import Scope
from tests.mcp_proxy.approving import MODERN, PREFIX, approving, write
from tests.mcp_proxy.raw_client import RawClient, Stream
from tests.mcp_proxy.raw_upstream import Call, RawUpstream
from tests.mcp_proxy.tasks.asking import DECLARED, ask, given, told
from tests.mcp_proxy.tasks.making import Maker

SUBSCRIPTION = PREFIX + "subscriptionId"


@asynccontextmanager
async def listening(client: RawClient, capabilities: Any = DECLARED, **wanted: Any) -> AsyncGenerator[Any]:
    """The response to a subscription."""
    meta = {PREFIX + "protocolVersion": MODERN, PREFIX + "clientCapabilities": capabilities}
    params = {"notifications": wanted, "_meta": meta}
    message = {"jsonrpc": "2.0", "id": 5, "method": "subscriptions/listen", "params": params}
    async with client.send(message, mcp_protocol_version=MODERN, mcp_method="subscriptions/listen") as response:
        yield response


async def test_a_client_that_listens_is_told_what_its_polls_would_say(tmp_path: Path) -> None:
    async with approving(tmp_path) as house, house.raw() as client:
        task_id = (await given(client, write("a")))["taskId"]
        async with listening(client, taskIds=[task_id]) as response:
            stream = Stream(response)
            acknowledged = (await stream.message())["params"]
            assert acknowledged == {"notifications": {"taskIds": [task_id]}, "_meta": {SUBSCRIPTION: 5}}
            first = await stream.message()
            assert first["method"] == "notifications/tasks"
            assert (first["params"]["taskId"], first["params"]["status"]) == (task_id, "working")
            await house.decide()
            last = first
            while last["params"]["status"] == "working":
                last = await stream.message()
            assert last["params"]["_meta"] == {SUBSCRIPTION: 5}
            assert last["params"]["result"]["content"][0]["text"] == "wrote a"
            ended = await stream.message()
            assert ended["result"] == {"resultType": "complete", "_meta": {SUBSCRIPTION: 5}}
        assert (await told(client, task_id))["status"] == "completed"  # a notice is no fetching
        assert house.marks == ["a"]


async def test_nobody_is_told_of_the_tasks_of_others_or_without_the_extension(tmp_path: Path) -> None:
    async with approving(tmp_path) as house, house.raw() as client, house.raw("bob") as bob:
        task_id = (await given(client, write("a")))["taskId"]
        async with listening(bob, taskIds=[task_id]) as response:
            stream = Stream(response)
            assert (await stream.message())["params"]["notifications"] == {}
            assert "result" in await stream.message()
        async with listening(client, {}, taskIds=[task_id]) as response:
            assert (response.status, json.loads(await response.read())["error"]["code"]) == (400, -32021)


async def test_the_server_has_its_part_of_the_subscription_and_hears_of_none_of_our_ids(tmp_path: Path) -> None:
    async def subscribe(call: Call) -> None:
        meta = {"_meta": {SUBSCRIPTION: call.id}}
        agreed: Any = {"notifications": call.params["notifications"], **meta}
        for method, params in (
            ("notifications/subscriptions/acknowledged", agreed),
            ("notifications/tools/list_changed", meta),
        ):
            await call.event(json.dumps({"jsonrpc": "2.0", "method": method, "params": params}).encode())
        await call.end()

    upstream = RawUpstream({"subscriptions/listen": subscribe})
    async with approving(tmp_path, upstream=upstream) as house, house.raw() as client:
        task_id = (await given(client, write("a")))["taskId"]
        async with listening(client, taskIds=[task_id, "theirs"], toolsListChanged=True) as response:
            stream = Stream(response)
            agreed = (await stream.message())["params"]["notifications"]
            assert agreed == {"toolsListChanged": True, "taskIds": ["theirs", task_id]}
            methods = {(await stream.message())["method"] for _ in range(2)}
            assert methods == {"notifications/tools/list_changed", "notifications/tasks"}
        (sent,) = [one.params for one in upstream.calls if one.message.get("method") == "subscriptions/listen"]
        assert sent["notifications"] == {"toolsListChanged": True, "taskIds": ["theirs"]}


async def test_notices_of_a_task_end_when_its_run_is_killed(tmp_path: Path) -> None:
    async with approving(tmp_path) as house, house.raw() as client:
        task_id = (await given(client, write("a")))["taskId"]
        ticket = await house.pending()
        async with listening(client, taskIds=[task_id]) as response:
            stream = Stream(response)
            assert [(await stream.message())["method"] for _ in range(2)][1] == "notifications/tasks"
            await house.world.runtime.kills.kill(Scope.SESSION, ticket.field("session"), reason="stop", actor="test")
            assert "result" in await stream.message()
        _, refused = await ask(client, "get", task_id)
        assert "error" in refused


# -- at the endpoint of all servers -----------------------------------------------------------------------------------


async def test_notices_reach_the_endpoint_of_all_servers_under_its_own_ids(tmp_path: Path) -> None:
    """Those of a task of ours, and whatever the server tells of its own."""
    maker = Maker(fixed="7")
    maker.server.stateful = False

    async def subscribe(call: Call) -> None:
        meta = {"_meta": {SUBSCRIPTION: call.id}}
        agreed: Any = {"notifications": call.params["notifications"], **meta}
        changed: Any = {"taskId": "7", "status": "completed", **meta}
        for method, params in (
            ("notifications/subscriptions/acknowledged", agreed),
            ("notifications/tasks", changed),
        ):
            await call.event(json.dumps({"jsonrpc": "2.0", "method": method, "params": params}).encode())
        await call.end()

    maker.server.handlers["subscriptions/listen"] = subscribe
    async with approving(tmp_path, upstream=maker.server) as house, house.raw() as client, house.raw("bob") as bob:
        joint = RawClient(client.http, house.url.removesuffix("/ledger"))
        theirs = (await given(joint, {"name": "ledger__free", "arguments": {}}))["taskId"]
        ours = (await given(joint, {"name": "ledger__write", "arguments": {"text": "a"}}))["taskId"]
        async with listening(joint, taskIds=[theirs, ours, "7"]) as response:
            stream = Stream(response)
            agreed = (await stream.message())["params"]
            assert (set(agreed["notifications"]["taskIds"]), agreed["_meta"]) == ({theirs, ours}, {SUBSCRIPTION: 5})
            told_of = {
                (one["params"]["taskId"], one["params"]["status"]) for one in [await stream.message() for _ in "ab"]
            }
            assert told_of == {(theirs, "completed"), (ours, "working")}
            await house.decide(approve=False)
            last = await stream.message()
            assert (last["params"]["taskId"], last["params"]["status"]) == (ours, "completed")
            assert (await stream.message())["result"]["_meta"] == {SUBSCRIPTION: 5}
        (sent,) = [one.params for one in maker.server.calls if one.message.get("method") == "subscriptions/listen"]
        assert sent["notifications"] == {"taskIds": ["7"]}
        async with listening(RawClient(bob.http, joint.url), taskIds=[theirs, ours]) as response:
            stream = Stream(response)
            assert (await stream.message())["params"]["notifications"] == {}
            assert "result" in await stream.message()
