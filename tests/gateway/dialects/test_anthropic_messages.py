"""The lens over messages."""

import orjson

from gateway.dialects.anthropic_messages import AnthropicMessages
from gateway.dialects.dialect import Problem
from governance.exchange import Body, Role
from governance.jsontree import Json

MESSAGES = AnthropicMessages()


def text_by_role(body: Body, role: Role) -> set[str]:
    return {segment.text for segment in body.segments if segment.role is role}


def test_whose_words_they_are_is_told_by_message_and_block() -> None:
    messages = [
        {"role": "user", "content": "asked"},
        {"role": "system", "content": [{"type": "text", "text": "reminded"}]},
        {
            "role": "assistant",
            "content": [
                {"type": "thinking", "thinking": "thought", "signature": "c2ln" * 40},
                {"type": "tool_use", "id": "t1", "name": "f", "input": {"path": ["argued"]}},
                "bare",
            ],
        },
        {
            "role": "user",
            "content": [
                {"type": "tool_result", "tool_use_id": "t1", "content": [{"type": "text", "text": "returned"}]},
                {"type": "document", "source": {"type": "text", "data": "read"}},
            ],
        },
    ]
    request: dict[str, object] = {
        "model": "m",
        "max_tokens": 1,
        "system": [{"type": "text", "text": "ruled"}],
        "tools": [{"name": "f", "description": "described", "input_schema": {"properties": {"named": {}}}}],
        "messages": messages,
        "metadata": {"user_id": "someone"},
    }
    body = MESSAGES.parse(orjson.dumps(request)).body
    assert {"ruled", "reminded"} <= text_by_role(body, Role.SYSTEM)
    assert {"asked", "read"} <= text_by_role(body, Role.USER)
    assert {"thought", "bare"} <= text_by_role(body, Role.ASSISTANT)
    assert {"argued", "path"} <= text_by_role(body, Role.ARGUMENT)
    assert "returned" in text_by_role(body, Role.RESULT)
    assert {"described", "named"} <= text_by_role(body, Role.DEFINITION)
    assert "someone" in text_by_role(body, Role.OTHER)
    assert "c2ln" * 40 not in {segment.text for segment in body.segments}


def test_an_answer_is_the_assistants() -> None:
    content = [{"type": "text", "text": "answered"}, {"type": "tool_use", "name": "f", "input": {"a": "argued"}}]
    body = MESSAGES.answer(orjson.dumps({"role": "assistant", "content": content, "usage": {"input_tokens": 1}}))
    assert "answered" in text_by_role(body, Role.ASSISTANT)
    assert "argued" in text_by_role(body, Role.ARGUMENT)


def test_the_bytes_of_a_stream_request_stay_as_they_are() -> None:
    raw = b' {"stream":true ,"model":"m"}'
    asked = MESSAGES.parse(raw)
    assert (asked.stream, asked.adds_usage, asked.body.raw) == (True, False, raw)


def test_what_the_cache_served_went_in_too() -> None:
    said: dict[str, Json] = {
        "input_tokens": 3,
        "cache_read_input_tokens": 20,
        "cache_creation_input_tokens": 100,
        "output_tokens": 5,
    }
    usage = MESSAGES.usage({"model": "m", "usage": said})
    assert usage is not None
    assert (usage.input_tokens, usage.cache_read_tokens, usage.cache_write_tokens) == (123, 20, 100)


def test_an_error_has_the_shape_that_clients_read() -> None:
    problem = Problem(404, "model_not_found", "no")
    error = {"type": "not_found_error", "message": "no", "code": "model_not_found"}
    assert orjson.loads(MESSAGES.error(problem, "exc_1")) == {"type": "error", "error": error, "request_id": "exc_1"}
    assert MESSAGES.error_event(problem, "exc_1").startswith(b'event: error\ndata: {"type":"error"')
