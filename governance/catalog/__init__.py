"""What each MCP server offers, as it said so itself, and what is certainly wrong with a call."""
