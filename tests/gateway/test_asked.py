"""The tool calls that a model's answer asks for: read from what leaves, and known before it leaves."""

import asyncio
import json

import anyio
import httpx
import orjson
import pytest

from gateway.relay import StreamRelay
from governance import jsontree
from governance.exchange import ToolUse
from governance.jsontree import Json
from governance.stage import RefusedError
from pipeline.judge import unwritable
from tests.gateway.asking import BEARER, post
from tests.gateway.house import MASK, House, SsnStrand
from tests.gateway.provider import Provider, Received, Wire
from tests.gateway.samples import (
    CHAT_ANSWER,
    MESSAGE_ANSWER,
    chat_call,
    chat_calling,
    message_call,
    message_calling,
    message_event,
    message_stream,
)
from tests.gateway.test_relay import ANTHROPIC, OPENAI, relay, through

CHAT_STREAM = b'{"model":"gpt-4o","stream":true,"messages":[]}'
CLAUDE_STREAM = b'{"model":"claude-sonnet-5","stream":true,"max_tokens":5,"messages":[]}'
CHAT = chat_calling(chat_call(0, "call_a", "gw_ping", '{"n"', ": 1}"), chat_call(1, "call_b", "gw_pong"))
MESSAGE = message_calling(message_call(0, "toolu_a", "gw_ping", '{"n"', ": 1}"), message_call(1, "toolu_b", "gw_pong"))


def use(call_id: str, name: str, arguments: Json) -> ToolUse:
    return ToolUse(call_id, name, jsontree.digest(arguments))


def asked_by(relay: StreamRelay, *chunks: bytes) -> list[ToolUse]:
    through(relay, *chunks)
    return relay.taken()


@pytest.mark.parametrize("size", [1, 7, 64, 100_000])
def test_the_calls_of_a_stream_are_read_however_it_is_cut(size: int) -> None:
    for dialect, events, prefix in ((OPENAI, CHAT, "call"), (ANTHROPIC, MESSAGE, "toolu")):
        whole = b"".join(events)
        chunks = [whole[start : start + size] for start in range(0, len(whole), size)]
        expected = [use(f"{prefix}_a", "gw_ping", {"n": 1}), use(f"{prefix}_b", "gw_pong", {})]
        assert asked_by(relay(dialect), *chunks) == expected


def test_a_call_is_known_with_the_piece_that_completes_its_arguments() -> None:
    pieces = ('{"more": {"x": {}', "}", "}")
    for dialect, begun in ((OPENAI, chat_call(0, "c", "t", *pieces)), (ANTHROPIC, message_call(0, "c", "t", *pieces))):
        stream = relay(dialect)
        for event in begun[:3]:
            stream.feed(event)
            assert stream.asked == []
        stream.feed(begun[3])
        assert stream.taken() == [use("c", "t", {"more": {"x": {}}})]


def test_a_brace_in_a_text_delays_that_to_the_end_of_the_call() -> None:
    pieces = ('{"text": "', "}", '"', "}")
    for dialect, events in (
        (OPENAI, chat_calling(chat_call(0, "c", "t", *pieces))),
        (ANTHROPIC, message_calling(message_call(0, "c", "t", *pieces))),
    ):
        stream = relay(dialect)
        for event in events[:6]:
            stream.feed(event)
        assert stream.asked == []
        stream.feed(events[6])  # the block ends, or the choice does
        assert stream.taken() == [use("c", "t", {"text": "}"})]


def test_arguments_that_are_no_json_are_told_without_a_digest() -> None:
    for dialect, events in (
        (OPENAI, chat_calling(chat_call(0, "c", "t", '{"n":'))),
        (ANTHROPIC, message_calling(message_call(0, "c", "t", '{"n":'))),
    ):
        assert asked_by(relay(dialect), *events) == [ToolUse("c", "t", "")]


def test_arguments_that_come_at_once_are_read() -> None:
    block = {"type": "tool_use", "id": "c", "name": "t", "input": {"n": 2}}
    begun = [message_event("content_block_start", index=0, content_block=block)]
    events = message_calling([*begun, message_event("content_block_stop", index=0)])
    assert asked_by(relay(ANTHROPIC), *events) == [use("c", "t", {"n": 2})]


def test_tools_that_the_provider_runs_itself_are_no_agents_calls() -> None:
    events = message_calling(message_call(0, "c", "web_search", '{"q": "x"}', kind="server_tool_use"))
    assert asked_by(relay(ANTHROPIC), *events) == []
    assert asked_by(relay(ANTHROPIC), *message_stream("hello")) == []


