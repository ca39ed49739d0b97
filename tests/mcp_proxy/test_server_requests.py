"""What a server asks of a client: judged before the client sees it, and the answer before the server does."""

import json
from pathlib import Path
from typing import Any

import anyio.lowlevel
import pytest

from governance.jsontree import JsonObject
from mcp_proxy.server_requests import MOST_OPEN
from mcp_proxy.transports.streamable_http import HttpLink
from sessions.killswitch import Scope
from tests.mcp_proxy.raw_client import RawClient
from tests.mcp_proxy.raw_upstream import Call
from tests.mcp_proxy.stage import modern
from tests.mcp_proxy.walled import ORDER, SSN, Wall, walled

PICTURE = {"type": "image", "data": "iVBORw0KGgoAAAANSUhEUgAAAAEAAAAB", "mimeType": "image/png"}


def sampling(text: str, server_id: Any = "q") -> dict[str, Any]:
    messages = [{"role": "user", "content": {"type": "text", "text": text}}]
    params = {"messages": messages, "maxTokens": 9}
    return {"jsonrpc": "2.0", "id": server_id, "method": "sampling/createMessage", "params": params}


def elicitation(message: str) -> dict[str, Any]:
    params = {"mode": "form", "message": message, "requestedSchema": {"type": "object"}}
    return {"jsonrpc": "2.0", "id": "q", "method": "elicitation/create", "params": params}


def rules(*rules: JsonObject) -> JsonObject:
    return {"version": 1, "default": "allow", "rules": list(rules)}


def asking(wall: Wall, *questions: Any) -> None:
    """Let the server ask during each call, and put what it was told into the result."""

    async def handler(call: Call) -> None:
        told = [await call.ask(question) for question in questions]
        await call.event(call.result({"content": [], "structuredContent": told}))
        await call.end()

    wall.upstream.handlers["tools/call"] = handler


async def answered(client: RawClient, answer: Any, *, request_id: Any = "q") -> None:
    async with client.send({"jsonrpc": "2.0", "id": request_id, **answer}) as response:
        assert response.status == 202


SAID = {"result": {"role": "assistant", "model": "m", "content": {"type": "text", "text": "yes"}}}


async def test_a_clean_question_and_its_answer_pass_byte_for_byte_and_are_recorded(tmp_path: Path) -> None:
    async with walled(tmp_path) as wall:
        raw = b'{ "params":{"messages":[],"x":1.0},"id":7,"method":"sampling/createMessage","jsonrpc":"2.0"}'
        reply = b'{"result":{"role":"assistant", "y":1152921504606846977,"content":[]},"id":7,"jsonrpc":"2.0"}'

        async def handler(call: Call) -> None:
            assert call.session is not None
            waiting = call.session.expect(7)
            await call.event(raw)
            await waiting.wait()
            await call.event(call.result({}))
            await call.end()

        wall.upstream.handlers["tools/call"] = handler
        async with wall.client.stream("tools/call", {"name": "t"}) as stream:
            assert (await stream.event()).data == raw
            async with wall.client.send(reply) as response:
                assert response.status == 202
            assert len(await stream.rest()) == 1
        assert wall.upstream.calls[-1].raw == reply
        call, question = await wall.world.events("exchange.admitted")
        assert (question["action"], question["tool"]) == ("sampling.create", "sampling/createMessage")
        assert (question["caused_by"], question["session_id"]) == (call["exchange_id"], call["session_id"])
        ended = await wall.world.events("exchange.completed")
        assert [(one["action"], one["status"]) for one in ended] == [("sampling.create", "ok"), ("tool.call", "ok")]


async def test_what_is_found_in_a_question_is_replaced(tmp_path: Path) -> None:
    async with walled(tmp_path) as wall:
        asking(wall, sampling(f"is {SSN} right?"))
        async with wall.client.stream("tools/call", {"name": "t"}) as stream:
            question = await stream.message()
            assert question["params"]["messages"][0]["content"]["text"] == "is [REDACTED:pii.ssn] right?"
            await answered(wall.client, SAID)
            await stream.rest()


@pytest.mark.parametrize("question", [sampling(ORDER), elicitation(ORDER), sampling("x", f"id {SSN}")])
async def test_a_refused_question_is_answered_to_the_server_and_never_reaches_the_client(
    tmp_path: Path, question: Any
) -> None:
    async with walled(tmp_path) as wall:
        asking(wall, question)
        answer = await wall.client.tool("t")
        (told,) = answer["result"]["structuredContent"]
        assert told["error"] == {"code": -31001, "message": "this request was refused", "data": {"wicket": "refused"}}
        (event,) = await wall.world.events("exchange.refused")
        assert event["action"] in ("sampling.create", "elicitation.create")


