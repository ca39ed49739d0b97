"""A connected file works: what stands in it is started, and what cannot be connected is told."""

import json
import sys
from pathlib import Path

import pytest
from anyio import to_thread
from mcp import ClientSession, StdioServerParameters
from mcp.client.stdio import stdio_client

from tests.wicket.connect.conftest import Place
from wicket.connect.jsonc import JSONC

SERVER = """
from mcp.server.mcpserver import MCPServer

server = MCPServer("files")


@server.tool()
def read(path: str) -> str:
    return f"content of {path}"


server.run("stdio")
"""


async def test_the_wrapped_command_serves_the_agent_and_leaves_a_record(place: Place) -> None:
    script = place.home / "server.py"
    script.write_text(SERVER)
    file = place.home / ".cursor/mcp.json"
    file.parent.mkdir()
    file.write_text(json.dumps({"mcpServers": {"files": {"command": sys.executable, "args": [str(script)]}}}))
    assert (await to_thread.run_sync(place.run, "connect", "cursor")).code == 0
    entry = json.loads(file.read_text())["mcpServers"]["files"]
    started = StdioServerParameters(command=entry["command"], args=entry["args"], env=entry["env"])
    async with stdio_client(started) as (incoming, outgoing), ClientSession(incoming, outgoing) as session:
        await session.initialize()
        assert [tool.name for tool in (await session.list_tools()).tools] == ["read"]
        answer = await session.call_tool("read", {"path": "a.txt"})
    assert "content of a.txt" in str(answer.content)
    events = (await to_thread.run_sync(place.run, "audit", "show", "--json")).json
    calls = [event for event in events if event.get("tool") == "read"]
    assert {event["agent"] for event in calls} == {"cursor"}
    assert {event["server"] for event in calls} == {"files"}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "is empty, at"),
        ("{", "is not valid JSON, at line 1, column 2"),
        ("[]", "is not an object"),
        ('{"mcpServers": {}, "mcpServers": {}}', "has the key `mcpServers` twice"),
    ],
)
def test_a_malformed_file_is_told_and_not_touched(place: Place, text: str, said: str) -> None:
    file = place.home / ".cursor/mcp.json"
    file.parent.mkdir()
    file.write_text(text)
    before = place.everything()
    ran = place.run("connect", "cursor")
    assert ran.code == 3
    assert said.removesuffix(", at") in ran.err
    assert "Traceback" not in ran.err
    assert place.everything() == before


def test_a_link_is_not_followed(place: Place) -> None:
    real = place.home / "real.json"
    real.write_text('{"mcpServers": {"a": {"command": "x"}}}')
    link = place.home / ".cursor/mcp.json"
    link.parent.mkdir()
    link.symlink_to(real)
    ran = place.run("connect", "cursor")
    assert ran.code == 3
    assert f"name the file itself, `{real}`" in ran.err
    assert JSONC.read(real.read_text()) == {"mcpServers": {"a": {"command": "x"}}}


def test_an_agent_that_nobody_knows_and_one_that_is_not_here_are_told(place: Place, tmp_path: Path) -> None:
    unknown = place.run("connect", "nobody")
    assert unknown.code == 4
    assert "known are `claude-code`" in unknown.err
    absent = place.run("connect", "windsurf")
    assert absent.code == 4
    assert "has no configuration here" in absent.err
