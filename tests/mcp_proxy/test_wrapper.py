"""The wrapper as an agent sees it: a program on two pipes, that serves by itself or hands them over to the proxy."""

import os
import signal
import sys
import tempfile
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from subprocess import PIPE
from typing import Any

import anyio
import anyio.abc
import mcp_types as types
import orjson
import pytest
from anyio.streams.buffered import BufferedByteReceiveStream
from mcp.client import Client
from mcp.client.session import ClientRequestContext
from mcp.client.stdio import StdioServerParameters

from mcp_proxy.handover import wire
from mcp_proxy.handover.listener import Terms, listening
from tests.mcp_proxy.handover.host import serve_guest
from tests.mcp_proxy.harness import serving
from tests.mcp_proxy.transports import sdk_server

HERE = Path(__file__).parent / "transports"
ROOT = str(Path(__file__).parents[2])
PLAIN = [sys.executable, str(HERE / "plain_server.py")]
SDK = [sys.executable, str(HERE / "sdk_server.py"), "stdio"]


@dataclass
class Agent:
    """The agent's ends of the pipes."""

    process: anyio.abc.Process
    lines: BufferedByteReceiveStream

    async def send(self, raw: bytes) -> None:
        assert self.process.stdin is not None
        await self.process.stdin.send(raw + b"\n")

    async def call(self, request_id: int, name: str, **arguments: Any) -> None:
        params = {"name": name, "arguments": arguments}
        await self.send(orjson.dumps({"jsonrpc": "2.0", "id": request_id, "method": "tools/call", "params": params}))

    async def receive(self) -> dict[str, Any]:
        return orjson.loads(await self.lines.receive_until(b"\n", 2**26))

    async def errors(self) -> str:
        assert self.process.stderr is not None
        return b"".join([chunk async for chunk in self.process.stderr]).decode()

    async def close(self) -> int:
        assert self.process.stdin is not None
        await self.process.stdin.aclose()
        return await self.process.wait()


@asynccontextmanager
async def wrapper(way: str) -> AsyncGenerator[list[str]]:
    """The arguments that run a wrapper."""
    if way == "by itself":
        yield ["-m", "tests.mcp_proxy.transports.wrapper_program"]
        return
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder) / wire.SOCKET
        async with listening(place, Terms("home", "digest"), serve_guest):
            yield ["-m", "tests.mcp_proxy.handover.sender_program", str(place)]


