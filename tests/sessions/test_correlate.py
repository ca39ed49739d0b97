"""`sessions.correlate`: which run a request belongs to, and how that is known."""

from collections.abc import Mapping

import pytest

from governance.exchange import Principal
from governance.jsontree import Json, JsonObject
from sessions.correlate import Answered, Signs, answered, call_ids, correlate, is_call_id, session_id, trace_id

KEY = Principal("key_a")
CLAUDE = "11111111-2222-3333-4444-555555555555"
CALL = "toolu_01A9xkZ4LmQ7"
CLAUDE_NOW: dict[str, Json] = {"metadata": {"user_id": f'{{"session_id":"{CLAUDE}"}}'}}
CLAUDE_THEN: dict[str, Json] = {"metadata": {"user_id": f"user_1_account_2_session_{CLAUDE}"}}
CODEX_TURN: dict[str, Json] = {"client_metadata": {"x-codex-turn-metadata": '{"session_id":"c2"}'}}


@pytest.mark.parametrize(
    ("signs", "evidence", "source"),
    [
        (Signs(headers={"x-wicket-session": "s1"}), "explicit", "x-wicket-session=s1"),
        (Signs(headers={"x-claude-code-session-id": CLAUDE}), "agent_header", f"x-claude-code-session-id={CLAUDE}"),
        (Signs(headers={"session-id": "t", "user-agent": "codex_exec/0.169"}), "agent_header", "session-id=t"),
        (Signs(headers={"x-session-id": "ses_9"}), "agent_header", "x-session-id=ses_9"),
        (Signs(body=CLAUDE_NOW), "agent_body", f"metadata.user_id={CLAUDE}"),
        (Signs(body=CLAUDE_THEN), "agent_body", f"metadata.user_id={CLAUDE}"),
        (Signs(body={"client_metadata": {"session_id": "c1"}}), "agent_body", "client_metadata.session_id=c1"),
        (Signs(body=CODEX_TURN), "agent_body", "client_metadata.session_id=c2"),
        (Signs(meta={"sessionId": "c3"}), "agent_body", "_meta.sessionId=c3"),
        (Signs(headers={"session-id": "ses_9", "user-agent": "opencode/1.18"}), "agent_header", "session-id=ses_9"),
        (Signs(headers={"x-session-affinity": "ses_9"}), "agent_header", "x-session-affinity=ses_9"),
        (Signs(meta={"x-codex-turn-metadata": {"session_id": "c4"}}), "agent_body", "_meta.sessionId=c4"),
        (Signs(body={"prompt_cache_key": CLAUDE}), "conversation_key", f"prompt_cache_key={CLAUDE}"),
        (Signs(headers={"baggage": "a=1, session.id=b7;p=2"}), "trace", "baggage.session.id=b7"),
        (Signs(meta={"baggage": "session.id=b8"}), "trace", "baggage.session.id=b8"),
        (Signs(meta={"traceparent": f"00-{'a' * 32}-{'b' * 16}-01"}), "trace", f"traceparent={'a' * 32}"),
        (Signs(body={"conversation": {"id": "conv"}}), "conversation_key", "conversation=conv"),
        (Signs(headers={"traceparent": f"00-{'a' * 32}-{'b' * 16}-01"}), "trace", f"traceparent={'a' * 32}"),
        (Signs(transport="mcp-1"), "transport", "transport=mcp-1"),
        (Signs(), "key", "key"),
    ],
)  # fmt: skip
def test_each_kind_of_evidence_is_read_and_named(signs: Signs, evidence: str, source: str) -> None:
    found = correlate(signs, KEY)
    assert (found.evidence, found.source) == (evidence, source)


def test_the_same_run_has_one_id_on_both_planes() -> None:
    model_call = correlate(Signs(headers={"session-id": "t", "originator": "codex_exec"}), KEY)
    tool_call = correlate(Signs(meta={"sessionId": "t"}, transport="mcp-7"), KEY)
    assert model_call.id == tool_call.id == session_id("key_a", "t")


def test_a_key_cannot_name_the_run_of_another() -> None:
    signs = Signs(headers={"x-wicket-session": "s1"})
    assert correlate(signs, KEY).id != correlate(signs, Principal("key_b")).id


def test_weaker_evidence_that_disagrees_is_recorded_and_not_merged() -> None:
    found = correlate(Signs(headers={"x-wicket-session": "s1", "x-session-id": "other"}), KEY)
    assert found.id == session_id("key_a", "s1")
    assert found.conflicts == ("x-session-id=other",)


@pytest.mark.parametrize("value", ["", "x" * 201, "a b", "a\r\nb", "<script>", "é"])
def test_an_id_no_agent_would_send_is_ignored(value: str) -> None:
    assert correlate(Signs(headers={"x-wicket-session": value}), KEY).evidence == "key"


@pytest.mark.parametrize(
    "body",
    [
        {"metadata": "text"}, {"metadata": {"user_id": 7}}, {"metadata": {"user_id": "{not json"}},
        {"client_metadata": []},
        {"client_metadata": {"x-codex-turn-metadata": '{"session_id":1,"session_id":2}'}}, {"conversation": [1]},
    ],
)  # fmt: skip
def test_members_of_the_wrong_shape_are_no_evidence(body: Mapping[str, Json]) -> None:
    assert correlate(Signs(body=body), KEY).evidence == "key"


