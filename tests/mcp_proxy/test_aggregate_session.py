"""Sessions of the aggregate: one with each server for each client; ids never cross; one lost is not all lost."""

import json
from typing import Any

import anyio

from governance.config.models import Limits
from tests.mcp_proxy.joint import raw, sent
from tests.mcp_proxy.raw_client import RawClient
from tests.mcp_proxy.raw_upstream import Call


def asking(name: str, request_id: Any) -> Any:
    """A tool that asks the client and answers with what it was told."""

    async def handler(call: Call) -> None:
        question = {"jsonrpc": "2.0", "id": request_id, "method": "sampling/createMessage", "params": {"of": name}}
        answer = await call.ask(question)
        await call.event(call.result({"content": [{"type": "text", "text": json.dumps(answer["result"])}]}))
        await call.end()

    return handler


async def test_each_client_session_has_one_session_with_each_server_and_ends_it() -> None:
    async with raw() as stage:
        await stage.client.tool("alpha__x")
        await stage.client.tool("beta__x")
        other = RawClient(stage.http, stage.client.url)
        await other.initialize()
        for one in stage.both:
            assert len(one.sessions) == 2
        assert await stage.client.delete() == 200
        for one in stage.both:
            assert len(one.ended) == 1
        async with stage.client.post("tools/list") as response:
            assert response.status == 404
        assert "result" in await other.tool("beta__x")


async def test_the_session_belongs_to_the_aggregate_alone() -> None:
    async with raw() as stage:
        session = stage.client.headers["mcp-session-id"]
        single = RawClient(stage.http, f"{stage.joint.url}/mcp/alpha", {"mcp-session-id": session})
        async with single.post("tools/list") as response:
            assert response.status == 404
        without = RawClient(stage.http, stage.client.url)
        async with without.post("tools/list") as response:
            assert response.status == 400


async def test_each_server_learns_what_the_client_said_of_itself() -> None:
    async with raw() as stage:
        for one in stage.both:
            (hello,) = sent(one, "initialize")
            assert hello["params"]["clientInfo"]["name"] == "raw-client"
            assert hello["params"]["capabilities"]["x-unknown"] == {"a": None}
            assert len(sent(one, "notifications/initialized")) == 1


async def test_equal_ids_of_two_servers_questions_never_cross() -> None:
    async with raw() as stage:
        stage.alpha.handlers["tools/call"] = asking("alpha", 1)
        stage.beta.handlers["tools/call"] = asking("beta", 1)
        async with (
            stage.client.stream("tools/call", {"name": "alpha__ask"}, id=10) as first,
            stage.client.stream("tools/call", {"name": "beta__ask"}, id=11) as second,
        ):
            questions = [await first.message(), await second.message()]
            assert questions[0]["id"] != questions[1]["id"]
            for question in reversed(questions):
                answer = {"jsonrpc": "2.0", "id": question["id"], "result": {"to": question["params"]["of"]}}
                async with stage.client.send(answer) as response:
                    assert response.status == 202
            (told,), (heard,) = await first.rest(), await second.rest()
        assert json.loads(told["result"]["content"][0]["text"]) == {"to": "alpha"}
        assert json.loads(heard["result"]["content"][0]["text"]) == {"to": "beta"}


async def test_an_answer_to_nothing_reaches_no_server() -> None:
    async with raw() as stage:
        before = [len(one.calls) for one in stage.both]
        for request_id in (1, 99, "1"):
            async with stage.client.send({"jsonrpc": "2.0", "id": request_id, "result": {}}) as response:
                assert response.status == 202
        assert [len(one.calls) for one in stage.both] == before


