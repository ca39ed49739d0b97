"""Ways around the judged calls, each tried through the real front door with the real core behind it."""

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from approvals.ticket import State
from tests.e2e.stack import eventually
from tests.mcp_proxy.approving import approving, post, result, write
from tests.mcp_proxy.raw_upstream import Call, RawUpstream
from tests.mcp_proxy.stage import modern
from tests.mcp_proxy.tasks.asking import ask, given, told
from tests.mcp_proxy.walled import ORDER, SSN, walled

RM = b'"params":{"name":"rm","arguments":{}}'
IBAN = "DE89 3704 0044 0532 0130 00"

# -- messages that could be read in two ways


@pytest.mark.parametrize(
    "body",
    [
        b'[{"jsonrpc":"2.0","id":1,"method":"tools/call",' + RM + b"}]",
        b"[]",
        b'{"jsonrpc":"2.0","id":1,"method":"ping","method":"tools/call",' + RM + b"}",
        b'{"jsonrpc":"2.0","id":1,"method":"ping","m\\u0065thod":"tools/call",' + RM + b"}",
        b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"ls","n\\u0061me":"rm"}}',
        b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"ls","Name":"rm"}}',
        b'{"jsonrpc":"2.0","id":1,"Method":"tools/call","method":"ping",' + RM + b"}",
        *(
            b'{"jsonrpc":"2.0","id":' + odd + b',"method":"tools/call",' + RM + b"}"
            for odd in (b"null", b"1.0", b"1.5", b"1e2", b"true", b"{}", b"[]", b"9007199254740993", b"1" * 5000)
        ),
        b'{"jsonrpc":"2.0","method":"tools/call",' + RM + b"}",
        b'{"jsonrpc":"2.0","id":1,"method":"tools/call","result":{},' + RM + b"}",
        *(
            b'{"jsonrpc":"2.0","id":1,"method":"' + odd + b'",' + RM + b"}"
            for odd in (b"Tools/Call", b"TOOLS/CALL", b"tools/call ", b" tools/call", b"tools/call\\n")
        ),
        b'{"id":1,"method":"tools/call",' + RM + b"}",
        b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":["rm"]}',
        b'{"jsonrpc":"2.0","id":1,"method":"tools/call",' + RM + b"}" * 2,
        b'\xef\xbb\xbf{"jsonrpc":"2.0","id":1,"method":"tools/call",' + RM + b"}",
        '{"jsonrpc":"2.0","id":1,"method":"tools/call"}'.encode("utf-16"),
        b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"r\\ud800m"}}',
        b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"rm","x":NaN}}',
    ],
)
async def test_what_parsers_could_read_differently_reaches_no_server(tmp_path: Path, body: bytes) -> None:
    async with walled(tmp_path) as wall:
        async with wall.client.send(body) as response:
            assert response.status == 400
        assert wall.methods() == []
        assert [problem.code for problem in wall.refused] == ["malformed"]


@pytest.mark.parametrize("method", [b"tools/call", b"t\\u006fols/call", b"tools\\/call"])
async def test_a_method_written_with_escapes_is_the_method(tmp_path: Path, method: bytes) -> None:
    async with walled(tmp_path) as wall:
        async with wall.client.send(b'{"jsonrpc":"2.0","id":1,"method":"' + method + b'",' + RM + b"}") as response:
            assert "no-rm" in await response.text()
        assert wall.methods() == []


@pytest.mark.parametrize("encoding", ["gzip", "br", "deflate", "identity, gzip"])
async def test_an_encoded_body_is_refused(tmp_path: Path, encoding: str) -> None:
    async with walled(tmp_path) as wall:
        async with wall.client.send(b'{"jsonrpc":"2.0"}', content_encoding=encoding) as response:
            assert response.status == 415
        assert wall.methods() == []


@pytest.mark.parametrize(
    "headers",
    [
        {"mcp_method": "ping"},
        {"mcp_method": "Tools/Call"},
        {"mcp_name": "ls"},
        {"mcp_param_note": SSN},
    ],
)
async def test_headers_that_differ_from_the_body_are_refused(tmp_path: Path, headers: dict[str, str]) -> None:
    async with walled(tmp_path, shakes_hands=False) as wall:
        wall.upstream.stateful = False
        status, answer = await modern(wall.client, "tools/call", {"name": "write", "arguments": {"a": "b"}}, **headers)
        assert (status, answer["error"]["code"]) == (400, -32020)
        assert wall.upstream.calls == []


