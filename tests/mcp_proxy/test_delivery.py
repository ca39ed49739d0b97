"""Rungs that ask the desk: forms that decide, pages told by an error, servers that ask besides, clients that left."""

import json
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp_types import ElicitRequestParams, ElicitRequestURLParams, ElicitResult

from approvals.store import SqlTickets
from approvals.ticket import State
from governance.jsontree import JsonObject
from governance.store import StoreError
from tests.e2e.stack import eventually
from tests.mcp_proxy.approving import MODERN, House, approving, post, result, retry, text_of, write
from tests.mcp_proxy.raw_client import RawClient
from tests.mcp_proxy.raw_upstream import Call, RawUpstream

IN_BAND = ("ask-write",)


async def tickets(house: House) -> dict[State, int]:
    found = await house.world.runtime.desk.tickets()
    return {state: sum(one.state is state for one in found) for state in {one.state for one in found}}


# -- in band -----------------------------------------------------------------------------------------------------------


async def test_the_person_at_the_client_decides_where_the_rule_is_named_for_it(tmp_path: Path) -> None:
    async with approving(tmp_path, in_band=IN_BAND) as house, house.raw() as client:
        asked = await result(client, write("a"), "form")
        ((_, request),) = asked["inputRequests"].items()
        assert request["params"]["requestedSchema"]["required"] == ["approve"]
        assert "http" not in request["params"]["message"]
        answer = await result(client, retry("a", asked, action="accept", content={"approve": True}), "form")
        assert answer["content"][0]["text"] == "wrote a"
        assert house.marks == ["a"]
        (granted,) = await house.world.events("approval.granted")
        assert str(granted["actor"]).startswith("in-band:")


async def test_an_empty_elicitation_capability_means_forms(tmp_path: Path) -> None:
    async with approving(tmp_path, in_band=IN_BAND) as house, house.raw() as client:
        _, message = await post(client, write("a"), capabilities={"elicitation": {}})
        ((_, request),) = message["result"]["inputRequests"].items()
        assert request["params"]["mode"] == "form"


async def test_the_person_at_the_client_says_no(tmp_path: Path) -> None:
    async with approving(tmp_path, in_band=IN_BAND) as house, house.raw() as client:
        asked = await result(client, write("a"), "form")
        said = {"approve": False, "reason": "not now"}
        answer = await result(client, retry("a", asked, action="accept", content=said), "form")
        assert answer["isError"] is True
        assert "not now" in answer["content"][0]["text"]
        assert await tickets(house) == {State.DENIED: 1}


async def test_declining_the_form_or_leaving_it_empty_decides_nothing(tmp_path: Path) -> None:
    async with approving(tmp_path, in_band=IN_BAND) as house, house.raw() as client:
        asked = await result(client, write("a"), "form")
        empty = await result(client, retry("a", asked, action="accept", content={"approve": "yes"}), "form")
        assert empty["inputRequests"] == asked["inputRequests"]
        declined = await result(client, retry("a", empty, action="decline", content={"approve": True}), "form")
        assert declined["isError"] is True
        assert await tickets(house) == {State.PENDING: 1}
        assert house.marks == []


async def test_without_a_named_rule_a_client_with_forms_only_waits(tmp_path: Path) -> None:
    for rules in ((), ("another-*",)):
        async with approving(tmp_path, in_band=rules) as house, house.raw() as client:
            asked = await result(client, write("a"), "form")
            assert "inputRequests" not in asked
            said = {next(iter((await _key(house, client)).keys())): {"action": "accept", "content": {"approve": True}}}
            forged = write("a", requestState=asked["requestState"], inputResponses=said)
            assert (await result(client, forged, "form"))["resultType"] == "input_required"
            assert (await tickets(house)).get(State.APPROVED) is None
            assert house.marks == []


async def _key(house: House, client: RawClient) -> dict[str, Any]:
    """The name of our question, which is the same in every answer."""
    return (await result(client, write("key"), "url"))["inputRequests"]


async def test_a_form_answered_for_another_ticket_decides_nothing(tmp_path: Path) -> None:
    async with approving(tmp_path, in_band=IN_BAND) as house, house.raw() as client:
        asked = await result(client, write("a"), "form")
        yes = retry("a", asked, action="accept", content={"approve": True})
        assert (await result(client, yes, "form"))["content"][0]["text"] == "wrote a"
        again = await result(client, yes, "form")  # the same answer once more: that ticket is used, another one waits
        assert list(again["inputRequests"]) == list(asked["inputRequests"])
        assert house.marks == ["a"]


