"""The wires that MCP travels on, each on both sides."""
