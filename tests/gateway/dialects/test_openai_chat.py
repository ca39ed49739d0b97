"""The lens over chat completions."""

import orjson
import pytest

from gateway.dialects.dialect import Problem
from gateway.dialects.openai_chat import OpenAiChat
from governance.exchange import Body, Role, Segment
from governance.jsontree import Json, MalformedError

CHAT = OpenAiChat()


def text_by_role(body: Body, role: Role) -> set[str]:
    return {segment.text for segment in body.segments if segment.role is role}


def test_whose_words_they_are_is_told_by_the_message() -> None:
    call = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": '{"a":"argued"}'}}
    messages = [
        {"role": "system", "content": "ruled"},
        {"role": "developer", "content": "developed"},
        {"role": "user", "content": [{"type": "text", "text": "asked"}, {"type": "new", "new": {"deep": "unknown"}}]},
        {"role": "assistant", "content": "answered", "tool_calls": [call], "reasoning_content": "thought"},
        {"role": "tool", "tool_call_id": "c1", "content": "returned"},
    ]
    tools = [{"type": "function", "function": {"name": "f", "description": "described"}}]
    body = CHAT.parse(orjson.dumps({"model": "m", "messages": messages, "tools": tools, "user": "someone"})).body
    assert {"ruled", "developed"} <= text_by_role(body, Role.SYSTEM)
    assert {"asked", "unknown"} <= text_by_role(body, Role.USER)
    assert {"answered", "thought"} <= text_by_role(body, Role.ASSISTANT)
    assert '{"a":"argued"}' in text_by_role(body, Role.ARGUMENT)
    assert "returned" in text_by_role(body, Role.RESULT)
    assert "described" in text_by_role(body, Role.DEFINITION)
    assert "someone" in text_by_role(body, Role.OTHER)


def test_an_answer_is_the_assistants() -> None:
    call = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "argued"}}
    message = {"role": "assistant", "content": "answered", "refusal": "declined", "tool_calls": [call]}
    body = CHAT.answer(orjson.dumps({"model": "m", "choices": [{"message": message}], "new": "unknown"}))
    assert {"answered", "declined"} <= text_by_role(body, Role.ASSISTANT)
    assert "argued" in text_by_role(body, Role.ARGUMENT)
    assert "unknown" in text_by_role(body, Role.OTHER)


def test_every_string_of_a_message_is_somewhere() -> None:
    value = {"model": "m", "messages": [{"role": "user", "content": "a", "x": {"y": ["b", {"c": "d"}]}}, "e", 7]}
    found = {segment.text for segment in CHAT.parse(orjson.dumps(value)).body.segments}
    assert {"m", "a", "b", "d", "e", "x", "y", "c"} <= found


def test_a_segment_says_where_it_stands() -> None:
    body = CHAT.parse(b'{"model":"m","messages":[{"role":"user","content":[{"text":"x"}]}]}').body
    assert Segment("/messages/0/content/0/text", Role.USER, "x") in body.segments


@pytest.mark.parametrize("tail", [b"}", b" } \n", b"\n}\r\n"])
def test_asking_for_usage_adds_bytes_only_at_the_end(tail: bytes) -> None:
    asked = CHAT.parse(b'{"stream":true, "model":"m" ' + tail)
    assert asked.adds_usage
    assert asked.body.raw == b'{"stream":true, "model":"m","stream_options":{"include_usage":true}}'
    assert orjson.loads(asked.body.raw) == asked.body.value
    assert "include_usage" in {text for level in asked.body.strings for text in level}


@pytest.mark.parametrize("options", [b"null", b"{}", b'{"include_usage":false}', b'{"other":1}'])
def test_options_without_usage_get_it(options: bytes) -> None:
    asked = CHAT.parse(b'{"stream":true,"stream_options":' + options + b',"model":"m"}')
    assert asked.adds_usage
    sent = orjson.loads(asked.body.raw)
    assert list(sent) == ["stream", "stream_options", "model"]
    assert sent["stream_options"]["include_usage"] is True


def test_usage_that_is_asked_for_changes_nothing() -> None:
    raw = b'{"stream":true,"stream_options":{"include_usage":true} ,"model":"m"}'
    asked = CHAT.parse(raw)
    assert (asked.adds_usage, asked.body.raw) == (False, raw)


@pytest.mark.parametrize("raw", [b"null", b'"x"', b'{"model":""}', b'{"model":"m","stream":1}', b'{"model":null}'])
def test_what_is_no_request_is_refused(raw: bytes) -> None:
    with pytest.raises(MalformedError):
        CHAT.parse(raw)


def test_counts_that_are_none_are_zero() -> None:
    usage = CHAT.usage({"usage": {"prompt_tokens": -5, "completion_tokens": True, "prompt_tokens_details": None}})
    assert usage is not None
    assert (usage.input_tokens, usage.output_tokens, usage.cache_read_tokens) == (0, 0, 0)
    assert CHAT.usage({"usage": None}) is None


def test_an_error_has_the_shape_that_clients_read() -> None:
    problem = Problem(403, "denied", "no", details={"rule": "r"})
    error = {"message": "no", "type": "permission_error", "param": None, "code": "denied", "wicket": {"rule": "r"}}
    assert orjson.loads(CHAT.error(problem, "id")) == {"error": error}
    assert CHAT.error_event(problem, "id") == b"data: " + CHAT.error(problem, "id") + b"\n\n"


@pytest.mark.parametrize("odd", [["hidden"], "hidden", {"choices": {"0": "hidden"}}, {"choices": ["hidden"]}])
def test_an_answer_of_another_shape_is_looked_at_all_the_same(odd: Json) -> None:
    assert "hidden" in {one.text for one in CHAT.answer(orjson.dumps(odd)).segments}


def test_the_names_in_a_choice_are_looked_at_too() -> None:
    answer = CHAT.answer(b'{"choices":[{"index":0,"named":{},"message":{"told":1}}]}')
    assert {"named", "told"} <= {segment.text for segment in answer.segments}
