"""What can be said of an exchange of which not everything is known, and that nothing else is said."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from governance.exchange import Exchange, Phase
from governance.policy.condition import Around
from governance.policy.engine import Policy
from governance.policy.explain import answers
from governance.policy.partial import KINDS, Gaps, weigh
from governance.verdict import Decision
from tests.governance.policy.calls import NOON, around, call, policy_of

ARGS = Gaps({"args": "its arguments were not kept"})
MASKED = Gaps(masked=("/note",))
LABELS = Gaps({"session.labels": "its labels were not kept"})


def decided(rules: str, gaps: Gaps, head: str = "", phase: Phase = Phase.REQUEST, **given: Any) -> Decision | None:
    return weigh(policy_of(rules, head), call(**given), phase, around(), gaps).decision


@pytest.mark.parametrize(
    ("rule", "gaps", "decision"),
    [
        ("match: {server: other}, decide: deny", ARGS, Decision.ALLOW),
        ("match: {server: files}, decide: deny", ARGS, Decision.DENY),
        ("match: {args: {/path: /etc/*}}, decide: deny", ARGS, None),
        ("match: {args: {/path: /etc/*}}, decide: deny", MASKED, Decision.DENY),
        ("match: {args: {/path: /etc/*}}, decide: warn", LABELS, Decision.WARN),
        ("match: {args: {/note: x}}, decide: deny", MASKED, None),
        ("match: {args: {/note: {exists: true}}}, decide: deny", MASKED, Decision.DENY),
        ("match: {args: {/note: {exists: false}}}, decide: deny", MASKED, Decision.ALLOW),
        ("match: {args: {/note/text: {exists: true}}}, decide: deny", MASKED, None),
        ("match: {args: {/*: x}}, decide: deny", MASKED, None),
        ("match: {labels: secret}, decide: deny", LABELS, None),
        ("match: {labels: secret, args: {/path: /var/*}}, decide: deny", LABELS, Decision.ALLOW),
        ("match: {args: {/note: x, /path: /var/*}}, decide: hold", MASKED, None),
        ("match: {findings: pii.*}, decide: deny", Gaps({KINDS: "unknown"}), None),
        ("match: {annotations: {readOnlyHint: true}}, decide: deny", Gaps({"tool.annotations": "unknown"}), None),
        ("when: args.path.startsWith('/etc'), decide: deny", ARGS, None),
        ("when: args.path.startsWith('/etc'), decide: deny", MASKED, Decision.DENY),
        ("when: args.note == 'x', decide: deny", MASKED, None),
        ("when: \"args.exists(one, one == 'note')\", decide: deny", MASKED, None),
        ("when: \"args['path'] == 'x'\", decide: deny", MASKED, None),
        ("when: tool.name == 'write_file' || args.note == 'x', decide: deny", MASKED, Decision.DENY),
        ("when: tool.name == 'read' && args.note == 'x', decide: deny", MASKED, Decision.ALLOW),
        ("when: session.calls > 3, decide: deny", Gaps({"session.calls": "unknown"}), None),
        ("decide: redact, redact: [/path]", ARGS, None),
        ("decide: redact, redact: [/note]", MASKED, Decision.REDACT),
        ("decide: redact, redact: [/note/inner]", MASKED, None),
        ("match: {args: {/path: x}}, add_labels: seen", ARGS, None),
    ],
)
def test_a_decision_that_hangs_on_what_is_not_known_is_not_guessed(
    rule: str, gaps: Gaps, decision: Decision | None
) -> None:
    assert decided(f"- {{id: r, {rule}}}", gaps, args={"path": "/etc/x", "note": "[masked]"}) is decision


def test_what_is_not_known_does_not_matter_where_something_stronger_is() -> None:
    rules = "- {id: a, match: {args: {/path: x}}, decide: hold}\n- {id: b, decide: deny}\n"
    found = weigh(policy_of(rules), call(), Phase.REQUEST, around(), ARGS)
    assert (found.decision, found.rule) == (Decision.DENY, "b")


def test_a_rule_that_may_permit_keeps_the_default_open() -> None:
    rules = "- {id: a, match: {args: {/path: x}}, decide: allow}\n"
    assert decided(rules, ARGS, "default: deny") is None
    assert decided(rules, LABELS, "default: deny", args={"path": "y"}) is Decision.DENY


def test_what_a_response_redacts_is_not_known_without_it() -> None:
    gaps = Gaps({"result": "results are never kept"})
    assert decided("- {id: r, phase: response, decide: redact, redact: [/x]}\n", gaps, phase=Phase.RESPONSE) is None


def test_each_rule_says_what_it_lacks() -> None:
    policy = policy_of(
        "- {id: a, match: {args: {/path: x}}, decide: hold}\n- {id: b, match: {tool: x}, decide: deny}\n"
    )
    found = answers(policy, call(), Phase.REQUEST, around(), ARGS)
    assert [(one.outcome, one.why) for one in found] == [
        ("unknown", "its arguments were not kept"),
        ("no", "`tool` is not `x`"),
    ]


RULES = [
    "match: {args: {/amount: {gt: 100}}}",
    "match: {args: {/amount: {exists: true}, /note: 'a*'}}",
    "match: {args: {/note: [a, b]}}",
    "match: {labels: secret}",
    "match: {labels: [secret, seen], args: {/amount: {le: 100}}}",
    "when: args.amount > 100",
    "when: has(args.note) && args.note == 'a'",
    "when: \"'secret' in session.labels || tool.name == 'write_file'\"",
    "when: \"tool.name == 'read' && args.amount == 1\"",
    "match: {tool: write_file}",
    "match: {tool: other}",
]
DECISIONS = ["allow", "warn", "hold", "deny", "kill"]
one_rule = st.tuples(st.sampled_from(RULES), st.sampled_from(DECISIONS))
AMOUNTS: list[Any] = [1, 200, "200", None]
NOTES: list[Any] = ["a", "b", ["a"]]
LABELLED = [frozenset[str](), frozenset({"secret"}), frozenset({"seen"})]


def worlds(gaps: Gaps) -> Iterator[tuple[Exchange, frozenset[str]]]:
    """Everything that may have been, where what is known is `{amount: 1, note: a}` and no labels."""
    whole = "args" in gaps.unknown
    amounts = AMOUNTS if whole or "/amount" in gaps.masked else [1]
    notes = NOTES if whole or "/note" in gaps.masked else ["a"]
    tries: list[dict[str, Any]] = [{"amount": amount, "note": note} for amount in amounts for note in notes]
    tries += [{}, {"amount": 1}] if whole else []
    for args in tries:
        for labels in LABELLED if "session.labels" in gaps.unknown else [frozenset[str]()]:
            yield call(args=args), labels


def surrounded(labels: frozenset[str]) -> Callable[[], Around]:
    return lambda: Around(NOON, 0, labels)


GAPS = [ARGS, LABELS, MASKED, Gaps(masked=("/amount",)), Gaps(LABELS.unknown, ("/note",)), Gaps({"none": ""})]


@given(st.lists(one_rule, max_size=4), st.sampled_from(["allow", "hold", "deny"]), st.sampled_from(GAPS))
def test_whatever_is_decided_would_be_so_in_every_world_that_may_have_been(
    rules: list[tuple[str, str]], default: str, gaps: Gaps
) -> None:
    written = "".join(f"- {{id: r{n}, {rule}, decide: {decision}}}\n" for n, (rule, decision) in enumerate(rules))
    policy: Policy = policy_of(written, f"default: {default}")
    known = call(args={"amount": 1, "note": "a"})
    found = weigh(policy, known, Phase.REQUEST, surrounded(frozenset()), gaps)
    said = {policy.judge(one, Phase.REQUEST, surrounded(labels)).decision for one, labels in worlds(gaps)}
    if found.decision is None:
        assert found.lacks
    else:
        assert said == {found.decision}
    if gaps == GAPS[-1]:
        assert found.decision is policy.judge(known, Phase.REQUEST, surrounded(frozenset())).decision
