"""What of a provider's stream is judged, in which role, and what does not pass at all."""

import orjson
import pytest

from gateway.dialects import DIALECTS
from gateway.dialects.dialect import Asked, Dialect
from gateway.relay import Strand, StreamRelay
from governance.exchange import Body, Role
from governance.stage import RefusedError
from tests.gateway.house import SsnStrand
from tests.gateway.samples import CHAT_DONE, chat_chunk, message_event
from tests.gateway.test_relay import Open, data, relay, through

OPENAI, ANTHROPIC = DIALECTS


def roles_in(dialect: Dialect, *events: bytes) -> dict[str, Role]:
    """In which role each running text of a stream is judged."""
    judged: dict[str, Role] = {}

    def strand(channel: str, role: Role) -> Strand:
        judged[channel.partition("#")[0]] = role
        return Open()

    asked = Asked("m", True, Body({}))
    through(StreamRelay(dialect.reader(asked), strand, hide=lambda text: text, max_event_bytes=10_000), *events)
    return judged


def test_arguments_of_tools_are_judged_as_such_in_a_stream_of_chat() -> None:
    call = {"index": 0, "id": "call_1", "type": "function", "function": {"name": "f", "arguments": '{"a":'}}
    judged = roles_in(
        OPENAI,
        chat_chunk({"role": "assistant", "content": ""}),
        chat_chunk({"content": "words", "refusal": "no"}),
        chat_chunk({"tool_calls": [call], "function_call": {"arguments": "{}"}}),
        chat_chunk({}, "tool_calls"),
        CHAT_DONE,
    )
    assert judged["0/delta/content"] is judged["0/delta/refusal"] is Role.ASSISTANT
    assert judged["0/delta/tool_calls/0/function/arguments"] is Role.ARGUMENT
    assert judged["0/delta/function_call/arguments"] is Role.ARGUMENT


def test_a_stream_of_another_role_is_judged_in_it() -> None:
    events = chat_chunk({"role": "tool"}), chat_chunk({"content": "fetched"}), chat_chunk({}, "stop"), CHAT_DONE
    assert roles_in(OPENAI, *events)["0/delta/content"] is Role.RESULT


def test_blocks_of_tools_are_judged_as_such_in_a_stream_of_messages() -> None:
    def start(index: int, **block: object) -> bytes:
        return message_event("content_block_start", index=index, content_block=block)

    def delta(index: int, kind: str, **delta: object) -> bytes:
        return message_event("content_block_delta", index=index, delta={"type": kind, **delta})

    judged = roles_in(
        ANTHROPIC,
        start(0, type="text", text=""),
        delta(0, "text_delta", text="words"),
        message_event("content_block_stop", index=0),
        start(1, type="server_tool_use", id="t", name="web_search", input={}),
        delta(1, "input_json_delta", partial_json='{"query":'),
        message_event("content_block_stop", index=1),
        start(2, type="web_search_tool_result", content=[{"type": "web_search_result", "title": "a page"}]),
        message_event("content_block_stop", index=2),
        start(1, type="text", text=""),
        delta(1, "text_delta", text="words"),
        message_event("message_stop"),
    )
    assert judged["0/text"] is judged["1/text"] is Role.ASSISTANT
    assert judged["1/partial_json"] is Role.ARGUMENT
    assert judged["/content_block/content/0/title"] is Role.RESULT


def clean_event(dialect: Dialect) -> bytes:
    if dialect is OPENAI:
        return chat_chunk({"content": "words"})
    return message_event("content_block_delta", index=0, delta={"type": "text_delta", "text": "words"})


@pytest.mark.parametrize("dialect", DIALECTS, ids=lambda one: one.wire)
@pytest.mark.parametrize(
    "line", [b": 123-45-6789", b"id: 123-45-6789", b"note: 123-45-6789", b"123-45-6789", b"event: x"]
)
def test_a_line_that_is_neither_name_nor_data_does_not_pass(dialect: Dialect, line: bytes) -> None:
    event = clean_event(dialect)
    out = relay(dialect).feed(line + b"\n" + event) + relay(dialect).feed(event[:-1] + line + b"\n\n")
    assert b"123-45" not in out
    assert out.count(b"words") == 2


