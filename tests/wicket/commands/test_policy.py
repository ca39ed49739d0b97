"""Testing and explaining policies on the command line."""

from pathlib import Path

import pytest

from tests.wicket.conftest import Wicket

POLICY = """\
version: 1
default: deny
rules:
  - id: files
    match: {server: files, tool: "read*", args: {/path: "/tmp/*"}}
    decide: allow
"""
TESTS = """\
version: 1
tests:
  - name: temporary files may be read
    given: {server: files, tool: read_file, args: {path: /tmp/x}}
    expect: allow
  - name: nothing else may
    given: {server: files, tool: write_file}
    expect: deny
"""


@pytest.fixture(autouse=True)
def policy(installed: Path) -> Path:
    (installed / "policy.yaml").write_text(POLICY)
    (installed / "tests.yaml").write_text(TESTS)
    return installed


def test_tests_that_pass_say_so(wicket: Wicket):
    ran = wicket("policy", "test", "tests.yaml")
    assert (ran.code, ran.out) == (0, "2 of 2 passed\n")


def test_a_test_that_fails_is_told_with_its_line(wicket: Wicket, policy: Path):
    (policy / "tests.yaml").write_text(TESTS.replace("expect: deny", "expect: hold"))
    ran = wicket("policy", "test", "tests.yaml")
    assert ran.code == 1
    assert "failed: tests.yaml:6: nothing else may" in ran.out
    assert [one["passed"] for one in wicket("policy", "test", "tests.yaml", "--json").json] == [True, False]


def test_a_broken_test_file_is_told(wicket: Wicket, policy: Path):
    (policy / "tests.yaml").write_text("version: 1\ntests: []\n")
    assert wicket("policy", "test", "tests.yaml").code == 3
    assert wicket("policy", "test", "none.yaml").code == 3


def test_an_explanation_names_every_rule_and_why(wicket: Wicket):
    call = ["--server", "files", "--tool", "read_file", "--args"]
    ran = wicket("policy", "explain", *call, '{"path": "/tmp/x"}')
    assert ran.code == 0
    assert ran.out.startswith("allow by rule `files`")
    refused = wicket("policy", "explain", *call, '{"path": "/etc/passwd"}')
    assert refused.out.startswith("deny by rule `default`")
    assert "/etc/passwd" not in refused.out
    hidden = wicket("policy", "explain", "--server", "web", "--tool", "post", "--json").json
    assert (hidden["decision"], hidden["visible"]) == ("deny", False)
    assert "is not shown in lists" in wicket("policy", "explain", "--server", "web", "--tool", "post").out


def test_an_explanation_may_suppose_labels_and_a_label_that_nothing_sets_is_named(wicket: Wicket, policy: Path):
    (policy / "next.yaml").write_text(
        "version: 1\nrules:\n"
        "  - {id: sends, match: {tool: send, labels: untrusted_content}, decide: hold}\n"
        "  - {id: typo, match: {tool: send, labels: untrusted_contents}, decide: deny}\n"
    )
    call = ["policy", "explain", "--tool", "send", "--policy", "next.yaml"]
    assert wicket(*call).out.startswith("allow")
    assert wicket(*call, "--label", "untrusted_content").out.startswith("hold by rule `sends`")
    checked = wicket("policy", "check", "--policy", "next.yaml")
    assert "of rule `typo` names `untrusted_contents`, which nothing sets" in checked.out
    assert "`sends`" not in checked.out


@pytest.mark.parametrize("text", ["{", "[]", '{"a": 1, "a": 2}'])
def test_arguments_that_are_no_object_are_told(wicket: Wicket, text: str):
    assert wicket("policy", "explain", "--args", text).code == 2


def test_another_policy_can_be_tried_before_it_is_used(wicket: Wicket, policy: Path):
    (policy / "next.yaml").write_text(POLICY.replace("deny", "allow"))
    ran = wicket("policy", "explain", "--tool", "x", "--policy", "next.yaml", "--json")
    assert ran.json["decision"] == "allow"
    assert wicket("policy", "check", "--policy", "next.yaml").code == 0
    (policy / "next.yaml").write_text("version: 1\nrules: [{}]\n")
    assert wicket("policy", "check", "--policy", "next.yaml").code == 1


def test_a_rule_about_what_models_asked_for_is_told_that_no_model_is_served(wicket: Wicket, policy: Path):
    rule = '  - {id: asked, match: {tool: "*", findings: ["call.unproposed", "call.altered"]}, decide: deny}\n'
    (policy / "policy.yaml").write_text(f"version: 1\nrules:\n{rule}")
    config = (policy / "wicket.yaml").read_text()
    assert "call.unproposed" in wicket("policy", "check").out
    served = "{wire: openai-chat, base_url: 'http://127.0.0.1:1/v1', api_key: k}"
    (policy / "wicket.yaml").write_text(f"{config}providers: {{mock: {served}}}\n")
    assert "call.unproposed" not in wicket("policy", "check").out
