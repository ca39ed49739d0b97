"""Held calls of clients that know tasks: given one, asked for by id, made once or not at all."""

from pathlib import Path
from typing import Any

import anyio
import pytest

from approvals.ticket import State
from mcp_proxy.tasks import task as tasks
from sessions.killswitch import Scope
from tests.e2e.stack import eventually
from tests.mcp_proxy.approving import House, approving, post, result, text_of, write
from tests.mcp_proxy.raw_client import RawClient
from tests.mcp_proxy.raw_upstream import Call, RawUpstream
from tests.mcp_proxy.tasks.asking import DECLARED, Patient, ask, declaring, discovered, given, told


async def ended(client: RawClient, task_id: str) -> Any:
    """What `tasks/get` says once the task has ended."""
    found: dict[str, Any] = {}

    async def has_ended() -> bool:
        found.update(await told(client, task_id))
        return found["status"] not in ("working", "input_required")

    await eventually(has_ended)
    return found


async def states(house: House) -> list[State]:
    return [one.state for one in await house.world.runtime.desk.tickets()]


async def held(house: House) -> None:
    """Wait until the call of a task waits for its person."""
    await eventually(lambda: bool(house.world.runtime.desk.waiting))


async def test_a_held_call_becomes_a_task_whose_answer_is_fetched_once(tmp_path: Path) -> None:
    async with approving(tmp_path) as house, house.raw() as client:
        task = await given(client, write("a"))
        assert (task["resultType"], task["status"], task["pollIntervalMs"]) == ("task", "working", 5000)
        assert task["ttlMs"] > 0
        assert task["createdAt"].endswith("Z")
        assert "tkt_" not in task["taskId"]
        assert (await house.pending()).id in task["statusMessage"]
        waits = await told(client, task["taskId"])
        assert (waits["resultType"], waits["status"], waits["taskId"]) == ("complete", "working", task["taskId"])
        assert house.marks == []
        await house.decide()
        done = await ended(client, task["taskId"])
        assert (done["status"], done["result"]["content"][0]["text"]) == ("completed", "wrote a")
        status, again = await ask(client, "get", task["taskId"])
        assert (status, again["error"]["code"]) == (400, -32602)
        assert house.marks == ["a"]
        assert await states(house) == [State.CONSUMED]


async def test_an_official_client_with_the_extension_gets_its_result(tmp_path: Path) -> None:
    patient = Patient()
    async with approving(tmp_path) as house, house.client(extensions=[patient]) as client:
        answers: list[Any] = []

        async def call() -> None:
            answers.append(await client.call_tool("write", {"text": "a"}))

        async with anyio.create_task_group() as group:
            group.start_soon(call)
            await house.decide()
        assert (text_of(answers[0]), house.marks) == ("wrote a", ["a"])
        assert patient.polls > 0


async def test_only_a_request_that_declares_the_extension_is_given_a_task(tmp_path: Path) -> None:
    async with approving(tmp_path) as house, house.raw() as client:
        assert (await result(client, write("a")))["resultType"] == "input_required"
        await given(client, write("b"))
        assert (await result(client, write("c")))["resultType"] == "input_required"
        _, free = await post(client, {"name": "nothing", "arguments": {}}, capabilities=DECLARED)
        assert free["result"]["resultType"] != "task"  # what is not held is none of ours


async def test_where_tasks_are_switched_off_none_is_given_or_offered(tmp_path: Path) -> None:
    for offered in (True, False):
        folder = tmp_path / str(offered)
        folder.mkdir()
        async with approving(folder, tasks=offered) as house, house.raw() as client:
            capabilities = (await discovered(client))["capabilities"]
            assert (tasks.EXTENSION in capabilities.get("extensions", {})) is offered
            assert ((await given(client, write("a")))["resultType"] == "task") is offered


async def test_a_denied_task_has_an_answer_that_says_why(tmp_path: Path) -> None:
    async with approving(tmp_path) as house, house.raw() as client:
        task = await given(client, write("a"))
        await house.decide(approve=False, reason="not on a Friday")
        done = await ended(client, task["taskId"])
        assert (done["status"], done["result"]["isError"]) == ("completed", True)
        assert "not on a Friday" in done["result"]["content"][0]["text"]
        assert house.marks == []