@pytest.mark.parametrize("dialect", DIALECTS, ids=lambda one: one.wire)
def test_an_event_without_data_is_a_sign_of_life_and_no_more(dialect: Dialect) -> None:
    feed = relay(dialect).feed
    assert feed(b": 123-45-6789\n\n") == feed(b"id: 123-45-6789\nevent: y\n\n") == b": keep-alive\n\n"
    assert feed(b"retry: 500\n: 123-45-6789\n\n") == b"retry: 500\n\n"


def test_a_name_that_is_no_plain_word_is_dropped() -> None:
    assert b"6789" not in relay(ANTHROPIC).feed(b'event: 123-45-6789\ndata: {"type":"ping"}\n\n')


SSN = "123-45-6789"
FIXED = {
    "a name in a delta": (OPENAI, chat_chunk({SSN: "x"})),
    "a name in a chunk": (OPENAI, chat_chunk({}, None, **{SSN: 1})),
    "a name below": (OPENAI, chat_chunk({}, extra={"more": {SSN: 1}})),
    "an id": (OPENAI, chat_chunk({}, id=SSN)),
    "a fingerprint": (OPENAI, chat_chunk({}, system_fingerprint=SSN)),
    "a usage": (OPENAI, chat_chunk({}, usage={"note": SSN})),
    "padding": (OPENAI, chat_chunk({}, obfuscation=SSN)),
    "a role": (OPENAI, chat_chunk({"role": SSN})),
    "a type": (OPENAI, chat_chunk({"tool_calls": [{"index": 0, "type": SSN}]})),
    "a reason": (OPENAI, chat_chunk({}, SSN)),
    "a message's id": (ANTHROPIC, message_event("message_start", message={"id": SSN, "role": "assistant"})),
    "a message's model": (ANTHROPIC, message_event("message_start", message={"model": SSN})),
    "an event's type": (ANTHROPIC, message_event(SSN)),
    "a block's type": (ANTHROPIC, message_event("content_block_start", index=0, content_block={"type": SSN})),
    "a member's name": (ANTHROPIC, message_event("message_delta", delta={SSN: None}, usage={})),
    "a name in usage": (ANTHROPIC, message_event("message_delta", delta={}, usage={SSN: 1})),
}


@pytest.mark.parametrize(("dialect", "event"), FIXED.values(), ids=FIXED)
def test_what_cannot_be_replaced_ends_the_stream(dialect: Dialect, event: bytes) -> None:
    with pytest.raises(RefusedError, match="in a name"):
        relay(dialect, SsnStrand).feed(event.replace(b"event: 123-45-6789\n", b""))


def probable(tokens: list[object], content: str) -> bytes:
    choice = {"index": 0, "delta": {"content": content}, "logprobs": {"content": tokens}, "finish_reason": None}
    return b"data: " + orjson.dumps({"id": "c", "choices": [choice]}) + b"\n\n"


def test_probabilities_pass_that_spell_the_text_beside_them() -> None:
    token = {"token": "hi", "logprob": -0.1, "bytes": [104, 105], "top_logprobs": [{"token": "ho", "logprob": -2.0}]}
    event = probable([token], "hi")
    assert relay(OPENAI).feed(event) == event


@pytest.mark.parametrize(
    "token",
    [{"token": SSN}, {"token": "hi", "note": SSN}, {"token": "hi", "bytes": SSN}, {"token": "hi", "logprob": SSN}],
    ids=repr,
)
def test_probabilities_that_say_something_else_are_dropped(token: object) -> None:
    (chunk,) = data(relay(OPENAI).feed(probable([token], "hi")))
    assert chunk["choices"][0]["logprobs"] is None
    assert chunk["choices"][0]["delta"] == {"content": "hi"}


def test_a_token_that_could_have_stood_there_is_judged() -> None:
    with pytest.raises(RefusedError, match="in a name"):
        relay(OPENAI, SsnStrand).feed(probable([{"token": "hi", "top_logprobs": [{"token": SSN}]}], "hi"))