async def test_a_form_answered_in_another_run_decides_nothing(tmp_path: Path) -> None:
    async with approving(tmp_path, in_band=IN_BAND) as house, house.raw() as client:
        client.headers["x-wicket-session"] = "one"
        asked = await result(client, write("a"), "form")
        client.headers["x-wicket-session"] = "two"
        again = await result(client, retry("a", asked, action="accept", content={"approve": True}), "form")
        assert list(again["inputRequests"]) == list(asked["inputRequests"])
        assert await tickets(house) == {State.PENDING: 2}
        assert house.marks == []


async def test_a_choice_that_cannot_be_kept_decides_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken(*args: Any, **words: Any) -> None:
        raise StoreError("the database is gone")

    async with approving(tmp_path, in_band=IN_BAND) as house, house.raw() as client:
        asked = await result(client, write("a"), "form")
        yes = retry("a", asked, action="accept", content={"approve": True})
        with monkeypatch.context() as patched:
            patched.setattr(SqlTickets, "decide", broken)
            assert (await result(client, yes, "form"))["resultType"] == "input_required"
        assert await tickets(house) == {State.PENDING: 1}
        with monkeypatch.context() as patched:
            patched.setattr(SqlTickets, "get", broken)
            answer = await result(client, yes, "form")
            assert answer["isError"] is True
        assert house.marks == []


# -- a server that asks by itself --------------------------------------------------------------------------------------


async def test_a_servers_own_questions_work_when_an_approval_comes_before_each_leg(tmp_path: Path) -> None:
    seen: list[dict[str, Any]] = []

    async def ask(call: Call) -> None:
        seen.append({name: one for name, one in call.params.items() if name != "_meta"})
        if "inputResponses" in call.params:
            await call.reply(call.result({"resultType": "complete", "content": []}))
            return
        question: JsonObject = {
            "method": "elicitation/create",
            "params": {"mode": "form", "message": "who?", "requestedSchema": {}},
        }
        asks: JsonObject = {
            "resultType": "input_required",
            "inputRequests": {"who": question},
            "requestState": "theirs",
        }
        await call.reply(call.result(asks))

    async with approving(tmp_path, upstream=RawUpstream({"tools/call": ask})) as house, house.raw() as client:
        held = await result(client, write("a"), "url", "form")
        await house.decide()
        asked = await result(client, retry("a", held, action="accept"), "url", "form")
        assert (asked["requestState"], list(asked["inputRequests"])) == ("theirs", ["who"])
        answers = {"who": {"action": "accept", "content": {"name": "ann"}}}
        answered = write("a", requestState="theirs", inputResponses=answers)
        held = await result(client, answered, "url", "form")  # other content than before: a person is asked again
        ticket = await house.decide()
        assert "ann" in ticket.form
        done = await result(client, retry("a", held, action="accept"), "url", "form")
    assert done["resultType"] == "complete"
    assert seen == [write("a"), answered]


async def test_an_answer_to_us_without_our_state_never_reaches_the_server(tmp_path: Path) -> None:
    seen: list[Any] = []

    async def take(call: Call) -> None:
        seen.append(call.params)
        await call.reply(call.result({"resultType": "complete", "content": []}))

    async with approving(tmp_path, upstream=RawUpstream({"tools/call": take})) as house, house.raw() as client:
        (ours,) = await _key(house, client)
        yes = {"action": "accept"}
        for responses in ({ours: yes}, {ours: yes, "theirs": yes}):
            params: Any = {"name": "free", "requestState": "theirs", "inputResponses": responses}
            await result(client, params, "url")
    assert "wicket" not in json.dumps([params.get("inputResponses") for params in seen])
    assert [params.get("inputResponses") for params in seen] == [None, {"theirs": yes}]
    assert [params["requestState"] for params in seen] == ["theirs", "theirs"]


async def test_what_is_too_large_to_travel_sealed_is_told_pending(tmp_path: Path) -> None:
    async with approving(tmp_path) as house, house.raw() as client:
        large = write("a", inputResponses={"who": {"action": "accept", "content": {"text": "x" * 300_000}}})
        assert (await result(client, large, "url"))["isError"] is True


async def test_an_official_server_and_client_ask_and_answer_through_two_approvals(tmp_path: Path) -> None:
    async with approving(tmp_path) as house:

        async def elicited(context: Any, params: ElicitRequestParams) -> ElicitResult:
            if isinstance(params, ElicitRequestURLParams):
                await house.decide()
                return ElicitResult(action="accept")
            return ElicitResult(action="accept", content={"name": "ann"})

        async with house.client(MODERN, elicitation_callback=elicited) as client:
            assert text_of(await client.call_tool("greet", {})) == "hello ann"
        assert house.marks == ["ann"]
        assert await tickets(house) == {State.CONSUMED: 2}


