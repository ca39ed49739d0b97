"""What is governed: requests judged before they leave, responses before they arrive, and kills that cut both."""

import json
from typing import Any

import anyio
import pytest

from governance.exchange import Action, Phase
from governance.verdict import ALLOWED, Decision, Edit, Verdict
from tests.mcp_proxy.harness import Judge, OpenGate
from tests.mcp_proxy.raw_upstream import Call
from tests.mcp_proxy.stage import modern, staged

# -- edits


def redacting(pointer: str, phase: Phase) -> Judge:
    verdict = Verdict(Decision.REDACT, by="detect", edits=(Edit(pointer, 0, -1, "[pii.ssn]"),))
    return lambda exchange, now: verdict if (exchange.action, now) == (Action.TOOL_CALL, phase) else ALLOWED


async def test_redacted_arguments_are_what_the_server_gets() -> None:
    async with staged(OpenGate(redacting("/params/arguments/ssn", Phase.REQUEST))) as (upstream, _, client):
        await client.tool("t", {"ssn": "078-05-1120", "n": 2**60 + 1}, _meta={"keep": [1.0]})
        assert upstream.calls[-1].message["params"] == {
            "name": "t",
            "arguments": {"ssn": "[pii.ssn]", "n": 2**60 + 1},
            "_meta": {"keep": [1.0]},
        }


async def test_a_redacted_result_is_what_the_client_gets() -> None:
    async with staged(OpenGate(redacting("/result/content/0/text", Phase.RESPONSE))) as (upstream, _, client):

        async def handler(call: Call) -> None:
            await call.reply(call.result({"content": [{"type": "text", "text": "078-05-1120"}], "x": None}))

        upstream.handlers["tools/call"] = handler
        result = (await client.tool("t"))["result"]
        assert result == {"content": [{"type": "text", "text": "[pii.ssn]"}], "x": None}


async def test_headers_that_repeat_an_argument_are_rewritten_with_it() -> None:
    async with staged(OpenGate(redacting("/params/arguments/ssn", Phase.REQUEST))) as (upstream, _, client):

        async def listing(call: Call) -> None:
            schema = {
                "type": "object",
                "properties": {
                    "ssn": {"type": "string", "x-mcp-header": "Ssn"},
                    "n": {"type": "integer", "x-mcp-header": "N"},
                },
            }
            await call.reply(call.result({"tools": [{"name": "t", "inputSchema": schema}]}))

        upstream.handlers["tools/list"] = listing
        upstream.stateful = False
        await modern(client, "tools/list", {})
        arguments = {"name": "t", "arguments": {"ssn": "078-05-1120", "n": 3}}
        await modern(client, "tools/call", arguments, mcp_param_ssn="078-05-1120", mcp_param_n="3")
        headers = upstream.calls[-1].headers
        assert (headers["mcp-param-ssn"], headers["mcp-param-n"]) == ("[pii.ssn]", "3")
        assert headers["mcp-name"] == "t"


async def test_an_argument_header_of_an_unlisted_tool_is_dropped_when_the_body_was_edited() -> None:
    async with staged(OpenGate(redacting("/params/arguments/ssn", Phase.REQUEST))) as (upstream, _, client):
        upstream.stateful = False
        arguments = {"name": "t", "arguments": {"ssn": "078-05-1120"}}
        await modern(client, "tools/call", arguments, mcp_param_ssn="078-05-1120")
        assert "078-05-1120" not in json.dumps(upstream.calls[-1].headers)


async def test_a_warning_is_told_to_the_model_behind_the_servers_own_words() -> None:
    warning = Verdict(Decision.WARN, by="loop", rule="loop.repeat", reason="the same call was made 10 times")
    async with staged(OpenGate(warnings=[warning])) as (upstream, _, client):

        async def handler(call: Call) -> None:
            await call.reply(call.result({"content": [{"type": "text", "text": "ok"}], "structuredContent": {"a": 1}}))

        upstream.handlers["tools/call"] = handler
        result = (await client.tool("t"))["result"]
        assert result["content"][0]["text"] == "ok"
        assert "the same call was made 10 times" in result["content"][1]["text"]
        assert result["structuredContent"] == {"a": 1}


async def test_tools_that_policy_hides_are_not_listed_but_learned() -> None:
    async with staged(OpenGate(sees=lambda exchange: exchange.resource.name != "rm")) as (upstream, proxy, client):

        async def listing(call: Call) -> None:
            tools: list[Any] = [{"name": name, "inputSchema": {}, "odd": 1.0} for name in ("ls", "rm")]
            await call.reply(call.result({"tools": tools, "nextCursor": "n"}))

        upstream.handlers["tools/list"] = listing
        result = (await client.call("tools/list"))["result"]
        assert result == {"tools": [{"name": "ls", "inputSchema": {}, "odd": 1.0}], "nextCursor": "n"}
        assert proxy.catalog.seen("up", "rm").definition


# -- kills


KILLED = Verdict(Decision.KILL, by="kill", rule="kill.session", reason="this session was stopped: enough")


