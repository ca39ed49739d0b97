"""A small MCP server over streamable HTTP, on the official SDK: a customer register that never changes."""

import sys

from mcp.server.mcpserver import MCPServer
from mcp_types import ToolAnnotations
from starlette.applications import Starlette

from demo.listening import listen

server = MCPServer("crm", instructions="Look customers up.")


@server.tool(annotations=ToolAnnotations(read_only_hint=True))
def find_customer(customer: int) -> dict[str, str]:
    """Find a customer by number."""
    return {"name": f"Customer {customer}", "status": "waiting for a call back"}


@server.tool(annotations=ToolAnnotations(destructive_hint=True))
def delete_customer(customer: int) -> str:
    """Delete a customer. The demo's policy hides this tool."""
    return f"deleted {customer}"


def make(host: str) -> Starlette:
    """The application."""
    return server.streamable_http_app(host=host)


if __name__ == "__main__":
    listen(make, sys.argv[1:])
