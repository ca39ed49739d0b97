"""`wicket stdio`: a wrapper around one MCP server, in the configuration of an agent."""

from functools import partial
from pathlib import Path

from governance.config.load import load
from wicket.command import Command, Situation, argument
from wicket.commands.serving import run_loop
from wicket.exits import Exit
from wicket.installation import check_installation
from wicket.logs import log_to_stderr
from wicket.stdio_process import wrap


def stdio(situation: Situation) -> int:
    """Stand between an agent and one MCP server."""
    check_installation()
    log_to_stderr("stdio")
    config = load(Path(situation.options.config))
    return run_loop(partial(wrap, config, situation.options.server, situation.rest, situation.clock))


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
