"""Bridging the two eras of MCP: a client and a server that share none still meet (`docs/decisions/bridging.md`)."""
