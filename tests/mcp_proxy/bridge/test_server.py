"""Official clients of one era reach official servers of the other, over HTTP and over stdio."""

from typing import Any

import anyio
import mcp_types as types
import pytest
from mcp import MCPError

from governance.config.models import Limits
from governance.exchange import Principal
from mcp_proxy.bridge.server import BridgedServer, Means
from mcp_proxy.link import Condition, Era, Link, UpstreamTimeoutError
from tests.conftest import ManualClock
from tests.mcp_proxy.bridge.stages import MODERN, connected, one_era_stage

ACROSS = [(Era.MODERN, "legacy"), (Era.LEGACY, MODERN)]
"""The server's era, and the client's mode."""


def text_of(result: types.CallToolResult) -> str:
    first = result.content[0]
    assert isinstance(first, types.TextContent)
    return first.text


async def fill_in(context: Any, params: types.ElicitRequestParams) -> types.ElicitResult:
    return types.ElicitResult(action="accept", content={"word": params.message})


async def think(context: Any, params: types.CreateMessageRequestParams) -> types.CreateMessageResult:
    content = types.TextContent(type="text", text="a thought")
    return types.CreateMessageResult(role="assistant", content=content, model="m")


async def show_roots(context: Any) -> types.ListRootsResult:
    return types.ListRootsResult(roots=[types.Root(uri="file:///here")])  # pyright: ignore[reportArgumentType] - as text


ABLE: dict[str, Any] = {
    "elicitation_callback": fill_in,
    "sampling_callback": think,
    "list_roots_callback": show_roots,
}


@pytest.mark.parametrize("transport", ["http", "stdio"])
@pytest.mark.parametrize(("era", "mode"), ACROSS)
async def test_a_client_lists_calls_and_reads_at_a_server_of_the_other_era(era: Era, mode: str, transport: str) -> None:
    async with one_era_stage(era, transport) as stage, connected(stage, mode) as client:
        assert [tool.name for tool in (await client.list_tools()).tools][:2] == ["add", "count"]
        assert (await client.call_tool("add", {"a": 2, "b": 3})).structured_content == {"result": 5}
        read = (await client.read_resource("memo://x")).contents[0]
        assert isinstance(read, types.TextResourceContents)
        assert read.text == "memo x"
        assert (await client.get_prompt("greet", {"name": "Ada"})).messages
        assert all(exchange.facts["era"] != era.value for exchange in stage.gate.admitted)
        assert {outcome.status for _, outcome in stage.gate.settled} == {"ok"}


@pytest.mark.parametrize("transport", ["http", "stdio"])
@pytest.mark.parametrize(("era", "mode"), ACROSS)
async def test_a_server_is_introduced_in_the_clients_own_era(era: Era, mode: str, transport: str) -> None:
    mode = mode if mode == "legacy" else "auto"
    async with one_era_stage(era, transport) as stage, connected(stage, mode) as client:
        assert client.server_info is not None
        assert client.server_info.name == "one-era"
        assert client.instructions == "speaks one era"
        assert (client.protocol_version == MODERN) is (mode == "auto")
        assert client.server_capabilities.tools is not None


@pytest.mark.parametrize("transport", ["http", "stdio"])
@pytest.mark.parametrize(("era", "mode"), ACROSS)
async def test_what_a_server_asks_during_a_call_reaches_the_client(era: Era, mode: str, transport: str) -> None:
    async with one_era_stage(era, transport) as stage, connected(stage, mode, **ABLE) as client:
        assert text_of(await client.call_tool("ask", {"question": "please"})) == "accept {'word': 'please'}"
        assert text_of(await client.call_tool("sample", {})) == "a thought"
        assert text_of(await client.call_tool("roots", {})) == "file:///here"


@pytest.mark.parametrize("transport", ["http", "stdio"])
@pytest.mark.parametrize(("era", "mode"), ACROSS)
async def test_a_client_that_declared_nothing_is_asked_nothing(era: Era, mode: str, transport: str) -> None:
    async with one_era_stage(era, transport) as stage, connected(stage, mode) as client:
        try:
            refused = (await client.call_tool("ask", {"question": "please"})).is_error
        except MCPError:
            refused = True
        assert refused


