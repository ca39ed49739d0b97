"""What servers say of their own accord reaches the clients of the aggregate, of every server and in both eras."""

import json
from typing import Any

import anyio
import mcp_types as types
import pytest
from mcp.client.subscriptions import ToolsListChanged

from governance.config.models import Limits
from governance.verdict import Decision, Verdict
from tests.mcp_proxy.joint import MODERN, RawStage, connected, official, raw, sent
from tests.mcp_proxy.raw_client import RawClient, Stream
from tests.mcp_proxy.raw_upstream import Call, RawUpstream
from tests.mcp_proxy.stage import ENVELOPE

CHANGED = {"jsonrpc": "2.0", "method": "notifications/tools/list_changed"}
SUBSCRIPTION = "io.modelcontextprotocol/subscriptionId"


@pytest.mark.parametrize("server", ["alpha", "beta"])
async def test_an_official_legacy_client_hears_that_a_list_of_any_server_changed(server: str) -> None:
    heard = anyio.Event()

    async def hear(message: Any) -> None:
        if isinstance(message, types.ToolListChangedNotification):
            heard.set()

    async with official() as joint, connected(joint, "legacy", message_handler=hear) as client:
        await client.call_tool(f"{server}__grow", {})
        await heard.wait()
        assert f"{server}__grown" in [tool.name for tool in (await client.list_tools()).tools]


def listening(server: RawUpstream, *notes: dict[str, Any], accepts: dict[str, Any] | None = None) -> anyio.Event:
    """Let a modern server acknowledge a subscription, send notes when the event is set, and stay."""
    go = anyio.Event()

    async def handler(call: Call) -> None:
        meta = {SUBSCRIPTION: call.id}
        accepted = call.params["notifications"] if accepts is None else accepts
        ack = {"notifications": accepted, "_meta": meta}
        await call.event(_note("notifications/subscriptions/acknowledged", ack))
        await go.wait()
        for note in notes:
            await call.event(_note(note["method"], {**note.get("params", {}), "_meta": meta}))
        await call.until_left()

    server.handlers["subscriptions/listen"] = handler
    return go


def _note(method: str, params: dict[str, Any]) -> bytes:
    return json.dumps({"jsonrpc": "2.0", "method": method, "params": params}).encode()


def subscribing(client: RawClient, **notifications: Any) -> Any:
    params = {"notifications": notifications, "_meta": ENVELOPE}
    message = {"jsonrpc": "2.0", "id": 5, "method": "subscriptions/listen", "params": params}
    return client.send(message, mcp_protocol_version=MODERN, mcp_method="subscriptions/listen")


async def test_an_official_modern_client_hears_of_every_server() -> None:
    async with raw() as stage:
        went = [listening(one, CHANGED) for one in stage.both]
        async with connected(stage.joint, MODERN) as client, client.listen(tools_list_changed=True) as subscription:
            assert subscription.honored.tools_list_changed is True
            events = aiter(subscription)
            for go in went:
                go.set()
                assert isinstance(await anext(events), ToolsListChanged)


async def test_a_subscription_is_one_for_the_client_and_each_server_hears_of_its_own_resources() -> None:
    async with raw() as stage:
        for one, uri in zip(stage.both, ("note://a", "note://b"), strict=True):
            await _has(one, uri)
        updated = {"method": "notifications/resources/updated", "params": {"uri": "note://b"}}
        listening(stage.alpha)
        go = listening(stage.beta, updated)
        wanted = {"resourceSubscriptions": ["note://a", "note://b", "note://none"], "toolsListChanged": True}
        async with subscribing(stage.client, **wanted) as response:
            stream = Stream(response)
            acknowledged = await stream.message()
            assert acknowledged["params"] == {
                "notifications": {"toolsListChanged": True, "resourceSubscriptions": ["note://a", "note://b"]},
                "_meta": {SUBSCRIPTION: 5},
            }
            go.set()
            assert (await stream.message())["params"] == {"uri": "note://b", "_meta": {SUBSCRIPTION: 5}}
        (first,), (second,) = sent(stage.alpha, "subscriptions/listen"), sent(stage.beta, "subscriptions/listen")
        assert first["params"]["notifications"]["resourceSubscriptions"] == ["note://a"]
        assert second["params"]["notifications"]["resourceSubscriptions"] == ["note://b"]


async def _has(server: RawUpstream, uri: str) -> None:
    async def handler(call: Call) -> None:
        await call.reply(call.result({"resources": [{"uri": uri, "name": uri}], "resourceTemplates": []}))

    server.handlers["resources/list"] = server.handlers["resources/templates/list"] = handler


async def test_a_client_that_leaves_ends_its_subscription_with_every_server() -> None:
    async with raw() as stage:
        for one in stage.both:
            listening(one).set()
        async with subscribing(stage.client, toolsListChanged=True) as response:
            await Stream(response).message()
        for one in stage.both:
            (call,) = [call for call in one.calls if call.message.get("method") == "subscriptions/listen"]
            await call.left.wait()


