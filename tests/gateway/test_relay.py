"""Streams on their way: bytes in, bytes out."""

from itertools import pairwise
from typing import Any, NoReturn

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.dialects import DIALECTS
from gateway.dialects.dialect import Asked, Dialect
from gateway.errors import UpstreamError
from gateway.relay import Strand, StreamRelay
from governance.exchange import Body
from tests.gateway.house import MASK, SsnStrand
from tests.gateway.samples import CHAT_DONE, chat_chunk, chat_stream, message_event, message_stream

OPENAI, ANTHROPIC = DIALECTS
STREAMS = [(OPENAI, chat_stream("hello", " world")), (ANTHROPIC, message_stream("hello", " world"))]


class Open:
    """A strand that holds nothing back."""

    def feed(self, text: str) -> str:
        return text

    def close(self) -> str:
        return ""

    def stuck(self) -> NoReturn:
        raise AssertionError("nothing is ever found")


def relay(dialect: Dialect, strand: type[Strand] = Open, *, adds_usage: bool = False) -> StreamRelay:
    asked = Asked("m", True, Body({}), adds_usage=adds_usage)
    return StreamRelay(
        dialect.reader(asked),
        lambda _channel, _role: strand(),
        hide=lambda text: text.replace(b"sk-secret", b"[provider key]") if b"sk-secret" in text else text,
        max_event_bytes=10_000,
    )


def through(relay: StreamRelay, *chunks: bytes) -> bytes:
    return b"".join([*map(relay.feed, chunks), relay.close()])


def data(stream: bytes) -> list[dict[str, Any]]:
    lines = [line[6:] for line in stream.split(b"\n") if line.startswith(b"data: {")]
    return [orjson.loads(line) for line in lines]


def text_of(stream: bytes) -> str:
    """The text as a client puts it together."""
    out = ""
    for value in data(stream):
        for choice in value.get("choices", []):
            out += choice["delta"].get("content") or ""
        if value.get("type") == "content_block_delta":
            out += value["delta"].get("text", "")
    return out


@pytest.mark.parametrize(("dialect", "events"), STREAMS)
@given(cut=st.lists(st.integers(0, 3000), max_size=6))
def test_an_unchanged_stream_keeps_every_byte_however_it_is_cut(
    dialect: Dialect, events: list[bytes], cut: list[int]
) -> None:
    stream = b": keep-alive\n\n" + b"".join(events)
    edges = [0, *sorted(min(one, len(stream)) for one in cut), len(stream)]
    chunks = [stream[start:end] for start, end in pairwise(edges)]
    assert through(relay(dialect), *chunks) == stream


@pytest.mark.parametrize(("dialect", "events"), STREAMS)
def test_the_last_event_waits_for_whoever_settles(dialect: Dialect, events: list[bytes]) -> None:
    sut = relay(dialect)
    assert sut.feed(b"".join(events)) == b"".join(events[:-1])
    assert sut.is_over
    assert sut.close() == events[-1]


@pytest.mark.parametrize(("dialect", "events"), STREAMS)
def test_the_usage_is_read_from_the_end(dialect: Dialect, events: list[bytes]) -> None:
    sut = relay(dialect)
    through(sut, *events)
    assert sut.usage is not None
    assert (sut.usage.input_tokens, sut.usage.output_tokens) == ((5, 2) if dialect is OPENAI else (105, 9))
    assert sut.usage.cache_read_tokens == (0 if dialect is OPENAI else 100)


@pytest.mark.parametrize("build", [chat_stream, message_stream])
@given(cuts=st.lists(st.integers(0, 40), max_size=5))
def test_a_number_cut_anywhere_is_redacted(build: type, cuts: list[int]) -> None:
    text = "my number is 123-45-6789, remember it 12"
    edges = [0, *sorted(min(one, len(text)) for one in cuts), len(text)]
    pieces = [text[start:end] for start, end in pairwise(edges)]
    out = through(relay(OPENAI if build is chat_stream else ANTHROPIC, SsnStrand), *build(*pieces))
    assert text_of(out) == f"my number is {MASK}, remember it 12"