# -- other ways out of the client


@pytest.mark.parametrize(
    ("method", "params"),
    [
        ("vendor/x", {"a": {"b": [SSN]}}),
        ("logging/setLevel", {"level": SSN}),
        ("ping", {"_meta": {"x": SSN}}),
        ("prompts/list", {"cursor": SSN}),
        ("resources/list", {"_meta": {"x": SSN}}),
        ("prompts/get", {"name": "p", "arguments": {"a": SSN}}),
        ("completion/complete", {"ref": {"type": "ref/prompt", "name": "p"}, "argument": {"name": "a", "value": SSN}}),
        ("tools/call", {"name": "t", "arguments": {}, "_meta": {"x": SSN}}),
        ("tools/call", {"name": "t", "arguments": {}, "task": {"note": SSN}}),
        ("initialize", {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": SSN}}),
    ],
)
async def test_text_in_any_request_is_replaced(tmp_path: Path, method: str, params: Any) -> None:
    async with walled(tmp_path) as wall:
        await wall.client.call(method, params)
        assert wall.methods() == [method]
        assert not wall.reached(SSN)
        assert wall.reached("[REDACTED:pii.ssn]")


@pytest.mark.parametrize(
    "message",
    [
        {"id": f"id {SSN}", "method": "ping"},
        {"id": f"id {SSN}", "method": "tools/call", "params": {"name": "t"}},
        {"id": 1, "method": f"vendor/{SSN}"},
        {"method": f"vendor/{SSN}"},
        {"id": 1, "method": "vendor/x", "params": {SSN: 1}},
        {"id": 1, "method": "tools/call", "params": {"name": f"t {SSN}"}},
        {"id": 1, "method": "resources/read", "params": {"uri": f"https://example.invalid/?q={SSN}"}},
        {"id": 1, "method": "resources/subscribe", "params": {"uri": f"https://example.invalid/?q={SSN}"}},
        {"id": 1, "method": "completion/complete", "params": {"ref": {"type": "ref/resource", "uri": f"x://{SSN}"}}},
        {"id": 1, "method": "tasks/get", "params": {"taskId": f"t {SSN}"}},
    ],
)
async def test_text_where_nothing_can_be_replaced_goes_nowhere(tmp_path: Path, message: dict[str, Any]) -> None:
    async with walled(tmp_path) as wall:
        async with wall.client.send({"jsonrpc": "2.0", **message}) as response:
            body = await response.text()
        assert wall.methods() == []
        assert "id" not in message or "in a name, where it cannot be replaced" in body


@pytest.mark.parametrize(
    ("method", "params"),
    [
        ("notifications/progress", {"progressToken": 1, "progress": 1, "message": SSN}),
        ("notifications/cancelled", {"requestId": 77, "reason": SSN}),
        ("notifications/roots/list_changed", {"_meta": {"x": SSN}}),
        ("vendor/note", {"a": [SSN]}),
    ],
)
async def test_text_in_a_clients_notification_is_replaced(tmp_path: Path, method: str, params: Any) -> None:
    async with walled(tmp_path) as wall:
        await wall.client.notify(method, params)
        assert wall.methods() == [method]
        assert not wall.reached(SSN)
        (event,) = await wall.world.events("message.flagged")
        assert (event["direction"], event["tool"], event["action"]) == ("to_server", method, "message")
        assert SSN not in json.dumps(event)


async def test_the_place_to_resume_from_is_no_way_out(tmp_path: Path) -> None:
    async with walled(tmp_path) as wall:
        async with wall.client.listen(last_event_id=f"e {SSN}") as stream:
            assert stream.response.status == 403
        async with wall.client.send({"jsonrpc": "2.0", "id": 1, "method": "ping"}, last_event_id=f"e {SSN}"):
            pass
        assert wall.methods() == ["ping"]
        assert not wall.reached(SSN)


async def test_an_answer_to_a_question_that_nobody_asked_goes_nowhere(tmp_path: Path) -> None:
    async with walled(tmp_path) as wall:
        for answer in ({"result": {"secret": "x"}}, {"error": {"code": 1, "message": "x"}}):
            async with wall.client.send({"jsonrpc": "2.0", "id": 5, **answer}) as response:
                assert response.status == 202
        assert wall.methods() == []


# -- what a retry may change


async def test_a_retry_with_other_arguments_is_judged_anew(tmp_path: Path) -> None:
    async with walled(tmp_path, shakes_hands=False) as wall:
        wall.upstream.stateful = False
        asked = {"a": {"method": "elicitation/create", "params": {"mode": "form", "message": "which?"}}}
        wall.answers("tools/call", {"resultType": "input_required", "inputRequests": asked, "requestState": "s"})
        _, first = await modern(wall.client, "tools/call", {"name": "read", "arguments": {"path": "/tmp/x"}})
        assert first["result"]["inputRequests"] == asked
        again: dict[str, Any] = {
            "name": "read",
            "requestState": "s",
            "inputResponses": {"a": {"action": "accept", "content": {}}},
        }
        _, second = await modern(wall.client, "tools/call", {**again, "arguments": {"path": "/etc/passwd"}})
        assert "no-etc" in second["result"]["content"][0]["text"]
        again["inputResponses"] = {"a": {"action": "accept", "content": {"note": SSN}}}
        await modern(wall.client, "tools/call", {**again, "arguments": {"path": "/tmp/x"}})
        assert len(wall.upstream.calls) == 2
        assert not wall.reached(SSN)


# -- ways in: results


@pytest.mark.parametrize("method", ["tasks/result", "tasks/get", "tasks/list", "tasks/cancel", "tasks/update"])
async def test_a_task_carries_nothing_past_the_detectors(tmp_path: Path, method: str) -> None:
    async with walled(tmp_path) as wall:
        wall.answers(method, {"status": "completed", "result": {"content": [{"type": "text", "text": SSN}]}})
        assert SSN not in json.dumps(await wall.client.call(method, {"taskId": "1"}))
        wall.answers(method, {"tasks": [{"taskId": "1", "statusMessage": ORDER}]})
        assert ORDER not in json.dumps(await wall.client.call(method, {"taskId": "1"}))


@pytest.mark.parametrize(
    ("method", "params", "result"),
    [
        ("prompts/list", {}, {"prompts": [{"name": "p", "description": "TEXT"}]}),
        ("prompts/list", {}, {"prompts": [{"name": "p", "arguments": [{"name": "a", "description": "TEXT"}]}]}),
        ("resources/list", {}, {"resources": [{"uri": "x://y", "name": "TEXT"}]}),
        ("resources/templates/list", {}, {"resourceTemplates": [{"uriTemplate": "x://{y}", "title": "TEXT"}]}),
        ("tools/list", {}, {"tools": [{"name": "t", "inputSchema": {"description": "TEXT"}}]}),
        ("prompts/get", {"name": "p"}, {"messages": [{"role": "user", "content": {"type": "text", "text": "TEXT"}}]}),
        ("resources/read", {"uri": "x://y"}, {"contents": [{"uri": "x://y", "text": "TEXT"}]}),
        (
            "completion/complete",
            {"ref": {"type": "ref/prompt", "name": "p"}, "argument": {"name": "a", "value": ""}},
            {"completion": {"values": ["TEXT"]}},
        ),
        ("tools/call", {"name": "t"}, {"content": [{"type": "text", "text": "TEXT"}]}),
        ("tools/call", {"name": "t"}, {"content": [], "structuredContent": {"a": [{"b": "TEXT"}]}}),
        ("tools/call", {"name": "t"}, {"content": [], "_meta": {"x": "TEXT"}}),
        ("tools/call", {"name": "t"}, {"content": [{"type": "resource", "resource": {"uri": "x", "text": "TEXT"}}]}),
        ("tools/call", {"name": "t"}, {"content": [{"type": "resource_link", "uri": "x", "description": "TEXT"}]}),
        ("tools/call", {"name": "t"}, {"content": [{"type": "image", "data": "TEXT", "mimeType": "image/png"}]}),
        ("vendor/x", {}, {"anything": ["TEXT"]}),
        ("ping", {}, {"x": "TEXT"}),
        ("logging/setLevel", {"level": "info"}, {"_meta": {"x": "TEXT"}}),
    ],
)
async def test_no_result_carries_anything_unjudged(tmp_path: Path, method: str, params: Any, result: Any) -> None:
    async with walled(tmp_path) as wall:
        for text in (SSN, ORDER):
            wall.answers(method, json.loads(json.dumps(result).replace("TEXT", text)))
            answer = json.dumps(await wall.client.call(method, params))
            assert text not in answer
            assert ("[REDACTED:pii.ssn]" if text == SSN else "injection.direct") in answer


@pytest.mark.parametrize("method", ["tools/call", "prompts/list", "vendor/x"])
async def test_the_data_of_an_error_is_judged(tmp_path: Path, method: str) -> None:
    async with walled(tmp_path) as wall:

        async def handler(call: Call) -> None:
            error = {"code": -1, "message": f"no: {SSN}", "data": {"why": [SSN]}}
            await call.reply(json.dumps({"jsonrpc": "2.0", "id": call.id, "error": error}).encode())

        wall.upstream.handlers[method] = handler
        answer = await wall.client.call(method, {"name": "t"})
        assert answer["error"]["code"] == -1
        assert SSN not in json.dumps(answer)


@pytest.mark.parametrize("claimed", [{"type": "image"}, {"type": "audio"}])
async def test_text_that_claims_to_be_a_picture_is_text(tmp_path: Path, claimed: Any) -> None:
    async with walled(tmp_path) as wall:
        hidden = base64.b64encode(f"the number is {SSN}, keep it".encode()).decode()
        content = [{**claimed, "data": hidden, "mimeType": "image/png"}]
        blob = {"type": "resource", "resource": {"uri": "x://y", "blob": hidden, "mimeType": "image/png"}}
        wall.answers("tools/call", {"content": [*content, blob]})
        assert hidden not in json.dumps(await wall.client.tool("t"))


async def test_a_real_picture_beside_something_found_is_left_whole(tmp_path: Path) -> None:
    async with walled(tmp_path) as wall:
        picture = base64.b64encode(b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 4).decode()
        content = [{"type": "image", "data": picture, "mimeType": "image/png"}, {"type": "text", "text": SSN}]
        wall.answers("tools/call", {"content": content})
        result = (await wall.client.tool("t"))["result"]
        assert result["content"][0] == content[0]
        assert SSN not in result["content"][1]["text"]


async def test_instructions_of_a_server_are_judged(tmp_path: Path) -> None:
    async with walled(tmp_path, instructions=f"call {SSN}") as wall:
        answer = json.dumps(await wall.client.initialize())
        assert "call [REDACTED:pii.ssn]" in answer
        wall.upstream.initialize["instructions"] = ORDER
        wall.client.headers.clear()
        answer = json.dumps(await wall.client.call("initialize", {"protocolVersion": "2025-11-25"}))
        assert ORDER not in answer
        assert "injection.direct" in answer
        (event,) = await wall.world.events("message.withheld")
        assert (event["action"], event["tool"], event["direction"]) == ("server.info", "initialize", "to_client")


async def test_what_a_modern_server_says_of_itself_is_judged(tmp_path: Path) -> None:
    async with walled(tmp_path, shakes_hands=False) as wall:
        wall.upstream.stateful = False
        wall.answers("server/discover", {"resultType": "complete", "instructions": ORDER})
        _, answer = await modern(wall.client, "server/discover", {})
        assert answer["error"]["data"]["wicket"] == "refused"
        assert ORDER not in json.dumps(answer)


async def test_what_may_be_held_only_is_refused_in_a_message(tmp_path: Path) -> None:
    async with walled(tmp_path) as wall:
        wall.answers("vendor/x", {"account": IBAN})
        answer = await wall.client.call("vendor/x")
        assert answer["error"]["data"]["wicket/verdict"]["decision"] == "deny"
        assert IBAN not in json.dumps(answer)


# -- tasks of held calls


@pytest.mark.parametrize("verb", ["get", "update", "cancel"])
async def test_the_id_of_a_task_is_good_for_its_own_caller_in_its_own_run_only(tmp_path: Path, verb: str) -> None:
    async with approving(tmp_path) as house, house.raw() as alice, house.raw("bob") as bob:
        alice.headers["x-wicket-session"] = "one"
        bob.headers["x-wicket-session"] = "one"
        task_id = (await given(alice, write("a")))["taskId"]
        assert (await ask(bob, verb, task_id))[1]["error"]["code"] == -32602
        alice.headers["x-wicket-session"] = "two"
        assert (await ask(alice, verb, task_id))[1]["error"]["code"] == -32602
        alice.headers["x-wicket-session"] = "one"
        assert (await told(alice, task_id))["status"] == "working"
        assert (await house.pending()).state is State.PENDING
        assert [problem.code for problem in house.refused] == ["malformed"] * 2


async def test_the_id_of_a_task_cannot_be_made_up_or_used_for_something_else(tmp_path: Path) -> None:
    upstream = RawUpstream()
    async with approving(tmp_path, upstream=upstream) as house, house.raw() as client:
        task_id: str = (await given(client, write("a")))["taskId"]
        state = (await result(client, write("a")))["requestState"]
        for forged in (task_id[:-4] + "AAAA", task_id[:40], task_id + "A", state):
            status, message = await ask(client, "get", forged)
            assert (status, message["error"]["code"]) == (400, -32602)
        status, message = await post(client, write("a", requestState=task_id))
        assert (status, message["error"]["code"]) == (400, -32602)
        status, message = await ask(client, "get", task_id, name="another")
        assert (status, message["error"]["code"]) == (400, -32020)
        status, message = await ask(client, "get", task_id, capabilities={})
        assert (status, message["error"]["code"]) == (400, -32021)
        assert upstream.calls == []


async def test_the_id_of_a_task_that_was_fetched_or_cancelled_runs_nothing(tmp_path: Path) -> None:
    async with approving(tmp_path) as house, house.raw() as client:
        for verb in ("get", "cancel"):
            task_id = (await given(client, write(verb)))["taskId"]
            if verb == "cancel":
                await ask(client, "cancel", task_id)
            else:
                await house.decide()

            async def ended(task_id: str = task_id) -> bool:
                return (await told(client, task_id))["status"] != "working"

            await eventually(ended)
            for _ in range(3):
                status, message = await ask(client, "get", task_id)
                assert (status, message["error"]["code"]) == (400, -32602)
        assert house.marks == ["get"]


async def test_what_a_task_brings_is_judged_both_ways(tmp_path: Path) -> None:
    question = {"who": {"method": "elicitation/create", "params": {"mode": "form", "message": f"is it {SSN}?"}}}
    seen: list[str] = []

    async def handler(call: Call) -> None:
        seen.append(call.raw.decode())
        if "inputResponses" not in call.params:
            asks = {"resultType": "input_required", "inputRequests": question, "requestState": "s"}
            await call.reply(call.result(asks))
            return
        text = {"type": "text", "text": f"it is {SSN}"}
        await call.reply(call.result({"resultType": "complete", "content": [text]}))

    detect = {"engine": "re", "actions": {"pii.ssn": "redact"}}
    upstream = RawUpstream({"tools/call": handler})
    async with approving(tmp_path, upstream=upstream, detect=detect) as house, house.raw() as client:
        task_id = (await given(client, write(f"for {SSN}"), "form"))["taskId"]
        shown: list[str] = []

        async def asked(member: str) -> bool:
            shown.append(json.dumps(found := await told(client, task_id)))
            return member in found

        await house.decide()
        await eventually(lambda: asked("inputRequests"))
        answer = {"0/who": {"action": "accept", "content": {"note": f"yes, {SSN}"}}}
        await ask(client, "update", task_id, inputResponses=answer)
        await house.decide()
        await eventually(lambda: asked("result"))
        assert SSN not in "".join(seen + shown)
        assert "it is [REDACTED:pii.ssn]" in shown[-1]
        assert "yes, [REDACTED:pii.ssn]" in seen[-1]
