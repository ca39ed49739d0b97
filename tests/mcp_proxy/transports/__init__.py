"""Tests of the MCP transports."""
