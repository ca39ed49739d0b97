"""`wicket stdio`: a wrapper around one MCP server, in the configuration of an agent.

Where the MCP proxy runs already it does the work, and nothing more than this file needs is loaded.
"""

import os
from pathlib import Path

from wicket.command import Command, Situation, argument
from wicket.exits import Exit
from wicket.handover import handed_over
from wicket.loading import load


def stdio(situation: Situation) -> int:
    """Stand between an agent and one MCP server."""
    options, command = situation.options, situation.rest
    outcome = handed_over(Path(options.config), options.server, command, os.environ) if command else None
    if outcome is None:
        return int(load("wicket.commands.alone").serve_alone(situation))
    for text in outcome.say:
        situation.terminal.say(text)
    return outcome.code


COMMANDS = (
    Command(
        "stdio",
        "stand between an agent and one MCP server, in the agent's own configuration",
        stdio,
        (argument("--server", required=True, metavar="NAME", help="name of the server, in policies and in the log"),),
        {Exit.ABSENT: "no such server is configured, and no command was given"},
        rest="the command that starts the server; without it, the configured server of that name",
    ),
)
