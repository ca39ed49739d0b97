"""What the stage asks for: actions by kind and tenant, edits that fit, and refusal where it cannot be sure."""

import threading
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from governance import jsontree
from governance.config.models import Detect
from governance.detect.actions import Actions
from governance.detect.detector import Detector
from governance.detect.engine import Choice
from governance.detect.rule import Rule
from governance.detect.stage import LONGEST, DetectStage
from governance.exchange import (
    Action,
    Body,
    Exchange,
    Lens,
    Phase,
    Principal,
    Resource,
    Role,
    Segment,
    SessionRef,
    every_string,
)
from governance.verdict import ALLOWED, Decision
from pipeline.asking import judge
from tests.governance.detect.samples import SECRETS
from tests.thoughts import told

CALL = Action.TOOL_CALL
MODEL = Action.LLM_GENERATE


def as_role(role: Role) -> Lens:
    return lambda value: (Segment(one.pointer, role, one.text) for one in every_string(value))


def exchange(
    request: Any,
    *,
    action: Action = MODEL,
    role: Role = Role.USER,
    response: Any = None,
    tenant: str = "default",
) -> Exchange:
    return Exchange(
        id="x1",
        at=datetime(2026, 11, 21, tzinfo=UTC),
        action=action,
        principal=Principal("key", tenant=tenant),
        resource=Resource(),
        session=SessionRef("s", "key"),
        request=Body.parse(jsontree.dump(request), as_role(role)),
        response=None if response is None else Body.parse(jsontree.dump(response), as_role(role)),
    )


def stage(detector: Detector, **config: object) -> DetectStage:
    return DetectStage(detector, Actions(Detect.model_validate(config)))


async def test_a_clean_body_is_allowed_without_a_word(detector: Detector) -> None:
    clean = exchange({"messages": [{"role": "user", "content": "What is the capital of France?"}]})
    assert await told(stage(detector).judge(clean, Phase.REQUEST)) is ALLOWED
    assert await told(stage(detector).judge(clean, Phase.RESPONSE)) is ALLOWED


async def test_a_redaction_changes_only_what_was_found(detector: Detector) -> None:
    asked = exchange({"a": "my ssn is 123-45-6789, and my name is Jane", "b": [1, "x"]})
    verdict = await told(stage(detector).judge(asked, Phase.REQUEST))
    assert verdict.decision is Decision.REDACT
    assert verdict.rule == "pii.ssn"
    assert asked.request.edited(verdict.edits).value == {
        "a": "my ssn is [REDACTED:pii.ssn], and my name is Jane",
        "b": [1, "x"],
    }


async def test_nothing_that_is_said_about_a_finding_repeats_it(detector: Detector) -> None:
    secret = SECRETS["secret.github_token"]
    for action in ("log", "redact", "hold", "deny"):
        verdict = await told(stage(detector, actions={"*": action}).judge(exchange({"a": secret}), Phase.REQUEST))
        said = repr(verdict).replace("secret.github_token", "")
        assert secret not in said
        assert secret[-6:] not in said


@pytest.mark.parametrize(
    ("action", "decision"),
    [("log", Decision.ALLOW), ("redact", Decision.REDACT), ("hold", Decision.HOLD), ("deny", Decision.DENY)],
)
async def test_each_action_becomes_its_decision(detector: Detector, action: str, decision: Decision) -> None:
    verdict = await told(stage(detector, actions={"pii.email": action}).judge(exchange("write j@x.org"), Phase.REQUEST))
    assert verdict.decision is decision
    assert [(one.kind, one.action, one.role) for one in verdict.findings] == [("pii.email", action, "user")]
    assert bool(verdict.edits) is (action == "redact")


async def test_the_strongest_action_decides_and_redactions_are_still_made(detector: Detector) -> None:
    asked = exchange("123-45-6789 and j@x.org")
    verdict = await told(stage(detector, actions={"pii.email": "hold"}).judge(asked, Phase.REQUEST))
    assert (verdict.decision, verdict.rule) == (Decision.HOLD, "pii.email")
    assert asked.request.edited(verdict.edits).value == "[REDACTED:pii.ssn] and j@x.org"


async def test_each_tenant_has_its_own_actions(detector: Detector) -> None:
    both = stage(detector, actions={"pii.*": "redact"}, tenants={"acme": {"pii.email": "deny"}})
    for tenant, decision in (("acme", Decision.DENY), ("other", Decision.REDACT)):
        verdict = await told(both.judge(exchange("j@x.org", tenant=tenant), Phase.REQUEST))
        assert verdict.decision is decision


async def test_a_response_is_judged_like_a_request(detector: Detector) -> None:
    answered = exchange("hello", response={"text": "call 123-45-6789"}, role=Role.RESULT)
    verdict = await told(stage(detector).judge(answered, Phase.RESPONSE))
    assert verdict.decision is Decision.REDACT
    assert await told(stage(detector).judge(answered, Phase.REQUEST)) is ALLOWED


