"""What follows from all rules together."""

from itertools import permutations
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from governance.exchange import Action, Body, Phase
from governance.policy.compiled import REDACTED
from governance.verdict import Charter, Decision
from tests.governance.policy.calls import call, judge, policy_of, rules_of

DECISIONS = ["allow", "warn", "hold", "deny", "kill"]


@given(st.lists(st.sampled_from(DECISIONS), min_size=1, max_size=4))
def test_the_strongest_decision_wins_whatever_the_order(decisions: list[str]) -> None:
    said: set[tuple[Decision, str]] = set()
    for order in permutations(range(len(decisions))):
        rules = "\n".join(f"- {{id: r{index}, decide: {decisions[index]}}}" for index in order)
        said.add((judge(policy_of(rules), call()).decision, ""))
    assert said == {(max((Decision(one) for one in decisions), key=lambda one: one.strength), "")}


def test_every_verdict_carries_the_version_and_who_spoke() -> None:
    policy = policy_of("- {id: a, match: {tool: nothing}, decide: deny}")
    verdict = judge(policy, call())
    assert (verdict.decision, verdict.by, verdict.version) == (Decision.ALLOW, "policy", policy.version)
    assert len(policy.version) == 64


def test_a_refusal_names_the_rule_and_its_reason() -> None:
    policy = policy_of("- {id: no-writes, match: {tool: write_*}, decide: deny, reason: ask the platform team}")
    verdict = judge(policy, call())
    assert (verdict.rule, verdict.reason) == ("no-writes", "ask the platform team")


@pytest.mark.parametrize(
    ("second", "detached"),
    [
        ("- {id: b, decide: hold, run_detached: true}", True),
        ("- {id: b, decide: hold}", False),
        ("- {id: b, decide: warn}", True),
    ],
)
def test_a_held_call_may_outlive_its_client_only_if_every_rule_that_holds_says_so(second: str, detached: bool) -> None:
    first = "- {id: a, decide: hold, run_detached: true}"
    for rules in (f"{first}\n{second}", f"{second}\n{first}"):
        verdict = judge(policy_of(rules), call())
        assert (verdict.decision, verdict.detached) == (Decision.HOLD, detached)


def test_what_every_rule_that_holds_asks_of_those_who_decide_is_asked() -> None:
    two = "- {id: a, decide: hold, approvers: [team:red, user:ann], quorum: 2}"
    other = "- {id: b, decide: hold, no_self_approval: true}"
    silent, shadow = "- {id: c, decide: hold}", "- {id: d, decide: hold, quorum: 9, mode: shadow}"
    wanted = {Charter(("team:red", "user:ann"), 2), Charter(no_self_approval=True)}
    for rules in ((two, other, silent, shadow), (shadow, silent, other, two)):
        assert set(judge(policy_of("\n".join(rules)), call()).charters) == wanted
    assert judge(policy_of(silent), call()).charters == ()
    assert judge(policy_of(f"{two}\n- {{id: e, decide: deny}}"), call()).charters == ()


def test_a_rule_without_a_reason_gets_one() -> None:
    assert judge(policy_of("- {id: a, decide: deny}"), call()).reason == "refused by policy rule `a`"


@pytest.mark.parametrize(
    "match",
    [
        "server: files*",
        "tool: [read_*, write_*]",
        "tenant: default",
        "team: red",
        "agent: '*builder'",
        "user: ann",
        "action: tool.*",
        "annotations: {destructiveHint: true}",
        "findings: pii.*",
        "args: {/path: /etc/*}",
        "server: files, tool: write_file, args: {/path: '*', /n: {gt: 1}}",
    ],
)
def test_a_rule_fits_when_all_of_its_match_does(match: str) -> None:
    fitting = call(
        team="red",
        agent="a builder",
        user="ann",
        annotations={"destructiveHint": True},
        findings=["pii.ssn"],
        args={"path": "/etc/passwd", "n": 2},
    )
    policy = policy_of(f"- {{id: r, match: {{{match}}}, decide: deny}}")
    assert judge(policy, fitting).rule == "r"
    other = call(server="other", tool="other", tenant="other", action="prompt.get", args={"path": "/x", "n": 1})
    assert judge(policy, other).decision is Decision.ALLOW


