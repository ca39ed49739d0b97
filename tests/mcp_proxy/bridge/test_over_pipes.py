"""The bridge over pipes, which carry everything side by side: what belongs to whom is found out again."""

import os
import signal
import sys
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import mcp_types as types
import pytest
from mcp import Client, MCPError
from mcp.client.subscriptions import ToolsListChanged

from governance.config.models import Limits
from tests.mcp_proxy.bridge import one_era
from tests.mcp_proxy.bridge.stages import MODERN, Stage, bridged, connected
from tests.mcp_proxy.harness import raw_client, serving
from tests.mcp_proxy.raw_client import RawClient
from tests.mcp_proxy.transports import sdk_server
from tests.mcp_proxy.transports.stage_props import PLAIN_SERVER

RAW = str(Path(__file__).with_name("raw_stdio.py"))


def entry(era: str) -> dict[str, Any]:
    return {"command": sys.executable, "args": [RAW, era]}


async def text(client: Client, name: str, **arguments: Any) -> str:
    first = (await client.call_tool(name, arguments)).content[0]
    assert isinstance(first, types.TextContent)
    return first.text


async def test_a_legacy_client_hears_list_changes_of_a_modern_process() -> None:
    heard = anyio.Event()

    async def note(message: Any) -> None:
        if isinstance(message, types.ToolListChangedNotification):
            heard.set()

    async with bridged(entry("modern")) as stage, connected(stage, "legacy", message_handler=note) as client:
        await client.call_tool("change", {})
        await heard.wait()


async def test_a_modern_client_hears_list_changes_of_a_legacy_process() -> None:
    async with (
        bridged(entry("legacy")) as stage,
        connected(stage, MODERN) as client,
        client.listen(tools_list_changed=True) as subscription,
    ):
        await client.call_tool("change", {})
        assert isinstance(await anext(aiter(subscription)), ToolsListChanged)


@pytest.mark.parametrize(("era", "mode"), [("modern", "legacy"), ("legacy", MODERN)])
async def test_a_client_that_gives_a_call_up_cancels_it_in_the_process(era: str, mode: str) -> None:
    async with bridged(entry(era)) as stage, connected(stage, mode) as client:
        with anyio.move_on_after(0.5):
            await client.call_tool("slow", {})
        with anyio.fail_after(20):
            while await text(client, "cancelled") != "1":
                await anyio.lowlevel.checkpoint()


async def test_calls_that_may_be_asked_have_a_process_each_and_keep_their_questions_apart() -> None:
    async def answer(context: Any, params: types.ElicitRequestParams) -> types.ElicitResult:
        return types.ElicitResult(action="accept", content={"word": params.message})

    async with bridged(entry("legacy")) as stage, connected(stage, MODERN, elicitation_callback=answer) as client:

        async def ask(number: int) -> None:
            assert await text(client, "ask", question=f"q{number}") == f"q{number}"

        async with anyio.create_task_group() as group:
            for number in range(4):
                group.start_soon(ask, number)


async def test_a_process_that_ends_is_started_again_for_a_modern_client() -> None:
    async with bridged(entry("legacy")) as stage, connected(stage, MODERN) as client:
        os.kill(int(await text(client, "pid")), signal.SIGKILL)
        with anyio.fail_after(20):
            while True:
                try:
                    assert int(await text(client, "pid")) > 0
                except MCPError:
                    continue  # it may have been on its way to the process that ended
                break


async def test_a_server_that_is_silent_about_what_it_does_not_know_is_a_legacy_one() -> None:
    limits = Limits(connect_seconds=2)
    command = {"command": sys.executable, "args": [RAW, "silent"]}
    async with bridged(command, limits=limits) as stage, connected(stage, MODERN) as client:
        assert int(await text(client, "pid")) > 0


async def test_a_server_of_both_eras_that_is_only_slow_is_not_a_legacy_one() -> None:
    limits = Limits(connect_seconds=0.2)
    command = {"command": sys.executable, "args": [RAW, "late"]}
    async with bridged(command, limits=limits) as stage, connected(stage, MODERN) as client:
        assert await text(client, "era") == "modern"


async def reached(stage: Stage) -> Any:
    async with raw_client() as http:
        return await RawClient(http, stage.url).initialize()


async def test_a_process_that_speaks_legacy_revisions_is_mirrored_byte_for_byte() -> None:
    async with bridged({"command": sys.executable, "args": [PLAIN_SERVER]}) as stage:
        assert (await reached(stage))["result"]["serverInfo"] == {"name": "plain", "version": "1"}


def deaf_to_modern(app: Any) -> Any:
    """An HTTP+SSE server that takes modern requests and never answers them."""

    async def filtered(scope: Any, receive: Any, send: Any) -> None:
        if scope.get("method") != "POST" or not scope["path"].startswith("/messages"):
            await app(scope, receive, send)
            return
        part = await receive()
        if one_era.VERSION_KEY.encode() in part["body"]:
            await send({"type": "http.response.start", "status": 202, "headers": []})
            await send({"type": "http.response.body", "body": b""})
            return
        parts = [part]

        async def again() -> Any:
            return parts.pop() if parts else await receive()

        await app(scope, again, send)

    return filtered


@pytest.mark.parametrize("kind", [{"type": "sse"}, {}])
async def test_a_modern_client_reaches_an_old_server_over_sse(kind: dict[str, str]) -> None:
    async def answer(context: Any, params: types.ElicitRequestParams) -> types.ElicitResult:
        return types.ElicitResult(action="accept", content={"word": "please"})

    async with (
        serving(deaf_to_modern(sdk_server.app.sse_app())) as url,
        bridged({"url": f"{url}/sse", **kind}, limits=Limits(connect_seconds=2)) as stage,
        connected(stage, MODERN, elicitation_callback=answer) as client,
    ):
        assert (await client.call_tool("add", {"a": 2, "b": 3})).structured_content == {"result": 5}
        assert await text(client, "ask") == "please"
