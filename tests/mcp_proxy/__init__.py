"""Tests of `mcp_proxy`."""