@pytest.mark.parametrize("transport", ["http", "stdio"])
@pytest.mark.parametrize(("era", "mode"), ACROSS)
async def test_progress_and_log_messages_arrive_in_the_other_era(era: Era, mode: str, transport: str) -> None:
    steps: list[float] = []
    said: list[Any] = []

    async def on_progress(progress: float, total: float | None, message: str | None) -> None:
        steps.append(progress)

    async def on_log(params: types.LoggingMessageNotificationParams) -> None:
        said.append(params.data)

    level = {} if mode == "legacy" else {"log_level": "warning"}
    async with (
        one_era_stage(era, transport) as stage,
        connected(stage, mode, logging_callback=on_log, **level) as client,
    ):
        await client.call_tool("count", {}, progress_callback=on_progress)
        assert steps == [1, 2, 3]
        if mode == "legacy":
            await client.session.send_request(
                types.SetLevelRequest(params=types.SetLevelRequestParams(level="warning")), types.EmptyResult
            )
        assert text_of(await client.call_tool("talk", {})) == "talked"
        assert said == ["loud"]


@pytest.mark.parametrize(("era", "mode"), ACROSS)
async def test_an_error_keeps_its_code_and_a_missing_resource_gets_that_of_the_clients_era(era: Era, mode: str) -> None:
    async with one_era_stage(era, "http") as stage, connected(stage, mode) as client:
        with pytest.raises(MCPError) as unknown:
            await client.read_resource("nothing://here")
        assert unknown.value.code == (-32002 if mode == "legacy" else -32602)
        with pytest.raises(MCPError) as bad:
            await client.get_prompt("greet", {})
        assert bad.value.code == (-32603 if era is Era.MODERN else 0)  # as this server has it in each era


@pytest.mark.parametrize("transport", ["http", "stdio"])
@pytest.mark.parametrize(("era", "mode"), [(Era.MODERN, MODERN), (Era.LEGACY, "legacy")])
async def test_where_the_server_speaks_the_clients_era_nothing_is_translated(
    era: Era, mode: str, transport: str
) -> None:
    async with one_era_stage(era, transport) as stage, connected(stage, mode, **ABLE) as client:
        assert (await client.call_tool("add", {"a": 2, "b": 3})).structured_content == {"result": 5}
        assert text_of(await client.call_tool("ask", {"question": "please"})) == "accept {'word': 'please'}"


@pytest.mark.parametrize("transport", ["http", "stdio"])
@pytest.mark.parametrize(("era", "mode"), ACROSS)
async def test_many_calls_of_several_clients_keep_their_own_answers(era: Era, mode: str, transport: str) -> None:
    async with one_era_stage(era, transport) as stage:

        async def client(number: int) -> None:
            key = ("wk_alice", "wk_bob")[number % 2]
            async with connected(stage, mode, key=key, **ABLE) as here:

                async def call(step: int) -> None:
                    result = await here.call_tool("add", {"a": number, "b": step})
                    assert result.structured_content == {"result": number + step}
                    asked = await here.call_tool("ask", {"question": f"q{number + step}"})
                    assert text_of(asked) == f"accept {{'word': 'q{number + step}'}}"

                async with anyio.create_task_group() as calls:
                    for step in range(2):
                        calls.start_soon(call, step)

        async with anyio.create_task_group() as clients:
            for number in range(2):
                clients.start_soon(client, number * 1000)


class Hanging:
    """A server that nobody gets an answer from."""

    name, transport, condition = "up", "http", Condition()

    def __init__(self) -> None:
        self.opened = 0
        self.gone = anyio.Event()

    async def open(self, principal: Principal, era: Era) -> Link:
        self.opened += 1
        await self.gone.wait()
        raise UpstreamTimeoutError("no answer in time")

    async def aclose(self) -> None:
        """Nothing to close."""


async def test_those_who_wait_for_a_server_that_hangs_do_not_each_ask_it_again(clock: ManualClock) -> None:
    hanging, refused = Hanging(), 0
    async with anyio.create_task_group() as group:
        server = BridgedServer(hanging, Means(group, clock, Limits(), bytes(32)))

        async def attempt() -> None:
            nonlocal refused
            with pytest.raises(UpstreamTimeoutError):
                await server.open(Principal("a"), Era.MODERN)
            refused += 1

        for _ in range(5):
            group.start_soon(attempt)
        await anyio.wait_all_tasks_blocked()
        hanging.gone.set()
    assert (hanging.opened, refused) == (1, 5)
