"""Which capability is shown by which tests.

An id stands here only when a test really exercises it through the running product or through both of its proxies.
`docs/capabilities.md` is made from this table (`make docs`); `tests/test_requirements.py` holds it both ways.
"""

from tests.requirements_agents import AGENTS
from tests.shown import (
    API,
    APPROVAL,
    BRIDGE,
    EXCHANGE,
    KILL,
    METRICS,
    QUESTIONS,
    REPLAYS,
    RESOURCE,
    ROLES,
    SERVERS,
    STORY,
    TAMPER,
    Shown,
)

REQUIREMENTS: dict[str, Shown] = {
    "K1": Shown(
        "two cooperating processes, an LLM proxy and an MCP proxy, on one policy and audit core",
        (STORY + "test_model_calls_and_tool_calls_of_one_run_stand_on_one_timeline",),
    ),
    "K2": Shown(
        "MCP over stdio, SSE and streamable HTTP, on the agent's side and on the server's side",
        (
            "tests/mcp_proxy/transports/test_official_peers.py::test_official_clients_and_servers_meet_through_the_proxy",
            "tests/mcp_proxy/transports/test_sse.py::test_an_old_official_client_reaches_an_old_official_server",
            "tests/mcp_proxy/test_servers.py::test_an_official_http_client_reaches_an_official_stdio_server_in_every_era",
            "tests/mcp_proxy/test_wrapper.py::test_an_official_client_works_through_the_wrapper_in_every_era",
            BRIDGE + "test_a_client_lists_calls_and_reads_at_a_server_of_the_other_era",
            "tests/fidelity/test_sdks.py::test_a_client_is_answered_the_same_through_wicket",
        ),
    ),
    "K3": Shown(
        "agent sessions correlated across both processes",
        (
            STORY + "test_model_calls_and_tool_calls_of_one_run_stand_on_one_timeline",
            "tests/e2e/test_runs.py::test_two_parallel_runs_are_two_sessions_across_both_processes",
            "tests/e2e/test_runs.py::test_claude_code_makes_its_call_before_the_answer_is_over",
            "tests/e2e/test_runs.py::test_what_no_model_asked_for_is_refused_by_a_rule_that_says_so",
            "tests/sessions/test_agents.py::test_each_of_two_parallel_runs_is_one_session",
            "tests/sessions/test_agents.py::test_two_parallel_runs_that_do_the_very_same_never_merge",
        ),
    ),
    "K4": Shown("loop detection", (STORY + "test_a_loop_is_stopped",)),
    "K5": Shown(
        "tool-argument scanning",
        ("tests/mcp_proxy/test_governed.py::test_a_number_in_the_arguments_is_redacted_before_it_leaves",),
    ),
    "K6": Shown(
        "kill a session by its id, effective in both processes",
        (KILL + "test_a_killed_run_is_refused_in_both_processes_within_a_second_under_load",),
    ),
    "K7": Shown(
        "human-approval queue with webhooks",
        (
            APPROVAL + "test_a_denied_call_is_not_executed_and_the_agent_is_told_why",
            "tests/approvals/webhook/test_courier.py::test_a_receiver_with_the_reference_library_believes_a_message",
            "tests/approvals/channels/test_delivery.py::test_a_chat_hears_of_questions_reminders_decisions_and_ends",
            "tests/approvals/channels/test_delivery.py::test_a_mailbox_hears_of_the_same",
        ),
    ),
    "K8": Shown(
        "approve and deny tool calls on a web page",
        (APPROVAL + "test_a_call_approved_in_chromium_is_executed_exactly_once",),
    ),
    "K9": Shown(
        "registered as an MCP server in agents' configs",
        (
            "tests/mcp_proxy/test_wrapper.py::test_an_official_client_works_through_the_wrapper_in_every_era",
            "tests/wicket/connect/test_running.py::test_the_wrapped_command_serves_the_agent_and_leaves_a_record",
        ),
    ),
    "A1": Shown(
        "`POST /v1/chat/completions` for any OpenAI SDK with only the base URL changed",
        (STORY + "test_a_model_call_reaches_the_provider_with_the_providers_key",),
    ),
    "A11": Shown(
        "streaming passed on while tokens and latency are recorded",
        (
            STORY + "test_a_stream_reaches_the_client_whole",
            "tests/gateway/test_carriage.py::test_each_chunk_leaves_as_soon_as_it_comes",
        ),
    ),
    "A12": Shown(
        "`POST /v1/messages` for Anthropic SDKs (same wire)",
        (STORY + "test_the_messages_wire_is_served_to_its_own_client",),
    ),
    "A16": Shown("`/v1/models` in both shapes", ("tests/gateway/test_app.py::test_models_are_listed_in_both_shapes",)),
    "A17": Shown(
        "byte-stable pass-through on the same wire",
        (
            "tests/gateway/test_endpoint.py::test_bodies_pass_byte_for_byte_both_ways",
            "tests/mcp_proxy/test_fidelity.py::test_arguments_arrive_byte_for_byte",
            "tests/fidelity/test_frames.py::test_both_ends_see_through_wicket_what_they_see_without_it",
        ),
    ),
    "E1": Shown(
        "gateway keys; provider keys never leave the gateway; keys scoped, tracked and revoked",
        (
            "tests/console/test_keys.py::test_a_key_is_shown_with_owner_scopes_and_last_use_and_revoked_with_a_reason",
            API + "test_a_key_is_listed_with_its_last_use_and_revoked_with_a_reason",
            STORY + "test_a_model_call_reaches_the_provider_with_the_providers_key",
            STORY + "test_a_client_without_a_key_is_told_so",
            "tests/gateway/test_endpoint.py::test_the_provider_sees_its_key_and_nothing_of_the_client",
        ),
    ),
    "E10": Shown(
        "decisions deterministic, explained, with policy version",
        (
            REPLAYS + "test_a_decision_that_was_is_explained_rule_by_rule",
            REPLAYS + "test_the_rules_of_the_time_explain_it_and_not_those_of_now",
        ),
    ),
    "E12": Shown(
        "tenants never see each other, on the console and in its API; who sees all of them is named so",
        (
            ROLES + "test_a_person_of_one_tenant_sees_nothing_of_another",
            ROLES + "test_an_auditor_of_all_tenants_sees_all",
            API + "test_nothing_of_another_tenant_is_answered",
            "tests/console/test_sign_in.py::test_a_claim_cannot_give_all_tenants",
        ),
    ),
    "E13": Shown(
        "MCP: OAuth 2.1 resource server, audience checked; the client's token is never passed upstream",
        (
            RESOURCE + "test_the_official_client_signs_in_through_the_front",
            RESOURCE + "test_the_token_never_goes_upstream",
            RESOURCE + "test_a_token_that_came_in_goes_out_as_another_one",
            RESOURCE + "test_a_token_that_only_its_issuer_can_read_gets_in_until_it_is_revoked",
            RESOURCE + "test_a_session_is_found_by_later_tokens_of_its_principal_and_by_nobody_else",
            "tests/governance/identity/test_tokens.py::test_a_token_that_says_the_wrong_thing_is_refused",
            "tests/mcp_proxy/credentials/test_granted.py::test_a_person_signs_in_once_and_calls_go_through",
            "tests/mcp_proxy/credentials/test_granted.py::test_wicket_gets_and_renews_a_token_of_its_own",
            "tests/mcp_proxy/credentials/test_granted.py::test_wicket_may_sign_that_it_is_wicket",
            EXCHANGE + "test_each_caller_gets_a_token_in_exchange_and_none_is_forwarded",
        ),
    ),
    "F1": Shown(
        "every message, tool argument and tool result scanned in its own structure",
        (
            STORY + "test_an_ssn_never_reaches_the_provider",
            "tests/mcp_proxy/test_governed.py::test_a_number_in_the_arguments_is_redacted_before_it_leaves",
            "tests/mcp_proxy/test_governed.py::test_a_number_in_the_result_is_redacted_before_it_arrives",
            "tests/mcp_proxy/test_bypass.py::test_no_result_carries_anything_unjudged",
            "tests/mcp_proxy/test_bypass.py::test_text_in_any_request_is_replaced",
            "tests/mcp_proxy/test_incoming.py::test_what_is_found_in_notes_before_an_answer_is_replaced_or_dropped",
            QUESTIONS + "test_what_is_found_in_the_answer_is_replaced_before_the_server_gets_it",
            QUESTIONS + "test_pages_that_an_error_asks_to_open_are_judged_as_the_questions_they_are",
            "tests/mcp_proxy/test_incoming.py::test_who_may_not_read_a_resource_may_not_subscribe_to_it_in_either_era",
        ),
    ),
    "F3": Shown(
        "block, redact or log per tenant and kind",
        (STORY + "test_an_ssn_never_reaches_the_provider",),
    ),
    "G1": Shown(
        "an event for each decision and outcome, with who, what, cost, findings and policy version",
        (
            STORY + "test_model_calls_and_tool_calls_of_one_run_stand_on_one_timeline",
            "tests/gateway/test_governed.py::test_a_call_is_written_down_before_and_after",
        ),
    ),
    "G2": Shown("HMAC-SHA256 over event and previous hash", (TAMPER + "test_one_change_is_told_with_its_event",)),
    "G3": Shown(
        "committed before the answer leaves",
        ("tests/gateway/test_carriage.py::test_the_last_bytes_leave_only_when_the_outcome_is_durable",),
    ),
    "G4": Shown(
        "`audit verify` offline, with exit codes",
        (
            TAMPER + "test_a_whole_log_verifies",
            TAMPER + "test_a_cut_tail_is_told_by_a_noted_head",
            TAMPER + "test_an_empty_log_is_not_a_verified_one",
        ),
    ),
    "G5": Shown(
        "what was sent, by whom, to which model, when: by page, command line and SQL",
        (
            "tests/sessions/index/test_search.py::test_events_are_found_by_what_they_carry",
            "tests/console/test_audit.py::test_the_log_is_searched_on_the_page",
            "tests/console/test_plans.py::test_no_page_walks_over_what_grows_without_end",
            "tests/wicket/commands/test_sessions.py::test_runs_are_filtered_like_on_the_console",
        ),
    ),
    "G7": Shown(
        "Prometheus metrics of both processes: decisions, endings, errors, tokens, time added, health of servers",
        (
            METRICS + "test_what_was_decided_and_how_it_ended_is_counted",
            METRICS + "test_what_comes_through_a_proxy_needs_the_token_of_an_administrator",
            SERVERS + "test_a_call_that_its_server_died_over_is_an_error_an_unknown_outcome_and_a_restart",
        ),
    ),
} | AGENTS