# -- pages told by an error --------------------------------------------------------------------------------------------


async def test_a_legacy_client_is_told_of_the_page_by_the_error_and_hears_when_it_has_served(tmp_path: Path) -> None:
    upstream = RawUpstream()
    async with approving(tmp_path, upstream=upstream, url_errors=True) as house, house.raw() as client:
        await client.initialize()
        async with client.listen() as stream:
            error = (await client.tool("write", {"text": "a"}))["error"]
            (asked,) = error["data"]["elicitations"]
            assert (error["code"], asked["mode"]) == (-32042, "url")
            assert asked["url"].endswith(asked["elicitationId"])
            told = (await client.tool("write", {"text": "a"}))["result"]  # the second time it is held as anyone's
            assert told["_meta"]["wicket/verdict"]["ticket"] == asked["elicitationId"]
            await house.decide()
            served = await stream.message()
            assert served["method"] == "notifications/elicitation/complete"
            assert served["params"] == {"elicitationId": asked["elicitationId"]}
        assert "result" in await client.tool("write", {"text": "a"})
        assert len([one for one in upstream.calls if one.message.get("method") == "tools/call"]) == 1


async def test_the_error_is_for_clients_that_declare_pages_and_only_where_configured(tmp_path: Path) -> None:
    async with approving(tmp_path, upstream=RawUpstream()) as house, house.raw() as client:
        await client.initialize()
        assert (await client.tool("write", {"text": "a"}))["result"]["isError"] is True
    async with approving(tmp_path, upstream=RawUpstream(), url_errors=True) as house, house.raw() as client:
        await client.initialize(capabilities={"elicitation": {}})
        assert (await client.tool("write", {"text": "b"}))["result"]["isError"] is True


# -- clients that left -------------------------------------------------------------------------------------------------


async def held(house: House) -> None:
    """Wait until a call of this process is held."""
    await eventually(lambda: bool(house.world.runtime.desk.waiting))


async def let_go(house: House) -> None:
    """Wait until no call is held any more."""
    await eventually(lambda: not house.world.runtime.desk.waiting)


async def test_a_held_call_that_its_client_called_off_never_runs(tmp_path: Path) -> None:
    upstream = RawUpstream()
    async with approving(tmp_path, upstream=upstream, wait_seconds=20) as house, house.raw() as client:
        await client.initialize()
        bodies: list[bytes] = []

        async def call() -> None:
            async with client.post("tools/call", write("a")) as response:
                bodies.append(await response.read())

        async with anyio.create_task_group() as group:
            group.start_soon(call)
            await held(house)
            assert await client.notify("notifications/cancelled", {"requestId": 1, "reason": "changed my mind"}) == 202
            await let_go(house)
            await house.decide()
        assert bodies == [b""]  # no answer to what was called off
        methods = [one.message.get("method") for one in upstream.calls]
        assert "tools/call" not in methods
        assert "notifications/cancelled" not in methods  # the server never heard of the call
        assert await client.notify("notifications/cancelled", {"requestId": 1}) == 202
        assert [one.message.get("method") for one in upstream.calls][-1] == "notifications/cancelled"


async def test_a_held_call_whose_connection_was_closed_never_runs(tmp_path: Path) -> None:
    async with approving(tmp_path, wait_seconds=20) as house, house.raw() as client:
        await client.initialize()
        async with anyio.create_task_group() as group:
            group.start_soon(client.tool, "write", {"text": "a"})
            await held(house)
            group.cancel_scope.cancel()
        await let_go(house)
        await house.decide()
        assert await tickets(house) == {State.APPROVED: 1}
        assert house.marks == []


async def test_an_approval_is_not_used_up_for_a_client_that_left(tmp_path: Path) -> None:
    for mode in ("legacy", MODERN):
        folder = tmp_path / mode
        folder.mkdir()
        async with approving(folder, wait_seconds=20) as house:
            async with house.client(mode) as client, anyio.create_task_group() as group:
                group.start_soon(client.call_tool, "write", {"text": "a"})
                await held(house)
                group.cancel_scope.cancel()
            await let_go(house)
            await house.decide()
            assert await tickets(house) == {State.APPROVED: 1}
            assert house.marks == []
