"""What must survive the proxy on its way through streams: notes before an answer, and requests of the server itself."""

import json
from typing import Any

import anyio
import pytest

from tests.mcp_proxy.raw_upstream import Call
from tests.mcp_proxy.stage import AWKWARD, TOOL, staged

# -- streams


async def test_progress_arrives_live_with_its_token() -> None:
    async with staged() as stage:
        goes_on = [anyio.Event() for _ in range(3)]

        async def handler(call: Call) -> None:
            token = call.params["_meta"]["progressToken"]
            for step, event in enumerate(goes_on):
                note = {"progressToken": token, "progress": step, "message": "half way"}
                await call.event(
                    json.dumps({"jsonrpc": "2.0", "method": "notifications/progress", "params": note}).encode()
                )
                await event.wait()
            await call.event(call.result({"content": []}))
            await call.end()

        stage.upstream.handlers["tools/call"] = handler
        async with stage.client.stream("tools/call", {"name": "t", "_meta": {"progressToken": 0}}) as stream:
            for step, event in enumerate(goes_on):
                message = await stream.message()
                assert message["params"] == {"progressToken": 0, "progress": step, "message": "half way"}
                event.set()
            assert await stream.rest() == [{"jsonrpc": "2.0", "id": 1, "result": {"content": []}}]


async def test_a_log_message_arrives_before_the_result() -> None:
    async with staged() as stage:
        note = {"jsonrpc": "2.0", "method": "notifications/message", "params": {"level": "info", "data": AWKWARD}}

        async def handler(call: Call) -> None:
            await call.event(json.dumps(note).encode())
            await call.event(call.result({}))
            await call.end()

        stage.upstream.handlers["tools/call"] = handler
        async with stage.client.stream("tools/call", {"name": "t"}) as stream:
            assert [await stream.message(), *(await stream.rest())] == [note, {"jsonrpc": "2.0", "id": 1, "result": {}}]


@pytest.mark.parametrize(
    "method",
    ["logging/setLevel", "completion/complete", "prompts/list", "resources/templates/list", "vendor/Request", "ping"],
)
async def test_every_other_request_is_relayed_untouched(method: str) -> None:
    async with staged() as stage:
        answer = await stage.client.call(method, AWKWARD)
        assert stage.upstream.calls[-1].message == {"jsonrpc": "2.0", "id": 1, "method": method, "params": AWKWARD}
        assert answer["result"] == {"echo": AWKWARD}


async def test_a_vendor_notification_reaches_the_server() -> None:
    async with staged() as stage:
        assert await stage.client.notify("vendor/note", AWKWARD) == 202
        assert stage.session.messages[-1] == {"jsonrpc": "2.0", "method": "vendor/note", "params": AWKWARD}


@pytest.mark.parametrize(
    "note",
    [
        "notifications/tools/list_changed",
        "notifications/resources/updated",
        "notifications/elicitation/complete",
        "x/y",
    ],
)
async def test_what_the_server_says_of_its_own_accord_arrives_on_the_stream(note: str) -> None:
    async with staged() as stage:
        message = {"jsonrpc": "2.0", "method": note, "params": {"uri": "x://y", "_meta": AWKWARD}}
        async with stage.client.listen() as stream:
            await stage.session.listening.wait()
            await stage.session.stream.event(json.dumps(message).encode(), event_id="e-7", retry=250)
            event = await stream.event()
            assert json.loads(event.data or b"") == message
            assert (event.id, event.retry) == ("e-7", 250)


async def test_the_place_to_resume_from_reaches_the_server() -> None:
    async with staged() as stage:
        async with stage.client.listen(last_event_id="e-7"):
            await stage.session.listening.wait()
        assert stage.upstream.calls[-1].headers["last-event-id"] == "e-7"


async def test_a_subscription_is_relayed() -> None:
    async with staged() as stage:
        await stage.client.call("resources/subscribe", {"uri": "x://y"})
        assert stage.session.messages[-1]["params"] == {"uri": "x://y"}


async def test_a_cancellation_reaches_the_server_with_its_reason() -> None:
    async with staged() as stage:

        async def handler(call: Call) -> None:
            assert call.session is not None
            await call.session.expect("notifications/cancelled").wait()
            await call.reply(call.result({"content": []}))

        stage.upstream.handlers["tools/call"] = handler
        async with anyio.create_task_group() as group:
            group.start_soon(stage.client.tool, "t")
            while not stage.proxy.gate.ways:
                await anyio.lowlevel.checkpoint()
            await stage.client.notify("notifications/cancelled", {"requestId": 1, "reason": "bored"})
        assert stage.session.messages[-1]["params"] == {"requestId": 1, "reason": "bored"}


# -- from the server to the client


@pytest.mark.parametrize(
    ("method", "params"),
    [
        ("sampling/createMessage", {"messages": [], "tools": [TOOL], "toolChoice": {"mode": "auto"}, "maxTokens": 1}),
        ("elicitation/create", {"mode": "form", "message": "?", "requestedSchema": {"type": "object"}}),
        (
            "elicitation/create",
            {"mode": "url", "message": "?", "url": "https://example.invalid/", "elicitationId": "1"},
        ),
        ("roots/list", {}),
    ],
)
@pytest.mark.parametrize("server_id", ["srv", 1, 0])
async def test_a_servers_request_goes_to_the_call_it_belongs_to(method: str, params: Any, server_id: Any) -> None:
    async with staged() as stage:
        request = {"jsonrpc": "2.0", "id": server_id, "method": method, "params": params}
        reply = {"jsonrpc": "2.0", "id": server_id, "result": {"action": "accept", "content": AWKWARD, "vendor": 1}}

        async def handler(call: Call) -> None:
            answer = await call.ask(request)
            await call.event(call.result({"content": [], "structuredContent": answer}))
            await call.end()

        stage.upstream.handlers["tools/call"] = handler
        async with stage.client.stream("tools/call", {"name": "t"}) as stream:
            assert await stream.message() == request
            async with stage.client.send(reply) as response:
                assert response.status == 202
            assert (await stream.message())["result"]["structuredContent"] == reply


async def test_changed_roots_reach_the_server() -> None:
    async with staged() as stage:
        await stage.client.notify("notifications/roots/list_changed")
        assert stage.session.messages[-1] == {"jsonrpc": "2.0", "method": "notifications/roots/list_changed"}
