"""Tasks of 2025-11-25 at the endpoint of all servers: one id for one task, wherever it is named, and nobody else's."""

import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from mcp_proxy.aggregate_task_ids import TaskIds
from tests.mcp_proxy.approving import approving
from tests.mcp_proxy.harness import raw_client
from tests.mcp_proxy.joint import RawStage, raw
from tests.mcp_proxy.raw_client import RawClient
from tests.mcp_proxy.raw_upstream import Call
from tests.mcp_proxy.tasks.making import GIVES, RELATED, TASK, Maker, about, created, flat, name_of
from tests.mcp_proxy.tasks.test_legacy import ended

ANN, BEN = ("ann", "default", ""), ("ben", "default", "")


@asynccontextmanager
async def makers(*, both: bool = True) -> AsyncGenerator[tuple[RawStage, Maker, Maker]]:
    """Servers that make tasks, always of the same id, and a client that has shaken hands again."""
    async with raw() as stage:
        alpha, beta = Maker(stage.alpha, fixed="1"), Maker(stage.beta, fixed="1")
        if not both:
            stage.beta.initialize = {**stage.beta.initialize, "capabilities": {"tools": {}}}
        stage.client.headers.clear()
        await stage.client.initialize()
        yield stage, alpha, beta


def test_an_id_is_the_same_each_time_and_good_for_its_own_owner_only() -> None:
    ids = TaskIds(bytes(32))
    sealed = ids.seal(ANN, "up", "1")
    assert sealed == ids.seal(ANN, "up", "1")
    assert ids.open(sealed, ANN) == ("up", "1")
    others = [ids.seal(BEN, "up", "1"), ids.seal(ANN, "other", "1"), ids.seal(ANN, "up", "2")]
    assert len({sealed, *others}) == 4
    for strange in (ids.open(sealed, BEN), ids.open(sealed[:-4] + "AAAA", ANN), ids.open("1", ANN), ids.open("", ANN)):
        assert strange is None
    assert TaskIds(b"x" * 32).open(sealed, ANN) is None


async def test_tasks_of_two_servers_with_one_id_are_kept_apart_everywhere() -> None:
    async with makers() as (stage, alpha, beta):
        client = stage.client
        ids = {name: name_of(await created(client, f"{name}__t")) for name in ("alpha", "beta")}
        assert len({*ids.values(), "1"}) == 3
        alpha.text, beta.text = "of alpha", "of beta"
        for name, maker in (("alpha", alpha), ("beta", beta)):
            told = (await about(client, "get", ids[name]))["result"]
            assert (told["taskId"], told["status"]) == (ids[name], "working")
            result = (await about(client, "result", ids[name]))["result"]
            assert result["content"][0]["text"] == f"of {name}"
            assert result["_meta"][RELATED]["taskId"] == ids[name]
            assert (await about(client, "cancel", ids[name]))["result"]["taskId"] == ids[name]
            assert maker.asked == [("tasks/get", "1"), ("tasks/result", "1"), ("tasks/cancel", "1")]
            assert maker.made[0].params["task"] == TASK


async def test_tasks_are_offered_where_a_server_makes_them_and_only_in_their_revision() -> None:
    async with makers(both=False) as (stage, _, _):
        for version, offered in (("2025-11-25", GIVES["tasks"]), ("2025-06-18", None)):
            client = RawClient(stage.http, stage.client.url)
            said = await client.initialize(protocolVersion=version)
            assert said["result"]["capabilities"].get("tasks") == offered
        answer = await stage.client.tool("beta__t", {}, task=TASK)
        assert (answer["error"]["code"], "makes no tasks" in answer["error"]["message"]) == (-32601, True)


