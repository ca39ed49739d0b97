"""A changed policy is tried on the traffic that was, and a decision that was is explained rule by rule."""

import json
from typing import Any

import anyio
import pytest

from tests.e2e.stack import POLICY, Stack, eventually, text_of

RULES: list[dict[str, Any]] = POLICY["rules"]
STRICTER = {**POLICY, "rules": [*RULES, {"id": "no-two", "match": {"args": {"/text": "two"}}, "decide": "deny"}]}
LOOSER = {**POLICY, "rules": [rule for rule in RULES if rule["id"] != "never"]}


@pytest.fixture(scope="module")
def settings() -> dict[str, Any]:
    return {"policy": POLICY, "replay": {"keep": "arguments"}}


@pytest.fixture(scope="module")
def traffic(stack: Stack) -> Stack:
    """An installation through which some calls went, and what the rules saw of them is written."""

    async def calls() -> None:
        async with stack.tools(session="replayed") as tools:
            for text in ("one", "two", "shadow", "write to ann@example.com"):
                await tools.call_tool("mark", {"text": text})
            assert "`never`" in text_of(await tools.call_tool("forbidden", {"text": "x"}))
        async with stack.model(session="replayed") as model:
            await model.chat.completions.create(model="gpt-test", messages=[{"role": "user", "content": "hello"}])

        def kept() -> bool:
            found = replay(stack, POLICY)
            judged = {rule["why"] for rule in found["unknown_because"]}
            return found["same"] >= 6 and not any("`replay.keep`" in why for why in judged)

        await eventually(kept)

    anyio.run(calls)
    return stack


def replay(stack: Stack, draft: dict[str, Any], *more: str, expect: int = 0) -> dict[str, Any]:
    (stack.folder / "draft.yaml").write_text(json.dumps(draft))
    found = stack.cli("policy", "replay", "--draft", str(stack.folder / "draft.yaml"), *more, expect=expect)
    return dict(found)


def exchange_of(stack: Stack, tool: str, decision: str) -> str:
    events = stack.cli("audit", "show", "--type", "exchange.admitted", "--type", "exchange.refused")
    return next(
        str(one["exchange_id"]) for one in events if one.get("tool") == tool and one["policy_decision"] == decision
    )


def test_a_policy_that_changes_nothing_flips_nothing(traffic: Stack) -> None:
    found = replay(traffic, POLICY, "--fail-on-flip")
    assert (found["flipped"], found["flips"]) == (0, [])
    assert found["same"] > 5


def test_what_a_stricter_policy_would_have_refused_is_listed(traffic: Stack) -> None:
    found = replay(traffic, STRICTER, "--fail-on-flip", expect=1)
    (flip,) = found["flips"]
    assert (flip["before"], flip["after"], flip["rule_after"], flip["count"]) == ("allow", "deny", "no-two", 1)
    assert (flip["server"], flip["name"], flip["session_count"]) == ("ledger", "mark", 1)
    event = traffic.cli("audit", "show", "--exchange", flip["examples"][0])[-1]
    assert (event["tool"], event["session_id"]) == ("mark", next(iter(flip["sessions"])))
    assert replay(traffic, STRICTER, "--session", event["session_id"])["flipped"] == 1
    assert replay(traffic, STRICTER, "--to", "2026-01-01")["exchanges"] == 0
    assert replay(traffic, STRICTER, "--last", "1")["exchanges"] == 1


def test_what_a_looser_policy_would_have_let_through_is_listed(traffic: Stack) -> None:
    (flip,) = replay(traffic, LOOSER)["flips"]
    assert (flip["before"], flip["after"], flip["rule_before"], flip["name"]) == ("deny", "allow", "never", "forbidden")


def test_an_argument_that_was_masked_is_never_guessed(traffic: Stack) -> None:
    rule = {"id": "to-ann", "match": {"tool": "mark", "args": {"/text": "write to ann*"}}, "decide": "deny"}
    found = replay(traffic, {**POLICY, "rules": [*RULES, rule]})
    assert found["flips"] == []
    assert found["unknown"] == 1
    assert all("`/text` was masked" in one["why"] for one in found["unknown_because"])
    assert {one["rule"] for one in found["unknown_because"]} == {"to-ann", "marks-wait"}
    database = (traffic.folder / ".wicket/wicket.db").read_bytes()
    assert b"ann@example.com" not in database + (traffic.folder / ".wicket/wicket.db-wal").read_bytes()


def test_a_draft_that_is_wrong_or_a_time_that_is_none_is_told(traffic: Stack) -> None:
    assert "must be" in replay(traffic, {"version": 1, "default": "maybe"}, expect=3)["errors"][0]
    assert "`--since" in replay(traffic, POLICY, "--since", "soon", expect=2)["errors"][0]
    assert replay(traffic, POLICY, "--to", "2026-01-01", "--fail-on-flip", expect=4)["judged"] == 0


def test_a_decision_that_was_is_explained_rule_by_rule(traffic: Stack) -> None:
    refused = exchange_of(traffic, "forbidden", "deny")
    (half,) = traffic.cli("policy", "explain", refused)["halves"]
    assert (half["decision"], half["rule"], half["kept"]) == ("deny", "never", True)
    assert {one["rule"]: one["outcome"] for one in half["rules"]} == {
        "marks-wait": "no",
        "never": "fits",
        "would-refuse": "no",
        "no-secret-model": "no",
    }
    assert {one["rule"]: one["why"] for one in half["rules"]}["marks-wait"] == "`tool` is not `mark`"
    assert "there is no exchange" in traffic.cli("policy", "explain", "exc_none", expect=4)["errors"][0]


def test_the_rules_of_the_time_explain_it_and_not_those_of_now(traffic: Stack) -> None:
    refused = exchange_of(traffic, "forbidden", "deny")
    (traffic.folder / "policy.yaml").write_text("version: 1\n")
    before = traffic.cli("policy", "explain", refused)["halves"][0]
    assert (before["rule"], len(before["rules"])) == ("never", len(RULES))
    (traffic.folder / "policy.yaml").write_text(json.dumps(POLICY))