def test_held_text_leaves_before_its_block_ends() -> None:
    out = through(relay(ANTHROPIC, SsnStrand), *message_stream("it ends in 12"))
    kinds = [(value["type"], value.get("delta")) for value in data(out)]
    stop = kinds.index(("content_block_stop", None))
    assert kinds[stop - 1] == ("content_block_delta", {"type": "text_delta", "text": "12"})


def test_held_arguments_leave_in_their_own_tool_call() -> None:
    call = {"index": 1, "id": "call_1", "type": "function", "function": {"name": "f", "arguments": ""}}
    more = {"index": 1, "function": {"arguments": '{"a":12'}}
    events = [
        chat_chunk({"role": "assistant", "tool_calls": [call]}),
        chat_chunk({"tool_calls": [more]}),
        chat_chunk({}, "tool_calls"),
        CHAT_DONE,
    ]
    values = data(through(relay(OPENAI, SsnStrand), *events))
    deltas = [value["choices"][0] for value in values]
    assert [delta["delta"] for delta in deltas] == [
        {"role": "assistant", "tool_calls": [call]},
        {"tool_calls": [{"index": 1, "function": {"arguments": '{"a":'}}]},
        {"tool_calls": [{"index": 1, "function": {"arguments": "12"}}]},
        {},
    ]
    assert [delta["finish_reason"] for delta in deltas] == [None, None, None, "tool_calls"]


def test_the_name_of_a_call_leaves_in_its_first_chunk() -> None:
    """Some clients read it there only, and what is written may hold the last word of any text back."""

    class Holding(Open):
        held = ""

        def feed(self, text: str) -> str:
            self.held += text
            return ""

        def close(self) -> str:
            return self.held

    call = {"index": 0, "id": "call_1", "type": "function", "function": {"name": "get_weather", "arguments": ""}}
    first = chat_chunk({"role": "assistant", "tool_calls": [call]})
    more = chat_chunk({"tool_calls": [{"index": 0, "function": {"arguments": "{}"}}]})
    assert relay(OPENAI, Holding).feed(first) == first
    out = through(relay(OPENAI, Holding), first, more, chat_chunk({}, "tool_calls"), CHAT_DONE)
    assert out.count(b"get_weather") == 1


def test_changed_text_takes_its_probabilities_with_it() -> None:
    probabilities = {"content": [{"token": "123-45-6789", "logprob": -0.1}]}
    choice = {"index": 0, "delta": {"content": "123-45-6789"}, "logprobs": probabilities, "finish_reason": "stop"}
    event = b"data: " + orjson.dumps({"choices": [choice]}) + b"\n\n"
    out = through(relay(OPENAI, SsnStrand), event, CHAT_DONE)
    assert b"6789" not in out
    assert text_of(out) == MASK


def test_choices_are_different_texts() -> None:
    def chunk(index: int, text: str) -> bytes:
        return b"data: " + orjson.dumps({"choices": [{"index": index, "delta": {"content": text}}]}) + b"\n\n"

    events = [chunk(0, "123-45-"), chunk(1, "77 "), chunk(0, "6789"), CHAT_DONE]
    out = through(relay(OPENAI, SsnStrand), *events)
    assert b"6789" not in out
    assert MASK.encode() in out


def test_usage_that_the_client_did_not_ask_for_is_hidden() -> None:
    out = through(relay(OPENAI, adds_usage=True), *chat_stream("hi"))
    assert out == b"".join(chat_stream("hi", usage=False))


def test_usage_that_the_client_asked_for_is_left() -> None:
    assert through(relay(OPENAI), *chat_stream("hi")) == b"".join(chat_stream("hi"))


@pytest.mark.parametrize(("dialect", "events"), STREAMS)
def test_a_stream_that_breaks_off_is_an_error(dialect: Dialect, events: list[bytes]) -> None:
    sut = relay(dialect)
    sut.feed(b"".join(events[:-4]))
    with pytest.raises(UpstreamError, match="broke off"):
        sut.close()


