"""How the aggregate introduces itself to raw clients of both eras."""

from typing import Any

from mcp_proxy.aggregate import MISSING_KEY
from mcp_proxy.tasks.task import EXTENSION as TASKS
from tests.mcp_proxy.joint import raw, sent
from tests.mcp_proxy.raw_client import RawClient
from tests.mcp_proxy.raw_upstream import Call
from tests.mcp_proxy.stage import MODERN, modern


async def test_a_legacy_client_gets_its_own_revision_and_so_does_each_server() -> None:
    async with raw() as stage:
        old = RawClient(stage.http, stage.client.url)
        answer = (await old.initialize(protocolVersion="2025-03-26"))["result"]
        assert answer["protocolVersion"] == "2025-03-26"
        assert answer["serverInfo"]["name"] == "wicket"
        assert set(answer["capabilities"]) == {"tools", "logging", "prompts", "resources"}
        assert "be kind ü" in answer["instructions"]
        assert sent(stage.beta, "initialize")[-1]["params"]["protocolVersion"] == "2025-03-26"


async def test_each_server_is_spoken_to_in_the_revision_that_it_chose() -> None:
    async with raw() as stage:
        stage.beta.initialize = {**stage.beta.initialize, "protocolVersion": "2025-06-18"}
        other = RawClient(stage.http, stage.client.url)
        await other.initialize()
        for one, spoken in ((stage.alpha, "2025-11-25"), (stage.beta, "2025-06-18")):
            name = "alpha" if one is stage.alpha else "beta"
            await other.tool(f"{name}__x")
            assert one.calls[-1].headers["mcp-protocol-version"] == spoken


async def test_a_modern_introduction_joins_those_that_answer() -> None:
    async with raw() as stage:
        result: dict[str, Any] = {
            "supportedVersions": [MODERN],
            "capabilities": {"tools": {}, "extensions": {TASKS: {}, "io.example/x": {}}},
            "instructions": "I am alpha",
            "resultType": "complete",
            "ttlMs": 1000,
            "cacheScope": "public",
        }

        async def discover(call: Call) -> None:
            await call.reply(call.result(result))

        async def refuse(call: Call) -> None:
            await call.reply(b'{"jsonrpc":"2.0","id":"%s","error":{"code":-32601,"message":"x"}}' % call.id.encode())

        stage.alpha.handlers["server/discover"] = discover
        stage.beta.handlers["server/discover"] = refuse
        status, answer = await modern(stage.client, "server/discover", {})
        found: dict[str, Any] = answer["result"]
        assert (status, found["supportedVersions"], found["ttlMs"]) == (200, [MODERN], 0)
        assert found["capabilities"] == {"tools": {}, "extensions": {TASKS: {}, "io.example/x": {}}}
        assert found["_meta"][MISSING_KEY] == {"beta": "server `beta` does not speak this revision"}
        assert found["_meta"]["io.modelcontextprotocol/serverInfo"]["name"] == "wicket"
        stage.beta.handlers["server/discover"] = discover
        _, answer = await modern(stage.client, "server/discover", {})
        assert answer["result"]["ttlMs"] == 1000
        assert MISSING_KEY not in answer["result"]["_meta"]
