"""A wrong policy does not load, and every message says file, line, key and rule."""

from pathlib import Path

import pytest

from governance.policy.load import MAX_BYTES, PolicyError, compile_sources, load
from governance.verdict import Decision

BAD = [
    ("version: 2", "policy.yaml:1: `version` must be 1"),
    ("rules: []", "policy.yaml:1: `version` is missing: add it"),
    ("", "policy.yaml: `version` is missing: add it"),
    ("- a", "policy.yaml:1: must be a section of `key: value` lines"),
    ("version: 1\ndefault: ask", "policy.yaml:2: `default` must be `allow`, `hold` or `deny`"),
    ("version: 1\ndefault:", "policy.yaml:2: `default` must be `allow`, `hold` or `deny`"),
    ("version: 1\ndefalt: deny", "policy.yaml:2: `defalt` is not a known key: did you mean `default`?"),
    ("version: 1\nversion: 1", "policy.yaml:2: `version` is written twice: keep one of them"),
    ("version: 1\nrules:\n  - {id: a, decide: deny", "policy.yaml:3: is not valid YAML at column 25: look at"),
    ("version: 1\nrules:\n  - {decide: deny}", "policy.yaml:3: `rules[0].id` of rule number 1 is missing: add it"),
    ("version: 1\nrules:\n  - {id: a}", "policy.yaml:3: `rules[0].decide` of rule `a` is missing: add it"),
    ("version: 1\nrules:\n  - {id: 'a b', decide: deny}", "policy.yaml:3: `rules[0].id` of rule `a b` must be letters"),
    ("version: 1\nrules:\n  - {id: default, decide: deny}", "policy.yaml:3: `rules[0].id` of rule `default` is taken"),
]
BAD_RULES = [
    ("decide: block", "policy.yaml:4: `rules[0].decide` of rule `r` must be `allow`, `warn`, `redact`, `hold`,"),
    ("decide: no", "policy.yaml:4: `rules[0].decide` of rule `r` must be"),
    ("decide: deny\n    mode: off", "policy.yaml:5: `rules[0].mode` of rule `r` must be `enforce` or `shadow`"),
    ("decide: deny\n    when:", "policy.yaml:5: `rules[0].when` of rule `r` must be text: put it in quotes"),
    ("decide: deny\n    when: ''", "policy.yaml:5: `rules[0].when` of rule `r` is empty: write something"),
    (
        "decide: deny\n    when: principal.tenent == 'a'",
        "policy.yaml:5: `rules[0].when` of rule `r` names `principal.tenent`, which does not exist: there is",
    ),
    (
        "decide: deny\n    when: session.calls > 'many'",
        "uses `>` on int, string, which does not go together (line 1, column 15 of the condition)",
    ),
    (
        "decide: deny\n    when: args.amount >",
        "policy.yaml:5: `rules[0].when` of rule `r` is not valid CEL there (line 1,",
    ),
    ("decide: deny\n    when: size(args)", "policy.yaml:5: `rules[0].when` of rule `r` is int, not true or false"),
    (
        "decide: deny\n    when: |\n      args.x == 1 &&\n      nobody",
        "policy.yaml:7: `rules[0].when` of rule `r` names `nobody`, which does not exist (line 2, column 1 of",
    ),
    (f"decide: deny\n    when: '{'(' * 1500}true{')' * 1500}'", "`rules[0].when` of rule `r` is too deeply nested"),
    ("decide: deny\n    match: {tols: x}", "policy.yaml:5: `rules[0].match.tols` of rule `r` is not a known key: did"),
    ("decide: deny\n    match: {tool: 7}", "`rules[0].match.tool` of rule `r` must be text or a list of texts"),
    ("decide: deny\n    match: {tenant: no}", "`rules[0].match.tenant` of rule `r` must be text or a list of texts"),
    ("decide: deny\n    match: {tool: }", "`rules[0].match.tool` of rule `r` is empty: write a pattern, or remove it"),
    ("decide: deny\n    match: {tool: []}", "`rules[0].match.tool` of rule `r` is empty: list something, or remove it"),
    ("decide: deny\n    match: {action: tool.cal}", "`rules[0].match.action` of rule `r` is no action: known are"),
    ("decide: deny\n    match: {args: {path: x}}", "`rules[0].match.args.path` of rule `r` must be a JSON pointer"),
    ("decide: deny\n    match: {args: {}}", "`rules[0].match.args` of rule `r` is empty"),
    (
        "decide: deny\n    match: {args: {/a: {gtt: 1}}}",
        "args./a.gtt` of rule `r` is not a known key: did you mean `gt`?",
    ),
    ("decide: deny\n    match: {args: {/a: {gt: x}}}", "`rules[0].match.args./a.gt` of rule `r` must be a number"),
    ("decide: deny\n    match: {args: {/a: {gt: }}}", "`rules[0].match.args./a.gt` of rule `r` must be a number"),
    ("decide: deny\n    match: {args: {/a: {}}}", "`rules[0].match.args./a` of rule `r` says nothing: give `any_of`"),
    ("decide: deny\n    match: {args: {/a: {exists: }}}", "args./a.exists` of rule `r` must be `true` or `false`"),
    ("decide: deny\n    match: {args: {/a: {exists: false, gt: 1}}}", "args./a` of rule `r` leaves nothing to compare"),
    ("decide: deny\n    match: {args: {/a: [[1]]}}", "of rule `r` must be text, a number, true, false or null"),
    ("decide: deny\n    match: {annotations: {a: [1]}}", "of rule `r` must be text, a number, true, false or null"),
    ("decide: redact", "policy.yaml:3: `rules[0]` `decide: redact` needs `redact`, the list of pointers"),
    ("decide: deny\n    redact: [/a]", "policy.yaml:3: `rules[0]` `redact` is only for `decide: redact`"),
    ("decide: redact\n    redact: [a]", "policy.yaml:5: `rules[0].redact[0]` of rule `r` must be a JSON pointer"),
    (
        "decide: hold\n    run_detached: 1",
        "policy.yaml:5: `rules[0].run_detached` of rule `r` must be `true` or `false`",
    ),
    ("add_labels: Bad Label", "`rules[0].add_labels[0]` of rule `r` must be a label: write up to 64 small letters"),
    ("add_labels: a\n    decide:", "`rules[0].decide` of rule `r` must be `allow`"),
    ("decide: deny\n    match: {all_labels: '*'}", "`rules[0].match.all_labels[0]` of rule `r` must be a label"),
    ("decide: deny\n    match: {labels: []}", "`rules[0].match.labels` of rule `r` is empty"),
    ("decide: deny\n    run_detached: true", "policy.yaml:3: `rules[0]` `run_detached` is only for `decide: hold`"),
    (
        "decide: deny\n    quorum: 2",
        "policy.yaml:3: `rules[0]` `approvers`, `quorum`, `no_self_approval`, `escalate` and `grants` are only for",
    ),
    ("decide: hold\n    quorum: 0", "policy.yaml:5: `rules[0].quorum` of rule `r`"),
    ("decide: hold\n    quorum: true", "policy.yaml:5: `rules[0].quorum` of rule `r`"),
    ("decide: hold\n    approvers: ann", "policy.yaml:5: `rules[0].approvers[0]` of rule `r`"),
    ("decide: hold\n    approvers: role:agent", "policy.yaml:5: `rules[0].approvers[0]` of rule `r`"),
    ("decide: hold\n    approvers: []", "policy.yaml:5: `rules[0].approvers` of rule `r` is empty"),
    (
        "decide: hold\n    quorum: 2\n    approvers: [user:ann, user:ann]",
        "policy.yaml:3: `rules[0]` `quorum: 2` can never be reached: `approvers` names 1",
    ),
    ("decide: hold\n    phase: response", "policy.yaml:3: `rules[0]` `hold` is for requests"),
    ("decide: deny\n    reason: ' Policy:x'", "policy.yaml:3: `rules[0]` a `reason` may not begin with `policy:`"),
    (f"decide: deny\n    reason: {'x' * 501}", "policy.yaml:5: `rules[0].reason` of rule `r` is too long: shorten it"),
]


