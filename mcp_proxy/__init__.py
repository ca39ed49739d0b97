"""The MCP proxy: agents register it as their MCP server."""
