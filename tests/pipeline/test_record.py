"""What is kept of an exchange: masked where its text is kept at all, and nothing that no detector looked at."""

import contextlib
from dataclasses import replace
from pathlib import Path

from governance.exchange import Action, Body, Exchange
from governance.jsontree import Json, JsonObject
from governance.stage import RefusedError
from mcp_proxy.lens import request_segments
from sessions.killswitch import Scope
from tests.conftest import ManualClock
from tests.pipeline.world import World, open_world

SSN = "536-22-1234"
MASKED: JsonObject = {"content": "masked"}


async def decided(world: World, exchange: Exchange) -> dict[str, Json]:
    """The event of the decision about an exchange."""

    async def forward(_: Exchange) -> Body:
        return Body({})

    with contextlib.suppress(RefusedError):
        await world.runtime.guard.govern(exchange, forward)
    return (await world.events("exchange.admitted", "exchange.refused"))[-1]


async def test_everything_found_is_blotted_out_where_it_stood_before_redaction(
    database_url: str, tmp_path: Path, clock: ManualClock
) -> None:
    async with open_world(database_url, tmp_path, clock, audit=MASKED) as world:
        event = await decided(world, world.call(text=f"ssn {SSN}, then jane.doe@example.org again"))
        assert "ssn [pii.ssn], then [pii.email] again" in str(event["content"])


async def test_what_was_refused_before_detectors_looked_is_not_kept(
    database_url: str, tmp_path: Path, clock: ManualClock
) -> None:
    async with open_world(database_url, tmp_path, clock, audit=MASKED) as world:
        await world.runtime.kills.kill(Scope.SESSION, "ses_1", reason="enough", actor="test")
        event = await decided(world, world.call(text=f"ssn {SSN}"))
        assert event["event_type"] == "exchange.refused"
        assert "content" not in event


async def test_a_text_with_a_finding_in_a_name_is_not_kept(
    database_url: str, tmp_path: Path, clock: ManualClock
) -> None:
    async with open_world(database_url, tmp_path, clock, audit=MASKED) as world:
        event = await decided(world, world.call(**{SSN: "x"}))
        assert (event["event_type"], event["content"]) == (
            "exchange.refused",
            "[withheld: something was found in a name]",
        )


async def test_the_name_of_what_is_called_is_not_repeated_when_it_holds_something(
    database_url: str, tmp_path: Path, clock: ManualClock
) -> None:
    async with open_world(database_url, tmp_path, clock) as world:
        uri = f"db://people/{SSN}"
        call = world.call()
        read = replace(
            call,
            action=Action.RESOURCE_READ,
            resource=replace(call.resource, name=uri),
            request=Body({"method": "resources/read", "params": {"uri": uri}}, lens=request_segments),
        )
        event = await decided(world, read)
        assert (event["event_type"], event["tool"]) == ("exchange.refused", "[pii.ssn]")
        assert SSN not in str(event)


async def test_what_a_rule_in_shadow_mode_would_do_with_a_response_is_kept(
    database_url: str, tmp_path: Path, clock: ManualClock
) -> None:
    rule: JsonObject = {"id": "no-answers", "match": {"tool": "echo"}, "phase": "response", "decide": "deny"}
    rules: JsonObject = {"version": 1, "default": "allow", "rules": [{**rule, "mode": "shadow"}]}
    async with open_world(database_url, tmp_path, clock, rules) as world:
        await decided(world, world.call())
        (ended,) = await world.events("exchange.completed")
        assert ended["shadow"] == ["no-answers: deny"]
