"""What a server says besides its answers: judged, then passed on as it came, redacted, or dropped."""

import json
from pathlib import Path
from typing import Any

import anyio
import pytest

from governance.audit.flood import BURST
from sessions.killswitch import Scope
from tests.mcp_proxy.raw_upstream import Call
from tests.mcp_proxy.stage import ENVELOPE, MODERN, modern
from tests.mcp_proxy.walled import ORDER, SSN, walled


def notes(text: str) -> list[dict[str, Any]]:
    found: list[tuple[str, dict[str, Any]]] = [
        ("notifications/progress", {"progressToken": 1, "progress": 1, "message": text}),
        ("notifications/message", {"level": "info", "logger": "x", "data": {"a": [text]}}),
        ("notifications/message", {"level": "info", "data": text}),
        ("notifications/resources/updated", {"uri": "x://y", "_meta": {"x": text}}),
        ("notifications/elicitation/complete", {"elicitationId": text}),
        ("notifications/cancelled", {"requestId": 99, "reason": text}),
        ("notifications/tasks/status", {"taskId": "1", "statusMessage": text}),
        ("vendor/note", {"deep": [{"er": text}]}),
    ]
    return [{"jsonrpc": "2.0", "method": method, "params": params} for method, params in found]


CLEAN = notes("all is well")


async def test_clean_notes_pass_on_both_streams_as_they_came_and_leave_no_trace(tmp_path: Path) -> None:
    async with walled(tmp_path) as wall, wall.client.listen() as own:
        await wall.session.listening.wait()
        wall.streams("tools/call", *CLEAN)
        async with wall.client.stream("tools/call", {"name": "t"}) as stream:
            assert (await stream.rest())[:-1] == CLEAN
        for note in CLEAN:
            await wall.session.stream.event(json.dumps(note).encode(), event_id="e")
            event = await own.event()
            assert (event.data, event.id) == (json.dumps(note).encode(), "e")
        assert await wall.world.types() == ["exchange.admitted", "exchange.completed"]


@pytest.mark.parametrize("method", ["tools/call", "vendor/x"])
async def test_what_is_found_in_notes_before_an_answer_is_replaced_or_dropped(tmp_path: Path, method: str) -> None:
    async with walled(tmp_path) as wall:
        wall.streams(method, *notes(SSN), *notes(ORDER), {"jsonrpc": "2.0", "method": f"vendor/{SSN}"})
        async with wall.client.stream(method, {"name": "t"}) as stream:
            *seen, answer = await stream.rest()
        assert "result" in answer
        assert seen == notes("[REDACTED:pii.ssn]")


@pytest.mark.parametrize("place", [f"e-{SSN}", "e" * 1025], ids=["found", "long"])
async def test_a_place_in_a_stream_does_not_pass_that_says_something(tmp_path: Path, place: str) -> None:
    note = json.dumps(CLEAN[0]).encode()
    async with walled(tmp_path) as wall, wall.client.listen() as own:
        await wall.session.listening.wait()
        await wall.session.stream.event(note, event_id=place)
        event = await own.event()
        assert (event.data, event.id) == (note, None)


async def test_what_is_found_in_notes_on_the_servers_own_stream_is_replaced_or_dropped(tmp_path: Path) -> None:
    async with walled(tmp_path) as wall, wall.client.listen() as own:
        await wall.session.listening.wait()
        for number, note in enumerate((*notes(SSN), *notes(ORDER), *CLEAN)):
            await wall.session.stream.event(json.dumps(note).encode(), event_id=str(number))
        places: list[str | None] = []
        seen: list[Any] = []
        while len(seen) < 2 * len(CLEAN):
            event = await own.event()
            places.append(event.id)
            seen += [json.loads(event.data)] if event.data else []
        assert seen == [*notes("[REDACTED:pii.ssn]"), *CLEAN]
        assert places == [str(number) for number in range(3 * len(CLEAN))]


async def test_what_was_found_names_the_call_that_it_came_with(tmp_path: Path) -> None:
    async with walled(tmp_path) as wall:
        wall.streams("tools/call", notes(SSN)[0], notes(ORDER)[0])
        async with wall.client.stream("tools/call", {"name": "t"}) as stream:
            await stream.rest()
        (call,) = await wall.world.events("exchange.admitted")
        (flagged,) = await wall.world.events("message.flagged")
        (withheld,) = await wall.world.events("message.withheld")
        assert flagged["exchange_id"] == withheld["exchange_id"] == call["exchange_id"]
        assert (flagged["policy_decision"], flagged["classification"]) == ("redact", ["pii.ssn"])
        assert (withheld["policy_decision"], withheld["direction"]) == ("deny", "to_client")
        assert SSN not in json.dumps([flagged, withheld])


async def test_rules_speak_of_messages(tmp_path: Path) -> None:
    rule: Any = {"id": "quiet", "match": {"action": "message", "server": "files"}, "decide": "deny"}
    policy: Any = {"version": 1, "default": "deny", "rules": [{**rule, "phase": "response"}]}
    async with walled(tmp_path, policy=policy) as wall:
        assert "quiet" in (await wall.client.call("vendor/x"))["error"]["message"]
        assert wall.methods() == ["vendor/x"]