@pytest.mark.parametrize(
    ("method", "action"),
    [
        ("sampling/createMessage", "sampling.create"),
        ("elicitation/create", "elicitation.create"),
        ("roots/list", "roots.list"),
        ("vendor/ask", "message"),
    ],
)
async def test_policy_speaks_of_questions_by_their_action(tmp_path: Path, method: str, action: str) -> None:
    policy = rules({"id": "no-questions", "match": {"action": action}, "decide": "deny", "phase": "request"})
    async with walled(tmp_path, policy=policy) as wall:
        asking(wall, {"jsonrpc": "2.0", "id": 3, "method": method, "params": {}})
        answer = await wall.client.tool("t")
        assert answer["result"]["structuredContent"][0]["error"]["code"] == -31001


async def test_a_question_that_a_person_must_approve_is_told_so(tmp_path: Path) -> None:
    policy = rules({"id": "ask", "match": {"action": "sampling.create"}, "decide": "hold", "reason": "costs money"})
    async with walled(tmp_path, policy=policy) as wall:
        asking(wall, sampling("one"))
        answer = await wall.client.tool("t")
        assert answer["result"]["structuredContent"][0]["error"]["code"] == -31002
        assert "approval.requested" in await wall.world.types()


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        (sampling("x"), {"result": {"role": "assistant", "content": [{"type": "text", "text": SSN}, PICTURE]}}),
        (elicitation("x"), {"result": {"action": "accept", "content": {"note": SSN}}}),
        (
            {"jsonrpc": "2.0", "id": "q", "method": "roots/list"},
            {"result": {"roots": [{"uri": "file:///x", "name": SSN}]}},
        ),
        (sampling("x"), {"error": {"code": -1, "message": SSN, "data": [SSN]}}),
        ({"jsonrpc": "2.0", "id": "q", "method": "ping"}, {"result": {"_meta": {"x": SSN}}}),
        ({"jsonrpc": "2.0", "id": "q", "method": "vendor/ask"}, {"result": [SSN]}),
    ],
)
async def test_what_is_found_in_the_answer_is_replaced_before_the_server_gets_it(
    tmp_path: Path, question: Any, answer: Any
) -> None:
    async with walled(tmp_path) as wall:
        asking(wall, question)
        async with wall.client.stream("tools/call", {"name": "t"}) as stream:
            assert await stream.message() == question
            await answered(wall.client, answer)
            await stream.rest()
        assert not wall.reached(SSN)
        assert wall.session.answers["q"] == {
            "jsonrpc": "2.0",
            "id": "q",
            **json.loads(json.dumps(answer).replace(SSN, "[REDACTED:pii.ssn]")),
        }


async def test_a_refused_answer_is_told_to_the_server_as_an_error(tmp_path: Path) -> None:
    async with walled(tmp_path) as wall:
        asking(wall, elicitation("what is it?"))
        async with wall.client.stream("tools/call", {"name": "t"}) as stream:
            await stream.message()
            await answered(wall.client, {"result": {"action": "accept", "content": {"a": ORDER}}})
            (answer,) = await stream.rest()
        assert answer["result"]["structuredContent"][0]["error"]["code"] == -31001
        assert not wall.reached(ORDER)
        assert "exchange.withheld" in await wall.world.types()


async def test_a_second_answer_to_the_same_question_goes_nowhere(tmp_path: Path) -> None:
    async with walled(tmp_path) as wall:
        asking(wall, sampling("x"))
        async with wall.client.stream("tools/call", {"name": "t"}) as stream:
            await stream.message()
            await answered(wall.client, SAID)
            await answered(wall.client, {"result": {"another": "answer"}})
            await stream.rest()
        assert not wall.reached("another")


async def test_a_server_may_ask_with_the_same_id_as_soon_as_it_has_the_answer(tmp_path: Path) -> None:
    async with walled(tmp_path) as wall:
        told = [anyio.Event(), anyio.Event()]

        async def handler(call: Call) -> None:
            for number, answer in enumerate(told):
                await call.event(json.dumps(sampling(f"question {number}")).encode())
                await answer.wait()
            await call.event(call.result({}))
            await call.end()

        async def take(call: Call) -> None:
            told[told[0].is_set()].set()
            await told[1].wait()  # so the first answer is acknowledged no earlier than the second
            await call.reply(b"", status=202)

        wall.upstream.handlers |= {"tools/call": handler, "": take}
        async with wall.client.stream("tools/call", {"name": "t"}) as stream, anyio.create_task_group() as group:
            for number in range(2):
                assert await stream.message() == sampling(f"question {number}")
                group.start_soon(answered, wall.client, SAID)
            assert len(await stream.rest()) == 1


