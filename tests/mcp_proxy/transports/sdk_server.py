"""An MCP server made with the official SDK; speaks both eras. Run as a program: `stdio` or `sse PORT`."""

import sys

from mcp.server.mcpserver import Context, MCPServer
from pydantic import BaseModel

app = MCPServer("sdk", instructions="adds numbers")


class Answer(BaseModel):
    """What a person fills in."""

    word: str


@app.tool()
def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


@app.tool()
async def count(context: Context) -> str:
    """Report progress three times."""
    for step in range(3):
        await context.report_progress(step + 1, 3, f"step {step + 1}")
    return "counted"


@app.tool()
async def ask(context: Context) -> str:
    """Ask the person for a word (legacy: a request of the server during the call)."""
    given = await context.elicit("say a word", Answer)
    return given.data.word if given.action == "accept" else given.action


if __name__ == "__main__":
    if sys.argv[1] == "stdio":
        app.run(transport="stdio")
    else:
        app.run(transport="sse", port=int(sys.argv[2]))