async def test_a_server_without_subscriptions_or_that_is_slow_does_not_hold_up_the_others() -> None:
    async with raw(limits=Limits(connect_seconds=0.2)) as stage:

        async def silent(call: Call) -> None:
            await call.until_left()

        for hinder in (silent, _unknown):
            stage.alpha.handlers["subscriptions/listen"] = hinder
            go = listening(stage.beta, CHANGED)
            async with subscribing(stage.client, toolsListChanged=True) as response:
                stream = Stream(response)
                assert (await stream.message())["params"]["notifications"] == {"toolsListChanged": True}
                go.set()
                assert (await stream.message())["method"] == CHANGED["method"]


async def _unknown(call: Call) -> None:
    await call.reply(b'{"jsonrpc":"2.0","id":5,"error":{"code":-32601,"message":"x"}}', status=404)


async def test_a_subscription_that_no_server_takes_is_an_error() -> None:
    async with raw() as stage:
        for one in stage.both:
            one.handlers["subscriptions/listen"] = _unknown
        async with subscribing(stage.client, toolsListChanged=True) as response:
            assert response.status == 404
            assert (await response.json())["error"]["code"] == -32601


async def test_a_subscription_ends_when_every_server_has_ended_it() -> None:
    async with raw() as stage:

        async def brief(call: Call) -> None:
            ack = {"notifications": call.params["notifications"], "_meta": {SUBSCRIPTION: call.id}}
            await call.event(_note("notifications/subscriptions/acknowledged", ack))
            await call.event(call.result({"resultType": "complete", "_meta": {SUBSCRIPTION: call.id}}))
            await call.end()

        for one in stage.both:
            one.handlers["subscriptions/listen"] = brief
        async with subscribing(stage.client, toolsListChanged=True) as response:
            _, ended = await Stream(response).rest()
        assert ended == {"jsonrpc": "2.0", "id": 5, "result": {"resultType": "complete", "_meta": {SUBSCRIPTION: 5}}}


async def _said(stage: RawStage, server: RawUpstream, stream: Stream, text: str) -> None:
    """Let a server say something on its own stream, and see it arrive."""
    session = next(iter(server.sessions.values()))
    await session.listening.wait()
    note = {"jsonrpc": "2.0", "method": "notifications/message", "params": {"level": "info", "data": text}}
    await session.stream.event(json.dumps(note).encode(), event_id=f"place-{text}")
    event = await stream.event()
    assert json.loads(event.data or b"")["params"]["data"] == text
    assert event.id is None  # places in two servers' streams cannot be told apart


async def test_the_own_streams_of_all_servers_are_one() -> None:
    async with raw() as stage, stage.client.listen() as stream:
        for server, text in ((stage.alpha, "a1"), (stage.beta, "b1"), (stage.alpha, "a2")):
            await _said(stage, server, stream, text)
        async with stage.client.listen() as second:
            assert second.response.status == 409


async def test_a_server_that_is_opened_again_is_heard_again() -> None:
    async with raw() as stage, stage.client.listen() as stream:
        await _said(stage, stage.alpha, stream, "before")
        stage.alpha.sessions.clear()
        await stage.client.tool("alpha__x")
        await stage.client.tool("alpha__x")
        await _said(stage, stage.alpha, stream, "after")
        await _said(stage, stage.beta, stream, "still")


async def test_a_stream_that_a_server_ends_is_resumed_where_it_ended() -> None:
    async with raw() as stage, stage.client.listen() as stream:
        session = next(iter(stage.beta.sessions.values()))
        await session.listening.wait()
        await session.stream.event(_note("notifications/message", {"level": "info", "data": 1}), event_id="7", retry=1)
        await stream.message()
        session.listening = anyio.Event()
        await session.stream.end()
        await session.listening.wait()
        assert session.stream.headers["last-event-id"] == "7"


async def test_the_stream_ends_with_the_session_and_with_the_run() -> None:
    async with raw() as stage:
        async with stage.client.listen() as stream:
            await next(iter(stage.alpha.sessions.values())).listening.wait()
            await stage.client.delete()
            assert await stream.rest() == []
        await stage.client.initialize()
        async with stage.client.listen() as stream:
            for one in stage.both:
                await next(iter(one.sessions.values())).listening.wait()
            stage.joint.kills.kill(Verdict(Decision.KILL, by="kill", rule="kill", reason="enough"))
            assert await stream.rest() == []
        assert "enough" in (await stage.client.call("logging/setLevel", {"level": "info"}))["error"]["message"]


async def test_an_error_about_nothing_is_not_passed_on() -> None:
    async with raw() as stage, stage.client.listen() as stream:
        session = next(iter(stage.beta.sessions.values()))
        await session.listening.wait()
        await session.stream.event(b'{"jsonrpc":"2.0","error":{"code":1,"message":"x"}}')
        await _said(stage, stage.beta, stream, "next")


async def test_a_server_that_lost_the_session_is_heard_again_when_it_is_needed_again() -> None:
    async with raw() as stage, stage.client.listen() as stream:
        session = next(iter(stage.alpha.sessions.values()))
        await session.listening.wait()
        await session.stream.event(_note("notifications/message", {"level": "info", "data": 1}), event_id="7", retry=1)
        await stream.message()
        stage.alpha.sessions.clear()
        await session.stream.end()
        await stage.client.tool("alpha__x")
        await stage.client.tool("alpha__x")
        await _said(stage, stage.alpha, stream, "again")