def test_a_cache_key_that_many_conversations_may_share_is_no_evidence() -> None:
    assert correlate(Signs(body={"prompt_cache_key": "my-application-v1"}), KEY).evidence == "key"


def test_what_a_client_says_is_asserted_and_what_we_gave_out_is_verified() -> None:
    assert not correlate(Signs(headers={"x-claude-code-session-id": CLAUDE}), KEY).verified
    assert not correlate(Signs(headers={"traceparent": f"00-{'a' * 32}-{'b' * 16}-01"}), KEY).verified
    assert correlate(Signs(transport="mcp-1"), KEY).verified
    assert correlate(Signs(), KEY).verified


def test_sub_agents_are_nodes_of_their_run() -> None:
    headers = {
        "x-claude-code-session-id": CLAUDE,
        "x-claude-code-agent-id": "a2",
        "x-claude-code-parent-agent-id": "a1",
    }
    found = correlate(Signs(headers=headers), KEY)
    assert (found.id, found.subagent, found.subagent_of) == (session_id("key_a", CLAUDE), "a2", "a1")


def test_the_main_thread_of_codex_is_no_sub_agent_and_its_others_are() -> None:
    main = {"session-id": "s", "thread-id": "s", "originator": "codex_exec"}
    other = {**main, "thread-id": "t2", "x-codex-parent-thread-id": "s"}
    assert correlate(Signs(headers=main), KEY).subagent == ""
    found = correlate(Signs(headers=other), KEY)
    assert (found.id, found.subagent, found.subagent_of) == (session_id("key_a", "s"), "t2", "")
    call = correlate(Signs(meta={"sessionId": "s", "threadId": "t2"}), KEY)
    assert (call.id, call.subagent) == (found.id, "t2")


def test_a_run_that_another_started_knows_it() -> None:
    found = correlate(Signs(headers={"x-session-id": "ses_child", "x-parent-session-id": "ses_main"}), KEY)
    assert found.parent == correlate(Signs(headers={"x-session-id": "ses_main"}), KEY).id
    assert correlate(Signs(headers={"x-session-id": "ses_1", "x-parent-session-id": "a\nb"}), KEY).parent == ""


HISTORIES: list[dict[str, Json]] = [
    {"messages": [{"role": "assistant", "tool_calls": [{"id": CALL, "function": {"name": "t"}}]}]},
    {"messages": [{"role": "assistant", "content": [{"type": "tool_use", "id": CALL, "name": "t", "input": {}}]}]},
    {"input": [{"type": "function_call", "call_id": CALL, "name": "t", "arguments": "{}"}, {"type": "message"}]},
    {"contents": [{"role": "model", "parts": [{"functionCall": {"id": CALL, "name": "t", "args": {}}}]}]},
]


@pytest.mark.parametrize("body", HISTORIES)
def test_the_tool_calls_in_a_history_are_read_in_every_shape(body: Mapping[str, Json]) -> None:
    (found,) = answered(body)
    assert (found.id, found.name) == (CALL, "t")


def test_the_newest_calls_come_first_and_a_few_of_them_are_enough() -> None:
    turns: list[Json] = [
        {"role": "assistant", "tool_calls": [{"id": f"{turn}{half}", "function": {}} for half in "ab"]}
        for turn in range(20)
    ]
    assert [one.id for one in answered({"messages": turns})] == ["19b", "19a", "18b", "18a", "17b", "17a", "16b", "16a"]


def test_the_name_of_codex_has_its_group_before_it() -> None:
    item: Json = {"type": "function_call", "call_id": CALL, "name": "ping", "namespace": "mcp__gw", "arguments": "{}"}
    assert [one.name for one in answered({"input": [item]})] == ["mcp__gw__ping"]


@pytest.mark.parametrize(
    "call_id", ["", "call_0", "functions.ping:12", "short", "call_12345678", "a b c d e f g", "x" * 201]
)
def test_an_id_that_other_answers_may_have_too_is_no_evidence(call_id: str) -> None:
    assert not is_call_id(call_id)
    assert call_ids({"claudecode/toolUseId": call_id}) == ()


def test_the_ids_that_agents_give_with_their_calls_are_read() -> None:
    assert call_ids({"claudecode/toolUseId": CALL, "progressToken": 1}) == (CALL,)
    assert call_ids({"callId": CALL, "sessionId": "s"}) == (CALL,)


def test_an_invalid_traceparent_is_no_trace() -> None:
    assert trace_id(Signs(headers={"traceparent": "00-zz-zz-01"})) == ""


def test_a_call_in_the_history_by_way_of_another_tool_is_the_call_that_is_meant() -> None:
    carried = '{"name": "mcp__ledger__mark", "arguments": {"text": "hello"}}'
    function: Json = {"name": "tool_call", "arguments": carried}
    body: JsonObject = {"messages": [{"role": "assistant", "tool_calls": [{"id": "call_1", "function": function}]}]}
    assert answered(body) == [Answered("call_1", "mcp__ledger__mark", {"text": "hello"})]
