"""Puts the MCP servers of agents' configurations behind Wicket, and takes them out again.

`agents/` says where each agent keeps its file and how it looks; nothing in this room runs a server or opens a port.
"""
