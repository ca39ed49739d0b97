"""An MCP server on the official SDK whose tools leave a mark outside: one line in a file for each execution.

`python ledger_server.py LEDGER` speaks stdio; with a port behind it, streamable HTTP.
"""

import os
import sys
from pathlib import Path

from mcp.server.mcpserver import MCPServer
from mcp_types import ToolAnnotations

server = MCPServer("ledger")
ledger = Path(sys.argv[1])


@server.tool(annotations=ToolAnnotations(read_only_hint=True))
def count() -> int:
    """How many marks there are."""
    return len(ledger.read_text().splitlines()) if ledger.exists() else 0


@server.tool(annotations=ToolAnnotations(destructive_hint=True))
def mark(text: str) -> str:
    """Leave a mark that outlives everything."""
    descriptor = os.open(ledger, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.write(descriptor, text.encode() + b"\n")
    os.fsync(descriptor)
    os.close(descriptor)
    return f"marked {text}"


@server.tool(annotations=ToolAnnotations(destructive_hint=True))
def forbidden(text: str) -> str:
    """The policy of the tests denies this tool, so nobody should ever see it."""
    return text


if __name__ == "__main__":
    if len(sys.argv) > 2:
        server.run("streamable-http", host="127.0.0.1", port=int(sys.argv[2]))
    else:
        server.run("stdio")