async def test_a_task_that_nobody_decides_ends_with_its_ticket(tmp_path: Path) -> None:
    async with approving(tmp_path, timeout_seconds=0.3) as house, house.raw() as client:
        task = await given(client, write("a"))
        done = await ended(client, task["taskId"])
        assert "nobody approved this call in time" in done["result"]["content"][0]["text"]
        assert house.marks == []


async def test_a_cancelled_task_settles_its_ticket_and_never_runs(tmp_path: Path) -> None:
    async with approving(tmp_path) as house, house.raw() as client:
        task = await given(client, write("a"))
        ticket = await house.pending()
        await held(house)
        _, message = await ask(client, "cancel", task["taskId"])
        assert message["result"] == {"resultType": "complete"}
        decided = await house.world.runtime.desk.approve(ticket.id, by="anna")
        assert decided is not None
        assert not decided.made
        assert (await told(client, task["taskId"]))["status"] == "cancelled"
        assert await states(house) == [State.INVALIDATED]
        assert house.marks == []
        # It was told already, so the same call made again asks a person again.
        assert (await given(client, write("a")))["resultType"] == "task"


async def test_a_task_whose_client_is_gone_is_made_only_when_it_comes_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with approving(tmp_path) as house, house.raw() as client:
        task = await given(client, write("a"))
        await held(house)
        with monkeypatch.context() as gone:
            gone.setattr(tasks, "GONE_AFTER_POLLS", 0)
            await house.decide()
            await eventually(lambda: not house.world.runtime.desk.waiting)

            async def refused() -> bool:
                return "client.left" in [one["rule"] for one in await house.world.events("exchange.refused")]

            await eventually(refused)
            assert house.marks == []
            assert await states(house) == [State.APPROVED]
        done = await ended(client, task["taskId"])
        assert done["result"]["content"][0]["text"] == "wrote a"
        assert house.marks == ["a"]


async def test_a_task_is_judged_anew_before_its_call_is_made(tmp_path: Path) -> None:
    async with approving(tmp_path) as house, house.raw() as client:
        task = await given(client, write("a"))
        await held(house)
        (tmp_path / "policy.yaml").write_text(
            '{"version": 1, "rules": [{"id": "closed", "match": {"tool": "*"}, "decide": "deny", "reason": "closed"}]}'
        )
        await house.world.runtime.policies.reload()
        await house.decide()
        done = await ended(client, task["taskId"])
        assert "closed" in done["result"]["content"][0]["text"]
        assert house.marks == []


async def test_every_poll_is_judged(tmp_path: Path) -> None:
    async with approving(tmp_path) as house, house.raw() as client:
        task = await given(client, write("a"))
        ticket = await house.pending()
        (tmp_path / "policy.yaml").write_text(
            '{"version": 1, "rules": [{"id": "no-tasks", "match": {"resource": "task:*"}, "decide": "deny"}]}'
        )
        await house.world.runtime.policies.reload()
        _, message = await ask(client, "get", task["taskId"])
        assert message["error"]["data"]["wicket/verdict"]["rule"] == "no-tasks"
        (event,) = [one for one in await house.world.events("exchange.refused") if one["rule"] == "no-tasks"]
        assert event["tool"] == f"task:{ticket.id}"


async def test_a_killed_run_ends_its_tasks(tmp_path: Path) -> None:
    async with approving(tmp_path) as house, house.raw() as client:
        client.headers["x-wicket-session"] = "one"
        task = await given(client, write("a"))
        await held(house)
        ticket = await house.pending()
        await house.world.runtime.kills.kill(Scope.SESSION, ticket.field("session"), reason="stop", actor="test")
        _, message = await ask(client, "get", task["taskId"])
        assert "error" in message
        assert house.marks == []


# -- what a client of a task is asked ----------------------------------------------------------------------------------


async def test_a_client_that_opens_pages_is_asked_to_in_its_task(tmp_path: Path) -> None:
    async with approving(tmp_path) as house, house.raw() as client:
        task = await given(client, write("a"), "url")
        asked = await told(client, task["taskId"])
        assert asked["status"] == "input_required"
        ((key, question),) = asked["inputRequests"].items()
        assert question["params"]["url"].endswith((await house.pending()).id)
        await ask(client, "update", task["taskId"], inputResponses={"other": {}, key: {"action": "accept"}})
        assert (await told(client, task["taskId"]))["status"] == "working"  # opening it approves nothing
        assert house.marks == []
        await house.decide()
        assert (await ended(client, task["taskId"]))["result"]["content"][0]["text"] == "wrote a"