@pytest.mark.parametrize(
    ("match", "given_", "fits"),
    [
        ("model: gpt-*", {"action": "llm.generate", "model": "gpt-4o"}, True),
        ("provider: openai", {"action": "llm.generate", "provider": "openai"}, True),
        ("model: '*'", {}, False),
        ("tool: '*'", {"action": "prompt.get", "tool": "", "resource": "greet"}, False),
        ("resource: file:///etc/*", {"action": "resource.read", "tool": "", "resource": "file:///etc/passwd"}, True),
        ("server: '*'", {"action": "llm.generate", "server": ""}, False),
        ("args: {/n: 1}", {"action": "llm.generate", "args": {"n": 1}}, False),
        ("action: llm.*, args: {/n: 1}", {"action": "llm.generate", "args": {"n": 1}}, True),
        ("annotations: {readOnlyHint: true}", {}, False),
        ("annotations: {readOnlyHint: true}", {"annotations": {"readOnlyHint": 1}}, False),
    ],
)
def test_a_key_is_about_what_it_can_be_said_of(match: str, given_: dict[str, Any], fits: bool) -> None:
    policy = policy_of(f"- {{id: r, match: {{{match}}}, decide: deny}}")
    assert (judge(policy, call(**given_)).rule == "r") is fits


def test_a_hold_that_names_no_action_leaves_lists_alone() -> None:
    held = policy_of("- {id: r, match: {server: files}, decide: hold}")
    assert judge(held, call(action="tool.list", tool="")).decision is Decision.ALLOW
    denied = policy_of("- {id: r, match: {server: files}, decide: deny}")
    assert judge(denied, call(action="tool.list", tool="")).decision is Decision.DENY


# -- conditions and faults ---------------------------------------------------------------------------------------------


def test_a_condition_decides_with_the_match() -> None:
    policy = policy_of("- {id: r, match: {tool: pay}, when: args.amount > 100 && session.calls < 10, decide: hold}")
    assert judge(policy, call(tool="pay", args={"amount": 500})).decision is Decision.HOLD
    assert judge(policy, call(tool="pay", args={"amount": 50})).decision is Decision.ALLOW
    assert judge(policy, call(tool="pay", args={"amount": 500}), calls=10).decision is Decision.ALLOW


@pytest.mark.parametrize(
    ("rule", "args", "reason"),
    [
        ("when: args.amount > 100", {}, "policy:condition_names_missing_member"),
        ("when: args.amount > 100", {"amount": "150"}, "policy:condition_mixes_types"),
        ("when: args.flag", {"flag": "yes"}, "policy:condition_failed"),
        ("when: 1 / args.n > 0", {"n": 0}, "policy:condition_failed"),
        ("when: 'args.items.all(x, x > 0)'", {"items": [1] * 20_000}, "policy:condition_failed"),
        ("match: {args: {/path: x}}", {"path": ["x"]}, "policy:argument_of_another_type"),
    ],
)
@pytest.mark.parametrize("decision", ["allow", "warn", "hold", "deny", "kill"])
def test_a_rule_that_cannot_be_evaluated_refuses(rule: str, args: dict[str, Any], reason: str, decision: str) -> None:
    verdict = judge(policy_of(f"- {{id: r, {rule}, decide: {decision}}}"), call(args=args))
    assert (verdict.decision, verdict.rule) == (Decision.DENY, "r")
    assert verdict.reason == f"{reason}: rule `r` could not be applied to this call, so it is refused"


def test_a_fault_does_not_hide_a_stronger_verdict() -> None:
    policy = policy_of("- {id: broken, when: args.x == 1, decide: warn}\n- {id: stop, decide: kill}")
    assert judge(policy, call()).rule == "stop"


def test_a_condition_is_not_asked_where_the_match_does_not_fit() -> None:
    policy = policy_of("- {id: r, match: {tool: pay}, when: args.amount > 100, decide: deny}")
    assert judge(policy, call()).decision is Decision.ALLOW


