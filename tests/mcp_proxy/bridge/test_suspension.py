"""Calls that wait for their client: what takes them up again, what does not, and what ends them."""

import json
from typing import Any

import pytest

from governance.config.models import Limits
from governance.exchange import Action, Phase
from governance.verdict import ALLOWED, Decision, Verdict
from mcp_proxy.bridge import suspension
from tests.mcp_proxy.bridge.modern_scene import ACCEPTED, FORM, elicits, envelope, scene
from tests.mcp_proxy.harness import raw_client
from tests.mcp_proxy.raw_client import RawClient
from tests.mcp_proxy.raw_upstream import Call

SILENCE = Limits().upstream_seconds


async def test_a_question_of_the_server_suspends_the_call_until_the_next_leg() -> None:
    async with scene() as it:
        it.on("tools/call", elicits)
        asked = await it.tool(id=1)
        assert asked["result"]["resultType"] == "input_required"
        assert list(asked["result"]["inputRequests"].values()) == [{"method": "elicitation/create", "params": FORM}]
        (key,) = asked["result"]["inputRequests"]
        told = await it.retry(asked, {key: ACCEPTED, "extra": {}}, id=2)
        assert told["id"] == 2
        assert told["result"]["structuredContent"] == ACCEPTED
        assert len(it.sent("tools/call")) == 1
        judged = [one.action for one in it.stage.gate.admitted]
        assert judged == [Action.TOOL_CALL, Action.ELICITATION_CREATE, Action.TOOL_CALL]  # each leg, and the question


async def test_a_leg_without_the_answers_is_asked_again() -> None:
    async with scene() as it:
        it.on("tools/call", elicits)
        asked = await it.tool(id=1)
        again = await it.retry(asked, {"other": ACCEPTED}, id=2)
        assert again["result"]["inputRequests"] == asked["result"]["inputRequests"]
        assert again["result"]["requestState"] != asked["result"]["requestState"]
        (key,) = again["result"]["inputRequests"]
        assert (await it.retry(again, {key: ACCEPTED}, id=3))["result"]["structuredContent"] == ACCEPTED


@pytest.mark.parametrize("change", ["arguments", "name", "principal", "used", "broken", "expired", "foreign"])
async def test_a_state_works_once_for_the_same_request_of_the_same_principal(change: str) -> None:
    async with scene() as it, raw_client("wk_bob") as bob:
        it.on("tools/call", elicits)
        asked = await it.tool(arguments={"amount": 1}, id=1)
        (key,) = asked["result"]["inputRequests"]
        state = asked["result"]["requestState"]
        more = {"requestState": state, "inputResponses": {key: ACCEPTED}}
        arguments, name, other = {"amount": 1}, "it", it
        if change == "arguments":
            arguments = {"amount": 1_000_000}
        elif change == "name":
            name = "other"
        elif change == "principal":
            other = it._replace(client=RawClient(bob, it.stage.url))
        elif change == "used":
            assert "result" in await it.tool(arguments=arguments, more=more, id=2)
        elif change == "broken":
            more["requestState"] = state[:-2] + ("A" if state[-2] != "A" else "B") + state[-1]
        elif change == "expired":
            it.clock.advance(SILENCE)
        elif change == "foreign":
            more["requestState"] = "of another server"
        async with other.post("tools/call", {"name": name, "arguments": arguments, **more}, id=3) as response:
            assert response.status == 400
            told = json.loads(await response.read())
        assert told["error"]["code"] == -32602
        assert told["error"]["data"] == {"reason": "invalid_request_state"}
        if change != "used":
            assert it.session.answers == {}


async def test_a_call_that_waited_for_too_long_is_cancelled_at_the_server() -> None:
    async with scene() as it:
        it.on("tools/call", elicits)
        await it.tool(id=1)
        session = it.session
        it.clock.advance(SILENCE)
        await it.stage.server._pool.sweep()  # pyright: ignore[reportPrivateUsage] - what its watch does
        await session.expect("notifications/cancelled").wait()
        assert it.sent("notifications/cancelled")[0]["params"]["requestId"] == it.sent("tools/call")[0]["id"]


