"""Loops through the front door: told behind the result, held for a person, allowed further, as the server says."""

import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio

from governance.clock import SystemClock
from governance.jsontree import JsonObject
from governance.verdict import Relief
from mcp_proxy.pinning import Pinning
from tests.mcp_proxy.harness import serving
from tests.mcp_proxy.raw_client import RawClient
from tests.mcp_proxy.raw_upstream import Call, RawUpstream
from tests.mcp_proxy.real_core import fronting_http, keyless
from tests.pipeline.world import World, open_world

POLICY: JsonObject = {"version": 1, "default": "allow", "rules": []}


class Status:
    """A server's tool that tells how far something is; it stands still unless the test moves it."""

    def __init__(self) -> None:
        self.said = "queued"
        self.calls = 0
        self.meta: JsonObject = {}
        self.error: JsonObject = {}
        self.hangs_up = False

    async def called(self, call: Call) -> None:
        self.calls += 1
        if self.hangs_up:
            raise ConnectionError
        if self.error:
            await call.reply(json.dumps({"jsonrpc": "2.0", "id": call.id, "error": self.error}).encode())
            return
        await call.reply(call.result({"content": [{"type": "text", "text": self.said}]}))

    async def listed(self, call: Call) -> None:
        tool = {"name": "status", "inputSchema": {"type": "object"}, **({"_meta": self.meta} if self.meta else {})}
        await call.reply(call.result({"tools": [tool]}))


@asynccontextmanager
async def house(
    folder: Path, status: Status, *, pins: str = "off", **loop: Any
) -> AsyncGenerator[tuple[World, RawClient]]:
    """The proxy with these numbers before the server."""
    upstream, clock = RawUpstream(), SystemClock()
    upstream.handlers |= {"tools/call": status.called, "tools/list": status.listed}
    settings: dict[str, Any] = {
        "identity": {"anonymous": True},
        "approvals": {"wait_seconds": 0},
        "loop": loop,
        "mcpServers": {"jobs": {"url": "http://127.0.0.1/", "pins": pins}},
    }
    with anyio.fail_after(30):
        async with (
            open_world(f"sqlite:///{folder}/wicket.db", folder, clock, POLICY, **settings) as world,
            serving(upstream) as url,
        ):
            core = world.runtime
            pinning = Pinning(core.pins, core.catalog)
            async with (
                fronting_http(core, {"jobs": url}, [], pins=pinning) as front,
                keyless(f"{front}/mcp/jobs") as client,
            ):
                await client.initialize()
                yield world, client


async def polled(client: RawClient, times: int) -> list[Any]:
    """The results of equal calls."""
    return [(await client.tool("status", {"id": 7}))["result"] for _ in range(times)]


def decision(result: Any) -> Any:
    """What Wicket decided in place of the server; None where the server answered."""
    return result.get("_meta", {}).get("wicket/verdict", {}).get("decision")


async def test_the_agent_is_told_what_repeats_behind_the_result(tmp_path: Path) -> None:
    async with house(tmp_path, Status(), repeat_warn=3) as (_, client):
        *before, third = await polled(client, 3)
        assert [len(one["content"]) for one in before] == [1, 1]
        assert third["content"] == [
            {"type": "text", "text": "queued"},
            {
                "type": "text",
                "text": "warning from wicket: `jobs/status` was called 3 times in this session with the same arguments "
                "and the same result: from 3 times on you are told so: try something else",
            },
        ]


async def test_polling_that_moves_is_never_spoken_of(tmp_path: Path) -> None:
    status = Status()
    async with house(tmp_path, status, repeat_warn=3, repeat_hold=4) as (_, client):
        for step in range(12):
            status.said = f"step {step // 2}"
            (result,) = await polled(client, 1)
            assert result["content"] == [{"type": "text", "text": status.said}]


async def test_what_is_only_observed_stands_in_the_log_alone(tmp_path: Path) -> None:
    async with house(tmp_path, Status(), repeat_observe=2) as (world, client):
        assert {len(one["content"]) for one in await polled(client, 2)} == {1}
        completed = await world.events("exchange.completed")
        assert [one.get("shadow") for one in completed if one["tool"] == "status"] == [None, ["loop.repeat: warn"]]


async def test_a_person_allows_some_more_and_then_is_asked_again(tmp_path: Path) -> None:
    status = Status()
    async with house(tmp_path, status, repeat_hold=3, repeat_deny=5) as (world, client):
        *_, held = await polled(client, 3)
        assert (decision(held), status.calls) == ("hold", 2)
        ticket = held["_meta"]["wicket/verdict"]["ticket"]
        await world.runtime.desk.approve(ticket, by="anna", relief=Relief(more=10))
        assert [decision(one) for one in await polled(client, 11)] == [None] * 11
        assert status.calls == 13
        assert [decision(one) for one in await polled(client, 2)] == ["hold", "hold"]
        assert status.calls == 13
        (granted,) = await world.events("approval.granted")
        assert granted["relief"] == "10"


async def test_a_person_lets_the_tool_alone_for_the_session(tmp_path: Path) -> None:
    status = Status()
    async with house(tmp_path, status, repeat_hold=3, repeat_deny=5, cycle_hold=3) as (world, client):
        *_, held = await polled(client, 3)
        await world.runtime.desk.approve(
            held["_meta"]["wicket/verdict"]["ticket"], by="anna", relief=Relief(exempt=True)
        )
        assert [decision(one) for one in await polled(client, 20)] == [None] * 20
        assert status.calls == 22


async def test_what_a_server_says_of_its_tool_is_believed_where_its_pin_is_trusted(tmp_path: Path) -> None:
    status = Status()
    status.meta = {"wicket/loop": {"exempt": True}}
    async with house(tmp_path, status, pins="trust-first-use", repeat_deny=3) as (_, client):
        await client.call("tools/list")
        assert [decision(one) for one in await polled(client, 10)] == [None] * 10


async def test_what_a_server_without_pins_says_of_its_tool_is_not_believed(tmp_path: Path) -> None:
    status = Status()
    status.meta = {"wicket/loop": {"exempt": True}}
    async with house(tmp_path, status, repeat_deny=3) as (_, client):
        await client.call("tools/list")
        assert [decision(one) for one in await polled(client, 3)] == [None, None, "deny"]


async def test_a_tool_that_asks_for_trust_by_a_changed_definition_does_not_get_it(tmp_path: Path) -> None:
    status = Status()
    async with house(tmp_path, status, pins="trust-first-use", repeat_deny=3) as (_, client):
        await client.call("tools/list")
        await polled(client, 2)
        status.meta = {"wicket/loop": {"exempt": True}}
        await client.call("tools/list")
        for refused in await polled(client, 2):
            assert refused["_meta"]["wicket/verdict"]["rule"] == "pin.drift"
        assert status.calls == 2


async def test_an_error_of_the_server_is_counted_whatever_it_was_given(tmp_path: Path) -> None:
    status = Status()
    status.error = {"code": -32603, "message": "no database"}
    async with house(tmp_path, status, error_deny=3) as (_, client):
        for number in range(3):
            assert (await client.tool("status", {"id": number}))["error"] == status.error
        assert decision((await client.tool("status", {"id": 9}))["result"]) == "deny"
        assert status.calls == 3


async def test_a_server_that_hangs_up_is_an_error_too(tmp_path: Path) -> None:
    status = Status()
    status.hangs_up = True
    async with house(tmp_path, status, error_deny=3) as (_, client):
        for number in range(3):
            assert "error" in await client.tool("status", {"id": number})
        assert decision((await client.tool("status", {"id": 9}))["result"]) == "deny"
        assert status.calls == 3