@pytest.mark.parametrize("in_band", [True, False])
async def test_a_form_decides_only_where_the_rule_is_named_for_it(tmp_path: Path, in_band: bool) -> None:
    async with approving(tmp_path, in_band=("ask-write",) if in_band else ()) as house, house.raw() as client:
        task = await given(client, write("a"), "form")
        asked = await told(client, task["taskId"])
        assert asked["status"] == ("input_required" if in_band else "working")
        key = next(iter(asked.get("inputRequests", {"": ""})))
        yes = {key: {"action": "accept", "content": {"approve": True}}}
        await ask(client, "update", task["taskId"], inputResponses=yes)
        if in_band:
            assert (await ended(client, task["taskId"]))["result"]["content"][0]["text"] == "wrote a"
        assert house.marks == (["a"] if in_band else [])


async def test_what_the_server_asks_in_a_task_is_answered_and_approved_too(tmp_path: Path) -> None:
    async with approving(tmp_path) as house, house.raw() as client:
        capabilities = declaring("form")
        _, message = await post(client, {"name": "greet", "arguments": {}}, capabilities=capabilities)
        task_id = message["result"]["taskId"]
        await house.decide()
        asked: dict[str, Any] = {}

        async def is_asked() -> bool:
            asked.update(await told(client, task_id))
            return "inputRequests" in asked

        await eventually(is_asked)
        ((key, question),) = asked["inputRequests"].items()
        assert question["params"]["message"] == "who are you?"
        answers = {key: {"action": "accept", "content": {"name": "ann"}}}
        await ask(client, "update", task_id, inputResponses=answers, capabilities=capabilities)
        ticket = await house.decide()  # other content than before: a person is asked again
        assert "ann" in ticket.form
        done = await ended(client, task_id)
        assert (done["result"]["content"][0]["text"], house.marks) == ("hello ann", ["ann"])


# -- a server with tasks of its own ------------------------------------------------------------------------------------


async def test_a_task_that_the_server_makes_of_the_call_is_asked_for_under_the_one_id(tmp_path: Path) -> None:
    asked: list[Any] = []

    async def make(call: Call) -> None:
        await call.reply(call.result({"resultType": "task", "taskId": "theirs", "status": "working"}))

    async def get(call: Call) -> None:
        asked.append((call.params["taskId"], call.headers["mcp-name"]))
        done: Any = {"resultType": "complete", "taskId": "theirs", "status": "completed", "result": {"content": []}}
        await call.reply(call.result(done))

    upstream = RawUpstream({"tools/call": make, "tasks/get": get})
    async with approving(tmp_path, upstream=upstream) as house, house.raw() as client, house.raw("bob") as bob:
        task = await given(client, write("a"))
        await house.decide()
        done = await ended(client, task["taskId"])
        assert (done["status"], done["taskId"], done["result"]) == ("completed", task["taskId"], {"content": []})
        assert set(asked) == {("theirs", "theirs")}
        status, refused = await ask(bob, "get", task["taskId"])
        assert (status, refused["error"]["code"]) == (400, -32602)


async def test_an_answer_that_is_asked_for_many_times_at_once_is_given_once(tmp_path: Path) -> None:
    async with approving(tmp_path) as house, house.raw() as client:
        task = await given(client, write("a"))
        await house.decide()

        async def made() -> bool:
            return bool(await house.world.events("exchange.completed")) and house.marks == ["a"]

        await eventually(made)
        answers: list[Any] = []

        async def fetch() -> None:
            answers.append(await ask(client, "get", task["taskId"]))

        async with anyio.create_task_group() as group:
            for _ in range(20):
                group.start_soon(fetch)
        assert sum("wrote a" in str(answer) for answer in answers) == 1


async def test_an_upstream_that_fails_makes_the_task_fail(tmp_path: Path) -> None:
    async def fail(call: Call) -> None:
        await call.event(b'{"jsonrpc":"2.0","method":"notifications/message","params":{"level":"info","data":"x"}}')
        await call.end()

    upstream = RawUpstream({"tools/call": fail})
    async with approving(tmp_path, upstream=upstream) as house, house.raw() as client:
        task = await given(client, write("a"))
        await house.decide()
        done = await ended(client, task["taskId"])
        assert (done["status"], done["error"]["data"]["wicket"]) == ("failed", "upstream")
