"""An MCP server on the official SDK that tells its environment, and ends in the middle of a call. Run over stdio."""

import json
import os

from mcp.server.mcpserver import MCPServer

server = MCPServer("crashing")


@server.tool()
def environment() -> str:
    """What this process was given."""
    return json.dumps(dict(os.environ))


@server.tool()
def crash() -> str:
    """Never answer."""
    os._exit(7)


if __name__ == "__main__":
    server.run("stdio")
