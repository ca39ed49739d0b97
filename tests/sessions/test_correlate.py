"""`sessions.correlate`: which run a request belongs to, and how that is known."""

from collections.abc import Mapping

import pytest

from governance.exchange import Principal
from governance.jsontree import Json
from sessions.correlate import Signs, correlate, session_id, trace_id

KEY = Principal("key_a")
CLAUDE = "11111111-2222-3333-4444-555555555555"
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
        (Signs(body={"prompt_cache_key": "p"}), "conversation_key", "prompt_cache_key=p"),
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


def test_an_invalid_traceparent_is_no_trace() -> None:
    assert trace_id(Signs(headers={"traceparent": "00-zz-zz-01"})) == ""
