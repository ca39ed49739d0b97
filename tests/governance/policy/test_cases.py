"""Tests that people write beside a policy, and what they are told."""

from pathlib import Path

import pytest

from governance.config.document import ConfigError
from governance.policy.cases import run_files, run_text
from tests.governance.policy.calls import policy_of

POLICY = policy_of(
    """
    - {id: big, match: {server: pay}, when: args.amount > 100, decide: hold, reason: ask finance}
    - {id: pw, match: {server: pay}, decide: redact, redact: [/password]}
    - {id: try, match: {server: pay}, decide: deny, mode: shadow}
    - {id: night, match: {server: pay}, when: now.getHours() >= 22 || session.calls > 50, decide: deny}
    - {id: leak, match: {findings: secret.*}, decide: kill}
    - {id: out, phase: response, match: {server: pay}, when: result.ok == false, decide: redact, redact: [/note]}
    - {id: never, match: {server: pay, tool: refund}, decide: deny}
    - {id: sends, match: {server: mail, labels: untrusted_content}, decide: hold}
    - {id: inbox, match: {server: mail, tool: inbox}, add_labels: [untrusted_content, personal_data]}
    """
)
GOOD = """
version: 1
tests:
  - {name: small, given: {server: pay, args: {amount: 5}}, expect: allow}
  - name: big
    given: {server: pay, args: {amount: 500, password: x}}
    expect: {decide: hold, rule: big, reason: "ask*", shadow: [try], redact: [/password], visible: true}
  - {name: at night, given: {server: pay, args: {amount: 5}, now: 2026-11-21T23:00:00Z}, expect: deny}
  - {name: long run, given: {server: pay, args: {amount: 5}, calls: 51}, expect: deny}
  - {name: leak, given: {findings: [secret.github_token]}, expect: {decide: kill, rule: leak}}
  - {name: out, given: {server: pay, phase: response, result: {ok: false, note: n}}, expect: {redact: [/note]}}
  - {name: hidden, given: {server: pay, tool: refund}, expect: {visible: false}}
  - {name: inbox, given: {server: mail, tool: inbox}, expect: {labels: [personal_data, untrusted_content]}}
  - {name: sends, given: {server: mail, labels: [untrusted_content]}, expect: {decide: hold, labels: []}}
  - {name: model, given: {action: llm.generate, model: m, args: {messages: []}}, expect: allow}
"""


def test_cases_that_hold_pass(tmp_path: Path) -> None:
    path = tmp_path / "cases.yaml"
    path.write_text(GOOD)
    results = run_files(POLICY, [path])
    assert [(result.name, result.differences) for result in results if not result.passed] == []
    assert [result.line for result in results] == [4, 5, 8, 9, 10, 11, 12, 13, 14, 15]


def test_a_case_that_does_not_hold_says_what_is_different() -> None:
    text = """
version: 1
tests:
  - name: wrong
    given: {server: pay, args: {amount: 500}}
    expect: {decide: deny, rule: other, reason: no, shadow: [], redact: [/x], visible: false}
"""
    (result,) = run_text(POLICY, text.replace("reason: no", "reason: 'no*'"), "cases.yaml")
    assert not result.passed
    assert (result.file, result.line) == ("cases.yaml", 4)
    assert result.differences == (
        "decide: expected deny, is hold by rule `big`: ask finance",
        "rule: expected `other`, is `big`",
        "reason: expected `no*`, is `ask finance`",
        "shadow: expected nothing, is `try`",
        "redact: expected `/x`, is nothing",
        "visible: expected false, is true",
    )


@pytest.mark.parametrize(
    ("test", "message"),
    [
        ("{given: {}, expect: allow}", "cases.yaml:3: `tests[0].name` of test number 1 is missing: add it"),
        ("{name: a, expect: alow}", "cases.yaml:3: `tests[0].expect.decide` of test `a` must be `allow`, `warn`,"),
        ("{name: a, given: {sever: x}, expect: allow}", "`tests[0].given.sever` of test `a` is not a known key: did"),
        ("{name: a, given: {now: 2026-11-21T23:00:00}, expect: allow}", "must be a time with its zone: write `2026"),
        ("{name: a, expect: {}}", "`tests[0].expect` of test `a` says nothing: give `decide`,"),
    ],
)
def test_a_wrong_test_file_is_refused_with_the_place_of_the_mistake(test: str, message: str) -> None:
    with pytest.raises(ConfigError) as refused:
        run_text(POLICY, f"version: 1\ntests:\n  - {test}\n", "cases.yaml")
    assert message in str(refused.value)
