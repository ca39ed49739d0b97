"""Tasks at the endpoint of all servers: whose a task is, and that nobody else gets at it."""

from pathlib import Path
from typing import Any

from tests.e2e.stack import eventually
from tests.mcp_proxy.approving import approving, post
from tests.mcp_proxy.harness import raw_client
from tests.mcp_proxy.joint import raw
from tests.mcp_proxy.raw_client import RawClient
from tests.mcp_proxy.raw_upstream import Call, RawUpstream
from tests.mcp_proxy.tasks.asking import DECLARED, ask, discovered, told


def with_tasks(server: RawUpstream, name: str) -> list[tuple[str, str, str]]:
    """Let a server make a task of each call, always of the same id; returns what it is asked of it."""
    asked: list[tuple[str, str, str]] = []
    server.stateful = False

    async def make(call: Call) -> None:
        await call.reply(call.result({"resultType": "task", "taskId": "1", "status": "working", "of": name}))

    async def answer(call: Call) -> None:
        asked.append((call.message["method"], call.params["taskId"], call.headers["mcp-name"]))
        done: Any = {"resultType": "complete", "taskId": "1", "status": "working", "of": name}
        await call.reply(call.result(done if call.message["method"] == "tasks/get" else {"resultType": "complete"}))

    server.handlers |= {"tools/call": make, **dict.fromkeys(("tasks/get", "tasks/update", "tasks/cancel"), answer)}
    return asked


async def test_tasks_of_two_servers_with_one_id_are_kept_apart() -> None:
    async with raw() as stage:
        asked = {name: with_tasks(getattr(stage, name), name) for name in ("alpha", "beta")}
        client = RawClient(stage.http, f"{stage.joint.url}/mcp")
        ids: dict[str, str] = {}
        for name in asked:
            _, message = await post(client, {"name": f"{name}__t", "arguments": {}}, capabilities=DECLARED)
            assert message["result"]["of"] == name
            ids[name] = message["result"]["taskId"]
        for name, task_id in ids.items():
            found = await told(client, task_id)
            assert (found["of"], found["taskId"]) == (name, task_id)
            await ask(client, "update", task_id, inputResponses={})
            await ask(client, "cancel", task_id)
            assert asked[name] == [(f"tasks/{verb}", "1", "1") for verb in ("get", "update", "cancel")]
        assert [one for one in stage.joint.asked if one[1] == "task:1"] == [("alpha", "task:1")] * 3 + [
            ("beta", "task:1")
        ] * 3


async def test_the_id_of_a_task_is_good_for_its_own_caller_only() -> None:
    async with raw() as stage, raw_client("wk_bob") as other:
        asked = with_tasks(stage.beta, "beta")
        client, bob = RawClient(stage.http, f"{stage.joint.url}/mcp"), RawClient(other, f"{stage.joint.url}/mcp")
        _, message = await post(client, {"name": "beta__t", "arguments": {}}, capabilities=DECLARED)
        task_id: str = message["result"]["taskId"]
        for who, used in ((bob, task_id), (client, task_id[:-4] + "AAAA"), (client, "1")):
            status, refused = await ask(who, "get", used)
            assert (status, refused["error"]["code"]) == (400, -32602)
        assert asked == []


async def test_tasks_are_offered_where_a_server_offers_them_and_only_to_the_modern_era() -> None:
    async with raw() as stage:
        client = RawClient(stage.http, f"{stage.joint.url}/mcp")
        for offered in (False, True):

            async def discover(call: Call, offered: bool = offered) -> None:
                extensions: dict[str, Any] = DECLARED if offered else {}
                await call.reply(call.result({"resultType": "complete", "capabilities": {"tools": {}, **extensions}}))

            for server in stage.both:
                server.handlers["server/discover"] = discover
            capabilities = (await discovered(client))["capabilities"]
            assert (DECLARED["extensions"] == capabilities.get("extensions")) is offered
        legacy = await stage.client.call("tasks/get", {"taskId": "1"})
        assert legacy["error"]["code"] == -32602


async def test_a_held_call_becomes_a_task_at_the_joint_endpoint_too(tmp_path: Path) -> None:
    async with approving(tmp_path) as house, house.raw() as client, house.raw("bob") as bob:
        joint = RawClient(client.http, house.url.removesuffix("/ledger"))
        call: Any = {"name": "ledger__write", "arguments": {"text": "a"}}
        _, message = await post(joint, call, capabilities=DECLARED)
        task_id = message["result"]["taskId"]
        status, refused = await ask(RawClient(bob.http, joint.url), "get", task_id)
        assert (status, refused["error"]["code"]) == (400, -32602)
        status, refused = await ask(joint, "get", task_id, capabilities={})
        assert (status, refused["error"]["code"]) == (400, -32021)
        await house.decide()
        found: dict[str, Any] = {}

        async def has_ended() -> bool:
            found.update(await told(joint, task_id))
            return found["status"] == "completed"

        await eventually(has_ended)
        assert (found["taskId"], found["result"]["content"][0]["text"]) == (task_id, "wrote a")
        assert house.marks == ["a"]
        status, refused = await ask(joint, "get", task_id)
        assert (status, refused["error"]["code"]) == (400, -32602)
