"""What loads and is hardly meant is said, with its line."""

import pytest

from governance.policy.lint import Servers, lint
from tests.governance.policy.calls import policy_of

SERVERS: Servers = {"files": ["read_file", "write_file"], "web": None}
KINDS = ["pii.ssn", "pii.card", "secret.github_token"]
FINE = """
- {id: a, match: {server: files, tool: "write_*", args: {/path: /etc/*}}, when: args.path != "", decide: hold}
- {id: b, match: {server: web, tool: search}, decide: allow}
- {id: c, match: {findings: [pii.*]}, decide: warn}
- {id: d, match: {server: files}, decide: redact, redact: [/x]}
- {id: e, match: {server: files}, decide: redact, redact: [/y]}
"""


def said(rules: str, head: str = "") -> list[str]:
    return [str(problem) for problem in lint(policy_of(rules, head), servers=SERVERS, kinds=KINDS)]


def test_a_sound_policy_is_not_nagged_about() -> None:
    assert said(FINE) == []


@pytest.mark.parametrize(
    ("rule", "warning"),
    [
        ("match: {tool: x, model: y}", "`match` of rule `r` can never match: its keys are about different kinds"),
        ("match: {action: llm.*, server: files}", "`match` of rule `r` can never match"),
        ("match: {args: {/n: {gt: 5, lt: 2}}}", "`match.args./n` of rule `r` can never match: no value fits"),
        ("when: 'false'", "`when` of rule `r` is never true"),
        ("when: 1 > 2 && args.x", "`when` of rule `r` is never true"),
        ("when: 'true'", "`when` of rule `r` is always true: remove it"),
        ("match: {server: fils}", "`match.server` of rule `r` names `fils`, which is no configured server"),
        ("match: {server: files, tool: [read_file, rm]}", "names `rm`, which no tool of `files` is called"),
        (
            "match: {findings: [pii.*, pii.snn]}",
            "`match.findings` of rule `r` names `pii.snn`, which no detector finds",
        ),
    ],
)
def test_a_rule_that_can_never_decide_is_named_with_its_line(rule: str, warning: str) -> None:
    warnings = said(f"- id: r\n  decide: deny\n  {rule}")
    assert len(warnings) == 1
    assert warning in warnings[0]
    assert warnings[0].startswith("policy.yaml:6: ")


def test_a_tool_is_not_called_unknown_while_a_server_may_have_it() -> None:
    assert said("- {id: r, match: {tool: rm}, decide: deny}") == []
    assert said("- {id: r, match: {server: web, tool: rm}, decide: deny}") == []


@pytest.mark.parametrize(
    ("first", "second", "shadowed"),
    [
        ("match: {server: files}, decide: deny", "match: {server: files, tool: write_*}, decide: hold", "r2"),
        ("match: {server: files, tool: write_*}, decide: hold", "match: {server: files}, decide: deny", "r1"),
        ("decide: deny", "decide: deny", "r2"),
        ("match: {tool: write_*}, decide: kill", "match: {tool: write_file}, when: args.x == 1, decide: deny", "r2"),
        ("match: {tool: write_*}, decide: deny", "match: {tool: '*'}, decide: hold", ""),
        ("when: args.x == 1, decide: deny", "decide: hold", ""),
        ("match: {args: {/x: 1}}, decide: deny", "decide: hold", ""),
        ("decide: deny, mode: shadow", "decide: hold", ""),
        ("decide: deny, phase: response", "decide: hold", ""),
        ("match: {tenant: acme}, decide: deny", "decide: hold", ""),
        ("decide: redact, redact: [/x]", "decide: allow", ""),
        ("decide: deny", "decide: redact, redact: [/x]", ""),
    ],
)
def test_a_rule_that_another_always_outdoes_is_named(first: str, second: str, shadowed: str) -> None:
    warnings = said(f"- {{id: r1, {first}}}\n- {{id: r2, {second}}}")
    assert [f"of rule `{shadowed}` never decides" in warning for warning in warnings] == [True] * bool(shadowed)


def test_a_rule_that_lifts_the_default_counts_though_another_warns() -> None:
    rules = "- {id: a, match: {server: files, tool: write_*}, decide: allow}\n- {id: w, decide: warn}"
    assert len(said(rules)) == 1
    assert said(rules, "default: deny") == []


@pytest.mark.parametrize("decide", ["allow", "hold"])
def test_a_rule_that_undoes_the_default_for_every_tool_is_named(decide: str) -> None:
    rule = f"- {{id: r, match: {{findings: [pii.*]}}, decide: {decide}}}"
    assert "takes the place of `default: deny` for tools of every server" in said(rule, "default: deny")[0]
    assert said(rule) == []