# -- the default -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("default", ["hold", "deny"])
@pytest.mark.parametrize(
    ("decide", "lifts"), [("allow", True), ("hold", True), ("warn", False), ("redact, redact: [/x]", False)]
)
def test_only_a_rule_that_permits_takes_the_place_of_the_default(default: str, decide: str, lifts: bool) -> None:
    policy = policy_of(f"- {{id: r, match: {{tool: write_*}}, decide: {decide}}}", f"default: {default}")
    verdict = judge(policy, call(args={"x": "y"}))
    assert (verdict.rule != "default") is lifts
    assert judge(policy, call(tool="other")).rule == "default"


def test_the_default_is_about_tool_calls_only() -> None:
    policy = policy_of("", "default: deny")
    assert judge(policy, call()).decision is Decision.DENY
    assert judge(policy, call(action="llm.generate", model="m")).decision is Decision.ALLOW
    assert judge(policy, call(phase="response"), Phase.RESPONSE).decision is Decision.ALLOW


def test_a_rule_in_shadow_mode_does_not_permit() -> None:
    policy = policy_of("- {id: r, decide: allow, mode: shadow}", "default: deny")
    assert judge(policy, call()).rule == "default"


# -- shadow, redaction, phases -----------------------------------------------------------------------------------------


def test_a_rule_in_shadow_mode_is_recorded_and_decides_nothing() -> None:
    policy = policy_of("- {id: try, decide: kill, mode: shadow}\n- {id: real, decide: warn}")
    verdict = judge(policy, call())
    assert (verdict.decision, verdict.rule) == (Decision.WARN, "real")
    assert [(one.decision, one.rule) for one in verdict.shadow] == [(Decision.KILL, "try")]


def test_a_fault_in_shadow_mode_is_recorded_and_decides_nothing() -> None:
    verdict = judge(policy_of("- {id: try, when: args.x == 1, decide: warn, mode: shadow}"), call())
    assert verdict.decision is Decision.ALLOW
    assert rules_of(verdict.shadow) == ["try"]


def test_redaction_blots_out_arguments_of_any_type() -> None:
    policy = policy_of("- {id: r, decide: redact, redact: [/password, /items/*/key, /absent]}")
    exchange = call(args={"password": "hunter2", "items": [{"key": 5}, {"key": {"a": [1]}}, {}], "path": "/x"})
    verdict = judge(policy, exchange)
    assert verdict.decision is Decision.REDACT
    edited = exchange.request.edited(verdict.edits).value
    assert edited == {
        "params": {
            "arguments": {"password": REDACTED, "items": [{"key": REDACTED}, {"key": REDACTED}, {}], "path": "/x"}
        }
    }


def test_redaction_happens_under_a_stronger_verdict_too() -> None:
    policy = policy_of("- {id: r, decide: redact, redact: [/password]}\n- {id: h, decide: hold}")
    verdict = judge(policy, call(args={"password": "hunter2"}))
    assert (verdict.decision, len(verdict.edits)) == (Decision.HOLD, 1)


def test_places_inside_one_another_are_blotted_out_once() -> None:
    policy = policy_of("- {id: r, decide: redact, redact: [/a/b, /a, /a/*/c]}")
    exchange = call(args={"a": {"b": {"c": "x"}}})
    edits = judge(policy, exchange).edits
    assert [edit.pointer for edit in edits] == ["/params/arguments/a"]
    assert exchange.request.edited(edits).value == {"params": {"arguments": {"a": REDACTED}}}


def test_redaction_that_finds_nothing_says_nothing() -> None:
    assert judge(policy_of("- {id: r, decide: redact, redact: [/x]}"), call()).decision is Decision.ALLOW


def test_a_rule_about_the_response_speaks_of_the_response() -> None:
    policy = policy_of(
        """
        - {id: r, phase: response, when: 'result.content == "secret"', decide: redact, redact: [/content]}
        """
    )
    exchange = call(phase="response", result={"content": "secret"})
    assert judge(policy, exchange).decision is Decision.ALLOW
    verdict = judge(policy, exchange, Phase.RESPONSE)
    assert [edit.pointer for edit in verdict.edits] == ["/content"]
    assert Body({"content": "secret"}).edited(verdict.edits).value == {"content": REDACTED}