async def test_the_joint_list_has_the_callers_own_tasks_and_its_pages_go_on() -> None:
    async with makers() as (stage, alpha, beta), raw_client("wk_bob") as http:
        ids = {name: name_of(await created(stage.client, f"{name}__t")) for name in ("alpha", "beta")}
        bob = RawClient(http, stage.client.url)
        await bob.initialize()
        beta.fixed = "2"
        bobs = name_of(await created(bob, "beta__t"))
        beta.lists = ["1", "2", "never heard of"]

        async def paged(call: Call) -> None:
            alpha.asked.append(("tasks/list", call.params.get("cursor")))
            page: dict[str, Any] = {"tasks": [flat("1")]} if call.params.get("cursor") == "" else {"nextCursor": ""}
            await call.reply(call.result(page))

        stage.alpha.handlers["tasks/list"] = paged
        first = (await stage.client.call("tasks/list", {}))["result"]
        assert [one["taskId"] for one in first["tasks"]] == [ids["beta"]]
        second = (await stage.client.call("tasks/list", {"cursor": first["nextCursor"]}))["result"]
        assert [one["taskId"] for one in second["tasks"]] == [ids["alpha"]]
        assert "nextCursor" not in second
        assert alpha.asked == [("tasks/list", None), ("tasks/list", "")]
        assert [one["taskId"] for one in (await bob.call("tasks/list", {}))["result"]["tasks"]] == [bobs]
        for verb in ("get", "result", "cancel"):
            assert (await about(bob, verb, ids["beta"]))["error"]["code"] == -32602
        strange = await bob.call("tasks/list", {"cursor": first["nextCursor"]})
        assert strange["error"]["code"] == -32602


async def test_what_servers_say_of_a_task_names_it_as_the_client_does() -> None:
    """Notices on the server's own stream, and a question within a task with its answer."""
    async with makers() as (stage, _, _):
        task_id = name_of(await created(stage.client, "alpha__t"))
        answers: list[Any] = []

        async def asks(call: Call) -> None:
            meta = {"_meta": {RELATED: {"taskId": "1"}}}
            question = {"jsonrpc": "2.0", "id": "q", "method": "elicitation/create", "params": {"message": "?", **meta}}
            answers.append(await call.ask(question))
            await call.event(call.result({"content": [], **meta}))
            await call.end()

        stage.alpha.handlers["tasks/result"] = asks
        async with stage.client.listen() as heard:
            session = list(stage.alpha.sessions.values())[-1]
            await session.listening.wait()
            status: dict[str, Any] = {"jsonrpc": "2.0", "method": "notifications/tasks/status", "params": flat("1")}
            await session.stream.event(json.dumps(status).encode())
            assert (await heard.message())["params"]["taskId"] == task_id
        async with stage.client.stream("tasks/result", {"taskId": task_id}, id=9) as stream:
            question = await stream.message()
            assert question["params"]["_meta"][RELATED]["taskId"] == task_id
            result = {"action": "decline", "_meta": {RELATED: {"taskId": task_id}}}
            async with stage.client.send({"jsonrpc": "2.0", "id": question["id"], "result": result}) as response:
                assert response.status == 202
            answer = await stream.message()
        assert answer["result"]["_meta"][RELATED]["taskId"] == task_id
        assert answers[0]["result"]["_meta"][RELATED]["taskId"] == "1"


async def test_a_held_call_becomes_a_task_here_too_and_its_client_hears_of_it(tmp_path: Path) -> None:
    maker = Maker()
    async with approving(tmp_path, upstream=maker.server) as house, house.raw() as client:
        joint = RawClient(client.http, house.url.removesuffix("/ledger"))
        await joint.initialize()
        async with joint.listen() as heard:
            task_id = name_of(await created(joint, "ledger__write", text="a"))
            assert (await joint.call("tasks/list", {}))["result"]["tasks"][0]["taskId"] == task_id
            await house.decide(approve=False)
            notice = await heard.message()
            assert (notice["method"], notice["params"]["taskId"]) == ("notifications/tasks/status", task_id)
            assert notice["params"]["status"] == "failed"
        assert (await ended(joint, task_id))["taskId"] == task_id
        result = (await about(joint, "result", task_id))["result"]
        assert (result["isError"], result["_meta"][RELATED]["taskId"]) == (True, task_id)
