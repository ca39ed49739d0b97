"""`wicket mcp`: the MCP proxy, one process in the foreground."""

from wicket.command import Command, Situation
from wicket.commands.serving import ARGUMENTS, EXITS, serve_in_foreground
from wicket.mcp_process import MCP


def mcp(situation: Situation) -> int:
    """Serve the MCP proxy."""
    return serve_in_foreground(situation, MCP)


COMMANDS = (Command("mcp", "run the MCP proxy in the foreground", mcp, ARGUMENTS, EXITS),)