@pytest.mark.parametrize(
    ("text", "message"),
    [*BAD, *((f"version: 1\nrules:\n  - id: r\n    {rule}", message) for rule, message in BAD_RULES)],
)
def test_a_wrong_policy_is_refused_with_the_place_of_the_mistake(text: str, message: str) -> None:
    with pytest.raises(PolicyError) as refused:
        compile_sources([("policy.yaml", text)])
    assert message in str(refused.value)
    assert str(refused.value).startswith("policy.yaml")


def test_all_mistakes_are_told_at_once_in_the_order_of_the_file() -> None:
    text = "version: 1\nrules:\n  - {id: a, decide: x}\n  - {id: b, decide: y}\n"
    with pytest.raises(PolicyError) as refused:
        compile_sources([("policy.yaml", text), ("other.yaml", "version: 3")])
    assert [(problem.file, problem.line) for problem in refused.value.problems] == [
        ("other.yaml", 1),
        ("policy.yaml", 3),
        ("policy.yaml", 4),
    ]


def test_a_rule_id_is_unique_over_all_files() -> None:
    text = "version: 1\nrules:\n  - {id: a, decide: deny}\n"
    with pytest.raises(PolicyError, match=r"two.yaml:3: .* of rule `a` is taken already by one.yaml:3"):
        compile_sources([("one.yaml", text), ("two.yaml", text)])


def test_the_strictest_default_of_all_files_holds() -> None:
    texts = ["version: 1\ndefault: allow", "version: 1\ndefault: hold", "version: 1"]
    assert compile_sources([(str(index), text) for index, text in enumerate(texts)]).default is Decision.HOLD


def test_the_version_ignores_layout_and_comments_and_nothing_else() -> None:
    def version(text: str) -> str:
        return compile_sources([("policy.yaml", text)]).version

    plain = version("version: 1\nrules:\n  - {id: a, decide: deny}\n")
    assert version("# hello\nrules:\n- decide: deny  # why\n  id: a\nversion: 1\n") == plain
    assert version("version: 1\nrules:\n  - {id: a, decide: kill}\n") != plain


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "no such policy file: write it, or change `policies` in the configuration"),
        (b"\xff", "is not UTF-8 at byte 0: save it as UTF-8"),
        (b"#" * (MAX_BYTES + 1), "is larger than 1048576 bytes: split it"),
    ],
)
def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, content: bytes | None, message: str) -> None:
    path = tmp_path / "policy.yaml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(PolicyError) as refused:
        load([path])
    assert str(refused.value) == f"{path}: {message}"