async def test_a_question_on_the_servers_own_stream_is_judged_too(tmp_path: Path) -> None:
    async with walled(tmp_path) as wall, wall.client.listen() as stream:
        await wall.session.listening.wait()
        for number, text in enumerate((ORDER, f"is {SSN} right?")):
            await wall.session.stream.event(json.dumps(sampling(text, number)).encode())
        question = await stream.message()
        assert (question["id"], SSN in json.dumps(question)) == (1, False)
        await wall.session.expect(0).wait()
        assert wall.session.answers[0]["error"]["code"] == -31001
        await answered(wall.client, SAID, request_id=1)
        assert wall.session.answers[1]["result"] == SAID["result"]


async def test_a_question_that_is_repeated_on_a_resumed_stream_is_put_again_as_it_was_judged(tmp_path: Path) -> None:
    async with walled(tmp_path) as wall, wall.client.listen() as stream:
        await wall.session.listening.wait()
        raw = json.dumps(sampling(f"is {SSN} right?")).encode()
        await wall.session.stream.event(raw)
        first = await stream.message()
        await wall.session.stream.event(raw)
        assert await stream.message() == first
        await wall.session.stream.event(json.dumps(sampling("something else")).encode())
        await wall.session.stream.event(b'{"jsonrpc":"2.0","method":"notifications/x"}')
        assert (await stream.message())["method"] == "notifications/x"
        assert len(await wall.world.events("exchange.admitted")) == 1


async def test_a_question_outlives_the_stream_that_it_came_by(tmp_path: Path) -> None:
    async with walled(tmp_path) as wall:
        async with wall.client.listen() as stream:
            await wall.session.listening.wait()
            await wall.session.stream.event(json.dumps(sampling("x")).encode())
            await stream.message()
        await answered(wall.client, SAID)
        assert wall.session.answers["q"]["result"] == SAID["result"]


