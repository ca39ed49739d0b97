"""The rows of `tests/requirements.py` about agents and MCP (H), and about packaging and operation (I)."""

from tests.shown import (
    AMENDED,
    APPROVAL,
    BRIDGE,
    CLIENTS,
    GOVERNED_LOOPS,
    GRANTED,
    JOINT,
    LABELS,
    LADDER,
    LOOPS,
    PINS,
    QUORUM,
    REPLAYS,
    SCHEMAS,
    SERVERS,
    STORY,
    UP,
    VERSIONS,
    Shown,
)

AGENTS: dict[str, Shown] = {
    "H1": Shown(
        "policy on tool, server, tenant, arguments, annotations",
        (STORY + "test_a_tool_call_goes_through_and_a_denied_tool_is_not_even_listed",),
    ),
    "H2": Shown(
        "the same rules hide tools in lists",
        (STORY + "test_a_tool_call_goes_through_and_a_denied_tool_is_not_even_listed",),
    ),
    "H10": Shown(
        "model calls, tool calls and approvals of a session on one timeline",
        (
            STORY + "test_model_calls_and_tool_calls_of_one_run_stand_on_one_timeline",
            "tests/console/test_session_page.py::test_the_timeline_is_walked_by_keyboard",
            "tests/console/test_session_page.py::test_what_happens_meanwhile_shows_by_itself_and_the_focus_stays",
        ),
    ),
    "H12": Shown(
        "sub-agents' lineage as a tree",
        ("tests/console/test_session_page.py::test_kin_and_sub_agents_are_drawn_as_trees",),
    ),
    "H13": Shown(
        "kill: calls and streams in flight cut in both processes in a measured bound; requested and confirmed apart",
        (
            "tests/e2e/test_kill_load.py::test_of_hundreds_of_calls_in_flight_none_outlives_the_kill_of_its_run",
            "tests/console/test_kills.py::test_requested_and_carried_out_are_shown_apart",
        ),
    ),
    "H14": Shown(
        "scopes of kill: session, key, agent, user, team, tenant, server, all",
        ("tests/sessions/test_killswitch.py::test_every_scope_stops_what_it_names_until_it_is_lifted",),
    ),
    "H15": Shown(
        "arguments and results scanned, `structuredContent` too",
        (
            "tests/mcp_proxy/test_bypass.py::test_no_result_carries_anything_unjudged",
            "tests/mcp_proxy/test_governed_schemas.py::test_a_result_that_does_not_fit_is_withheld",
        ),
    ),
    "H3": Shown(
        "loops: the same call N times, cycles, rate",
        (STORY + "test_a_loop_is_stopped", LOOPS + "test_a_loop_is_caught_by_its_rung"),
    ),
    "H4": Shown(
        "loops seen by results too, ladder warn → hold → block → kill, allow N more",
        (
            LOOPS + "test_what_is_no_loop_is_not_spoken_of",
            GOVERNED_LOOPS + "test_the_agent_is_told_what_repeats_behind_the_result",
            GOVERNED_LOOPS + "test_a_person_allows_some_more_and_then_is_asked_again",
        ),
    ),
    "H5": Shown(
        "approval gate with time-out, default deny",
        (APPROVAL + "test_a_call_that_nobody_approves_in_time_is_denied",),
    ),
    "H6": Shown(
        "approval bound to the exact call, used once, re-checked at execution",
        (
            APPROVAL + "test_an_approval_is_for_one_call_to_the_byte",
            APPROVAL + "test_a_hundred_uses_of_one_approval_make_one_execution",
            "tests/pipeline/test_passage.py::test_an_approval_does_not_outlive_a_change_of_the_rules",
        ),
    ),
    "H7": Shown(
        "arguments edited before approval, shown as a diff, re-judged",
        (
            APPROVAL + "test_a_changed_call_is_executed_as_changed_and_the_agent_is_told",
            AMENDED + "test_the_changed_call_is_made_once_and_the_agent_is_told_what_was_changed",
            AMENDED + "test_what_a_person_wrote_is_redacted_where_something_is_found_in_it",
            AMENDED + "test_what_a_rule_denies_stays_denied_whoever_wrote_it",
            "tests/console/test_amending.py::test_a_change_is_shown_as_a_diff_before_anything_is_decided",
        ),
    ),
    "H8": Shown(
        "who may decide by role, team or name, a quorum of different people, no self-approval, several tickets at "
        "once; grants of further calls by pattern, session, time and uses; escalation; delegation",
        (
            APPROVAL + "test_what_a_person_granted_is_made_without_asking_as_often_as_they_said",
            GRANTED + "test_a_granted_call_is_made_without_asking_and_its_record_says_by_whom",
            GRANTED + "test_of_many_calls_at_the_same_moment_in_two_processes_no_more_are_made_than_were_granted",
            GRANTED + "test_a_killed_session_has_nothing_granted_when_it_is_revived",
            "tests/approvals/test_escalation.py::test_others_may_decide_from_their_moment_on_and_not_before",
            "tests/approvals/delegation/test_delegation.py::test_a_delegate_decides_and_both_names_are_recorded",
            "tests/approvals/delegation/test_delegation.py::test_who_decides_and_who_is_decided_for_count_as_one",
            "tests/approvals/grants/test_grant.py::test_it_begins_when_as_many_as_the_rule_wants_agree_on_the_same",
            "tests/console/test_grants.py::test_a_person_grants_and_revokes_in_chromium",
            QUORUM + "test_a_call_runs_when_as_many_people_as_the_rule_wants_have_approved",
            QUORUM + "test_one_person_counts_once_whatever_the_number_of_their_keys",
            QUORUM + "test_the_person_whom_the_callers_key_stands_for_may_not_decide",
            QUORUM + "test_of_people_who_approve_at_the_same_moment_each_counts",
            "tests/pipeline/test_quorum.py::test_a_call_is_made_once_when_enough_of_the_right_people_agree",
            "tests/console/test_quorum.py::test_whoever_may_not_decide_is_told_why_and_changes_nothing",
            "tests/console/test_batch.py::test_each_is_decided_for_itself_and_the_answer_says_how_it_went",
            "tests/console/test_batch.py::test_two_calls_are_picked_and_approved_with_one_click_while_another_arrives",
        ),
    ),
    "H16": Shown(
        "arguments held to `inputSchema`, structured results to `outputSchema`",
        (
            SCHEMAS + "test_arguments_that_do_not_fit_come_back_as_a_result_that_says_what_would",
            SCHEMAS + "test_a_result_that_does_not_fit_is_withheld",
        ),
    ),
    "H17": Shown(
        "tool definitions pinned; drift, rename and collision found and held for review with a diff",
        (
            PINS + "test_a_changed_tool_is_hidden_and_refused_until_a_person_approves_it",
            PINS + "test_a_rename_waits_too",
            "tests/governance/pins/test_pins.py::test_the_same_name_on_two_servers_waits_unless_it_is_the_same_tool",
            "tests/console/test_pins.py::test_a_change_appears_by_itself_and_is_trusted_with_one_click",
        ),
    ),
    "H9": Shown(
        "approval delivered by what the client can do: `input_required`, held call, pending result and retry",
        (
            LADDER + "test_a_modern_client_that_opens_pages_is_given_the_page_and_its_call_runs_once_approved",
            LADDER + "test_a_modern_client_without_elicitation_waits_leg_by_leg",
            "tests/mcp_proxy/tasks/test_held.py::test_an_official_client_with_the_extension_gets_its_result",
            LADDER + "test_a_legacy_client_is_told_that_its_call_waits_if_it_asked_for_progress",
            CLIENTS + "test_the_official_clients_complete_their_call_when_the_person_takes_long",
            LADDER + "test_nobody_decides_so_the_client_is_told_pending_before_its_sdk_gives_up",
        ),
    ),
    "H18": Shown(
        "session taint: labels by servers, tools, findings and rules; after untrusted content, restricted tools held",
        (
            LABELS + "test_personal_data_in_a_model_call_holds_the_tool_call_and_an_approval_is_for_one",
            LABELS + "test_untrusted_content_and_personal_data_together_let_nothing_out",
            "tests/pipeline/test_writing.py::test_a_call_in_the_other_process_is_judged_with_what_this_one_delivered",
            "tests/pipeline/test_writing.py::test_labels_that_cannot_be_read_refuse_what_rules_about_them_judge",
            "tests/console/test_sessions.py::test_the_page_of_a_run_says_what_it_is_labelled_with_and_why",
        ),
    ),
    "H19": Shown(
        "many servers behind one endpoint or one endpoint each; names fit clients' limits",
        (
            JOINT + "test_tools_of_all_servers_are_listed_and_called_by_names_of_both",
            JOINT + "test_a_name_too_long_for_clients_is_shortened_and_still_called",
            JOINT + "test_prompts_of_all_servers_are_listed_got_and_completed",
            JOINT + "test_a_resource_is_read_from_the_server_that_listed_it",
            JOINT + "test_a_question_is_answered_to_the_server_that_asked",
            JOINT + "test_a_server_that_is_down_does_not_take_the_others_down",
            JOINT + "test_a_principal_sees_only_the_servers_that_are_its_own",
            "tests/mcp_proxy/test_aggregate_lists.py::test_an_official_client_pages_through_all_servers",
            "tests/mcp_proxy/test_aggregate_streams.py::test_an_official_legacy_client_hears_that_a_list_of_any_server_changed",
            "tests/mcp_proxy/test_aggregate_governed.py::test_a_rule_about_one_server_hides_and_refuses_its_tool_and_not_the_others",
        ),
    ),
    "H20": Shown(
        "stdio servers supervised: restart, back-off, health on the console, for `wicket doctor` and in metrics",
        (
            SERVERS + "test_an_eager_server_runs_before_anybody_asks_and_a_lazy_one_does_not",
            SERVERS + "test_a_server_gets_the_environment_that_its_entry_declares_and_no_other",
            SERVERS + "test_a_call_that_its_server_died_over_is_an_error_an_unknown_outcome_and_a_restart",
            SERVERS + "test_nothing_that_arrives_names_a_command",
            "tests/mcp_proxy/transports/test_stdio_ready.py::test_a_child_that_dies_while_it_waits_is_started_again_with_a_pause",
            "tests/mcp_proxy/test_servers.py::test_clients_of_every_era_and_key_share_one_process_where_the_configuration_says_so",
            "tests/console/test_servers.py::test_the_page_shows_a_change_by_itself",
        ),
    ),
    "H21": Shown(
        "revisions 2024-11-05 to 2026-07-28, both eras at once, bridged where client and server differ",
        (
            BRIDGE + "test_a_client_lists_calls_and_reads_at_a_server_of_the_other_era",
            BRIDGE + "test_what_a_server_asks_during_a_call_reaches_the_client",
            BRIDGE + "test_progress_and_log_messages_arrive_in_the_other_era",
            BRIDGE + "test_where_the_server_speaks_the_clients_era_nothing_is_translated",
            "tests/mcp_proxy/test_servers.py::test_an_official_http_client_reaches_an_official_stdio_server_in_every_era",
            "tests/conformance/test_run.py::test_across_the_eras_no_more_may_fail_than_was_agreed",
        ),
    ),
    "H22": Shown(
        "agents' configs written and undone: eight agents",
        (
            "tests/wicket/connect/test_connect.py::test_the_original_comes_back_byte_for_byte",
            "tests/wicket/connect/test_running.py::test_the_wrapped_command_serves_the_agent_and_leaves_a_record",
        ),
    ),
    "I1": Shown(
        "one order of checks for both proxies",
        ("tests/pipeline/test_passage.py::test_the_decision_is_durable_before_anything_is_forwarded",),
    ),
    "I2": Shown(
        "running in minutes with one provider key; audit on from the start",
        (
            UP + "test_the_first_run_sets_up_and_answers_on_both_ports",
            STORY + "test_the_log_verifies_and_names_neither_content_nor_keys",
        ),
    ),
    "I5": Shown("shadow mode for rules", (STORY + "test_a_rule_in_shadow_mode_only_says_what_it_would_do",)),
    "I6": Shown(
        "policy tests in files; replay of recorded traffic on a draft; lint",
        (
            REPLAYS + "test_a_policy_that_changes_nothing_flips_nothing",
            REPLAYS + "test_what_a_stricter_policy_would_have_refused_is_listed",
            REPLAYS + "test_what_a_looser_policy_would_have_let_through_is_listed",
            REPLAYS + "test_an_argument_that_was_masked_is_never_guessed",
            REPLAYS + "test_a_draft_that_is_wrong_or_a_time_that_is_none_is_told",
            "tests/wicket/commands/test_policy.py::test_a_test_that_fails_is_told_with_its_line",
        ),
    ),
    "I7": Shown(
        "hot reload; the last good policy stays on error; versions that can be compared and brought back",
        (
            STORY + "test_rules_change_without_a_restart",
            VERSIONS + "test_an_earlier_policy_is_brought_back_and_both_proxies_take_it_up",
            VERSIONS + "test_an_edit_that_nobody_took_up_is_not_lost",
        ),
    ),
    "I8": Shown(
        "one console: approvals, sessions, audit, spend, policies, tools",
        ("tests/e2e/test_one_console.py::test_approvals_sessions_audit_spend_policies_and_tools_are_on_one_console",),
    ),
}
