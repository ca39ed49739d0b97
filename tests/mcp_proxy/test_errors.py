"""Refusals in the client's words: tool results that models read, errors that programs read."""

import json

from governance.exchange import Exchange, Phase
from governance.stage import RefusedError
from governance.verdict import ALLOWED, Decision, Verdict
from tests.mcp_proxy.harness import Judge, OpenGate
from tests.mcp_proxy.stage import modern, staged


def denying(phase: Phase, verdict: Verdict) -> Judge:
    return lambda exchange, now: verdict if now is phase else ALLOWED


DENIED = Verdict(Decision.DENY, by="policy", rule="no-writes", reason="writing is not allowed")


async def test_a_refused_tool_call_is_a_result_that_names_rule_and_reason() -> None:
    async with staged(OpenGate(denying(Phase.REQUEST, DENIED))) as (upstream, _, client):
        answer = await client.tool("t", id="x")
        assert answer["id"] == "x"
        result = answer["result"]
        assert result["isError"] is True
        assert "resultType" not in result
        assert "no-writes" in result["content"][0]["text"]
        assert "writing is not allowed" in result["content"][0]["text"]
        assert result["_meta"]["wicket/verdict"]["decision"] == "deny"
        assert result["_meta"]["wicket/verdict"]["rule"] == "no-writes"
        assert not [call for call in upstream.calls if call.message.get("method") == "tools/call"]


async def test_any_other_refusal_is_an_error_with_a_code_of_our_own() -> None:
    async with staged(OpenGate(denying(Phase.REQUEST, DENIED))) as (_, _, client):
        error = (await client.call("resources/read", {"uri": "x://y"}))["error"]
        assert not -32768 <= error["code"] <= -32000
        assert error["data"]["wicket"] == "refused"
        assert error["data"]["wicket/verdict"]["rule"] == "no-writes"


async def test_a_withheld_response_is_told_like_a_refusal() -> None:
    async with staged(OpenGate(denying(Phase.RESPONSE, DENIED))) as (upstream, _, client):
        result = (await client.tool("t", {"secret": "x"}))["result"]
        assert result["isError"] is True
        assert "secret" not in json.dumps(result)
        assert upstream.calls[-1].message["method"] == "tools/call"


async def test_a_modern_refusal_names_the_type_of_its_result() -> None:
    async with staged(OpenGate(denying(Phase.REQUEST, DENIED))) as (_, _, client):
        status, answer = await modern(client, "tools/call", {"name": "t"})
        assert status == 200
        assert answer["result"]["resultType"] == "complete"
        assert answer["result"]["isError"] is True


async def test_a_call_that_waits_for_a_person_says_so_with_the_link() -> None:
    def pending(exchange: Exchange, phase: Phase) -> Verdict:
        waits = Verdict(Decision.DENY, by="approval", rule="approval.pending", reason="a person must agree")
        raise RefusedError(waits, exchange.id, ticket="tic_1", link="http://127.0.0.1:8080/console/approvals/tic_1")

    async with staged(OpenGate(pending)) as (_, _, client):
        result = (await client.tool("t"))["result"]
        text = result["content"][0]["text"]
        assert text.startswith("pending")
        assert "http://127.0.0.1:8080/console/approvals/tic_1" in text
        assert "same call again" in text
        assert result["_meta"]["wicket/verdict"]["decision"] == "hold"
        assert result["_meta"]["wicket/verdict"]["ticket"] == "tic_1"
        error = (await client.call("resources/read", {"uri": "x://y"}))["error"]
        assert error["data"]["wicket"] == "pending"
