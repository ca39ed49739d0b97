"""A small MCP server over streamable HTTP, on the official SDK: a customer register that never changes."""

import sys

from mcp.server.mcpserver import MCPServer
from mcp_types import ToolAnnotations

server = MCPServer("crm", instructions="Look customers up.")


@server.tool(annotations=ToolAnnotations(read_only_hint=True))
def find_customer(customer: int) -> dict[str, str]:
    """Find a customer by number."""
    return {"name": f"Customer {customer}", "status": "waiting for a call back"}


@server.tool(annotations=ToolAnnotations(destructive_hint=True))
def delete_customer(customer: int) -> str:
    """Delete a customer. The demo's policy hides this tool."""
    return f"deleted {customer}"


def main() -> None:
    """Serve on the loopback port given as the only argument."""
    server.run("streamable-http", host="127.0.0.1", port=int(sys.argv[1]))


if __name__ == "__main__":
    main()