async def test_a_question_that_the_server_takes_back_is_over(tmp_path: Path) -> None:
    async with walled(tmp_path) as wall, wall.client.listen() as stream:
        await wall.session.listening.wait()
        await wall.session.stream.event(json.dumps(sampling("x")).encode())
        await stream.message()
        note = {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": "q"}}
        await wall.session.stream.event(json.dumps(note).encode())
        assert await stream.message() == note
        await answered(wall.client, SAID)
        assert wall.session.answers == {}
        while not (ended := await wall.world.events("exchange.completed")):
            await anyio.lowlevel.checkpoint()
        assert ended[0]["status"] == "cancelled"


async def test_a_kill_ends_an_open_question(tmp_path: Path) -> None:
    async with walled(tmp_path) as wall, wall.client.listen() as stream:
        await wall.session.listening.wait()
        await wall.session.stream.event(json.dumps(sampling("x")).encode())
        await stream.message()
        run = str((await wall.world.events("exchange.admitted"))[-1]["session_id"])
        await wall.world.runtime.kills.kill(Scope.SESSION, run, reason="enough", actor="anna")
        async with wall.client.send({"jsonrpc": "2.0", "id": "q", **SAID}) as response:
            await response.read()
        assert await stream.rest() == []
        await wall.session.expect("q").wait()
        assert "error" in wall.session.answers["q"]
        assert not wall.reached("yes")


async def test_the_questions_of_an_ended_session_are_over(tmp_path: Path) -> None:
    async with walled(tmp_path) as wall:
        async with wall.client.listen() as stream:
            await wall.session.listening.wait()
            await wall.session.stream.event(json.dumps(sampling("x")).encode())
            await stream.message()
            await wall.client.delete()
        while not (ended := await wall.world.events("exchange.completed")):
            await anyio.lowlevel.checkpoint()
        assert (ended[0]["action"], ended[0]["status"]) == ("sampling.create", "cancelled")


async def test_a_server_that_asks_too_much_is_refused(tmp_path: Path) -> None:
    async with walled(tmp_path) as wall, wall.client.listen() as stream:
        await wall.session.listening.wait()
        for number in range(MOST_OPEN + 1):
            question = {"jsonrpc": "2.0", "id": number, "method": "ping"}
            await wall.session.stream.event(json.dumps(question).encode())
        seen = [(await stream.message())["id"] for _ in range(MOST_OPEN)]
        assert sorted(seen) == list(range(MOST_OPEN))
        await wall.session.expect(MOST_OPEN).wait()
        assert wall.session.answers[MOST_OPEN]["error"]["data"] == {"wicket": "unanswered"}


async def test_a_client_without_a_session_cannot_be_asked(tmp_path: Path) -> None:
    async with walled(tmp_path, shakes_hands=False) as wall:
        wall.upstream.stateful = False

        async def handler(call: Call) -> None:
            await call.event(json.dumps(sampling("x")).encode())
            await call.event(call.result({"content": []}))
            await call.end()

        wall.upstream.handlers["tools/call"] = handler
        answer = await wall.client.tool("t")
        assert answer["result"] == {"content": []}


# -- questions inside a result


def required(*questions: dict[str, Any]) -> dict[str, Any]:
    inputs = {f"k{number}": {name: one[name] for name in ("method", "params")} for number, one in enumerate(questions)}
    return {"resultType": "input_required", "inputRequests": inputs, "requestState": "s"}


@pytest.mark.parametrize("method", ["tools/call", "prompts/get", "resources/read"])
async def test_questions_inside_a_result_are_judged_one_by_one(tmp_path: Path, method: str) -> None:
    policy = rules({"id": "no-sampling", "match": {"action": "sampling.create"}, "decide": "deny"})
    async with walled(tmp_path, policy=policy, shakes_hands=False) as wall:
        wall.upstream.stateful = False
        params = {"uri": "x://y"} if method == "resources/read" else {"name": "p"}
        wall.answers(method, required(elicitation(f"is {SSN} right?")))
        _, answer = await modern(wall.client, method, params)
        shown = answer["result"]["inputRequests"]["k0"]["params"]["message"]
        assert shown == "is [REDACTED:pii.ssn] right?"
        wall.answers(method, required(elicitation("x"), sampling("y")))
        _, answer = await modern(wall.client, method, params)
        assert "no-sampling" in json.dumps(answer)
        assert "inputRequests" not in json.dumps(answer)
        assert [one["rule"] for one in await wall.world.events("exchange.withheld")] == ["no-sampling"]


async def test_a_rule_that_blots_out_does_so_inside_a_result_too(tmp_path: Path) -> None:
    policy = rules(
        {"id": "blot", "match": {"action": "elicitation.create"}, "decide": "redact", "redact": ["/params/message"]}
    )
    async with walled(tmp_path, policy=policy, shakes_hands=False) as wall:
        wall.upstream.stateful = False
        wall.answers("tools/call", required(elicitation("whatever")))
        _, answer = await modern(wall.client, "tools/call", {"name": "t"})
        assert answer["result"]["inputRequests"]["k0"]["params"]["message"] == "[REDACTED]"
        assert answer["result"]["requestState"] == "s"


async def test_a_result_with_too_many_questions_is_withheld_before_any_is_judged(tmp_path: Path) -> None:
    async with walled(tmp_path, shakes_hands=False) as wall:
        wall.upstream.stateful = False
        wall.answers("tools/call", required(*[elicitation("x")] * (MOST_OPEN + 1)))
        _, answer = await modern(wall.client, "tools/call", {"name": "t"})
        assert "inputRequests" not in json.dumps(answer)
        assert await wall.world.types() == ["exchange.admitted", "exchange.withheld"]
        wall.answers("tools/call", required(*[elicitation("x")] * MOST_OPEN))
        _, answer = await modern(wall.client, "tools/call", {"name": "t"})
        assert len(answer["result"]["inputRequests"]) == MOST_OPEN


async def test_a_refusal_that_cannot_be_told_harms_nobody_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tried = anyio.Event()

    async def broken(*_: Any) -> Any:
        tried.set()
        raise RuntimeError("nobody thought of this")

    async with walled(tmp_path) as wall, wall.client.listen() as stream:
        await wall.session.listening.wait()
        with monkeypatch.context() as context:
            context.setattr(HttpLink, "send", broken)
            await wall.session.stream.event(json.dumps(sampling(ORDER)).encode())
            await tried.wait()
        await wall.session.stream.event(json.dumps(sampling("x", "later")).encode())
        assert (await stream.message())["id"] == "later"
        assert "result" in await wall.client.call("ping")


@pytest.mark.parametrize("method", ["tools/call", "vendor/x"])
async def test_pages_that_an_error_asks_to_open_are_judged_as_the_questions_they_are(
    tmp_path: Path, method: str
) -> None:
    hosts: JsonObject = {"action": "elicitation.create", "args": {"/params/url": "https://evil.example/*"}}
    async with walled(tmp_path, policy=rules({"id": "no-pages", "match": hosts, "decide": "deny"})) as wall:

        async def handler(call: Call) -> None:
            url = "https://evil.example/x" if call.id == 1 else "https://good.example/x"
            page = {"mode": "url", "elicitationId": "e", "url": url, "message": f"is {SSN} right?"}
            error = {"code": -32042, "message": "open it", "data": {"elicitations": [page]}}
            await call.reply(json.dumps({"jsonrpc": "2.0", "id": call.id, "error": error}).encode())

        wall.upstream.handlers[method] = handler
        told = [json.dumps(await wall.client.call(method, {"name": "t"}, id=number)) for number in (1, 2)]
        assert ("evil.example" in told[0], "no-pages" in told[0]) == (False, True)
        assert ("good.example" in told[1], SSN in told[1]) == (True, False)
        actions = [one["action"] for one in await wall.world.events("exchange.refused")]
        assert actions == ["elicitation.create"]