def test_what_was_redacted_is_what_the_agent_will_call_with() -> None:
    pieces = ('{"ssn": "123-4', '5-6789"', "}")
    for dialect, events in (
        (OPENAI, chat_calling(chat_call(0, "c", "t", *pieces))),
        (ANTHROPIC, message_calling(message_call(0, "c", "t", *pieces))),
    ):
        assert asked_by(relay(dialect, SsnStrand), *events) == [use("c", "t", {"ssn": MASK})]


async def test_the_calls_of_a_whole_answer_are_told_with_its_outcome(house: House, provider: Provider) -> None:
    chat = orjson.loads(CHAT_ANSWER)
    call = {"id": "call_a", "type": "function", "function": {"name": "gw_ping", "arguments": '{"ssn":"123-45-6789"}'}}
    chat["choices"][0]["message"]["tool_calls"] = [call]
    provider.answers(orjson.dumps(chat))
    await post(house, b'{"model":"gpt-4o","messages":[]}')
    message = orjson.loads(MESSAGE_ANSWER)
    message["content"].append({"type": "tool_use", "id": "toolu_a", "name": "gw_ping", "input": {"n": 1}})
    provider.answers(orjson.dumps(message))
    await post(house, b'{"model":"claude-sonnet-5","max_tokens":5,"messages":[]}', "/v1/messages")
    assert house.asked == [use("call_a", "gw_ping", {"ssn": MASK}), use("toolu_a", "gw_ping", {"n": 1})]
    assert house.told == []


async def test_an_error_of_the_provider_asks_for_nothing(house: House, provider: Provider) -> None:
    message = orjson.loads(MESSAGE_ANSWER)
    message["content"].append({"type": "tool_use", "id": "toolu_a", "name": "gw_ping", "input": {}})
    provider.answers(orjson.dumps(message), status=500)
    await post(house, b'{"model":"claude-sonnet-5","max_tokens":5,"messages":[]}', "/v1/messages")
    assert house.asked == []


@pytest.mark.parametrize(
    ("path", "body", "events"),
    [("/v1/chat/completions", CHAT_STREAM, CHAT), ("/v1/messages", CLAUDE_STREAM, MESSAGE)],
)
async def test_what_completes_a_call_leaves_only_when_the_call_is_written_down(
    path: str, body: bytes, events: list[bytes], house: House, provider: Provider
) -> None:
    goes_on = asyncio.Event()

    async def play(_: Received, wire: Wire) -> None:
        await wire.begin()
        await wire.chunk(b"".join(events[:4]))
        await goes_on.wait()
        await wire.chunk(b"".join(events[4:]))
        await wire.end()

    async def written() -> None:
        goes_on.set()

    async def fail() -> None:
        goes_on.set()
        raise RefusedError(unwritable(), "exc_1")

    provider.script = play
    with anyio.fail_after(20):
        house.before_telling = written
        assert (await post(house, body, path)).content == b"".join(events)
        assert (house.told, len(house.asked)) == ([1], 2)
        goes_on.clear()
        house.before_telling = fail
        cut = await post(house, body, path)
    assert events[3] not in cut.content
    assert b"audit log cannot be written" in cut.content


async def test_a_call_that_ends_the_answer_costs_no_writing_of_its_own(house: House, provider: Provider) -> None:
    async def play(_: Received, wire: Wire) -> None:
        await wire.begin()
        await wire.chunk(b"".join(MESSAGE))
        await wire.end()

    provider.script = play
    durable = asyncio.Event()
    house.before_settling = durable.wait
    with anyio.fail_after(20):
        async with (
            httpx.AsyncClient(base_url=house.url) as client,
            client.stream("POST", "/v1/messages", content=CLAUDE_STREAM, headers=BEARER) as answer,
        ):
            await house.settled.wait()
            durable.set()
            assert b"".join([chunk async for chunk in answer.aiter_raw()]) == b"".join(MESSAGE)
    assert (house.told, len(house.asked)) == ([], 2)


def test_a_call_that_says_nothing_of_itself_is_still_told() -> None:
    event = (
        b"data: " + json.dumps({"choices": [{"index": 0, "delta": {"tool_calls": [{"index": 0, "id": 7}]}}]}).encode()
    )
    assert asked_by(relay(OPENAI), *chat_calling([event + b"\n\n"])) == [use("", "", {})]


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/messages"])
async def test_a_call_whose_run_cannot_be_told_goes_nowhere(path: str, house: House, provider: Provider) -> None:
    house.runs_are_unreadable = True
    answer = await post(house, CHAT_STREAM if "chat" in path else CLAUDE_STREAM, path)
    assert (answer.status_code, provider.received) == (503, [])
    assert "cannot be read" in answer.text
    assert "disk" not in answer.text
