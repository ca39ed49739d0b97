"""`wicket mcp`: the MCP proxy, one process in the foreground."""

import os
from pathlib import Path

from wicket.command import Command, Situation
from wicket.commands.serving import ARGUMENTS, EXITS, serve_in_foreground
from wicket.mcp_process import mcp_service
from wicket.terms import terms_of


def mcp(situation: Situation) -> int:
    """Serve the MCP proxy."""
    return serve_in_foreground(situation, mcp_service(terms_of(Path(situation.options.config), os.environ)))


COMMANDS = (Command("mcp", "run the MCP proxy in the foreground", mcp, ARGUMENTS, EXITS),)
