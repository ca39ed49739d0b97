"""Upstream servers over stdio, with real child processes."""

import contextlib
import logging
import os
from pathlib import Path

import anyio
import orjson
import pytest

from governance.config.models import Limits
from governance.jsontree import JsonObject
from mcp_proxy.link import Era, Health, LinkLostError, UpstreamError, UpstreamTimeoutError, UpstreamUnreachableError
from mcp_proxy.message import Message
from mcp_proxy.pulse import Pulse
from mcp_proxy.transports import stdio
from mcp_proxy.transports.stdio import StdioServer
from mcp_proxy.transports.stdio_child import Command
from tests.conftest import ManualClock
from tests.mcp_proxy.transports.stage_props import (
    ANN,
    BEN,
    ask,
    next_of,
    notification,
    plain_server,
    read_all,
    request,
    tool,
    words,
)


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    with contextlib.suppress(FileNotFoundError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


async def has_ended(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        handle = os.pidfd_open(pid)
        try:
            await anyio.wait_readable(handle)
        finally:
            os.close(handle)


async def test_a_call_is_answered_by_the_child(clock: ManualClock) -> None:
    with anyio.fail_after(10):
        async with plain_server(clock) as server:
            link = await server.open(ANN, Era.LEGACY)
            assert words(await ask(link, tool(0, "echo"))) == "echo"
            assert server.condition.health is Health.READY
            assert link.stateful


async def test_a_legacy_message_reaches_the_child_byte_for_byte(clock: ManualClock) -> None:
    raw = (
        '{ "id":"ä" ,"jsonrpc":"2.0","method":"tools/call","vendor":1e2,'
        '"params":{"name":"echo","arguments":{"n":null,"i":1152921504606846977,"f":1.0,"u":"\\u00fc🚪"},"x":[]}}'
    ).encode()
    with anyio.fail_after(10):
        async with plain_server(clock) as server:
            link = await server.open(ANN, Era.LEGACY)
            answered = await ask(link, Message.parse(raw))
            result = answered.value["result"]
            assert isinstance(result, dict)
            assert result["seen"] == orjson.loads(raw)
            assert answered.id == "ä"


async def test_line_ends_inside_a_message_become_spaces(clock: ManualClock) -> None:
    raw = b'{"jsonrpc":"2.0",\r\n "id":1,\n"method":"tools/call","params":{"name":"echo","arguments":{"a":"x\\ny"}}\r}'
    with anyio.fail_after(10):
        async with plain_server(clock) as server:
            link = await server.open(ANN, Era.LEGACY)
            result = (await ask(link, Message.parse(raw))).value["result"]
            assert isinstance(result, dict)
            assert result["structuredContent"] == {"a": "x\ny"}


async def test_each_legacy_session_has_a_child_of_its_own(clock: ManualClock) -> None:
    with anyio.fail_after(10):
        async with plain_server(clock) as server:
            one, two = await server.open(ANN, Era.LEGACY), await server.open(ANN, Era.LEGACY)
            assert words(await ask(one, tool(1, "pid"))) != words(await ask(two, tool(1, "pid")))


async def test_modern_clients_of_one_principal_share_a_child_and_other_principals_do_not(clock: ManualClock) -> None:
    with anyio.fail_after(10):
        async with plain_server(clock) as server:
            one, two = await server.open(ANN, Era.MODERN), await server.open(ANN, Era.MODERN)
            other = await server.open(BEN, Era.MODERN)
            assert not one.stateful
            pid = words(await ask(one, tool(1, "pid")))
            assert words(await ask(two, tool(1, "pid"))) == pid
            assert words(await ask(other, tool(1, "pid"))) != pid


async def test_equal_ids_and_tokens_of_two_modern_clients_never_mix(clock: ManualClock) -> None:
    with anyio.fail_after(20):
        async with plain_server(clock) as server:
            links = [await server.open(ANN, Era.MODERN) for _ in range(8)]
            answers: dict[int, list[Message]] = {}

            async def client(number: int) -> None:
                meta: JsonObject = {"progressToken": 0}
                answers[number] = await read_all(
                    await links[number].send(tool(0, "progress" if number % 2 else "echo", meta=meta, who=number))
                )

            async with anyio.create_task_group() as group:
                for number in range(8):
                    group.start_soon(client, number)
            for number, messages in answers.items():
                assert [one.id for one in messages if one.is_response] == [0]
                if number % 2:
                    assert [one.params["progressToken"] for one in messages[:-1]] == [0, 0, 0]
                else:
                    result = messages[-1].value["result"]
                    assert isinstance(result, dict)
                    assert result["structuredContent"] == {"who": number}


async def test_a_subscription_comes_back_under_the_clients_own_id(clock: ManualClock) -> None:
    key = "io.modelcontextprotocol/subscriptionId"
    with anyio.fail_after(10):
        async with plain_server(clock) as server:
            link = await server.open(ANN, Era.MODERN)
            reply = await link.send(request("sub", "subscriptions/listen"))
            assert [(await next_of(reply)).meta[key] for _ in range(2)] == ["sub", "sub"]
            await link.send(notification("vendor/finish"))
            last = await next_of(reply)
            assert last.id == "sub"
            assert last.value["result"] == {"_meta": {key: "sub"}}


async def test_progress_arrives_before_the_answer(clock: ManualClock) -> None:
    with anyio.fail_after(10):
        async with plain_server(clock) as server:
            link = await server.open(ANN, Era.LEGACY)
            messages = await read_all(await link.send(tool(1, "progress", meta={"progressToken": 0})))
            assert [message.method for message in messages] == ["notifications/progress"] * 3 + [""]


async def test_a_request_of_the_server_reaches_the_one_open_call_and_its_answer_goes_back(clock: ManualClock) -> None:
    with anyio.fail_after(10):
        async with plain_server(clock) as server:
            link = await server.open(ANN, Era.LEGACY)
            reply = await link.send(tool(1, "ask"))
            asked = await next_of(reply)
            assert (asked.method, asked.id) == ("sampling/createMessage", "server-1")
            given = Message.build({"jsonrpc": "2.0", "id": "server-1", "result": {"said": "hello"}})
            assert (await link.send(given)).status == 202
            assert words(await next_of(reply)) == '{"said":"hello"}'


async def test_what_concerns_the_whole_session_goes_to_its_own_stream(clock: ManualClock) -> None:
    with anyio.fail_after(10):
        async with plain_server(clock) as server:
            link = await server.open(ANN, Era.LEGACY)
            await link.send(notification("vendor/change"))
            stream = await link.listen()
            assert (await next_of(stream)).method == "notifications/tools/list_changed"
            assert (await link.listen()).status == 409
            await stream.aclose()
            assert (await link.listen()).status == 200


async def test_two_clients_on_one_child_are_never_shown_what_belongs_to_nobody(clock: ManualClock) -> None:
    with anyio.fail_after(10):
        async with plain_server(clock) as server:
            one, two = await server.open(ANN, Era.MODERN), await server.open(ANN, Era.MODERN)
            slow = await one.send(tool(1, "slow"))
            assert [message.method for message in await read_all(await two.send(tool(1, "log")))] == [""]
            assert (await one.listen()).status == 405
            await slow.aclose()


async def test_a_modern_client_that_leaves_cancels_its_call_under_the_childs_id(clock: ManualClock) -> None:
    with anyio.fail_after(10):
        async with plain_server(clock) as server:
            link = await server.open(ANN, Era.MODERN)
            assert words(await ask(link, tool("other", "echo"))) == "echo"
            reply = await link.send(tool("mine", "slow", meta={"progressToken": 5}))
            assert (await next_of(reply)).params["progressToken"] == 5
            watcher = await link.send(tool("watch", "slow"))
            await reply.aclose()
            told = await next_of(watcher)
            params = told.params["data"]
            assert params == {"cancelled": {"requestId": 2, "reason": "the client has left"}}
            await reply.aclose()


async def test_a_clients_own_cancellation_passes_untouched_and_frees_the_call(
    clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mcp_proxy.transports.piped.CANCEL_GRACE_SECONDS", 0.5)
    with anyio.fail_after(10):
        async with plain_server(clock) as server:
            link = await server.open(ANN, Era.LEGACY)
            assert words(await ask(link, tool(3, "echo"))) == "echo"
            reply = await link.send(tool(4, "slow"))
            await link.send(notification("notifications/cancelled", requestId=4, reason="why not"))
            messages = await read_all(reply)
            assert [one.params["data"] for one in messages] == [{"cancelled": {"requestId": 4, "reason": "why not"}}]
            assert words(await ask(link, tool(4, "echo"))) == "echo"


async def test_an_id_that_is_still_open_is_refused(clock: ManualClock) -> None:
    with anyio.fail_after(10):
        async with plain_server(clock) as server:
            link = await server.open(ANN, Era.LEGACY)
            await link.send(tool(1, "slow"))
            with pytest.raises(UpstreamError, match="still open"):
                await link.send(tool(1, "echo"))


async def test_a_crash_fails_the_open_calls_and_ends_a_legacy_session(clock: ManualClock) -> None:
    with anyio.fail_after(10):
        async with plain_server(clock) as server:
            link = await server.open(ANN, Era.LEGACY)
            waits = await link.send(tool(1, "slow"))
            with pytest.raises(UpstreamError, match="`plain` stopped before it answered: it exited with 7"):
                await ask(link, tool(2, "crash"))
            with pytest.raises(UpstreamError, match="exited with 7"):
                await read_all(waits)
            with pytest.raises(LinkLostError):
                await link.send(tool(3, "echo"))
            assert server.condition.health is Health.FAILING
            again = await server.open(ANN, Era.LEGACY)
            assert words(await ask(again, tool(1, "echo"))) == "echo"


async def test_a_shared_child_is_started_again_for_the_next_call_but_not_without_pause(clock: ManualClock) -> None:
    with anyio.fail_after(10):
        async with plain_server(clock) as server:
            link = await server.open(ANN, Era.MODERN)
            for _ in range(2):
                with pytest.raises(UpstreamError, match="exited with 7"):
                    await ask(link, tool(1, "crash"))
            with pytest.raises(UpstreamUnreachableError, match=r"failing \(it exited with 7\).*in 0\.2 seconds"):
                await ask(link, tool(1, "echo"))
            clock.advance(1)
            assert words(await ask(link, tool(1, "echo"))) == "echo"
            assert server.vitals.starts == 3
            assert server.condition.health is Health.READY


async def test_a_command_that_does_not_exist_says_so(clock: ManualClock) -> None:
    server = StdioServer("gone", Command("/nonexistent/x"), limits=Limits(), pulse=Pulse("gone", clock, lambda: 0.0))
    with pytest.raises(UpstreamUnreachableError, match="`gone` cannot be started"):
        await server.open(ANN, Era.LEGACY)
    assert server.condition.health is Health.FAILING


async def test_a_result_of_eight_megabytes_passes(clock: ManualClock) -> None:
    with anyio.fail_after(20):
        async with plain_server(clock) as server:
            link = await server.open(ANN, Era.LEGACY)
            assert len(words(await ask(link, tool(1, "big", size=8 * 2**20)))) == 8 * 2**20
            sent = tool(2, "echo", text="y" * 8 * 2**20)
            result = (await ask(link, sent)).value["result"]
            assert isinstance(result, dict)
            assert result["structuredContent"] == sent.params["arguments"]


async def test_a_message_beyond_the_limit_ends_the_child(clock: ManualClock) -> None:
    with anyio.fail_after(10):
        async with plain_server(clock, limits=Limits(response_bytes=4096)) as server:
            link = await server.open(ANN, Era.LEGACY)
            with pytest.raises(UpstreamError, match="too large: a line is longer than 4096 bytes"):
                await ask(link, tool(1, "big", size=100_000))


async def test_a_silent_server_is_given_up(clock: ManualClock) -> None:
    with anyio.fail_after(10):
        async with plain_server(clock, limits=Limits(upstream_seconds=0.05)) as server:
            link = await server.open(ANN, Era.LEGACY)
            with pytest.raises(UpstreamTimeoutError, match=r"silent for 0\.05 seconds"):
                await ask(link, tool(1, "slow"))


async def test_noise_is_logged_harmlessly_and_disturbs_nothing(
    clock: ManualClock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    with anyio.fail_after(10):
        async with plain_server(clock, env={"TOKEN": "s3cret-value"}) as server:
            link = await server.open(ANN, Era.LEGACY)
            assert words(await ask(link, tool(1, "noise"))) == "noisy"
            await link.close()
    assert "server plain says: key=***  [31mred" in caplog.messages
    assert "s3cret" not in caplog.text
    assert "a line that is no message" not in caplog.text
    assert "something that is not a message was dropped" in caplog.text


async def test_a_malformed_answer_fails_its_call_at_once(clock: ManualClock) -> None:
    with anyio.fail_after(10):
        async with plain_server(clock) as server:
            link = await server.open(ANN, Era.LEGACY)
            with pytest.raises(UpstreamError, match="malformed message: duplicate member"):
                await ask(link, tool(1, "malformed"))


async def test_a_child_gets_no_more_of_our_environment_than_it_needs(
    clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WICKET_KEY", "ours")
    monkeypatch.setenv("OPENAI_API_KEY", "ours")
    with anyio.fail_after(10):
        async with plain_server(clock, env={"DECLARED": "yes"}) as server:
            link = await server.open(ANN, Era.LEGACY)
            seen = orjson.loads(words(await ask(link, tool(1, "env"))))
    assert seen["DECLARED"] == "yes"
    assert seen["PATH"] == os.environ["PATH"]
    assert not {"WICKET_KEY", "OPENAI_API_KEY"} & seen.keys()


def test_a_wrapped_command_gets_our_environment_without_our_own_secrets() -> None:
    given = Command("x", wrapped=True).environment({"GITHUB_TOKEN": "t", "WICKET_KEY": "k"})
    assert given == {"GITHUB_TOKEN": "t"}


async def test_closing_ends_the_child_and_what_it_started(clock: ManualClock) -> None:
    with anyio.fail_after(10):
        async with plain_server(clock) as server:
            link = await server.open(ANN, Era.LEGACY)
            pids = [int(words(await ask(link, tool(number, name)))) for number, name in enumerate(("pid", "spawn"))]
            assert all(map(is_alive, pids))
            await link.close()
            for pid in pids:
                await has_ended(pid)  # what the child started is not ours: the system ends it in its own time
            with pytest.raises(LinkLostError):
                await link.send(tool(9, "echo"))
            await link.close()


async def test_a_child_that_ignores_everything_is_killed(clock: ManualClock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mcp_proxy.transports.stdio_child.GRACE_SECONDS", 0.05)
    with anyio.fail_after(10):
        async with plain_server(clock) as server:
            link = await server.open(ANN, Era.LEGACY)
            pid = int(words(await ask(link, tool(0, "pid"))))
            await ask(link, tool(1, "stubborn"))
            await link.close()
            assert not is_alive(pid)


async def test_a_shared_child_ends_when_it_was_idle_for_long(
    clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stdio, "IDLE_SECONDS", 0.0)
    with anyio.fail_after(10):
        async with plain_server(clock) as server:
            link = await server.open(ANN, Era.MODERN)
            pid = int(words(await ask(link, tool(0, "pid"))))
            await link.close()
            await link.close()
            await has_ended(pid)
            await server.aclose()
            assert server.vitals.failures == 0


async def test_a_call_that_was_cancelled_before_it_could_be_made_is_not_made(clock: ManualClock) -> None:
    with anyio.fail_after(10):
        async with plain_server(clock) as server:
            link = await server.open(ANN, Era.LEGACY)
            await link.send(notification("notifications/cancelled", requestId=5))
            with pytest.raises(UpstreamError, match="cancelled before"):
                await link.send(tool(5, "echo"))
            assert words(await ask(link, tool(6, "echo"))) == "echo"


async def test_a_stopped_server_starts_nothing(clock: ManualClock) -> None:
    async with plain_server(clock) as server:
        await server.aclose()
        assert server.condition.health is Health.STOPPED
        with pytest.raises(UpstreamUnreachableError, match="is stopped"):
            await server.open(ANN, Era.LEGACY)


async def test_there_is_a_most_of_children(clock: ManualClock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stdio, "MOST_CHILDREN", 1)
    with anyio.fail_after(10):
        async with plain_server(clock) as server:
            link = await server.open(ANN, Era.LEGACY)
            with pytest.raises(UpstreamUnreachableError, match="has 1 sessions"):
                await server.open(ANN, Era.LEGACY)
            await link.close()
            await server.open(ANN, Era.LEGACY)
