"""Each rule's answer, with the part that made it so and without an argument's value."""

import pytest

from governance.exchange import Phase
from governance.policy.explain import explain
from governance.verdict import Decision
from tests.governance.policy.calls import around, call, policy_of


@pytest.mark.parametrize(
    ("rule", "outcome", "why"),
    [
        ("match: {server: files}", "fits", "everything in it holds"),
        ("phase: response", "no", "it is about the response"),
        ("match: {model: x}", "no", "it is not about `tool.call`"),
        ("match: {tool: [read, list]}", "no", "`tool` is not `read`, `list`"),
        ("match: {annotations: {readOnlyHint: true}}", "no", "the tool's `annotations` differ"),
        ("match: {findings: pii.*}", "no", "nothing of kind `pii.*` was found"),
        ("match: {labels: secret}", "no", "the session does not have the `labels`"),
        ("match: {args: {/path: /etc/*}}", "no", "the argument `/path` does not fit"),
        ("match: {args: {/path: 7}}", "fault", "the argument `/path` is of another type than the rule expects"),
        ("when: args.path == 'x'", "no", "`when` is false"),
        ("when: args.nothing == 'x'", "fault", "`when` could not be evaluated (condition names missing member)"),
    ],
)
def test_a_rule_says_which_part_decided(rule: str, outcome: str, why: str) -> None:
    policy = policy_of(f"- {{id: r, {rule}, decide: deny}}")
    explanation = explain(policy, call(args={"path": "hunter2"}), Phase.REQUEST, around())
    answer = explanation.answers[0]
    assert (answer.rule, answer.line, answer.outcome, answer.why) == ("r", 4, outcome, why)
    assert (explanation.verdict.decision is Decision.DENY) is (outcome != "no")
    assert "hunter2" not in str(explanation)
