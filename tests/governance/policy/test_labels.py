"""Rules about what a session is labelled with, and rules that label it."""

import pytest

from governance.exchange import Action, Phase
from governance.policy.condition import Around
from governance.policy.lint import lint
from governance.verdict import Decision, Verdict
from tests.governance.policy.calls import NOON, call, policy_of


def judged(rules: str, *labels: str, head: str = "") -> Verdict:
    around = Around(now=NOON, calls=0, labels=frozenset(labels))
    return policy_of(rules, head).judge(call(), Phase.REQUEST, lambda: around)


@pytest.mark.parametrize(
    ("asks", "labels", "fits"),
    [
        ("match: {labels: secret}", [], False),
        ("match: {labels: secret}", ["secret"], True),
        ("match: {labels: [secret, my.*]}", ["my.own"], True),
        ("match: {labels: [secret, my.*]}", ["personal_data"], False),
        ("match: {all_labels: [secret, untrusted_content]}", ["secret"], False),
        ("match: {all_labels: [secret, untrusted_content]}", ["secret", "untrusted_content", "x"], True),
        ("match: {all_labels: secret, labels: my.*}", ["secret"], False),
        ("match: {all_labels: secret, labels: my.*}", ["secret", "my.own"], True),
        ("when: '\"secret\" in session.labels'", [], False),
        ("when: '\"secret\" in session.labels'", ["secret"], True),
        ("when: size(session.labels) > 1", ["secret", "x"], True),
    ],
)
def test_a_rule_may_ask_what_the_session_is_labelled_with(asks: str, labels: list[str], fits: bool) -> None:
    assert (judged(f"- {{id: r, {asks}, decide: hold}}", *labels).decision is Decision.HOLD) is fits


def test_a_rule_that_only_labels_decides_nothing_and_takes_no_defaults_place() -> None:
    rule = "- {id: r, match: {server: files}, add_labels: [b, a]}"
    alone = judged(rule)
    assert (alone.decision, alone.rule, alone.labels) == (Decision.ALLOW, "", (("b", "r"), ("a", "r")))
    held = judged(rule, head="default: hold")
    assert (held.decision, held.rule, held.labels) == (Decision.HOLD, "default", (("b", "r"), ("a", "r")))
    denied = judged(rule, head="default: deny")
    assert (denied.decision, denied.labels) == (Decision.DENY, ())
    assert not policy_of(rule, "default: deny").visible(call())


def test_a_rule_that_only_labels_and_cannot_be_evaluated_refuses() -> None:
    assert judged("- {id: r, match: {args: {/x: 1}}, add_labels: a}").labels == ()
    policy = policy_of("- {id: r, match: {args: {/x: 1}}, add_labels: a}")
    verdict = policy.judge(call(args={"x": "1"}), Phase.REQUEST, lambda: Around(now=NOON, calls=0))
    assert (verdict.decision, verdict.rule) == (Decision.DENY, "r")


def test_a_rule_that_is_watched_or_outdone_by_a_refusal_labels_nothing() -> None:
    assert judged("- {id: r, mode: shadow, add_labels: a}").labels == ()
    both = judged("- {id: r, add_labels: a}\n- {id: d, decide: deny, add_labels: tried}")
    assert (both.decision, both.labels) == (Decision.DENY, (("tried", "d"),))


def test_a_rule_on_labels_hides_no_tool() -> None:
    assert policy_of("- {id: r, match: {labels: secret}, decide: deny}").visible(call())
    assert policy_of("- {id: r, when: '\"a\" in session.labels', decide: deny}").visible(call())


def test_labels_are_asked_for_only_where_a_rule_about_such_exchanges_depends_on_them() -> None:
    policy = policy_of(
        """
        - {id: a, match: {tool: send, labels: secret}, decide: hold}
        - {id: b, match: {action: llm.generate}, when: size(session.labels) > 0, decide: deny}
        - {id: c, match: {action: prompt.get, all_labels: secret}, phase: response, decide: deny}
        - {id: d, match: {action: resource.read}, add_labels: x}
        """
    )
    asking = {(phase, action) for phase in Phase for action in Action if policy.asks_labels(phase, action)}
    assert asking == {
        (Phase.REQUEST, Action.TOOL_CALL),
        (Phase.REQUEST, Action.LLM_GENERATE),
        (Phase.RESPONSE, Action.PROMPT_GET),
    }


def test_a_label_that_nothing_sets_is_named() -> None:
    policy = policy_of(
        """
        - {id: a, match: {labels: [secrets, mine]}, decide: hold}
        - {id: b, match: {all_labels: [secret, mien]}, decide: hold}
        - {id: c, match: {tool: x}, add_labels: mine}
        """
    )
    assert [str(one).partition(" of rule ")[2] for one in lint(policy, labels={"secret"})] == [
        "`a` names `secrets`, which nothing sets",
        "`b` names `mien`, which nothing sets",
    ]
    assert lint(policy) == []


def test_a_rule_on_labels_does_not_outdo_another_and_one_that_labels_is_not_outdone() -> None:
    assert lint(policy_of("- {id: a, match: {labels: x}, decide: deny}\n- {id: b, decide: hold}")) == []
    assert lint(policy_of("- {id: a, decide: deny}\n- {id: b, decide: deny, add_labels: x}")) == []
    assert lint(policy_of("- {id: a, add_labels: x}\n- {id: b, match: {tool: y}, decide: allow}")) == []
