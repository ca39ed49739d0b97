"""`wicket mcp`: the MCP proxy, one process in the foreground."""

from pathlib import Path

from wicket.command import Command, Situation
from wicket.commands.serving import ARGUMENTS, EXITS, serve_in_foreground
from wicket.handover import digest_of
from wicket.mcp_process import mcp_service


def mcp(situation: Situation) -> int:
    """Serve the MCP proxy."""
    return serve_in_foreground(situation, mcp_service(digest_of(Path(situation.options.config))))


COMMANDS = (Command("mcp", "run the MCP proxy in the foreground", mcp, ARGUMENTS, EXITS),)