async def test_a_default_that_refuses_calls_does_not_silence_the_protocol(tmp_path: Path) -> None:
    async with walled(tmp_path, policy={"version": 1, "default": "deny", "rules": []}) as wall:
        assert "result" in await wall.client.call("ping")
        assert "result" in await wall.client.call("prompts/list")
        assert (await wall.client.tool("t"))["result"]["isError"] is True


async def test_a_rule_may_kill_because_of_a_message(tmp_path: Path) -> None:
    rule: Any = {"id": "stop", "match": {"action": "message", "findings": "pii.ssn"}, "decide": "kill"}
    policy: Any = {"version": 1, "default": "allow", "rules": [rule, {**rule, "id": "stop-2", "phase": "response"}]}
    async with walled(tmp_path, policy=policy) as wall:
        wall.streams("tools/call", notes(SSN)[0])
        async with wall.client.post("tools/call", {"name": "t"}) as response:
            await response.read()
        assert await wall.world.events("session.killed")
        assert "stop-2" in json.dumps(await wall.world.events("message.withheld"))
        assert "error" in await wall.client.call("ping")


async def test_a_stream_that_was_open_before_a_kill_says_nothing_after_it(tmp_path: Path) -> None:
    async with walled(tmp_path) as wall, wall.client.listen() as own:
        await wall.session.listening.wait()
        await wall.client.tool("t")
        run = str((await wall.world.events("exchange.admitted"))[-1]["session_id"])
        await wall.world.runtime.kills.kill(Scope.SESSION, run, reason="enough", actor="anna")
        for note in CLEAN:
            await wall.session.stream.event(json.dumps(note).encode())
        assert await own.rest() == []


async def test_the_subscription_of_a_modern_client_is_judged(tmp_path: Path) -> None:
    async with walled(tmp_path, shakes_hands=False) as wall:
        wall.upstream.stateful = False
        wall.streams("subscriptions/listen", *notes(SSN), *notes(ORDER))
        message = {"jsonrpc": "2.0", "id": 5, "method": "subscriptions/listen", "params": {"_meta": ENVELOPE}}
        lines = {"mcp_protocol_version": MODERN, "mcp_method": "subscriptions/listen"}
        async with wall.client.send(message, **lines) as response:
            text = await response.text()
        assert SSN not in text
        assert ORDER not in text
        assert text.count("[REDACTED:pii.ssn]") == len(CLEAN)


async def test_who_may_not_read_a_resource_may_not_subscribe_to_it_in_either_era(tmp_path: Path) -> None:
    rule: Any = {
        "id": "no-secrets",
        "match": {"action": "resource.read", "resource": "memo://secret*"},
        "decide": "deny",
    }
    policy: Any = {"version": 1, "default": "allow", "rules": [rule]}
    async with walled(tmp_path, policy=policy) as wall:
        assert (
            "no-secrets"
            in (await wall.client.call("resources/subscribe", {"uri": "memo://secret"}))["error"]["message"]
        )
        wall.answers("subscriptions/listen", {})
        for uri, refused in (("memo://open", False), ("memo://secret", True)):
            params = {"notifications": {"resourceSubscriptions": ["memo://open", uri]}}
            _, answer = await modern(wall.client, "subscriptions/listen", params)
            assert ("no-secrets" in json.dumps(answer)) is refused
        assert not wall.reached("memo://secret")
        assert [one["rule"] for one in await wall.world.events("message.withheld")] == ["no-secrets"]


async def test_an_answer_that_comes_late_on_the_servers_own_stream_is_judged(tmp_path: Path) -> None:
    async with walled(tmp_path) as wall, wall.client.listen() as own:
        await wall.session.listening.wait()

        async def handler(call: Call) -> None:
            await call.event(b"", event_id="place")
            await call.end()

        wall.upstream.handlers["vendor/x"] = handler
        for number, text in enumerate((SSN, ORDER)):
            async with wall.client.post("vendor/x", id=number) as response:
                await response.read()
            late = {"jsonrpc": "2.0", "id": number, "result": {"text": text}}
            await wall.session.stream.event(json.dumps(late).encode())
        assert (await own.message())["result"] == {"text": "[REDACTED:pii.ssn]"}
        refused = await own.message()
        assert (refused["id"], refused["error"]["data"]["wicket"]) == (1, "refused")


async def test_a_flood_of_findings_is_counted(tmp_path: Path) -> None:
    count = BURST * 2
    async with walled(tmp_path) as wall:
        wall.streams("tools/call", *[notes(SSN)[0]] * count)
        async with wall.client.stream("tools/call", {"name": "t"}) as stream:
            assert len(await stream.rest()) == count + 1
        with anyio.fail_after(10):
            await wall.world.runtime.guard.notes.tell()
        events = await wall.world.events("message.flagged")
        told = [one for one in events if one.get("code") == "flood"]
        assert len(events) < count
        assert sum(int(str(one["count"])) for one in told) + len(events) - len(told) == count
        assert {str(one["key_id"]) for one in told} == {str(one["key_id"]) for one in events}