def test_names_of_any_length_and_number_are_judged_and_not_remembered_for_ever() -> None:
    policy = policy_of("- {id: r, match: {tool: bad*}, decide: deny}")
    for index in range(5000):
        assert judge(policy, call(tool=f"bad{index}")).rule == "r"
    assert 0 < (before := policy.remembered) <= 4096
    assert judge(policy, call(tool="bad" * 10_000)).rule == "r"
    assert policy.remembered == before


# -- what a list shows -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rule", "visible"),
    [
        ("decide: deny", False),
        ("decide: kill", False),
        ("decide: hold", True),
        ("decide: deny, mode: shadow", True),
        ("decide: deny, phase: response", True),
        ("decide: deny, match: {tool: write_*}", False),
        ("decide: deny, match: {tool: read_*}", True),
        ("decide: deny, match: {args: {/path: '*'}}", True),
        ("decide: deny, match: {findings: pii.*}", True),
        ("decide: deny, match: {annotations: {destructiveHint: true}}", False),
        ("decide: deny, match: {annotations: {destructiveHint: false}}", True),
        ("decide: deny, when: principal.team != 'ops'", False),
        ("decide: deny, when: principal.team == 'ops'", True),
        ("decide: deny, when: args.x == 1", True),
        ("decide: deny, when: now.getHours() > 3", True),
        ("decide: deny, when: session.calls > 3", True),
        ("decide: deny, when: tool.annotations.missing == 1", False),
        ("decide: deny, when: 'true'", False),
        ("decide: deny, when: 'false'", True),
    ],
)
def test_a_tool_is_hidden_when_every_call_of_it_is_refused(rule: str, visible: bool) -> None:
    policy = policy_of(f"- {{id: r, {rule}}}")
    assert policy.visible(call(annotations={"destructiveHint": True})) is visible
    assert policy.visible(call(action="tool.list", annotations={"destructiveHint": True})) is visible


@pytest.mark.parametrize(
    ("rule", "visible"),
    [
        ("decide: allow, match: {tool: write_*}", True),
        ("decide: hold, match: {tool: write_*}", True),
        ("decide: allow, match: {tool: read_*}", False),
        ("decide: allow, match: {args: {/x: 1}}", True),
        ("decide: allow, when: args.x == 1", True),
        ("decide: allow, when: principal.user == 'ann'", False),
        ("decide: allow, mode: shadow", False),
        ("decide: warn", False),
    ],
)
def test_where_the_default_refuses_a_tool_is_shown_only_if_a_rule_could_permit_it(rule: str, visible: bool) -> None:
    assert policy_of(f"- {{id: r, {rule}}}", "default: deny").visible(call()) is visible


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["allow", "hold", "deny", "kill", "warn"]),
            st.sampled_from(["", ", match: {tool: write_*}", ", match: {args: {/x: 1}}", ", when: args.x == 1"]),
            st.sampled_from(["", ", mode: shadow"]),
        ),
        max_size=4,
    ),
    st.sampled_from(["allow", "hold", "deny"]),
)
def test_a_tool_of_which_some_call_is_allowed_is_never_hidden(rules: list[tuple[str, str, str]], default: str) -> None:
    text = "\n".join(f"- {{id: r{index}, decide: {d}{m}{s}}}" for index, (d, m, s) in enumerate(rules))
    policy = policy_of(text, f"default: {default}")
    verdicts = [judge(policy, call(args=args)).decision for args in ({"x": 1}, {"x": 2}, {})]
    if any(one.strength <= Decision.HOLD.strength for one in verdicts):
        assert policy.visible(call())


def test_every_action_can_be_judged() -> None:
    policy = policy_of("- {id: r, decide: deny}", "default: deny")
    for action in Action:
        assert judge(policy, call(action=action.value)).decision is Decision.DENY