async def test_a_kill_cuts_a_running_call_and_tells_why() -> None:
    async with staged(OpenGate()) as (upstream, proxy, client):
        cut = anyio.Event()

        async def handler(call: Call) -> None:
            note = {"jsonrpc": "2.0", "method": "notifications/progress", "params": {"progressToken": 1, "progress": 1}}
            await call.event(json.dumps(note).encode())
            await call.until_left()
            cut.set()

        upstream.handlers["tools/call"] = handler
        async with client.stream("tools/call", {"name": "t"}) as stream:
            await stream.message()
            proxy.gate.ways[0].cut(KILLED)
            (last,) = await stream.rest()
        assert "this session was stopped" in last["result"]["content"][0]["text"]
        await cut.wait()


async def test_a_kill_cuts_the_servers_own_stream_and_refuses_every_later_message() -> None:
    async with staged(OpenGate()) as (upstream, proxy, client):
        async with client.listen() as stream:
            await next(iter(upstream.sessions.values())).listening.wait()
            proxy.kills.kill(KILLED)
            assert await stream.rest() == []
        seen = len(upstream.calls)
        assert (await client.call("vendor/x"))["error"]["data"]["wicket"] == "refused"
        async with client.listen() as stream:
            assert stream.response.status == 403
        assert len(upstream.calls) == seen


async def test_a_stream_ends_with_the_run_that_later_calls_show_it_belongs_to() -> None:
    async with staged(OpenGate()) as (upstream, proxy, client), client.listen() as stream:
        await next(iter(upstream.sessions.values())).listening.wait()
        transport = len(proxy.kills.running)
        await client.tool("t", _meta={"wicket/session": "explicit-1"})
        assert len(proxy.kills.running) == transport + 1
        proxy.kills.running[-1](KILLED)
        assert await stream.rest() == []


# -- servers that misbehave


async def test_a_server_that_fails_is_told_without_its_own_words() -> None:
    async with staged(OpenGate()) as (upstream, proxy, client):

        async def handler(call: Call) -> None:
            await call.reply(b"Traceback: secret", status=500)

        upstream.handlers["tools/call"] = handler
        error = (await client.tool("t"))["error"]
        assert error["data"]["wicket"] == "upstream"
        assert "secret" not in json.dumps(error)
        assert [outcome.status for _, outcome in proxy.gate.settled] == ["unknown"]


@pytest.mark.parametrize(
    "raw",
    [
        b'{"jsonrpc":"2.0","id":1,"result":{"a":1,"a":2}}',
        b'{"jsonrpc":"2.0","id":1,"result":{"a":NaN}}',
        b'[{"jsonrpc":"2.0","id":1,"result":{}}]',
        b'{"jsonrpc":"2.0","id":2,"result":{}}',
        b'{"jsonrpc":"2.0","id":1.0,"result":{}}',
        b"",
    ],
)
async def test_an_answer_that_could_be_read_in_two_ways_never_arrives(raw: bytes) -> None:
    async with staged(OpenGate()) as (upstream, _, client):

        async def handler(call: Call) -> None:
            await call.reply(raw)

        upstream.handlers["tools/call"] = handler
        assert (await client.tool("t"))["error"]["data"]["wicket"] == "upstream"


async def test_a_response_to_another_call_is_never_passed_on() -> None:
    async with staged(OpenGate()) as (upstream, _, client):

        async def handler(call: Call) -> None:
            await call.event(b'{"jsonrpc":"2.0","id":77,"result":{"smuggled":true}}')
            await call.event(call.result({}))
            await call.end()

        upstream.handlers["tools/call"] = handler
        assert await client.tool("t") == {"jsonrpc": "2.0", "id": 1, "result": {}}


async def test_a_response_smuggled_onto_the_servers_own_stream_is_dropped() -> None:
    async with staged(OpenGate()) as (upstream, _, client), client.listen() as stream:
        session = next(iter(upstream.sessions.values()))
        await session.listening.wait()
        await session.stream.event(b'{"jsonrpc":"2.0","id":77,"result":{"smuggled":true}}')
        await session.stream.event(b'{"jsonrpc":"2.0","method":"notifications/x"}')
        assert (await stream.message())["method"] == "notifications/x"


async def test_a_redirect_is_not_followed() -> None:
    async with staged(OpenGate()) as (upstream, _, client):

        async def handler(call: Call) -> None:
            await call.reply(b"", status=307, headers={"location": "http://127.0.0.1:1/"})

        upstream.handlers["tools/call"] = handler
        assert "redirect" in (await client.tool("t"))["error"]["message"]


async def test_a_servers_own_401_does_not_send_the_client_to_log_in() -> None:
    async with staged(OpenGate()) as (upstream, _, client):

        async def handler(call: Call) -> None:
            await call.reply(b"", status=401, headers={"www-authenticate": "Bearer"})

        upstream.handlers["tools/call"] = handler
        async with client.post("tools/call", {"name": "t"}) as response:
            assert response.status == 200
            assert "www-authenticate" not in response.headers
            assert "credentials" in json.loads(await response.read())["error"]["message"]