@pytest.mark.parametrize(("approval", "lives"), [(10, 300), (200, 460), (86400, SILENCE)])
async def test_a_suspended_call_waits_as_long_as_a_person_may_take_to_approve_and_the_server_may_be_silent(
    approval: float, lives: float
) -> None:
    async with scene(approvals={"timeout_seconds": approval}) as it:
        it.on("tools/call", elicits)
        early, late = await it.tool(id=1), await it.tool(id=2)
        (key,) = early["result"]["inputRequests"]
        it.clock.advance(lives - 1)
        await it.stage.server._pool.sweep()  # pyright: ignore[reportPrivateUsage] - what its watch does
        assert "result" in await it.retry(early, {key: ACCEPTED}, id=3)
        it.clock.advance(1)
        assert "error" in await it.retry(late, {key: ACCEPTED}, id=4)


async def test_suspended_calls_of_one_principal_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(suspension, "MOST_OF_ONE", 2)
    async with scene() as it:
        it.on("tools/call", elicits)
        told = [await it.tool(id=number) for number in range(3)]
        assert ["inputRequests" in one["result"] for one in told] == [True, True, False]
        assert told[2]["result"]["structuredContent"]["code"] == -32601


async def test_several_questions_of_one_moment_are_asked_in_one_leg() -> None:
    async with scene() as it:

        async def two(call: Call) -> None:
            assert call.session is not None
            waiting = [call.session.expect(number) for number in (1, 2)]
            for number, method in ((1, "roots/list"), (2, "elicitation/create")):
                await call.event(
                    json.dumps({"jsonrpc": "2.0", "id": number, "method": method, "params": FORM}).encode()
                )
            for one in waiting:
                await one.wait()
            await call.event(call.result({"content": [], "given": [call.session.answers[n]["result"] for n in (1, 2)]}))
            await call.end()

        it.on("tools/call", two)
        asked = await it.tool(id=1)
        questions = asked["result"]["inputRequests"]
        assert [one["method"] for one in questions.values()] == ["roots/list", "elicitation/create"]
        given: list[Any] = [{"roots": []}, ACCEPTED]
        answers = dict(zip(questions, given, strict=True))
        assert (await it.retry(asked, answers, id=2))["result"]["given"] == given


@pytest.mark.parametrize("capabilities", [{}, {"sampling": {}}, {"elicitation": {"url": {}}}])
async def test_only_what_was_declared_on_this_request_is_asked(capabilities: Any) -> None:
    async with scene() as it:
        it.on("tools/call", elicits)
        told = await it.tool(meta=envelope(capabilities))
        assert told["result"]["structuredContent"]["code"] == -32601


async def test_a_question_on_the_servers_own_stream_belongs_to_the_only_call() -> None:
    async with scene() as it:

        async def aside(call: Call) -> None:
            assert call.session is not None
            await call.event(b'{"jsonrpc": "2.0", "method": "notifications/cancelled"}')
            await call.session.listening.wait()
            waiting = call.session.expect("q")
            await call.session.stream.event(
                json.dumps({"jsonrpc": "2.0", "id": "q", "method": "elicitation/create", "params": FORM}).encode()
            )
            await waiting.wait()
            await call.event(call.result({"content": [], "given": call.session.answers["q"]["result"]}))
            await call.end()

        it.on("tools/call", aside)
        asked = await it.tool(id=1)
        (key,) = asked["result"]["inputRequests"]
        assert (await it.retry(asked, {key: ACCEPTED}, id=2))["result"]["given"] == ACCEPTED


async def test_a_leg_that_policy_denies_never_reaches_the_server() -> None:
    async with scene() as it:
        it.on("tools/call", elicits)
        asked = await it.tool(id=1)
        (key,) = asked["result"]["inputRequests"]
        denied = Verdict(Decision.DENY, by="test", rule="test.no", reason="no more")
        it.stage.gate.judge = lambda exchange, phase: denied if phase is Phase.REQUEST else ALLOWED
        told = await it.retry(asked, {key: ACCEPTED}, id=2)
        assert told["result"]["isError"] is True
        assert it.session.answers == {}