async def test_the_clients_progress_reaches_the_server_that_asked_under_its_own_token() -> None:
    async with raw() as stage:
        question = {"jsonrpc": "2.0", "id": 1, "method": "sampling/createMessage"}

        async def handler(call: Call) -> None:
            await call.ask({**question, "params": {"_meta": {"progressToken": "mine"}}})
            await call.event(call.result({"content": []}))
            await call.end()

        stage.beta.handlers["tools/call"] = handler
        async with stage.client.stream("tools/call", {"name": "beta__ask"}) as stream:
            asked = await stream.message()
            token = asked["params"]["_meta"]["progressToken"]
            await stage.client.notify("notifications/progress", {"progressToken": token, "progress": 1})
            await stage.client.notify("notifications/progress", {"progressToken": "mine", "progress": 1})
            async with stage.client.send({"jsonrpc": "2.0", "id": asked["id"], "result": {}}):
                await stream.rest()
        (progress,) = sent(stage.beta, "notifications/progress")
        assert progress["params"] == {"progressToken": "mine", "progress": 1}
        assert not sent(stage.alpha, "notifications/progress")


async def test_a_server_that_gives_up_its_question_is_understood() -> None:
    async with raw() as stage:
        asked = anyio.Event()

        async def handler(call: Call) -> None:
            await call.event(json.dumps({"jsonrpc": "2.0", "id": 1, "method": "roots/list"}).encode())
            await asked.wait()
            for request_id in (7, 1):  # nobody knows the first
                params = {"requestId": request_id, "reason": "late"}
                note = {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": params}
                await call.event(json.dumps(note).encode())
            await call.event(call.result({"content": []}))
            await call.end()

        stage.beta.handlers["tools/call"] = handler
        async with stage.client.stream("tools/call", {"name": "beta__ask"}) as stream:
            question = await stream.message()
            asked.set()
            cancelled, _ = await stream.rest()
        assert cancelled["params"] == {"requestId": question["id"], "reason": "late"}


async def test_no_server_can_report_progress_on_the_call_of_another() -> None:
    async with raw() as stage:

        async def handler(call: Call) -> None:
            for token in ("others", "own"):
                params = {"progressToken": token, "progress": 1}
                note = {"jsonrpc": "2.0", "method": "notifications/progress", "params": params}
                await call.event(json.dumps(note).encode())
            await call.event(call.result({"content": []}))
            await call.end()

        async def patient(call: Call) -> None:
            await call.event(b'{"jsonrpc":"2.0","method":"notifications/message","params":{"level":"info","data":1}}')
            await call.until_left()

        stage.alpha.handlers["tools/call"] = patient
        stage.beta.handlers["tools/call"] = handler
        call = {"name": "alpha__x", "_meta": {"progressToken": "others"}}
        async with stage.client.stream("tools/call", call, id=1) as stream:
            await stream.message()
            call = {"name": "beta__x", "_meta": {"progressToken": "own"}}
            async with stage.client.stream("tools/call", call, id=2) as other:
                (progress, _) = await other.rest()
        assert progress["params"]["progressToken"] == "own"


async def test_a_cancellation_reaches_the_server_of_the_call() -> None:
    async with raw() as stage:
        started = anyio.Event()

        async def slow(call: Call) -> None:
            started.set()
            assert call.session is not None
            await call.session.expect("notifications/cancelled").wait()
            await call.reply(call.result({"content": []}))

        stage.beta.handlers["tools/call"] = slow
        async with anyio.create_task_group() as group:
            group.start_soon(lambda: stage.client.tool("beta__x", id=41))
            await started.wait()
            await stage.client.notify("notifications/cancelled", {"requestId": 41, "reason": "enough"})
        (cancelled,) = sent(stage.beta, "notifications/cancelled")
        assert cancelled["params"] == {"requestId": 41, "reason": "enough"}
        assert not sent(stage.alpha, "notifications/cancelled")


async def test_a_session_that_one_server_lost_is_opened_again_and_the_others_stay() -> None:
    async with raw() as stage:
        await stage.client.call("logging/setLevel", {"level": "debug"})
        stage.alpha.sessions.clear()
        lost = await stage.client.tool("alpha__x")
        assert "has ended the session" in lost["error"]["message"]
        assert lost["error"]["data"]["wicket"] == "upstream"
        assert "result" in await stage.client.tool("alpha__x")
        assert "result" in await stage.client.tool("beta__x")
        again = [call.message["method"] for call in stage.alpha.calls][-4:]
        assert again == ["initialize", "logging/setLevel", "notifications/initialized", "tools/call"]
        assert len(sent(stage.beta, "initialize")) == 1


async def test_a_server_that_refuses_the_handshake_is_tried_again_when_it_is_needed() -> None:
    async with raw() as stage:

        async def refuse(call: Call) -> None:
            await call.reply(b'{"jsonrpc":"2.0","id":"%s","error":{"code":-32602,"message":"no"}}' % call.id.encode())

        for change in (refuse, _odd_revision):
            stage.alpha.handlers["initialize"] = change
            other = RawClient(stage.http, stage.client.url)
            result = (await other.initialize())["result"]
            assert list(result["_meta"]["wicket/missing"]) == ["alpha"]
            assert "Not available now: `alpha`" in result["instructions"]
            del stage.alpha.handlers["initialize"]
            assert "result" in await other.tool("alpha__x")


async def _odd_revision(call: Call) -> None:
    await call.reply(call.result({"protocolVersion": "1999-01-01", "capabilities": {}}))


async def test_no_session_begins_where_no_server_answers() -> None:
    async with raw() as stage:

        async def refuse(call: Call) -> None:
            await call.reply(b"", status=503)

        for one in stage.both:
            one.handlers["initialize"] = refuse
        other = RawClient(stage.http, stage.client.url)
        answer = await other.initialize()
        assert answer["error"]["data"]["wicket"] == "upstream"
        assert "mcp-session-id" not in other.headers


async def test_every_server_gets_what_is_meant_for_all() -> None:
    async with raw() as stage:
        assert (await stage.client.call("logging/setLevel", {"level": "error"}))["result"] == {}
        await stage.client.notify("notifications/roots/list_changed")
        for one in stage.both:
            assert len(sent(one, "notifications/roots/list_changed")) == 1
            (level,) = sent(one, "logging/setLevel")
            assert level["params"] == {"level": "error"}


async def test_a_request_with_the_id_of_an_open_one_is_refused_whatever_the_server() -> None:
    async with raw() as stage:
        started = anyio.Event()

        async def slow(call: Call) -> None:
            started.set()
            await call.until_left()

        stage.beta.handlers["tools/call"] = slow
        async with anyio.create_task_group() as group:
            group.start_soon(lambda: stage.client.tool("beta__x", id=1))
            await started.wait()
            answer = await stage.client.tool("alpha__x", id=1)
            assert "still open" in answer["error"]["message"]
            group.cancel_scope.cancel()


async def test_an_answer_that_a_server_leaves_for_later_is_fetched_for_the_client() -> None:
    async with raw(limits=Limits(upstream_seconds=20)) as stage:

        async def leave(call: Call) -> None:
            note = b'{"jsonrpc":"2.0","method":"notifications/message","params":{"level":"info","data":"soon"}}'
            await call.event(note, event_id="place-1", retry=1)
            await call.end()

        stage.beta.handlers["tools/call"] = leave
        (session,) = stage.beta.sessions.values()
        async with stage.client.stream("tools/call", {"name": "beta__x"}, id=3) as stream:
            assert (await stream.message())["params"]["data"] == "soon"
            await session.listening.wait()
            assert session.stream.headers["last-event-id"] == "place-1"
            await session.stream.event(b'{"jsonrpc":"2.0","id":3,"result":{"late":true}}', event_id="place-2")
            (answer,) = await stream.rest()
        assert answer["result"] == {"late": True}
        assert [outcome.status for _, outcome in stage.joint.gate.settled] == ["ok"]
