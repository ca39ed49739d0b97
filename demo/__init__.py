"""The whole story with real parts: an agent on official SDKs, two MCP servers, a person, and an auditor."""