async def test_the_name_of_a_member_cannot_be_replaced_so_the_body_is_refused(detector: Detector) -> None:
    for body in ({"123-45-6789": "x"}, {"123-45-6789": {"a": 1}}, {"123-45-6789": "123-45-6789"}):
        verdict = await told(stage(detector).judge(exchange(body), Phase.REQUEST))
        assert verdict.decision is Decision.DENY
        assert "123" not in verdict.reason


async def test_what_steers_a_call_cannot_be_replaced_so_it_is_refused(detector: Detector) -> None:
    uri = "db://people/123-45-6789"
    asked = exchange({"uri": uri})
    body = Body(asked.request.value, lens=lambda value: [Segment("/uri", Role.ARGUMENT, uri, fixed=True)])
    verdict = await told(stage(detector).judge(replace(asked, request=body), Phase.REQUEST))
    assert (verdict.decision, verdict.edits) == (Decision.DENY, ())
    assert [one.fixed for one in verdict.findings] == [True]


async def test_a_dangerous_argument_is_held_where_it_is_called_and_only_noted_elsewhere(detector: Detector) -> None:
    wipe = {"command": "rm -rf /"}
    call = exchange(wipe, action=CALL, role=Role.ARGUMENT)
    verdict = await told(stage(detector).judge(call, Phase.REQUEST))
    assert (verdict.decision, verdict.findings[0].kind) == (Decision.HOLD, "argument.shell")
    wish = exchange("hi", response=wipe, role=Role.ARGUMENT)
    verdict = await told(stage(detector).judge(wish, Phase.RESPONSE))
    assert (verdict.decision, verdict.findings[0].action) == (Decision.ALLOW, "log")
    history = exchange(wipe, role=Role.ARGUMENT)
    assert await told(stage(detector).judge(history, Phase.REQUEST)) is ALLOWED


async def test_an_address_of_a_metadata_service_is_denied(detector: Detector) -> None:
    call = exchange({"url": "http://169.254.169.254/latest"}, action=CALL, role=Role.ARGUMENT)
    verdict = await told(stage(detector).judge(call, Phase.REQUEST))
    assert (verdict.decision, verdict.rule) == (Decision.DENY, "address.metadata")


async def test_what_the_lens_leaves_out_is_left_alone(detector: Detector) -> None:
    asked = exchange({"image": "123-45-6789", "text": "hello"})
    hidden = Body(asked.request.value, lens=lambda value: [Segment("/text", Role.USER, "hello")])
    opaque = Exchange(
        asked.id, asked.at, MODEL, asked.principal, asked.resource, asked.session, hidden
    )  # fmt: skip
    assert await told(stage(detector).judge(opaque, Phase.REQUEST)) is ALLOWED


async def test_an_engine_that_fails_refuses(broken_detector: Detector) -> None:
    judged = await judge((stage(broken_detector),), exchange("hello"), Phase.REQUEST)
    assert (judged.winner.decision, judged.winner.rule) == (Decision.DENY, "stage.error")


class _Watched:
    """A check that notes in which thread it runs."""

    def __init__(self) -> None:
        self.threads: set[int] = set()

    def __call__(self, text: str) -> bool:
        self.threads.add(threading.get_ident())
        return True


@pytest.mark.parametrize(("engine", "longest"), LONGEST.items())
async def test_a_long_text_is_looked_through_in_a_thread_of_its_own_and_a_short_one_is_not(
    engine: Choice, longest: int
) -> None:
    watched = _Watched()
    one = stage(Detector([Rule("secret.x", "secret.x", "canary", check=watched)], engine))
    verdict = await told(one.judge(exchange({"x": "a canary"}), Phase.REQUEST))
    assert (verdict.decision, watched.threads) == (Decision.REDACT, {threading.get_ident()})
    watched.threads.clear()
    verdict = await told(one.judge(exchange({"x": "a canary" + " " * longest}), Phase.REQUEST))
    assert (verdict.decision, len(watched.threads)) == (Decision.REDACT, 1)
    assert threading.get_ident() not in watched.threads


async def test_a_long_text_that_is_clean_is_remembered(detector: Detector) -> None:
    one = stage(detector)
    long = exchange({"x": "well " * 60_000})
    assert await told(one.judge(long, Phase.REQUEST)) is ALLOWED
    assert await told(one.judge(long, Phase.REQUEST)) is ALLOWED
    assert await told(one.judge(exchange({"x": "well " * 60_000 + "123-45-6789"}), Phase.REQUEST)) is not ALLOWED


async def test_an_engine_that_fails_in_a_thread_refuses_as_well(broken_detector: Detector) -> None:
    judged = await judge((stage(broken_detector),), exchange({"x": "x" * 200_000}), Phase.REQUEST)
    assert judged.winner.rule == "stage.error"