def test_a_chat_stream_without_its_end_marker_is_whole_when_every_choice_finished() -> None:
    events = chat_stream("hi")[:-1]
    assert through(relay(OPENAI), *events) == b"".join(events)


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize(
    "event", [b"data: not json\n\n", b'data: {"a":1,"a":2}\n\n', b"data: " + b"x" * 20_000 + b"\n\n"]
)
def test_what_is_not_the_wire_is_not_passed_on(dialect: Dialect, event: bytes) -> None:
    with pytest.raises(UpstreamError, match="not what its wire demands"):
        relay(dialect).feed(event)


def test_an_error_of_the_provider_passes_and_is_noted() -> None:
    event = message_event("error", error={"type": "overloaded_error", "message": "busy"})
    sut = relay(ANTHROPIC)
    assert through(sut, event) == event
    assert sut.failed


def test_nothing_after_the_last_event_is_passed_on() -> None:
    assert through(relay(OPENAI), *chat_stream("hi"), chat_chunk({"content": "more"})) == b"".join(chat_stream("hi"))


@pytest.mark.parametrize(
    "delta", [{"citation": {"cited_text": "123-45-6789"}}, {"type": "new_delta", "news": "123-45-6789"}]
)
def test_members_that_nobody_knows_are_looked_at(delta: dict[str, object]) -> None:
    event = message_event("content_block_delta", index=0, delta=delta)
    assert b"6789" not in through(relay(ANTHROPIC, SsnStrand), event, message_event("message_stop"))


@pytest.mark.parametrize("dialect", DIALECTS, ids=lambda one: one.wire)
@pytest.mark.parametrize(
    "value",
    [
        "123-45-6789",
        ["123-45-6789"],
        {"choices": "123-45-6789"},
        {"choices": {"0": {"delta": {"content": "123-45-6789"}}}},
        {"choices": ["123-45-6789"]},
        {"choices": [["123-45-6789"]]},
        {"choices": [{"delta": "123-45-6789"}]},
        {"type": "content_block_delta", "delta": "123-45-6789"},
        {"type": "content_block_delta", "delta": {"type": "text_delta", "text": "a"}, "note": "123-45-6789"},
        {"type": "content_block_start", "content_block": ["123-45-6789"]},
        {"type": "content_block_start", "content_block": {"type": "text"}, "notes": [{"note": "123-45-6789"}]},
        {"type": "content_block_stop", "index": 0, "note": "123-45-6789"},
        {"type": "ping", "note": "123-45-6789"},
    ],
)
def test_what_stands_where_the_wire_has_nothing_is_looked_at(dialect: Dialect, value: object) -> None:
    out = relay(dialect, SsnStrand).feed(b"data: " + orjson.dumps(value) + b"\n\n")
    assert b"6789" not in out
    assert MASK.encode() in out or out.endswith(b"data: {}\n\n")


def test_signatures_pass_as_they_are() -> None:
    signature = "123456789" * 20
    event = message_event("content_block_delta", index=0, delta={"type": "signature_delta", "signature": signature})
    assert event in through(relay(ANTHROPIC, SsnStrand), event, message_event("message_stop"))


@pytest.mark.parametrize("dialect", DIALECTS, ids=lambda one: one.wire)
@pytest.mark.parametrize("size", [1, 7, 4096])
def test_the_providers_key_is_taken_out_of_a_stream_however_it_is_cut(dialect: Dialect, size: int) -> None:
    events = (chat_stream if dialect is OPENAI else message_stream)("the key is sk-secret", " really")
    stream = b"".join(events)
    out = through(relay(dialect), *[stream[at : at + size] for at in range(0, len(stream), size)])
    assert b"sk-secret" not in out
    assert text_of(out) == "the key is [provider key] really"


def test_what_is_left_of_an_event_after_the_providers_key_is_looked_at_behind_a_byte_order_mark_too() -> None:
    first = b"\xef\xbb\xbf" + chat_chunk({"content": "sk-secret 123-45-6789 "})
    out = through(relay(OPENAI, SsnStrand), first, CHAT_DONE)
    assert b"sk-secret" not in out
    assert b"6789" not in out
