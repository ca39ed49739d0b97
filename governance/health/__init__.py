"""How the MCP servers are, as the processes that run them last said it."""
