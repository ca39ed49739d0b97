"""Servers made with the official SDK, to stand behind the aggregate: each has what the others have, and knows its name.

Run as a program it speaks on standard streams: `python joint_servers.py NAME`.
"""

import sys
from typing import Any

from mcp.server.mcpserver import Context, MCPServer
from mcp_types import Completion
from pydantic import BaseModel

LONG = "a_tool_with_a_name_that_no_client_would_take_in_full_length_as_it_is"


class Word(BaseModel):
    """What a person fills in."""

    word: str


def make_server(name: str) -> MCPServer:
    server = MCPServer(name, instructions=f"{name} is here")

    @server.tool()
    async def whoami() -> str:  # pyright: ignore[reportUnusedFunction] - the decorator registers it
        return name

    @server.tool(name=LONG)
    async def long() -> str:  # pyright: ignore[reportUnusedFunction] - as above
        return f"long of {name}"

    @server.tool()
    async def ask(context: Context) -> str:  # pyright: ignore[reportUnusedFunction] - as above
        given = await context.elicit(f"{name} asks", Word)
        return f"{name} heard {given.data.word}" if given.action == "accept" else given.action

    @server.tool()
    async def work(context: Context) -> str:  # pyright: ignore[reportUnusedFunction] - as above
        for step in range(3):
            await context.report_progress(step, 3, f"{name} works")
        return "done"

    @server.tool()
    async def grow(context: Context) -> str:  # pyright: ignore[reportUnusedFunction] - as above
        server.add_tool(_grown, name="grown")
        await context.session.send_tool_list_changed()
        return "grown"

    @server.prompt()
    async def greet(who: str) -> str:  # pyright: ignore[reportUnusedFunction] - as above
        return f"{name} greets {who}"

    @server.resource(f"note://{name}/own")
    async def own() -> str:  # pyright: ignore[reportUnusedFunction] - as above
        return f"own note of {name}"

    @server.resource("note://shared")
    async def shared() -> str:  # pyright: ignore[reportUnusedFunction] - as above
        return f"shared note of {name}"

    @server.resource(f"{name}://item/{{key}}")
    async def item(key: str) -> str:  # pyright: ignore[reportUnusedFunction] - as above
        return f"item {key} of {name}"

    @server.completion()
    async def complete(ref: Any, argument: Any, context: Any) -> Any:  # pyright: ignore[reportUnusedFunction] - as above
        return Completion(values=[f"{name} completes {argument.name}"])

    return server


async def _grown() -> str:
    return "grown"


if __name__ == "__main__":
    make_server(sys.argv[1]).run(transport="stdio")
