"""What is kept of an exchange is masked before it is stored, and says what it lacks."""

from dataclasses import replace
from typing import Any

import pytest

from governance import jsontree
from governance.audit.event import Tag
from governance.exchange import Exchange, Phase
from governance.history.scene import from_event, read, written
from governance.policy.condition import Around
from governance.policy.partial import Gaps, weigh
from governance.verdict import ALLOWED, Decision, Edit, Finding, Verdict
from pipeline.record import decision
from tests.governance.policy.calls import NOON, call, policy_of

AROUND = Around(NOON, 3, frozenset({"seen"}))


def kept(exchange: Exchange, verdict: Verdict = ALLOWED) -> tuple[Exchange, Gaps, str]:
    scene = written(exchange, Phase.REQUEST, verdict, AROUND, arguments=True)
    text = jsontree.dump(scene).decode()
    again, around, gaps = read(exchange.id, Phase.REQUEST, jsontree.as_object(jsontree.parse(text.encode())))
    assert around() == AROUND
    return again, gaps, text


def found(pointer: str, action: str = "log", **more: Any) -> Finding:
    return Finding("pii.ssn", "ssn", f"/params/arguments{pointer}", 0, 3, "argument", action, **more)


def test_an_exchange_comes_back_as_the_rules_saw_it() -> None:
    exchange = call(
        args={"path": "/etc/x", "deep": [{"n": 1}]},
        agent="builder",
        annotations={"readOnlyHint": True},
        facts={"plane": "mcp"},
    )
    again, gaps, _ = kept(exchange)
    assert (again.arguments, gaps) == (exchange.arguments, Gaps())
    assert (again.principal, again.resource, again.session) == (exchange.principal, exchange.resource, exchange.session)
    assert (again.action, again.facts) == (exchange.action, exchange.facts)


@pytest.mark.parametrize(
    ("args", "findings", "masked"),
    [
        ({"note": "123-45-6789", "path": "/x"}, (found("/note"),), "/note"),
        ({"note": "123-45-6789", "path": "/x"}, (found("/note", "redact"), found("/note", "log")), "/note"),
        ({"deep": {"password": "123-45-6789"}, "path": "/x"}, (), "/deep/password"),
        ({"headers": [{"X-Api-Key": "123-45-6789"}], "path": "/x"}, (), "/headers/0/X-Api-Key"),
        ({"credentials": {"user": "123-45-6789"}, "path": "/x"}, (), "/credentials"),
        ({"text": "123-45-6789" * 200, "path": "/x"}, (), "/text"),
    ],
)
def test_what_must_not_be_kept_is_masked_and_named(args: Any, findings: tuple[Finding, ...], masked: str) -> None:
    again, gaps, text = kept(replace(call(args=args), findings=findings))
    assert "123-45-6789" not in text
    assert gaps.masked == (masked,)
    assert jsontree.at(again.arguments, "/path") == "/x"


def test_what_detectors_redacted_is_kept_as_the_rules_saw_it() -> None:
    exchange = replace(call(args={"note": "[REDACTED:pii.ssn]"}), findings=(found("/note", "redact"),))
    again, gaps, _ = kept(exchange)
    assert (again.arguments, gaps) == ({"note": "[REDACTED:pii.ssn]"}, Gaps())


def test_what_the_policy_redacts_is_not_kept() -> None:
    verdict = Verdict(Decision.REDACT, "policy", "r", edits=(Edit("/params/arguments/note", 0, -1, "x"),))
    again, gaps, text = kept(call(args={"note": {"inner": "hunter2"}}), verdict)
    assert ("hunter2" in text, gaps.masked, again.arguments) == (False, ("/note",), {"note": "[masked]"})


def test_nothing_is_kept_of_arguments_in_whose_names_something_was_found() -> None:
    exchange = replace(call(args={"123-45-6789": "x"}), findings=(found("/123-45-6789", fixed=True),))
    _, gaps, text = kept(exchange)
    assert "123-45-6789" not in text
    assert set(gaps.unknown) == {"args", "findings"}


def test_arguments_that_are_too_large_are_left_out() -> None:
    _, gaps, text = kept(call(args={"many": ["x" * 1000] * 20}))
    assert len(text) < 2_000
    assert "too large" in gaps.unknown["args"]


def test_of_a_model_call_no_text_is_kept() -> None:
    exchange = call(
        action="llm.generate",
        server="",
        tool="",
        provider="mock",
        model="m",
        args={"max_tokens": 9, "messages": [{"content": "hunter2"}], "user": "ann"},
    )
    again, gaps, text = kept(exchange)
    assert "hunter2" not in text
    assert sorted(gaps.masked) == ["/messages", "/user"]
    policy = policy_of("- {id: r, match: {action: llm.*, args: {/max_tokens: {gt: 5}}}, decide: deny}")
    assert weigh(policy, again, Phase.REQUEST, lambda: AROUND, gaps).decision is Decision.DENY


def test_facts_alone_keep_no_argument() -> None:
    scene = written(call(args={"path": "hunter2"}), Phase.REQUEST, ALLOWED, AROUND, arguments=False)
    assert b"hunter2" not in jsontree.dump(scene)
    assert "replay.keep" in read("e", Phase.REQUEST, scene)[2].unknown["args"]


def test_an_event_alone_tells_names_and_kinds_and_the_time_of_arrival() -> None:
    exchange = replace(
        call(args={"path": "x"}, agent="builder", findings=["pii.ssn"]), id="exc_19aa1f53c00abcdef0100000001"
    )
    fields = {**decision(Tag.EXCHANGE_ADMITTED, exchange, ALLOWED).fields, "at": "2026-11-21T12:09:00.000000Z"}
    again, around, gaps = from_event(fields)
    assert (again.resource.name, again.principal, again.action) == ("write_file", exchange.principal, exchange.action)
    assert [one.kind for one in again.findings] == ["pii.ssn"]
    assert around().now.timestamp() == int("19aa1f53c00", 16) / 1000
    assert {"args", "session.labels", "session.calls"} <= set(gaps.unknown)