@pytest.fixture(params=["by itself", "handed over"])
def way(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@asynccontextmanager
async def agent(way: str, command: list[str], env: Mapping[str, str] | None = None) -> AsyncGenerator[Agent]:
    with anyio.fail_after(30):
        async with (
            wrapper(way) as words,
            await anyio.open_process(
                [sys.executable, *words, *command], stdin=PIPE, stdout=PIPE, stderr=PIPE, cwd=ROOT, env=env
            ) as process,
        ):
            assert process.stdout is not None
            try:
                yield Agent(process, BufferedByteReceiveStream(process.stdout))
            finally:
                if process.returncode is None:
                    process.kill()


@asynccontextmanager
async def sdk_client(way: str, command: list[str], **options: Any) -> AsyncGenerator[Client]:
    async with wrapper(way) as words:
        server = StdioServerParameters(command=sys.executable, args=[*words, *command], cwd=ROOT)
        async with Client(server, **options) as client:
            yield client


@pytest.mark.parametrize("mode", ["auto", "legacy", "2026-07-28"])
async def test_an_official_client_works_through_the_wrapper_in_every_era(way: str, mode: Any) -> None:
    steps: list[float] = []

    async def on_progress(progress: float, total: float | None, message: str | None) -> None:
        steps.append(progress)

    with anyio.fail_after(30):
        async with sdk_client(way, SDK, mode=mode) as client:
            assert [tool.name for tool in (await client.list_tools()).tools] == ["add", "count", "ask"]
            assert (await client.call_tool("add", {"a": 2, "b": 3})).structured_content == {"result": 5}
            await client.call_tool("count", {}, progress_callback=on_progress)
            assert steps == [1, 2, 3]


async def test_a_person_is_asked_through_the_wrapper(way: str) -> None:
    async def answer(context: ClientRequestContext, params: types.ElicitRequestParams) -> types.ElicitResult:
        return types.ElicitResult(action="accept", content={"word": "please"})

    with anyio.fail_after(30):
        async with sdk_client(way, SDK, mode="legacy", elicitation_callback=answer) as client:
            said = (await client.call_tool("ask", {})).content[0]
            assert isinstance(said, types.TextContent)
            assert said.text == "please"


@pytest.mark.parametrize("mode", ["auto", "legacy", "2026-07-28"])
async def test_a_configured_http_server_is_reached_from_standard_streams_in_every_era(mode: Any) -> None:
    steps: list[float] = []

    async def on_progress(progress: float, total: float | None, message: str | None) -> None:
        steps.append(progress)

    app = sdk_server.app.streamable_http_app()
    with anyio.fail_after(30):
        async with (
            serving(app, lifespan="on") as url,
            sdk_client("by itself", [f"{url}/mcp"], mode=mode) as client,
        ):
            assert (await client.call_tool("add", {"a": 2, "b": 3})).structured_content == {"result": 5}
            await client.call_tool("count", {}, progress_callback=on_progress)
            assert steps == [1, 2, 3]


async def test_a_refused_call_never_reaches_the_server(way: str) -> None:
    async with agent(way, PLAIN) as here:
        await here.call(1, "forbidden")
        refused = await here.receive()
        assert refused["result"]["isError"] is True
        assert "test.forbidden" in refused["result"]["content"][0]["text"]
        await here.call(2, "echo", a=1)
        assert (await here.receive())["result"]["structuredContent"] == {"a": 1}
        assert await here.close() == 0


async def test_calls_run_side_by_side(way: str) -> None:
    async with agent(way, PLAIN) as here:
        await here.call(1, "slow")
        await here.call(2, "echo")
        assert (await here.receive())["id"] == 2
        await here.send(b'{"jsonrpc":"2.0","method":"vendor/finish"}')
        assert (await here.receive())["id"] == 1


BAD = {
    b"{": -32700,
    b"[]": -32600,
    b'{"jsonrpc":"2.0","id":1,"id":2,"method":"tools/list"}': -32700,
    b'{"jsonrpc":"2.0","id":null,"method":"tools/call"}': -32600,
    b'{"jsonrpc":"2.0","method":"tools/call","params":{"name":"crash"}}': -32600,
    b'{"jsonrpc":"2.0","id":1.0,"method":"tools/call","params":{"name":"crash"}}': -32600,
    b'\xff{"jsonrpc":"2.0"}': -32700,
}


async def test_a_line_that_is_no_message_is_answered_recorded_and_goes_no_further(way: str) -> None:
    async with agent(way, PLAIN) as here:
        for line, code in BAD.items():
            await here.send(line)
            assert (await here.receive())["error"]["code"] == code
        await here.call(1, "echo")
        assert (await here.receive())["id"] == 1
        assert await here.close() == 0
        assert (await here.errors()).count("recorded: ") == len(BAD)


async def test_a_message_over_the_limit_is_refused_and_the_next_one_is_served(way: str) -> None:
    async with agent(way, PLAIN) as here:
        await here.call(1, "echo", text="x" * (17 * 2**20))
        assert "larger than" in (await here.receive())["error"]["message"]
        await here.call(2, "big", size=8 * 2**20)
        assert len((await here.receive())["result"]["content"][0]["text"]) == 8 * 2**20


async def test_when_the_server_crashes_its_calls_are_answered_and_the_wrapper_ends_with_its_code(way: str) -> None:
    async with agent(way, PLAIN) as here:
        await here.call(1, "slow")
        await here.call(2, "crash")
        failed = sorted([await here.receive(), await here.receive()], key=lambda one: one["id"])
        assert [one["id"] for one in failed] == [1, 2]
        assert all("exited with 7" in one["error"]["message"] for one in failed)
        assert await here.process.wait() == 7


async def test_a_command_that_does_not_exist_is_said_on_standard_error_only(way: str) -> None:
    async with agent(way, ["/nonexistent/server"]) as here:
        assert await here.process.wait() == 127
        assert "cannot be started" in await here.errors()


async def test_standard_streams_that_are_files_are_refused_in_words(way: str, tmp_path: Path) -> None:
    async with wrapper(way) as words:
        with (tmp_path / "out").open("wb") as out:
            done = await anyio.run_process(
                [sys.executable, *words, *PLAIN], input=b"\n", stdout=out, stderr=PIPE, cwd=ROOT, check=False
            )
    assert done.returncode == 2
    assert b"standard output is neither a pipe nor a terminal" in done.stderr


async def test_a_signal_ends_the_server_too(way: str) -> None:
    async with agent(way, PLAIN) as here:
        await here.call(1, "pid")
        pid = int((await here.receive())["result"]["content"][0]["text"])
        here.process.send_signal(signal.SIGTERM)
        assert await here.process.wait() == 128 + signal.SIGTERM
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


async def test_no_child_is_left_when_the_wrapper_is_killed_outright(way: str) -> None:
    async with agent(way, PLAIN) as here:
        await here.call(1, "pid")
        pid = int((await here.receive())["result"]["content"][0]["text"])
        handle = os.pidfd_open(pid)
        here.process.kill()
        await anyio.wait_readable(handle)
        os.close(handle)


async def test_the_server_gets_the_agents_environment_but_not_our_key(way: str) -> None:
    async with agent(way, PLAIN, {**os.environ, "GITHUB_TOKEN": "t", "WICKET_KEY": "k"}) as here:
        await here.call(1, "env")
        seen = orjson.loads((await here.receive())["result"]["content"][0]["text"])
        assert seen["GITHUB_TOKEN"] == "t"
        assert "WICKET_KEY" not in seen


@pytest.mark.parametrize(("era", "mode"), [("modern", "legacy"), ("legacy", "2026-07-28"), ("legacy", "auto")])
async def test_an_agent_of_one_era_reaches_a_wrapped_server_of_the_other(way: str, era: str, mode: Any) -> None:
    async def answer(context: ClientRequestContext, params: types.ElicitRequestParams) -> types.ElicitResult:
        return types.ElicitResult(action="accept", content={"word": params.message})

    command = [sys.executable, "-m", "tests.mcp_proxy.bridge.one_era", era]
    with anyio.fail_after(30):
        async with sdk_client(way, command, mode=mode, elicitation_callback=answer) as client:
            assert (await client.call_tool("add", {"a": 2, "b": 3})).structured_content == {"result": 5}
            said = (await client.call_tool("ask", {"question": "please"})).content[0]
            assert isinstance(said, types.TextContent)
            assert said.text == "accept {'word': 'please'}"
